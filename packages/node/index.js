"use strict";
const { ZkMini, Server, Fault } = require("./lib/server.js");
const { ZkMiniError, StartError, ServerError } = require("./lib/errors.js");

module.exports = { ZkMini, Server, Fault, ZkMiniError, StartError, ServerError };
