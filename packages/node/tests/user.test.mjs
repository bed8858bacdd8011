// Tests as users of ZooKeeper write them, with node-zookeeper-client.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { withZk } from "zk-mini/test";
import { Exception, connect, createEphemeral } from "./client.mjs";

test("a standby takes over when the leader's session expires", withZk(async (zk, t) => {
  const [leader, standby] = [await connect(t, zk), await connect(t, zk)];
  await leader.mkdirp("/election");
  await createEphemeral(leader, "/election/leader", "a");
  const gone = new Promise((resolve) => standby.exists("/election/leader", resolve));

  const lost = once(leader, "expired");
  assert.match(await zk.expire("/election/leader"), /^0x[0-9a-f]+$/);
  assert.equal((await gone).getName(), "NODE_DELETED");
  await createEphemeral(standby, "/election/leader", "b");
  await lost;

  assert.equal(await zk.get("/election/leader"), "b");
  assert.match(await zk.explain("/election/leader"), /expired by the test/);
}));

test("the reply of a create is lost, and the node is there", withZk(async (zk, t) => {
  const client = await connect(t, zk);
  await client.mkdirp("/orders");
  const lost = await zk.fault({ op: "create", path: "/orders/*", times: 1 }, { drop: "after_apply" });
  await assert.rejects(client.create("/orders/1", Buffer.from("tea")), { code: Exception.CONNECTION_LOSS });
  assert.equal(await lost.fired(), 1);
  assert.deepEqual((await lost.hits()).map((hit) => hit.path), ["/orders/1"]);
  assert.equal(await zk.get("/orders/1"), "tea");
}));

test("a request fails as told, and no longer when the rule is gone", withZk(async (zk, t) => {
  const client = await connect(t, zk);
  await zk.put("/config/colour", "green");
  const rule = await zk.fault({ op: "getData", path: "/config/**" }, { fail: "NOAUTH" });
  assert.match(rule.text, /getData of \/config\/\*\*/);
  await assert.rejects(client.getData("/config/colour"), { code: Exception.NO_AUTH });
  await rule.remove();
  assert.equal(String(await client.getData("/config/colour")), "green");
}));

test("a client that falls silent expires when the clock says so", withZk(async (zk, t) => {
  const client = await connect(t, zk);
  await createEphemeral(client, "/member");
  await zk.clock("manual");
  await zk.freeze("/member");
  await zk.advance(3000);
  assert.equal(await zk.exists("/member"), true);
  const clock = await zk.advance(7000);
  assert.equal(clock.advanced_ms, 7000);
  assert.equal(await zk.exists("/member"), false);
  const [expiry] = await zk.history({ kind: "expiry", limit: 1 });
  assert.match(expiry.because, /last heard .* before/);
}));

test("a session survives a broken connection and a restart", withZk(async (zk, t) => {
  const client = await connect(t, zk);
  await createEphemeral(client, "/member");
  for (const breakIt of [() => zk.disconnect("/member"), () => zk.disconnect(client.getSessionId()), () => zk.restart()]) {
    const back = once(client, "disconnected").then(() => once(client, "connected"));
    await breakIt();
    await back;
    assert.equal(await zk.exists("/member"), true);
  }
}));

test("a session is named by what the client has", withZk(async (zk, t) => {
  const client = await connect(t, zk);
  const id = client.getSessionId();
  const [{ id: inHex, ephemerals }] = await zk.sessions();
  assert.deepEqual(ephemerals, []);
  assert.equal(BigInt(inHex), id.readBigUInt64BE());
  assert.equal(await zk.freeze(id), inHex);
  assert.equal(await zk.thaw(id.readBigUInt64BE()), inHex);
  for (const [number, session] of [inHex, id, id.readBigUInt64BE(), "/owned0"].entries()) {
    const node = await zk.put(`/owned${number}`, "", { ephemeralOwner: session });
    assert.equal((await zk.tree(node)).stat.ephemeralOwner, inHex);
    const [opened] = await zk.history({ session, kind: "connect" });
    assert.equal(opened.session, inHex);
  }
  await assert.rejects(zk.put("/a", "", { ephemeralOwner: "/zookeeper" }), { message: /the node is not ephemeral/ });
  const lost = once(client, "expired");
  assert.equal(await zk.expire(inHex), inHex);
  await lost;
}));

test("what has changed is told after many reads", withZk(async (zk, t) => {
  const client = await connect(t, zk);
  await zk.put("/told", "x");
  await Promise.all(Array.from({ length: 2000 }, () => client.getData("/told")));
  assert.match(await zk.historyText(), /transaction  \/told created/);
  assert.doesNotMatch(await zk.historyText({ story: true, limit: 10_000 }), /  request  /);
}));
