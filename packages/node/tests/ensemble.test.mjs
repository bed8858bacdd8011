// The servers of an ensemble are broken and mended.
import assert from "node:assert/strict";
import net from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { ZkMini, ZkMiniError } from "zk-mini";

let zk;
before(async () => (zk = await ZkMini.start({ servers: 3 })));
beforeEach(async () => {
  await zk.reset({ all: true });
  await zk.server(3).lead();
});
after(() => zk.stop());

/** Returns true if somebody listens. */
const listens = (address) => new Promise((resolve) => {
  const [host, port] = address.split(":");
  const socket = net.connect(Number(port), host, () => socket.end(() => resolve(true)));
  socket.on("error", () => resolve(false));
});

test("the servers are listed, and a single server has none", async () => {
  const servers = await zk.servers();
  assert.deepEqual(servers.map(({ number, role, state }) => [number, role, state]),
    [[1, "follower", "running"], [2, "follower", "running"], [3, "leader", "running"]]);
  assert.equal(zk.hosts, servers.map(({ address }) => address).join(","));
  assert.deepEqual(servers[0].lag, { none: true });
  assert.equal(servers[0].lastZxid, (await zk.status()).last_zxid);
  assert.deepEqual(await zk.server(2).info(), servers[1]);
  await assert.rejects(zk.server(4).info(), ZkMiniError);
  assert.equal((await ZkMini.attach(zk.http)).hosts, zk.hosts);
  const single = await ZkMini.start();
  try {
    assert.deepEqual(await single.servers(), []);
    await assert.rejects(single.server(1).stop(), { name: "ServerError", status: 404, message: /a single server/ });
  } finally {
    await single.stop();
  }
});

test("servers are stopped, also all of them, and started", async () => {
  const { address } = await zk.server(1).info();
  for (const number of [1, 2, 3]) assert.equal((await zk.server(number).stop()).state, "stopped");
  assert.equal(await listens(address), false);
  assert.equal((await zk.server(1).start()).state, "read-only");
  assert.equal((await zk.server(2).start()).role, "leader");
  assert.equal((await zk.server(3).start()).role, "follower");
  assert.equal((await zk.server(1).restart()).state, "running");
  assert.equal(await listens(address), true);
});

test("a server lags, and a leader does not", async () => {
  assert.deepEqual((await zk.server(1).lag({ transactions: 5 })).lag, { transactions: 5 });
  await zk.put("/a", "x");
  assert.equal((await zk.server(1).info()).behind, 1);
  assert.deepEqual((await zk.server(1).lag({ ms: 60_000 })).lag, { ms: 60_000 });
  assert.equal((await zk.server(1).noLag()).behind, 0);
  await assert.rejects(zk.server(3).lag({ ms: 1 }), { name: "ServerError", status: 409, message: /leads/ });
});

test("a server is cut off, frozen and elected", async () => {
  assert.equal((await zk.server(3).partition()).state, "partitioned");
  assert.equal((await zk.server(2).info()).role, "leader");
  assert.equal((await zk.server(3).heal()).role, "follower");
  assert.equal((await zk.server(3).freeze()).state, "frozen");
  assert.equal((await zk.server(3).thaw()).state, "running");
  assert.equal((await zk.server(1).lead()).role, "leader");
});

test("the quorum is lost and regained", async () => {
  await zk.loseQuorum();
  assert.ok((await zk.servers()).every(({ state, role }) => state === "read-only" && role === "looking"));
  await zk.regainQuorum();
  assert.equal((await zk.servers()).filter(({ role }) => role === "leader").length, 1);
});
