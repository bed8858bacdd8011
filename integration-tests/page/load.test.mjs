// 10,000 nodes and about 1,000 events a second.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { api, closeBrowser, openPage, row, startKazoo, startServer, until } from './support.mjs';

after(closeBrowser);

const NODES = 10_000;
const RATE = 1000;
/** Share of a processor that the page may take. */
const MOST = 0.6;
/** Rounds of two seconds. A machine that does other things disturbs some of them, not all. */
const ROUNDS = 10;

/** Notes the tasks that kept the page from answering: those of more than 50 ms, as browsers report them. */
const NOTE_LONG_TASKS = () => {
  window.longTasks = [];
  new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => Math.round(entry.duration))))
    .observe({ type: 'longtask', buffered: true });
};

test('10,000 nodes and 1,000 events a second do not make the page stutter', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server, { timeout: 30 });
  await kazoo.call('fill', '/many', NODES);
  const page = await openPage(t, server, { hash: '#path=/many/n005000', script: NOTE_LONG_TASKS });
  await row(page, 'n005000').waitFor();
  assert.ok(await page.evaluate(() => document.querySelectorAll('*').length) < 1000, 'only what is in sight exists');
  const session = await page.context().newCDPSession(page);
  // Time of the processor, not of the clock on the wall: another process does not count.
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busy = async () => (await session.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value;

  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await page.evaluate(() => window.longTasks.splice(0));
    const before = await busy();
    const events = await kazoo.call('storm', '/many', NODES, RATE, 2);
    const share = (await busy() - before) / (events / RATE);
    const longTasks = await page.evaluate(() => window.longTasks);
    rounds.push({ events, share: Number(share.toFixed(2)), longTasks });
    if (longTasks.length === 0 && share < MOST) break;
  }
  console.log(`# rounds: ${JSON.stringify(rounds)}`);
  const { longTasks, share } = rounds.at(-1);
  assert.ok(longTasks.length === 0 && share < MOST, `no round was free of long tasks: ${JSON.stringify(rounds)}`);
  assert.ok(await page.evaluate(() => document.querySelectorAll('*').length) < 1000, 'only what is in sight exists');

  // It has kept up: the last change is there.
  await kazoo.call('create', '/many/zz-last', '');
  await page.keyboard.press('/');
  await page.keyboard.type('zz-last');
  await row(page, 'zz-last').waitFor();
  const { nodes } = await api(server, 'GET', 'v1/status');
  await until('the figures', async () => (await page.locator('#figures').innerText()).includes(nodes.toLocaleString('en')));
});

test('the whole of a long list is reached by scrolling and by keys', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server, { timeout: 30 });
  await kazoo.call('fill', '/many', NODES);
  const page = await openPage(t, server, { hash: '#path=/many' });
  await row(page, 'many').click();
  await row(page, 'n000000').waitFor();
  await page.locator('#tree').focus();
  await page.keyboard.press('End');
  // The system's nodes come last.
  await row(page, 'zookeeper').waitFor();
  await row(page, 'n009999').waitFor();
  await page.locator('#tree').evaluate((tree) => tree.scrollTo(0, 22 * 5000));
  await row(page, 'n005000').waitFor();
});
