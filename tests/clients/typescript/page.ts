/** What the client does in a browser: the answer as it comes, and how many events that took. */
import { createClient, stream } from "waggle-client";

async function show(answer: HTMLElement) {
  let events = 0;
  for await (const event of stream(createClient({ baseUrl: location.origin }), "assistant", { task: "Hello." })) {
    events += 1;
    if (event.type === "text.delta") answer.append(event.delta);
    if (event.type === "run.completed") document.title = `${events} of ${event.seq}`;
  }
}

void show(document.body.appendChild(document.createElement("main")));
