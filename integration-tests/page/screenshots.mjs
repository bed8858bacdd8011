// Makes the pictures of the pages: `screenshots.mjs FOLDER DEMO_FOLDER`. What they show has really happened, in servers of their own.

import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { api, closeBrowser, openPage, put, row, startDemo, startKazoo, startServer, until } from './support.mjs';

const MOST_BYTES = 200 << 10;
const [folder = '.', demoFolder = '.'] = process.argv.slice(2);
const endings = [];
/** Stands for a test: what is begun is ended at the end. */
const t = { after: (end) => endings.push(end) };

async function picture(page, name, into = folder, most = MOST_BYTES) {
  const path = `${into}/${name}.png`;
  await page.evaluate(() => document.getElementById('said')?.setAttribute('hidden', ''));
  await page.screenshot({ path, animations: 'disabled' });
  const { size } = await stat(path);
  assert.ok(size < most, `${path} has ${size} bytes`);
  console.log(`${path}: ${size >> 10} KB`);
}

/** A service with three workers, a configuration, an election, and a fault. */
async function scene(server) {
  const workers = [];
  for (let index = 0; index < 3; index += 1) {
    const kazoo = await startKazoo(t, server, { timeout: 10 });
    workers.push(kazoo);
    await kazoo.call('create', '/services/echo/worker-', JSON.stringify({ host: '127.0.0.1', port: 46_335 + index, weight: 1 }), true, true);
    await kazoo.call('create', '/election/candidate-', `worker ${index}`, true, true);
  }
  const [first, second] = workers;
  await put(server, '/config/timeout_ms', '2500');
  await put(server, '/config/features.json', JSON.stringify({ checkout: 'new', limits: { perMinute: 120, burst: 20 } }));
  await first.call('set', '/services/echo/worker-0000000000', JSON.stringify({ host: '127.0.0.1', port: 46_335, weight: 3 }));
  for (const kazoo of workers) await kazoo.call('watch_children', '/services/echo');
  await second.call('watch', '/services/echo/worker-0000000000');
  await api(server, 'POST', 'v1/faults', { when: { op: 'create', path: '/orders/**', nth: 2 }, then: { drop: 'after_apply' } });
  return workers;
}

/** The demonstration: two servers, and a worker that has just been killed. */
async function demonstrate() {
  const demo = await startDemo(t);
  const page = await openPage(t, demo, { isReady: '#servers tbody tr', size: { width: 1040, height: 500 } });
  const alive = page.locator('#servers tbody tr:not(.dead)');
  await page.getByRole('button', { name: 'Add a server' }).click();
  await until('all answer', async () => (await alive.count()) === 4 && (await alive.locator('.number').allInnerTexts()).every((count) => Number(count.replace(',', '')) > 300));
  await alive.nth(1).getByRole('button').click();
  await page.locator('tr.dead').getByText(/^gone after/).waitFor();
  await until('its successor', async () => (await alive.count()) === 4);
  await until('its answers', async () => (await page.locator('tr.new meter').evaluateAll((meters) => meters.every((meter) => meter.value > 0))));
  await page.mouse.move(5, 400);
  await picture(page, 'demo', demoFolder, 150 << 10);
}

async function run() {
  await demonstrate();

  const empty = await startServer(t);
  const first = await openPage(t, empty);
  await first.locator('.command').first().waitFor();
  await picture(first, 'page-empty');

  const server = await startServer(t);
  const workers = await scene(server);
  const hash = '#path=/services/echo/worker-0000000000';
  const light = await openPage(t, server, { hash });
  await until('the card of each worker', async () => (await light.locator('.card').count()) === 3);
  await row(light, 'config').locator('.twist').click();
  await until('watches', async () => /Watched by/.test(await light.locator('#node').innerText()));
  await api(server, 'POST', `v1/sessions/${workers[2].session}/expire`);
  await put(server, '/config/timeout_ms', '3000');
  await until('the row to go', async () => (await light.locator('#tree .row').filter({ hasText: 'worker-0000000002' }).count()) === 0);
  const ended = light.locator(`.card a[title="${workers[2].session}"]`);
  await until('its card to go, and that of the next session to come', async () =>
    (await ended.count()) === 0 && (await light.locator('.card').count()) === 3);
  await light.getByRole('button', { name: 'all' }).click();
  await light.mouse.move(700, 10);
  await picture(light, 'page');

  const dark = await openPage(t, server, { dark: true, size: { width: 1200, height: 720 }, hash: '#path=/services/echo/worker-0000000002' });
  await until('the reason', async () => /It is gone/.test(await dark.locator('#node').innerText()));
  await row(dark, 'worker-0000000000').waitFor();
  await dark.locator('#as-list').click();
  await dark.locator('.entry').first().waitFor();
  await picture(dark, 'page-who-deleted');

  const phone = await openPage(t, server, { phone: true, hash: '#tab=sessions' });
  await phone.locator('.card').first().waitFor();
  await picture(phone, 'page-phone');
}

try {
  await run();
} finally {
  for (const end of endings.reverse()) await end();
  await closeBrowser();
}
