"use strict";

/** Options of `ZkMini.start` that are options of `zk-mini serve`. */
const OF_SERVE = {
  load: "--load",
  dataDir: "--data-dir",
  compat: "--compat",
  tickMs: "--tick-ms",
  minSessionTimeoutMs: "--min-session-timeout-ms",
  maxSessionTimeoutMs: "--max-session-timeout-ms",
};
const OF_START = ["program", "args", "fast", "servers", "startTimeoutMs"];

/** Returns the arguments of `zk-mini serve` for some options, and the time that a start may take. */
function argumentsOf(options) {
  if (options.args !== undefined && !Array.isArray(options.args)) throw new TypeError("the option `args` is a list of strings");
  const { fast } = options;
  // The control of an ensemble has a port of its own, unless `args` name one: each of the others goes with its server.
  const args = options.servers > 1 ? ["--http", "127.0.0.1:0"] : [];
  // Not `--fast=false` behind them, which would still contradict a tick.
  args.push(...(options.args ?? []).filter((arg) => fast === undefined || arg.split("=")[0] !== "--fast"));
  if (fast) args.push("--fast");
  for (const [name, value] of Object.entries(options)) {
    if (!(name in OF_SERVE) && !OF_START.includes(name)) {
      const known = [...OF_START, ...Object.keys(OF_SERVE)].join(", ");
      throw new TypeError(`ZkMini.start has no option \`${name}\`; it has ${known}`);
    }
    if (name in OF_SERVE && value !== undefined) args.push(OF_SERVE[name], String(value));
  }
  if (options.servers > 1) args.push("--servers", String(options.servers));
  // Of options that are repeated the last one counts.
  return { args, timeoutMs: options.startTimeoutMs ?? 20_000 };
}

module.exports = { argumentsOf };
