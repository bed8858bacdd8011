#!/usr/bin/env node
"use strict";
// The command `zk-mini` of the npm package: runs the program with the same arguments, and ends as it ends.
const { spawn } = require("node:child_process");
const { StartError } = require("../lib/errors.js");
const { findProgram, REMEDY } = require("../lib/program.js");

/** Variable that tells a child which process of this command started it. */
const PARENT = "ZK_MINI_COMMAND_PID";

const FORWARDED = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR2"];

let child;
try {
  const program = findProgram();
  // The parent took for the program what runs this command. Without this check that would go on for ever. Below the program itself, as
  // in `zk-mini exec -- npx zk-mini ls`, the parent is another process.
  if (process.env[PARENT] === String(process.ppid)) {
    throw new StartError(`the program zk-mini was not found: ${program} is this command again. ${REMEDY}`);
  }
  child = spawn(program, process.argv.slice(2), { stdio: "inherit", env: { ...process.env, [PARENT]: String(process.pid) } });
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
