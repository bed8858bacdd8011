"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { StartError } = require("./errors.js");

/** Name of the package that carries the program for this machine. */
const PACKAGE = `@zk-mini/${process.platform}-${process.arch}`;

const REMEDY = `Install the package ${PACKAGE}, or build the program with \`cargo build --release\` in a checkout and name it in ZK_MINI`;

/** Returns the path of the program: as given, from `ZK_MINI`, from the package of this platform, or from the PATH. */
function findProgram(given) {
  const named = given || process.env.ZK_MINI;
  if (named) {
    if (isExecutable(named)) return named;
    const origin = given ? "the option `program`" : "the variable ZK_MINI";
    throw new StartError(`${origin} names ${named}, which is not an executable file`);
  }
  const found = carried() || onPath();
  if (found) return found;
  throw new StartError(
    "the program zk-mini was not found. Looked for, in this order: the option `program` (not given); the variable ZK_MINI" +
      ` (not set); the npm package ${PACKAGE} (not installed); zk-mini on the PATH, scripts left out (not there). ${REMEDY}`,
  );
}

function carried() {
  try {
    return require.resolve(`${PACKAGE}/bin/zk-mini`);
  } catch {
    return undefined;
  }
}

function onPath() {
  const folders = (process.env.PATH || "").split(path.delimiter).filter(Boolean);
  return folders.map((folder) => path.join(folder, "zk-mini")).find((file) => isExecutable(file) && !isScript(file));
}

/** True for the command of an npm package, a script of JavaScript or of a shell: it would look for the program, too. */
function isScript(file) {
  const start = Buffer.alloc(2);
  try {
    const opened = fs.openSync(file);
    try {
      fs.readSync(opened, start);
    } finally {
      fs.closeSync(opened);
    }
  } catch {
    // A program may be executable and not readable; a script may not.
    return false;
  }
  return start.toString() === "#!";
}

function isExecutable(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

module.exports = { findProgram, REMEDY };
