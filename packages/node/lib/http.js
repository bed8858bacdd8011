"use strict";
const http = require("node:http");
const { ServerError } = require("./errors.js");

/**
 * Sends a request to `base`, and returns the body of the answer: what its JSON means, or its text. `body` is bytes or a string of
 * the type `type`, or else a value that is sent as JSON.
 */
async function call(base, method, path, body, type) {
  const isRaw = body === undefined || type !== undefined;
  const content = isRaw ? body : JSON.stringify(body);
  const { status, headers, text } = await exchange(new URL(base), path, method, content, isRaw ? type : "application/json");
  const isJson = (headers["content-type"] || "").startsWith("application/json");
  const answer = isJson ? JSON.parse(text) : text;
  if (status < 400) return answer;
  const { code, message } = (isJson && answer.error) || { code: "unknown", message: text };
  throw new ServerError(`${method} ${path}: ${message}`, status, code);
}

function exchange({ origin, protocol, hostname, port }, target, method, content, type) {
  return new Promise((resolve, reject) => {
    const headers = type ? { "Content-Type": type } : {};
    // A connection for each request: none is left over that keeps a test runner alive or breaks at the next use.
    // And the path as it is: in a URL `..` would take the name before it away, and another node would be meant.
    const path = (target.startsWith("/") ? target : "/" + target).replace(/[^\x21-\x7e]+|["<>\\^`{|}]+/gu, encodeURIComponent);
    const host = hostname.replace(/^\[|\]$/g, "");
    const options = { protocol, host, port, path, method, headers, agent: false };
    const request = http.request(options, (response) => {
      const parts = [];
      response.on("error", fail).on("data", (part) => parts.push(part));
      response.on("end", () => {
        resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString() });
      });
    });
    const fail = (cause) => {
      reject(new ServerError(`the server at ${origin} does not answer: ${cause.message}`, 0, "unreachable", { cause }));
    };
    request.on("error", fail).end(content);
  });
}

/** Returns `path?name=value&…` with those of the parameters that are set. */
function withQuery(path, parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== false);
  const query = new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString();
  return query ? `${path}?${query}` : path;
}

/** Returns the path of a node as it stands below `/v1/nodes`. */
function nodePath(path) {
  if (!path.startsWith("/")) throw new TypeError(`the path of a node begins with a slash: ${path}`);
  return "/v1/nodes" + path.split("/").map(encodeURIComponent).join("/");
}

module.exports = { call, withQuery, nodePath };
