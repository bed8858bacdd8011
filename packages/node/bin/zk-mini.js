#!/usr/bin/env node
"use strict";
// The command `zk-mini` of the npm package: runs the program with the same arguments, and ends as it ends.
const { spawn } = require("node:child_process");
const { findProgram } = require("../lib/program.js");

const FORWARDED = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR2"];

let child;
try {
  child = spawn(findProgram(), process.argv.slice(2), { stdio: "inherit" });
} catch (error) {
  fail(error);
}
for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
child.on("error", fail);
child.on("exit", (status, signal) => {
  if (signal === null) process.exit(status);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});

function fail(error) {
  console.error(`zk-mini: ${error.message}`);
  process.exit(1);
}
