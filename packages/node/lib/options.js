"use strict";

/** Options of `ZkMini.start` that are options of `zk-mini serve`. */
const OF_SERVE = {
  fast: "--fast",
  load: "--load",
  dataDir: "--data-dir",
  compat: "--compat",
  tickMs: "--tick-ms",
  minSessionTimeoutMs: "--min-session-timeout-ms",
  maxSessionTimeoutMs: "--max-session-timeout-ms",
};
const OF_START = ["program", "args", "servers", "startTimeoutMs"];

/** Returns the arguments of `zk-mini serve` for some options, and the time that a start may take. */
function argumentsOf(options) {
  if (options.args !== undefined && !Array.isArray(options.args)) throw new TypeError("the option `args` is a list of strings");
  const args = [];
  for (const [name, value] of Object.entries(options)) {
    if (!(name in OF_SERVE) && !OF_START.includes(name)) {
      const known = [...OF_START, ...Object.keys(OF_SERVE)].join(", ");
      throw new TypeError(`ZkMini.start has no option \`${name}\`; it has ${known}`);
    }
    if (name in OF_SERVE && value !== undefined) args.push(...argument(OF_SERVE[name], value));
  }
  // The control of an ensemble has a port of its own: each of the others goes with its server.
  if (options.servers > 1) args.push("--servers", String(options.servers), "--http", "127.0.0.1:0");
  // Of options that are repeated the last one counts.
  return { args: [...(options.args ?? []), ...args], timeoutMs: options.startTimeoutMs ?? 20_000 };
}

/** Returns an option of the command line; true and false belong to its name. */
function argument(name, value) {
  if (typeof value === "boolean") return [`${name}=${value}`];
  return [name, String(value)];
}

module.exports = { argumentsOf };
