"use strict";
const { ZkMini } = require("./index.js");

/**
 * Returns a function for `test`: it starts a server, calls `body(zk, t)`, and stops the server. If the test fails, the end of the
 * history is printed.
 */
function withZk(body, options = {}) {
  // Without named parameters: some runners take one for a callback.
  return async function () {
    const context = arguments[0];
    const zk = await ZkMini.start(options);
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
  const history = await zk.historyText().catch((error) => error.message);
  print(`zk-mini, what happened last:\n${history}`);
}

function byLines(context) {
  return (text) => text.split("\n").forEach((line) => context.diagnostic(line));
}

module.exports = { withZk };
