// Every method, without a client of ZooKeeper.
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { ServerError, ZkMini, ZkMiniError } from "zk-mini";

const require = createRequire(import.meta.url);
const installed = path.dirname(require.resolve("zk-mini"));

let zk;
before(async () => (zk = await ZkMini.start()));
beforeEach(() => zk.reset({ all: true }));
after(() => zk.stop());

/** Starts a server on a free port, and returns its URL. */
async function listening(t, server) {
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

/** Returns the URL of a server that answers JSON. */
function answering(t, answer) {
  const handler = (request, response) => response.setHeader("Content-Type", "application/json").end(JSON.stringify(answer(request)));
  return listening(t, http.createServer(handler));
}

test("the address is told whole and in parts", async () => {
  assert.equal(zk.hosts, `${zk.host}:${zk.port}`);
  assert.equal(zk.http, `http://${zk.hosts}`);
  assert.equal((await zk.status()).api, 1);
  const six = await ZkMini.attach(zk.http, { hosts: "[::1]:2181" });
  assert.deepEqual([six.hosts, six.host, six.port], ["[::1]:2181", "::1", 2181]);
});

test("attach wants an address with a port", async () => {
  const { addressOf } = require(path.join(installed, "lib/http.js"));
  assert.equal(addressOf("http://[::1]:80/"), "[::1]:80");
  for (const url of ["http://localhost", "localhost:2181", "https://localhost:2181", "http://localhost:2181/v1"]) {
    await assert.rejects(ZkMini.attach(url), { name: "TypeError", message: `${url} is no address of a server; expected is http://HOST:PORT` });
  }
});

test("attach sends the token, and refuses a newer API", async (t) => {
  const wanting = await answering(t, ({ url, headers }) => {
    assert.equal(headers.authorization, "Bearer of the test");
    return url === "/v1/servers" ? [] : { api: 1 };
  });
  const attached = await ZkMini.attach(wanting, { token: "of the test\n" });
  assert.equal(attached.http, wanting);
  const newer = await answering(t, () => ({ api: 2 }));
  const message = /version 2 of the HTTP API, and this package knows version 1/;
  await assert.rejects(ZkMini.attach(newer), { name: "ZkMiniError", message });
  const other = await answering(t, () => ({}));
  await assert.rejects(ZkMini.attach(other), { name: "ZkMiniError", message: `${other} answers HTTP, but is no zk-mini` });
});

test("a server that never answers is an error", async (t) => {
  const mute = await listening(t, net.createServer((socket) => t.after(() => socket.destroy())));
  const { call } = require(path.join(installed, "lib/http.js"));
  await assert.rejects(call(mute, "GET", "/v1/status", { timeoutMs: 50 }), {
    name: "ServerError",
    code: "unreachable",
    message: `the server at ${mute} does not answer: nothing came within 50 ms`,
  });
});

test("an answer that stops halfway is an error", async (t) => {
  const halting = await listening(t, http.createServer((_, response) => response.writeHead(200, { "Content-Length": 10 }).write("half")));
  const { call } = require(path.join(installed, "lib/http.js"));
  await assert.rejects(call(halting, "GET", "/v1/status", { timeoutMs: 50 }), { code: "unreachable", message: /nothing came within 50 ms/ });
});

test("nodes are written, read, listed and deleted", async () => {
  assert.equal(await zk.put("/a/b c/ü?%#", "grün"), "/a/b c/ü?%#");
  assert.equal(await zk.get("/a/b c/ü?%#"), "grün");
  assert.equal(await zk.put("/a/task-", "", { sequential: true }), "/a/task-0000000001");
  assert.deepEqual((await zk.children("/a")).sort(), ["b c", "task-0000000001"]);
  assert.equal(await zk.get("/a/task-0000000001"), "");
  await zk.put("/a/bytes", Uint8Array.of(0xff, 0));
  assert.deepEqual([...(await zk.get("/a/bytes"))], [0xff, 0]);
  assert.equal((await zk.tree("/a", { depth: 0 })).children.length, 0);
  assert.deepEqual((await zk.tree("/a")).children[0].children.map((child) => child.name), ["ü?%#"]);
  await assert.rejects(zk.delete("/a"), { name: "ServerError", status: 409, code: "conflict" });
  await assert.rejects(zk.put("a"), { name: "TypeError", message: /begins with a slash: a/ });
  assert.equal(await zk.delete("/a", { recursive: true }), 5);
  assert.equal(await zk.exists("/a"), false);
  assert.equal(await zk.exists("/"), true);
});

test("the past of a node can be seen and explained", async () => {
  await zk.put("/colour", "green");
  const { czxid } = (await zk.tree("/colour")).stat;
  await zk.put("/colour", "blue");
  assert.equal((await zk.tree("/colour", { zxid: czxid })).data, "green");
  assert.match(await zk.explain("/colour"), /^\/colour exists\n.* created over HTTP .*\n.* changed over HTTP /);
  assert.match(await zk.explain("/none"), /^\/none does not exist\n  nothing in the history/);
  assert.match(await zk.historyText({ path: "/colour", limit: 1 }), /^\S+ \S+  transaction  \/colour changed over HTTP/);
});

test("children are listed however much data they have", async () => {
  for (let part = 0; part < 34; part++) await zk.put(`/large/part-${part}`, Buffer.alloc(1_000_000));
  assert.equal((await zk.children("/large")).length, 34);
  await assert.rejects(zk.tree("/large"), { status: 400 });
});

test("a path with dots for names is refused, and means no other node", async () => {
  await zk.put("/keep");
  await zk.put("/locks/a");
  for (const path of ["/locks/../keep", "/locks/./a", "/..", "/locks/a/.."]) {
    await assert.rejects(zk.delete(path, { recursive: true }), { status: 400, code: "bad_request" });
    await assert.rejects(zk.put(path, "x"), { status: 400, code: "bad_request" });
    await assert.rejects(zk.get(path), { status: 400, code: "bad_request" });
  }
  assert.deepEqual(await zk.children("/"), ["keep", "locks", "zookeeper"]);
  assert.equal(await zk.get("/keep"), "");
  await zk.put("/ü b", "x");
  assert.equal((await zk.call("GET", "/v1/tree?path=/ü b")).data, "x");
  await zk.put("/<{b}>", "y");
  assert.equal((await zk.call("GET", "v1/tree?path=/<{b}>")).data, "y");
});

test("snapshots are taken and put back, as bytes and as text", async () => {
  await zk.put("/a", "1");
  const [bytes, inWords] = [await zk.snapshot(), await zk.snapshotText()];
  assert.match(inWords, /^\/a:\n  data: "1"/m);
  assert.ok(Buffer.isBuffer(bytes) && bytes.equals(await zk.call("GET", "/v1/snapshot")));
  for (const snapshot of [bytes, new Uint8Array(bytes), inWords, '{"/a": {"data": "1"}}']) {
    await zk.delete("/a");
    await zk.restore(snapshot);
    assert.equal(await zk.get("/a"), "1");
  }
});

test("the history is read page by page, and an unknown filter is refused", async () => {
  for (const name of ["a", "b", "c"]) await zk.put(`/page/${name}`);
  const all = await zk.history({ path: "/page/*", kind: "transaction" });
  assert.deepEqual(all.map((entry) => entry.path), ["/page/a", "/page/b", "/page/c"]);
  const [, { seq }] = all;
  assert.deepEqual(await zk.history({ path: "/page/*", kind: "transaction", sinceSeq: seq }), all.slice(2));
  assert.deepEqual(await zk.history({ path: "/page/*", kind: "transaction", beforeSeq: seq }), all.slice(0, 1));
  await assert.rejects(zk.history({ since_seq: 1 }), { name: "TypeError", message: /no filter `since_seq`; it has .*sinceSeq/ });
  await assert.rejects(zk.historyText({ kinds: "fault" }), { name: "TypeError", message: /no filter `kinds`/ });
});

test("a reset with `all` takes rules, stalls and the manual clock away", async () => {
  await zk.fault({ op: "*" }, { delay_ms: 5 });
  await zk.freeze();
  await zk.advance(1000);
  assert.deepEqual([(await zk.faults()).length, (await zk.status()).frozen, (await zk.clock()).mode], [1, true, "manual"]);
  await zk.put("/a");
  await zk.reset({ all: true });
  assert.deepEqual([(await zk.faults()).length, (await zk.status()).frozen, (await zk.clock()).mode], [0, false, "real"]);
  assert.equal(await zk.exists("/a"), false);
});

test("time moves by ticks, to the next deadline, and by the clock on the wall", async () => {
  assert.equal((await zk.advanceTicks(3)).advanced_ms, 3 * (await zk.clock()).tick_ms);
  assert.equal((await zk.clock()).mode, "manual");
  const { monotonic_ms: before, now_ms: then } = await zk.advanceToNextDeadline();
  const { monotonic_ms: after, now_ms: now } = await zk.jumpWallClock(-5000);
  assert.deepEqual([after, now], [before, then - 5000]);
});

test("the history as text leaves out reads, unless they fail", async () => {
  await zk.put("/told", "x");
  assert.match(await zk.historyText(), /transaction  \/told created/);
  assert.doesNotMatch(await zk.historyText(), /  request  /);
});

test("a slow connection needs one of latency and bandwidth; a rule may be removed twice", async () => {
  const rule = await zk.fault({ connect: true }, { slow: { bytes_per_second: 1000 } });
  await rule.remove();
  await rule.remove();
  assert.deepEqual(await zk.faults(), []);
});

test("a plain reset leaves rules; clearFaults takes them away", async () => {
  await zk.fault({ event: "*" }, { drop_event: true });
  await zk.reset();
  assert.equal((await zk.faults()).length, 1);
  await zk.clearFaults();
  assert.equal((await zk.faults()).length, 0);
});

test("errors of the server are typed", async () => {
  const error = await zk.get("/none").catch((error) => error);
  assert.ok(error instanceof ServerError && error instanceof ZkMiniError && error instanceof Error);
  assert.deepEqual([error.name, error.status, error.code], ["ServerError", 404, "not_found"]);
  assert.match(error.message, /\/none does not exist/);
  await zk.put("/plain");
  await assert.rejects(zk.expire("/plain"), { code: "not_found", message: /the node is not ephemeral/ });
  await assert.rejects(zk.freeze("/plain"), { name: "ZkMiniError", message: /the node is not ephemeral/ });
  await assert.rejects(zk.expire("0xaa"), { code: "not_found" });
  await assert.rejects(zk.expire("leader"), { name: "TypeError", message: /not a session: leader/ });
  const message = "GET /commands/stat_reset: stat_reset changes something, so it must be posted";
  await assert.rejects(zk.call("GET", "/commands/stat_reset"), { name: "ServerError", status: 405, code: "unknown", message });
  await assert.rejects(zk.fault({ op: "*", session: "/none" }, { delay_ms: 5 }), { status: 404 });
  await assert.rejects(zk.fault({ op: "create", pth: "/a" }, { fail: "NONODE" }), { code: "bad_request", message: /unknown field `pth`/ });
  assert.deepEqual(await zk.expireAll(), []);
});

test("a stopped server is an error that says so", async () => {
  const other = await ZkMini.start();
  await other.stop();
  await other.stop();
  await assert.rejects(other.status(), { name: "ServerError", code: "unreachable", status: 0, message: /does not answer.*ended with status 0/ });
});

test("servers in one process are apart", async () => {
  const servers = await Promise.all(Array.from({ length: 8 }, () => ZkMini.start()));
  await Promise.all(servers.map((server, number) => server.put("/number", String(number))));
  const numbers = await Promise.all(servers.map((server) => server.get("/number")));
  assert.deepEqual(numbers, ["0", "1", "2", "3", "4", "5", "6", "7"]);
  assert.equal(new Set(servers.map((server) => server.port)).size, 8);
  await Promise.all(servers.map((server) => server.stop()));
});

test("the types and the README name every method", () => {
  const read = (name) => fs.readFileSync(path.join(installed, name), "utf8");
  const [types, readme] = [read("index.d.ts"), read("README.md")];
  for (const name of Object.getOwnPropertyNames(ZkMini.prototype).filter((name) => name !== "constructor")) {
    assert.match(types, new RegExp(`^  (readonly )?${name}[(:]`, "m"));
    assert.ok(readme.includes(`\`zk.${name}`), `README.md: ${name}`);
  }
});

test("every class of the types is exported", async () => {
  const types = fs.readFileSync(path.join(installed, "index.d.ts"), "utf8");
  const classes = [...types.matchAll(/^export class (\w+)/gm)].map(([, name]) => name).sort();
  for (const module of [require("zk-mini"), await import("zk-mini")]) assert.deepEqual(Object.keys(module).sort(), classes);
});

test("CommonJS has the same", () => {
  assert.equal(require("zk-mini").ZkMini, ZkMini);
  assert.equal(typeof require("zk-mini/test").withZk, "function");
});
