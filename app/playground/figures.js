// Numbers as people read them.
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

// Unknown is not nothing.
export function cost(usd) {
  if (usd === null || usd === undefined) return "–";
  return usd < 0.01 ? `$${usd.toFixed(6).replace(/0+$/, "").replace(/\.$/, "")}` : `$${usd.toFixed(2)}`;
}

export function totals(turns) {
  const used = turns.map((turn) => turn.usage).filter((usage) => usage && usage.input_tokens + usage.output_tokens > 0);
  const known = used.every((usage) => usage.cost_usd !== null);
  return {
    tokens: used.reduce((sum, usage) => sum + usage.input_tokens + usage.output_tokens, 0),
    cost: used.length && known ? used.reduce((sum, usage) => sum + (usage.cost_usd ?? 0), 0) : null,
  };
}

export function ago(time) {
  const minutes = (Date.now() - Date.parse(time)) / 60_000;
  if (minutes < 1) return "now";
  if (minutes < 60) return `${Math.floor(minutes)} min`;
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h`;
  return new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}
