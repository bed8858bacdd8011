// The same types by `require`.
import zkMini = require("zk-mini");
import test = require("zk-mini/test");

const run: (t: unknown) => Promise<void> = test.withZk(async (zk: zkMini.ZkMini) => {
  const hosts: string = zk.hosts;
  await zk.call("GET", `/v1/tree?path=/${hosts}`);
});
void run;
