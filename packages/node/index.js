"use strict";
const { ZkMini, Fault } = require("./lib/server.js");
const { ZkMiniError, StartError, ServerError } = require("./lib/errors.js");

module.exports = { ZkMini, Fault, ZkMiniError, StartError, ServerError };
