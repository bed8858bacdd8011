// A client of node-zookeeper-client, with promises.
import { once } from "node:events";
import { promisify } from "node:util";
import zookeeper from "node-zookeeper-client";

export const { CreateMode, Event, Exception } = zookeeper;

/** Returns a connected client, which the test closes at its end. */
export async function connect(t, zk, options = { sessionTimeout: 4000, spinDelay: 10 }) {
  const client = zookeeper.createClient(zk.hosts, options);
  client.connect();
  t.after(() => client.close());
  await once(client, "connected");
  for (const name of ["create", "exists", "getChildren", "getData", "mkdirp", "remove", "setData"]) {
    client[name] = promisify(client[name]);
  }
  return client;
}

/** Makes an ephemeral node. */
export function createEphemeral(client, path, data = "") {
  return client.create(path, Buffer.from(data), CreateMode.EPHEMERAL);
}
