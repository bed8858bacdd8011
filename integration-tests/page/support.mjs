// What every test needs: a server, a kazoo client, a browser, and waiting for a condition.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const { PAGE_MODULES, ZK_MINI, DEMO, KAZOO_PYTHON, CHROMIUM } = process.env;
const require = createRequire(`${PAGE_MODULES}/`);
const { chromium } = require('playwright-core');
const axeSource = require('axe-core').source;

/** Milliseconds for which a condition is waited for. */
export const LIMIT = 30_000;

/** Waits until `look()` returns something true, and returns that. An error of the last look says why it never did. */
export async function until(what, look) {
  const end = Date.now() + LIMIT;
  let last;
  while (Date.now() < end) {
    try {
      last = undefined;
      const found = await look();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`waited in vain: ${what}${last ? `: ${last.message}` : ''}`);
}

const endings = new WeakMap();

/** Does something at the end of a test: what was begun last is ended first. */
function atEnd(t, end) {
  if (!endings.has(t)) {
    const all = [];
    endings.set(t, all);
    t.after(async () => {
      const errors = [];
      for (const each of all.reverse()) await each().catch((error) => errors.push(error));
      if (errors.length) throw errors[0];
    });
  }
  endings.get(t).push(end);
}

/** Starts a program that prints where it listens; the test ends it. */
async function startProgram(t, program, options, pattern) {
  const child = spawn(program, options, { stdio: ['ignore', 'pipe', 'inherit'] });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  };
  atEnd(t, stop);
  for await (const line of createInterface({ input: child.stdout })) {
    const found = line.match(pattern);
    if (found) {
      child.stdout.resume();
      return { address: found[1], port: Number(found[2]), url: `http://${found[1]}/`, stop };
    }
  }
  throw new Error(`${program} has ended before it listened`);
}

/** Starts `zk-mini serve` on a port that the system chooses, or on this one. */
export const startServer = (t, { port = 0, options = [] } = {}) =>
  startProgram(t, ZK_MINI, ['serve', '--listen', `127.0.0.1:${port}`, ...options], /^listening on (127\.0\.0\.1:(\d+))/);

/** Starts `demo --stay`. */
export const startDemo = (t) => startProgram(t, DEMO, ['--stay'], /open http:\/\/(127\.0\.0\.1:(\d+))\//);

/** Starts a client of kazoo. `call(name, ...arguments)` asks it for something; see kazoo_client.py. */
export async function startKazoo(t, server, { timeout = 10 } = {}) {
  const script = fileURLToPath(new URL('kazoo_client.py', import.meta.url));
  const child = spawn(KAZOO_PYTHON, [script, server.address, String(timeout)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the kazoo client has ended');
    const { error, result } = JSON.parse(value);
    if (error) throw new Error(error);
    return result;
  };
  atEnd(t, async () => {
    const gone = once(child, 'exit');
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await gone;
  });
  const session = await answer();
  return {
    session,
    call: (name, ...given) => {
      child.stdin.write(`${JSON.stringify([name, ...given])}\n`);
      return answer();
    },
  };
}

let browser = null;

/** Opens the page of a server. What it complains of in the console, and what it asks of others than the server and `mayAsk`,
 * fails the test at its end. */
export async function openPage(t, server, { hash = '', dark = false, phone = false, mayLoseServer = false, isReady = '#figures .figure', script = null, size = null, mayAsk = [] } = {}) {
  browser ??= await chromium.launch({ executablePath: CHROMIUM, chromiumSandbox: process.getuid() !== 0, args: ['--disable-dev-shm-usage'] });
  const context = await browser.newContext({
    viewport: size ?? (phone ? { width: 390, height: 844 } : { width: 1400, height: 860 }),
    colorScheme: dark ? 'dark' : 'light',
    hasTouch: phone,
    reducedMotion: 'no-preference',
  });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    const isLoss = mayLoseServer && message.text().startsWith('Failed to load resource');
    if (['error', 'warning'].includes(message.type()) && !isLoss) complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`error: ${error.stack}`));
  page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`));
  page.on('request', (request) => {
    if (![server.url, 'blob:', ...mayAsk].some((known) => request.url().startsWith(known))) complaints.push(`request: ${request.url()}`);
  });
  if (script) await page.addInitScript(script);
  atEnd(t, async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  });
  await page.goto(server.url + hash);
  await page.locator(isReady).last().waitFor({ timeout: LIMIT });
  page.setDefaultTimeout(LIMIT);
  return page;
}

/** Does something while Chromium traces the tasks of a page. */
export async function traced(page, act) {
  await browser.startTracing(page, { categories: ['__metadata', 'disabled-by-default-devtools.timeline'] });
  const result = await act();
  return { result, file: await browser.stopTracing() };
}

/** Closes the browser, at the end of a file. */
export async function closeBrowser() {
  await browser?.close();
  browser = null;
}

/** Asks the server for JSON. */
export async function api(server, method, path, body) {
  const response = await fetch(server.url + path, {
    method, body: body && JSON.stringify(body), headers: body ? { 'Content-Type': 'application/json' } : {},
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

/** Writes a node. */
export async function put(server, path, data, query = '') {
  const response = await fetch(`${server.url}v1/nodes${path.split('/').map(encodeURIComponent).join('/')}${query}`, { method: 'PUT', body: data });
  assert.ok(response.ok, `PUT ${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

/** Row of the tree with this name. */
export const row = (page, name) => page.locator('#tree .row:not(.gone)').filter({ has: page.locator(`.name:text-is(${JSON.stringify(name)})`) });

/** True if nothing scrolls sideways. */
export const fitsSideways = (page) => page.evaluate(() =>
  document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth
  && [...document.querySelectorAll('.scroll')].every((box) => box.scrollWidth <= box.clientWidth + 1));

/** Fails if axe-core finds a serious or critical fault. */
export async function checkAccess(page, where) {
  // Rules are evaluated in the page, which runs no text: the driver may.
  await page.evaluate(axeSource);
  const violations = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => ({ id, help, at: nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`) })));
  assert.deepEqual(violations, [], where);
  assert.ok(await fitsSideways(page), `${where}: something scrolls sideways`);
}
