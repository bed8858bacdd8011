// Every type that a user meets; `tsc --noEmit` checks it.
import { after, test, type TestContext } from "node:test";
import { Server, ServerError, StartError, ZkMini, type Fault, type Node, type StartOptions, type Then, type When } from "zk-mini";
import { withZk } from "zk-mini/test";

const options: StartOptions = { tickMs: 50, args: ["--history", "100"] };
const when: When = { op: ["create", "setData"], path: "/orders/*", times: 1 };
const then: Then = { drop: "after_apply" };

test("typed", withZk(async (zk, t: TestContext) => {
  const rule: Fault = await zk.fault(when, then);
  const fired: number = await rule.fired();
  t.diagnostic(`${rule.text}: ${fired}, ${(await rule.hits())[0]?.path ?? ""}`);
  const id: string = await zk.expire("/election/leader");
  const data: string | Uint8Array | null = await zk.get("/config");
  const node: Node = await zk.tree("/", { depth: 2 });
  await zk.freeze();
  await zk.freeze(0x17n);
  await zk.thaw(Buffer.alloc(8));
  await zk.advance(15_000);
  await zk.put("/a", data ?? "", { ephemeralOwner: id });
  const size: number = node.stat.dataLength + (await zk.delete("/a", { recursive: true }));
  t.diagnostic(`${size} ${await zk.explain("/a")}`);
  await zk.restore(await zk.snapshotText());
  await zk.restore(await zk.snapshot());
  await zk.history({ sinceSeq: 1, beforeSeq: 9 });
  await zk.watches("/a", { limit: 10 });
}, options));

test("resources", async () => {
  await using zk = await ZkMini.start(options);
  try {
    await zk.status();
  } catch (error) {
    if (error instanceof ServerError && error.code === "not_found") throw new Error(`${error.status}`);
    if (error instanceof StartError) throw new Error(error.log);
  }
});

test("servers", async () => {
  await using zk = await ZkMini.start({ servers: 3 });
  const server: Server = zk.server(1);
  if (!(server instanceof Server)) throw new Error(`${server}`);
});

const attached: ZkMini = await ZkMini.attach(undefined, { hosts: "127.0.0.1:2181", token: "secret" });
after(() => attached.stop());

// What must not compile.
// @ts-expect-error: no such option
void ZkMini.start({ tick: 50 });
// @ts-expect-error: no such moment
void attached.fault({ op: "create" }, { drop: "sometimes" });
// @ts-expect-error: made by start and attach only
void new ZkMini();
