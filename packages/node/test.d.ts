import { StartOptions, ZkMini } from "./index.js";

/**
 * Returns a function for `test` of node:test: it starts a server, calls `body(zk, t)`, and stops the server. If the test fails, the
 * end of the server's history is printed.
 */
export function withZk<Context>(
  body: (zk: ZkMini, t: Context) => unknown,
  options?: StartOptions,
): (t: Context) => Promise<void>;
