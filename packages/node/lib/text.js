"use strict";

/** Returns what `GET /v1/explain` answered as text: a line for each change, the oldest first. */
function explanation({ path, exists, history, is_cut: isCut }) {
  const lines = history.map((change) => `  ${readable(change.time)}  ${change.zxid}  ${change.because}`);
  if (isCut) lines.unshift("  … earlier changes are no longer in the history");
  else if (lines.length === 0 && exists) lines.push("  it was there when the history began, and has not changed since");
  else if (lines.length === 0) lines.push("  nothing in the history has to do with it");
  return [`${path} ${exists ? "exists" : "does not exist"}`, ...lines].join("\n");
}

/** Returns an entry of the history as a line. */
function line(entry) {
  const { kind, what, path, because, session, client } = entry;
  const start = `${readable(entry.time)}  ${kind.padEnd(11)}  `;
  // The reason of a change is a sentence whose subject is the node.
  if (kind === "transaction" && path) return `${start}${path} ${because || what}`;
  const who = session ? `session ${session}: ` : client ? `client ${client}: ` : "";
  const isWhole = because && ["connect", "disconnect", "close", "expiry"].includes(kind);
  if (isWhole) return start + who + because;
  return start + who + what + (path ? ` ${path}` : "") + (entry.error ? `, ${entry.error}` : "") + (because ? `: ${because}` : "");
}

/** Returns a time of ISO 8601 in the form of a log. */
function readable(time) {
  return time.replace("T", " ").replace("Z", "");
}

module.exports = { explanation, line };
