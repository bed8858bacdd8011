// The program: found or not, started or not, and never left behind.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { StartError, ZkMini, ZkMiniError } from "zk-mini";

const require = createRequire(import.meta.url);
const carried = require.resolve(`@zk-mini/${process.platform}-${process.arch}/bin/zk-mini`);

/** Runs a program of JavaScript in a node of its own. */
function node(source, options = {}) {
  return spawnSync(process.execPath, ["--input-type=module", "-e", source], { encoding: "utf8", ...options });
}

/** Returns a new folder with an executable script, and the path of that. */
function script(t, text) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "zk-mini-test-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const file = path.join(folder, "zk-mini");
  fs.writeFileSync(file, text, { mode: 0o755 });
  return file;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits until a process has ended. */
async function ended(pid) {
  const deadline = Date.now() + 10_000;
  while (isAlive(pid)) {
    assert.ok(Date.now() < deadline, `process ${pid} lives on`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a program that is named wrongly is told", async () => {
  const error = await ZkMini.start({ program: "/none/zk-mini" }).catch((error) => error);
  assert.ok(error instanceof StartError && error instanceof ZkMiniError);
  assert.match(error.message, /the option `program` names \/none\/zk-mini, which is not an executable file/);
  const { stdout } = node('import("zk-mini").then(({ ZkMini }) => ZkMini.start()).catch((e) => console.log(e.message))', {
    env: { ...process.env, ZK_MINI: "/none/zk-mini" },
  });
  assert.match(stdout, /the variable ZK_MINI names \/none\/zk-mini/);
});

/** Returns a new folder with the package alone, without the one of the platform. */
function packageAlone(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "zk-mini-test-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const installed = path.dirname(require.resolve("zk-mini"));
  fs.cpSync(installed, path.join(folder, "node_modules/zk-mini"), { recursive: true });
  return folder;
}

test("without any program the error names the four places", async (t) => {
  const folder = packageAlone(t);
  const source = 'import { ZkMini } from "zk-mini"; await ZkMini.start().catch((e) => console.log(e.name, e.message))';
  const { stdout } = node(source, { cwd: folder, env: { PATH: folder } });
  for (const place of ["StartError", "`program`", "ZK_MINI", `@zk-mini/${process.platform}-${process.arch}`, "on the PATH"]) {
    assert.ok(stdout.includes(place), `${place} in: ${stdout}`);
  }
  // The one on the PATH is the last that is looked for.
  fs.symlinkSync(carried, path.join(folder, "zk-mini"));
  const there = node('import { ZkMini } from "zk-mini"; const zk = await ZkMini.start(); console.log(zk.hosts); await zk.stop()', {
    cwd: folder,
    env: { PATH: folder },
  });
  assert.match(there.stdout, /^127\.0\.0\.1:\d+\n$/, there.stderr);
});

test("a script on the PATH that runs the command of the package is not taken for the program", (t) => {
  const folder = packageAlone(t);
  const command = path.join(folder, "node_modules/zk-mini/bin/zk-mini.js");
  // As pnpm makes it. It counts how often it is run, and ends a chain of itself.
  const shim = `#!/bin/sh\nexport DEPTH=x$DEPTH\n[ \${#DEPTH} -lt 5 ] || exit 9\nexec "${process.execPath}" "${command}" "$@"\n`;
  const bin = path.dirname(script(t, shim));
  const run = (folders) => spawnSync(path.join(bin, "zk-mini"), ["--version"], { encoding: "utf8", env: { PATH: folders.join(":") } });
  const missing = run([bin]);
  assert.deepEqual([missing.status, missing.stderr.includes("zk-mini on the PATH, scripts left out (not there)")], [1, true], missing.stderr);
  fs.symlinkSync(carried, path.join(folder, "zk-mini"));
  assert.match(run([bin, folder]).stdout, /^zk-mini \d/);
});

test("a program on the PATH that runs the command of the package ends with an error", (t) => {
  const folder = packageAlone(t);
  const command = path.join(folder, "node_modules/zk-mini/bin/zk-mini.js");
  // A program that is no script: a node that is told to run the command. It, too, counts.
  fs.symlinkSync(process.execPath, path.join(folder, "zk-mini"));
  const counter = path.join(folder, "count.cjs");
  fs.writeFileSync(counter, 'process.env.DEPTH = "x" + (process.env.DEPTH ?? ""); if (process.env.DEPTH.length > 5) process.exit(9);');
  const env = { PATH: folder, NODE_OPTIONS: `--require ${counter} --require ${command}` };
  const { status, stderr } = spawnSync(path.join(folder, "zk-mini"), { encoding: "utf8", env });
  assert.deepEqual([status, stderr.includes(`zk-mini: the program zk-mini was not found: ${folder}/zk-mini is this command again`)], [1, true], stderr);
});

test("the command of the package runs below the program, whatever that is", (t) => {
  const folder = packageAlone(t);
  fs.symlinkSync(carried, path.join(folder, "zk-mini"));
  const command = path.join(folder, "node_modules/zk-mini/bin/zk-mini.js");
  const args = [command, "exec", "--", process.execPath, command, "ls", "/"];
  assert.equal(spawnSync(process.execPath, args, { encoding: "utf8", env: { PATH: folder } }).stdout, "zookeeper\n");
});

test("a program that fails shows its log", async (t) => {
  const program = script(t, "#!/bin/sh\necho 'no disk left' >&2\nexit 7\n");
  const error = await ZkMini.start({ program }).catch((error) => error);
  assert.match(error.message, /did not start: .* ended with status 7; its log ends with:\n  no disk left$/);
  assert.equal(error.log, "no disk left\n");
});

test("a program that says nothing, or something else, is told", async (t) => {
  const silent = script(t, "#!/bin/sh\necho waiting >&2\nexec sleep 60\n");
  await assert.rejects(ZkMini.start({ program: silent, startTimeoutMs: 200 }), /did not say within 200 ms that it is ready/);
  // A child of the program, which holds its output open, ends by itself.
  const parent = script(t, '#!/bin/sh\nsh -c "read -r line"\ntrue\n');
  await assert.rejects(ZkMini.start({ program: parent, startTimeoutMs: 200 }), /did not say within 200 ms/);
  const other = script(t, "#!/bin/sh\necho hello\nexec sleep 60\n");
  await assert.rejects(ZkMini.start({ program: other }), /is no zk-mini: its first line is hello/);
  const broken = script(t, "no program");
  fs.chmodSync(broken, 0o755);
  await assert.rejects(ZkMini.start({ program: broken }), { name: "StartError" });
});

test("a line of another form is told, and its program ends", async (t) => {
  for (const line of ["42", "null", "{}", '{"listen": 5, "http": null, "http_on": []}', '{"listen": [], "http": "here", "http_on": []}']) {
    const program = script(t, `#!/bin/sh\necho $$ > "$0.pid"\necho '${line}'\nread -r line\n`);
    await assert.rejects(ZkMini.start({ program }), { name: "StartError", message: /is no zk-mini: its first line is / });
    assert.ok(!isAlive(Number(fs.readFileSync(`${program}.pid`, "utf8"))));
  }
});

test("an ensemble that does not answer as one is stopped", async (t) => {
  const broken = http.createServer((_, response) => response.writeHead(500).end("broken")).listen(0, "127.0.0.1");
  t.after(() => broken.close());
  await once(broken, "listening");
  const address = `127.0.0.1:${broken.address().port}`;
  const ready = JSON.stringify({ listen: [address], http: `http://${address}`, http_on: [address] });
  const program = script(t, `#!/bin/sh\necho $$ > "$0.pid"\necho '${ready}'\nread -r line\n`);
  await assert.rejects(ZkMini.start({ program, servers: 3 }), { name: "ServerError", status: 500, message: /GET \/v1\/status: broken/ });
  assert.ok(!isAlive(Number(fs.readFileSync(`${program}.pid`, "utf8"))));
});

test("bad options are refused, with what is allowed", async () => {
  await assert.rejects(ZkMini.start({ tick: 50 }), { name: "TypeError", message: /no option `tick`; it has .*tickMs/ });
  await assert.rejects(ZkMini.start({ args: "--fast" }), { name: "TypeError", message: /a list of strings/ });
  await assert.rejects(ZkMini.start({ tickMs: "soon" }), { name: "StartError", message: /status 2; its log ends with:\n.*soon/s });
  await assert.rejects(ZkMini.start({ args: ["--http", "off"] }), { name: "StartError", message: /leave out `--http off`/ });
  await assert.rejects(ZkMini.start({ load: "/none.yaml" }), { name: "StartError", message: /none\.yaml/ });
});

test("options reach the server", async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "zk-mini-test-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.writeFileSync(path.join(folder, "tree.yaml"), "/config/colour: {data: green}\n");
  const options = { load: path.join(folder, "tree.yaml"), dataDir: path.join(folder, "data"), tickMs: 50, compat: "3.8", args: ["--history", "7"] };
  const first = await ZkMini.start(options);
  assert.equal(await first.get("/config/colour"), "green");
  assert.equal((await first.clock()).tick_ms, 50);
  assert.match((await first.status()).compat, /^3\.8/);
  assert.match(first.log, /serving/);
  await first.put("/kept", "yes");
  await first.stop();
  const second = await ZkMini.start({ dataDir: options.dataDir });
  assert.equal(await second.get("/kept"), "yes");
  await second.stop();
  const fast = await ZkMini.start({ fast: true });
  assert.equal((await fast.clock()).tick_ms, 50);
  await fast.stop();
  const twice = await ZkMini.start({ fast: false, tickMs: 70, compat: "3.8", args: ["--fast", "--compat", "3.9"] });
  assert.deepEqual([(await twice.clock()).tick_ms, (await twice.status()).compat.slice(0, 3)], [70, "3.8"]);
  await twice.stop();
});

test("an event loop with nothing else to do ends, and the server with it", async () => {
  const { stdout, status } = node('import { ZkMini } from "zk-mini"; const zk = await ZkMini.start(); console.log(zk.pid)');
  assert.equal(status, 0);
  await ended(Number(stdout));
});

test("a killed parent leaves no server behind", async () => {
  const source = 'import { ZkMini } from "zk-mini"; const zk = await ZkMini.start(); console.log(zk.pid); setInterval(() => {}, 1000)';
  const parent = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(parent.stdout, "data");
  const server = Number(line);
  assert.ok(isAlive(server));
  parent.kill("SIGKILL");
  await ended(server);
});

test("a test that handles Ctrl-C can still ask the server", async () => {
  // The keys of a terminal go to the whole process group.
  const source = `import { ZkMini } from "zk-mini"; const zk = await ZkMini.start(); await zk.put("/there");
    process.once("SIGINT", async () => { console.log(await zk.historyText()); process.exit(0); });
    setInterval(() => {}, 1000); process.kill(-process.pid, "SIGINT")`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: ["ignore", "pipe", "inherit"], detached: true });
  const [[text], [status]] = await Promise.all([once(parent.stdout, "data"), once(parent, "exit")]);
  assert.match(String(text), /\/there created/);
  assert.equal(status, 0);
});

test("a server that is killed is told in the next error", async () => {
  const zk = await ZkMini.start();
  process.kill(zk.pid, "SIGKILL");
  await ended(zk.pid);
  await assert.rejects(zk.status(), { code: "unreachable", message: /the server was ended by SIGKILL/ });
  await zk.stop();
});

test("attach uses the server of zk-mini exec, and leaves it running", async () => {
  const source = `import { ZkMini } from "zk-mini";
    const zk = await ZkMini.attach(); await zk.put("/a", "b"); await zk.stop();
    const again = await ZkMini.attach(process.env.ZK_MINI_HTTP);
    console.log(await again.get("/a"), zk.hosts === process.env.ZK_HOSTS, zk.pid)`;
  const command = path.resolve("node_modules/.bin/zk-mini");
  const { stdout, stderr } = spawnSync(command, ["exec", "--", process.execPath, "--input-type=module", "-e", source], { encoding: "utf8" });
  assert.equal(stdout, "b true undefined\n", stderr);
  await assert.rejects(ZkMini.attach(), { name: "ZkMiniError", message: /zk-mini exec/ });
});

test("the command of the package ends as the program ends", () => {
  const command = path.resolve("node_modules/.bin/zk-mini");
  assert.match(spawnSync(command, ["--version"], { encoding: "utf8" }).stdout, /^zk-mini \d/);
  assert.equal(spawnSync(command, ["exec", "--", "sh", "-c", "exit 5"]).status, 5);
  const missing = spawnSync(command, ["--version"], { encoding: "utf8", env: { ...process.env, ZK_MINI: "/none" } });
  assert.deepEqual([missing.status, missing.stderr.startsWith("zk-mini: the variable ZK_MINI names /none")], [1, true]);
});
