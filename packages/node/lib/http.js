"use strict";
const http = require("node:http");
const { ServerError } = require("./errors.js");

/** Time in which the server sends something of its answer. */
const ANSWER_MS = 60_000;

/**
 * Sends a request to `base`, and returns the body of the answer: what its JSON means, bytes, or its text. `body` is bytes or a string of
 * the type `type`, or else a value that is sent as JSON.
 */
async function call(base, method, path, { body, type, accept, token, timeoutMs = ANSWER_MS } = {}) {
  const isRaw = body === undefined || type !== undefined;
  const content = isRaw ? body : JSON.stringify(body);
  const sent = { "Content-Type": isRaw ? type : "application/json", Accept: accept, Authorization: token && `Bearer ${token}` };
  const headers = Object.fromEntries(Object.entries(sent).filter(([, value]) => value));
  const { status, kind, bytes } = await exchange(new URL(base), path, method, content, headers, timeoutMs);
  const answer = meaningOf(bytes, kind);
  if (status < 400) return answer;
  // The commands of the AdminServer have a text for their error.
  const error = answer?.error ?? bytes.toString();
  const { code, message } = typeof error === "string" ? { code: "unknown", message: error } : error;
  throw new ServerError(`${method} ${path}: ${message}`, status, code);
}

/** Returns what the bytes of an answer mean: a value, text, or the bytes themselves. */
function meaningOf(bytes, kind) {
  if (kind.startsWith("application/octet-stream")) return bytes;
  return kind.startsWith("application/json") ? JSON.parse(bytes.toString()) : bytes.toString();
}

function exchange({ origin, protocol, hostname, port }, target, method, content, headers, timeout) {
  return new Promise((resolve, reject) => {
    // A connection for each request: none is left over that keeps a test runner alive or breaks at the next use.
    // And the path as it is: in a URL `..` would take the name before it away, and another node would be meant.
    const path = (target.startsWith("/") ? target : "/" + target).replace(/[^\x21-\x7e]+|["<>\\^`{|}]+/gu, encodeURIComponent);
    const host = hostname.replace(/^\[|\]$/g, "");
    const options = { protocol, host, port, path, method, headers, timeout, agent: false };
    const request = http.request(options, (response) => {
      const parts = [];
      response.on("error", fail).on("data", (part) => parts.push(part));
      response.on("end", () => {
        resolve({ status: response.statusCode, kind: response.headers["content-type"] ?? "", bytes: Buffer.concat(parts) });
      });
    });
    const fail = (cause) => {
      reject(new ServerError(`the server at ${origin} does not answer: ${cause.message}`, 0, "unreachable", { cause }));
    };
    request.on("timeout", () => {
      fail(new Error(`nothing came within ${timeout} ms`));
      request.destroy();
    });
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

/** Returns HOST:PORT of the URL of a server. */
function addressOf(url) {
  const [, address] = /^http:\/\/([^/?#@]+:\d+)\/?$/.exec(url) ?? [];
  if (!address) throw new TypeError(`${url} is no address of a server; expected is http://HOST:PORT`);
  return address;
}

module.exports = { call, withQuery, nodePath, addressOf };
