"use strict";
const { setTimeout: after } = require("node:timers/promises");
const { ZkMini } = require("./index.js");

/** Time for the history of a failed test: its server may be stuck, and shall end all the same. */
const HISTORY_MS = 5000;

/**
 * Returns a function for `test`: it starts a server, calls `body(zk, t)`, and stops the server. If the test fails, the end of the
 * history is printed.
 */
function withZk(body, options = {}) {
  // Without named parameters: some runners take one for a callback.
  return async function () {
    const context = arguments[0];
    const zk = await ZkMini.start(options);
    if (context?.signal?.aborted) {
      // The test was over before its server was there.
      await zk.stop();
      throw context.signal.reason;
    }
    let isOver = false;
    // A test that runs into its timeout goes on in vain, and its diagnostics come too late; its server ends now.
    context?.signal?.addEventListener?.("abort", () => isOver || tell(zk, console.error).finally(() => zk.stop()));
    try {
      return await body(zk, context);
    } catch (error) {
      await tell(zk, typeof context?.diagnostic === "function" ? byLines(context) : console.error);
      throw error;
    } finally {
      isOver = true;
      await zk.stop();
    }
  };
}

async function tell(zk, print) {
  const history = zk.historyText().catch((error) => error.message);
  const silence = after(HISTORY_MS, `the server at ${zk.http} does not answer within ${HISTORY_MS} ms`, { ref: false });
  print(`zk-mini, what happened last:\n${await Promise.race([history, silence])}`);
}

function byLines(context) {
  return (text) => text.split("\n").forEach((line) => context.diagnostic(line));
}

module.exports = { withZk };
