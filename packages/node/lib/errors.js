"use strict";

/** Base of all errors of this package. */
class ZkMiniError extends Error {
  get name() {
    return this.constructor.name;
  }
}

/** The program was not found, or the server did not start. `log` is the end of what it wrote to standard error. */
class StartError extends ZkMiniError {
  constructor(message, log = "", options = undefined) {
    super(log ? `${message}; its log ends with:\n${indented(log)}` : message, options);
    this.log = log;
  }
}

/** The server refused a call, or did not answer: then `status` is 0, and `code` is "unreachable". */
class ServerError extends ZkMiniError {
  constructor(message, status, code, options = undefined) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

function indented(text) {
  return text.trimEnd().replace(/^/gm, "  ");
}

module.exports = { ZkMiniError, StartError, ServerError };
