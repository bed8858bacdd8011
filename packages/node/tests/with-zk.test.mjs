// withZk, by a run of node's test runner of its own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { withZk } from "zk-mini/test";

/** Runs a file of tests in the folder of this one. */
function run(t, source) {
  const file = `inner-${process.pid}.mjs`;
  fs.writeFileSync(file, `import { test } from "node:test";\nimport { withZk } from "zk-mini/test";\n${source}`);
  t.after(() => fs.rmSync(file));
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--test-reporter=tap", file], { encoding: "utf8", env, timeout: 60_000 });
  return { stdout, stderr, status, pids: [...stdout.matchAll(/pid (\d+)/g)].map((match) => Number(match[1])) };
}

function assertGone(pids, count) {
  assert.equal(pids.length, count);
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
}

test("a test that fails prints what happened, one that passes does not", (t) => {
  const { stdout, stderr, status, pids } = run(t, `
    test("passes", withZk(async (zk, t) => { t.diagnostic("pid " + zk.pid); await zk.put("/fine"); }));
    test("fails", withZk(async (zk, t) => { t.diagnostic("pid " + zk.pid); await zk.put("/broken"); throw new Error("on purpose"); }));
  `);
  assert.equal(status, 1);
  assert.match(stdout, /# zk-mini, what happened last:\n(.*\n)*.*transaction +\/broken created over HTTP/);
  assert.doesNotMatch(stdout + stderr, /fine/);
  assert.match(stdout, /on purpose/);
  assertGone(pids, 2);
});

test("a test that is ended, as by its timeout, prints what happened, and its server ends", (t) => {
  const { stdout, stderr, status, pids } = run(t, `
    const end = new AbortController();
    test("hangs", { signal: end.signal }, withZk(async (zk, t) => {
      t.diagnostic("pid " + zk.pid);
      await zk.put("/stuck");
      const alive = setInterval(() => {}, 1000);
      t.signal.addEventListener("abort", () => clearInterval(alive));
      end.abort();
      await new Promise(() => {});
    }));
  `);
  assert.equal(status, 1);
  assert.match(stdout, /aborted|cancelled/);
  assert.match(stderr, /\/stuck created over HTTP/);
  assertGone(pids, 1);
});

test("a test that is ended while its server starts is not begun, and its server ends", async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "zk-mini-test-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const program = path.join(folder, "zk-mini");
  const carried = createRequire(import.meta.url).resolve(`@zk-mini/${process.platform}-${process.arch}/bin/zk-mini`);
  fs.writeFileSync(program, `#!/bin/sh\necho $$ > "$0.pid"\nexec "${carried}" "$@"\n`, { mode: 0o755 });
  const end = new AbortController();
  const ended = withZk(() => assert.fail("it was begun"), { program })({ signal: end.signal });
  end.abort();
  await assert.rejects(ended, { name: "AbortError" });
  assertGone([Number(fs.readFileSync(`${program}.pid`, "utf8"))], 1);
});

test("a test whose server is stuck fails, and its server ends", (t) => {
  const { stdout, status, pids } = run(t, `
    test("stuck", withZk(async (zk, t) => {
      t.diagnostic("pid " + zk.pid);
      process.kill(zk.pid, "SIGSTOP");
      // Its threads stop one after the other.
      while (await fetch(zk.http, { signal: AbortSignal.timeout(200) }).then(() => true, () => false));
      throw new Error("on purpose");
    }));
  `);
  assert.equal(status, 1);
  assert.match(stdout, /# zk-mini, what happened last:\n# +the server at \S+ does not answer within 5000 ms/);
  assert.match(stdout, /on purpose/);
  assertGone(pids, 1);
});

test("options are those of start; a server that does not start fails the test", (t) => {
  const { stdout, status, pids } = run(t, `
    test("fast", withZk(async (zk, t) => {
      t.diagnostic("pid " + zk.pid);
      if ((await zk.clock()).tick_ms !== 50) throw new Error("tick");
    }, { tickMs: 50 }));
    test("never", withZk(async () => {}, { program: "/none" }));
  `);
  assert.equal(status, 1);
  assert.match(stdout, /^ok 1 - fast/m);
  assert.match(stdout, /names \/none, which is not an executable file/);
  assertGone(pids, 1);
});
