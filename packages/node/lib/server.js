"use strict";
const { Child } = require("./child.js");
const { StartError, ZkMiniError } = require("./errors.js");
const { call, withQuery, nodePath, addressOf } = require("./http.js");
const { findProgram } = require("./program.js");
const { argumentsOf } = require("./options.js");
const text = require("./text.js");

/** Version of the HTTP API that this package knows. */
const API = 1;
/** Deeper than the tree of any test. */
const WHOLE_TREE = 1000;
/** Filter of `historyText` without one. */
const STORY = { story: true, limit: 40 };

/** A running server, and the control over it. index.d.ts documents its methods. */
class ZkMini {
  static async start(options = {}) {
    const { args, timeoutMs } = argumentsOf(options);
    const child = await Child.start(findProgram(options.program), args, timeoutMs);
    const { hosts, http, control } = child.ready;
    const isEnsemble = options.servers > 1;
    // No server of an ensemble takes that port along.
    const zk = new ZkMini(isEnsemble ? control : http, hosts, { child });
    try {
      if (!zk.http) throw new StartError("the server has no HTTP, by which it is controlled: leave out `--http off`");
      await zk.#refuseOtherApi();
      if (isEnsemble) zk.hosts = await zk.#addresses();
    } catch (error) {
      await child.stop();
      throw error;
    }
    return zk;
  }

  static async attach(url, { hosts, token } = {}) {
    const http = url || process.env.ZK_MINI_HTTP;
    if (!http) throw new ZkMiniError("no server to attach to: give its URL, or run under `zk-mini exec`, which sets ZK_MINI_HTTP");
    const address = addressOf(http);
    const zk = new ZkMini(`http://${address}`, hosts || (url ? undefined : process.env.ZK_HOSTS), { token });
    await zk.#refuseOtherApi();
    zk.hosts ||= (await zk.#addresses()) || address;
    return zk;
  }

  #child;
  #token;

  constructor(http, hosts, { child, token }) {
    this.http = http;
    this.hosts = hosts;
    this.#child = child;
    // As in a file, where a line end may follow.
    this.#token = token?.trim();
  }

  async #refuseOtherApi() {
    const { api } = await this.status();
    if (typeof api !== "number") throw new ZkMiniError(`${this.http} answers HTTP, but is no zk-mini`);
    if (api <= API) return;
    throw new ZkMiniError(
      `the server at ${this.http} has version ${api} of the HTTP API, and this package knows version ${API}:` +
        " install a newer package, or run an older server",
    );
  }

  /** Returns the addresses of an ensemble; nothing for a single server. */
  async #addresses() {
    return (await this.servers()).map(({ address }) => address).join(",");
  }

  get host() {
    return this.#first.slice(0, this.#first.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  }

  get port() {
    return Number(this.#first.slice(this.#first.lastIndexOf(":") + 1));
  }

  get #first() {
    return this.hosts.split(",")[0];
  }

  get pid() {
    return this.#child?.pid;
  }

  get log() {
    return this.#child?.log ?? "";
  }

  async stop() {
    await this.#child?.stop();
  }

  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    await this.stop();
  }

  async call(method, path, body, type) {
    return this.#call(method, path, { body, type });
  }

  async #call(method, path, request) {
    try {
      return await call(this.http, method, path, { ...request, token: this.#token });
    } catch (error) {
      const ending = error.status === 0 && (await this.#child?.endsSoon());
      if (ending) error.message += `; the server ${ending}`;
      throw error;
    }
  }

  async status() {
    return this.call("GET", "/v1/status");
  }

  // Servers of an ensemble.

  async servers() {
    return (await this.call("GET", "/v1/servers")).map(serverInfo);
  }

  server(number) {
    return new Server(this, number);
  }

  async loseQuorum() {
    await this.call("POST", "/v1/quorum", { lost: true });
  }

  async regainQuorum() {
    await this.call("POST", "/v1/quorum", { lost: false });
  }

  // Sessions.

  async expire(target) {
    if (!isPath(target)) return this.#toSession(target, "expire");
    return (await this.call("POST", "/v1/sessions/expire", { owner_of: target })).sessions[0];
  }

  async expireAll() {
    return (await this.call("POST", "/v1/sessions/expire", { all: true })).sessions;
  }

  async disconnect(target) {
    return this.#toSession(target, "disconnect");
  }

  async freeze(target) {
    return target === undefined ? this.call("POST", "/v1/freeze") : this.#toSession(target, "freeze");
  }

  async thaw(target) {
    return target === undefined ? this.call("POST", "/v1/thaw") : this.#toSession(target, "thaw");
  }

  async sessions() {
    return this.call("GET", "/v1/sessions");
  }

  async connections() {
    return this.call("GET", "/v1/connections");
  }

  async watches(path, { limit } = {}) {
    return this.call("GET", withQuery("/v1/watches", { path, limit }));
  }

  async #toSession(target, what) {
    const id = await this.#idOf(target);
    await this.call("POST", `/v1/sessions/${id}/${what}`);
    return id;
  }

  async #idOf(target) {
    return isPath(target) ? this.#ownerOf(target) : sessionId(target);
  }

  async #ownerOf(path) {
    const { ephemeralOwner } = (await this.tree(path, { depth: 0 })).stat;
    if (ephemeralOwner === "0x0") throw new ZkMiniError(`nobody owns ${path}: the node is not ephemeral`);
    return ephemeralOwner;
  }

  // Faults.

  async fault(when, then) {
    // The server wants both halves of a slow connection.
    const effect = then?.slow ? { ...then, slow: { latency_ms: 0, ...then.slow } } : then;
    const session = when?.session === undefined ? undefined : await this.#idOf(when.session);
    return new Fault(this, await this.call("POST", "/v1/faults", { when: { ...when, session }, then: effect }));
  }

  async faults() {
    return (await this.call("GET", "/v1/faults")).map((rule) => new Fault(this, rule));
  }

  async clearFaults() {
    await this.call("DELETE", "/v1/faults");
  }

  // Time.

  async clock(mode) {
    return mode === undefined ? this.call("GET", "/v1/clock") : this.call("POST", "/v1/clock", { mode });
  }

  async advance(ms) {
    return this.#advance({ advance_ms: ms });
  }

  async advanceTicks(ticks) {
    return this.#advance({ advance_ticks: ticks });
  }

  async advanceToNextDeadline() {
    return this.#advance({ to_next_deadline: true });
  }

  async jumpWallClock(ms) {
    return this.call("POST", "/v1/clock", { jump_wall_ms: ms });
  }

  async #advance(change) {
    if ((await this.clock()).mode === "real") await this.clock("manual");
    return this.call("POST", "/v1/clock", change);
  }

  // The server as a whole.

  async restart({ loseUnsynced } = {}) {
    return this.call("POST", withQuery("/v1/restart", { lose_unsynced: loseUnsynced }));
  }

  async reset({ all } = {}) {
    return this.call("POST", withQuery("/v1/reset", { all }));
  }

  // Nodes.

  async tree(path = "/", { depth = WHOLE_TREE, zxid } = {}) {
    return this.call("GET", withQuery("/v1/tree", { path, depth, zxid }));
  }

  async get(path) {
    const { data, encoding } = await this.tree(path, { depth: 0 });
    return encoding === "base64" ? Buffer.from(data, "base64") : data;
  }

  async children(path) {
    const { children } = await this.call("GET", withQuery("/v1/tree", { path, depth: 1, data: "false" }));
    return children.map((child) => child.name);
  }

  async exists(path) {
    return (await this.call("GET", withQuery("/v1/tree", { path, depth: 0, data: "false", optional: true }))) !== null;
  }

  async put(path, data = "", { sequential, ephemeralOwner } = {}) {
    const owner = ephemeralOwner === undefined ? undefined : await this.#idOf(ephemeralOwner);
    const target = withQuery(nodePath(path), { sequential, ephemeral_owner: owner });
    return (await this.call("PUT", target, data, "application/octet-stream")).path;
  }

  async delete(path, { recursive } = {}) {
    return (await this.call("DELETE", withQuery(nodePath(path), { recursive }))).deleted;
  }

  // What has happened.

  async explain(path) {
    return text.explanation(await this.call("GET", withQuery("/v1/explain", { path })));
  }

  async history({ path, session, kind, since, sinceSeq, beforeSeq, limit, story, ...others } = {}) {
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) {
      throw new TypeError(`zk.history has no filter \`${unknown}\`; it has path, session, kind, since, sinceSeq, beforeSeq, limit, story`);
    }
    const id = session === undefined ? undefined : await this.#idOf(session);
    const filter = { path, session: id, kind, since, since_seq: sinceSeq, before_seq: beforeSeq, limit, story };
    return this.call("GET", withQuery("/v1/history", filter));
  }

  async historyText(filter = STORY) {
    return (await this.history(filter)).map(text.line).join("\n");
  }

  // Snapshots.

  async snapshot() {
    return this.call("GET", "/v1/snapshot");
  }

  async snapshotText() {
    return this.#call("GET", "/v1/snapshot", { accept: "application/yaml" });
  }

  async restore(snapshot) {
    const type = typeof snapshot === "string" ? "application/yaml" : "application/octet-stream";
    await this.call("POST", "/v1/restore", snapshot, type);
  }
}

/** One server of an ensemble. index.d.ts documents its methods. */
class Server {
  #zk;

  constructor(zk, number) {
    this.#zk = zk;
    this.number = number;
  }

  async info() {
    const found = (await this.#zk.servers()).find(({ number }) => number === this.number);
    if (!found) throw new ZkMiniError(`the ensemble has no server ${this.number}`);
    return found;
  }

  async stop() {
    return this.#act("stop");
  }

  async start() {
    return this.#act("start");
  }

  async restart() {
    return this.#act("restart");
  }

  async partition() {
    return this.#act("partition");
  }

  async heal() {
    return this.#act("heal");
  }

  async freeze() {
    return this.#act("freeze");
  }

  async thaw() {
    return this.#act("thaw");
  }

  async lead() {
    return this.#act("lead");
  }

  async lag(lag) {
    return this.#act("lag", lag);
  }

  async noLag() {
    return this.#act("lag", { none: true });
  }

  async #act(action, body) {
    return serverInfo(await this.#zk.call("POST", `/v1/servers/${this.number}/${action}`, body));
  }
}

/** Returns a server with the names that it has here. */
function serverInfo({ server: number, last_zxid: lastZxid, ...rest }) {
  return { number, ...rest, lastZxid };
}

/** A rule of faults in the server. */
class Fault {
  #zk;

  constructor(zk, { id, text: inWords }) {
    this.#zk = zk;
    this.id = id;
    this.text = inWords;
  }

  async fired() {
    return (await this.#rule()).fired;
  }

  async hits() {
    return (await this.#rule()).hits;
  }

  async remove() {
    try {
      await this.#zk.call("DELETE", `/v1/faults/${this.id}`);
    } catch (error) {
      // It is removed already, as after a reset.
      if (error.code !== "not_found") throw error;
    }
  }

  #rule() {
    return this.#zk.call("GET", `/v1/faults/${this.id}`);
  }
}

function isPath(target) {
  return typeof target === "string" && target.startsWith("/");
}

/** Returns the id of a session as the server writes it, from what clients have: a bigint, 8 bytes, or text. */
function sessionId(id) {
  if (typeof id === "bigint") return `0x${BigInt.asUintN(64, id).toString(16)}`;
  // Not by `instanceof`: Jest has a Uint8Array of its own for each file.
  if (ArrayBuffer.isView(id) && id.byteLength === 8) return sessionId(Buffer.from(id).readBigUInt64BE());
  if (typeof id === "string" && /^0x[0-9a-f]+$/i.test(id)) return id;
  throw new TypeError(`not a session: ${id}; give the path of its ephemeral node, "0x…", a bigint, or the 8 bytes of the id`);
}

module.exports = { ZkMini, Server, Fault };
