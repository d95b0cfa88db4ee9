// Talk to an agent with OpenAI's own client: `npm install openai`, then `node chat.mjs "Why is the sky blue?"`.
// WAGGLE_URL, WAGGLE_KEY and AGENT say where and to whom.
import OpenAI from "openai";

const { WAGGLE_URL = "http://127.0.0.1:8000", WAGGLE_KEY = "none", AGENT = "assistant" } = process.env;
const client = new OpenAI({ baseURL: `${WAGGLE_URL}/v1`, apiKey: WAGGLE_KEY });

const stream = await client.chat.completions.create({
  model: AGENT,
  messages: [{ role: "user", content: process.argv.slice(2).join(" ") || "Hello!" }],
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  if (chunk.usage) console.log(`\n${chunk.usage.total_tokens} tokens`);
}
