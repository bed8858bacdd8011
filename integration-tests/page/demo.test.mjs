// The page of `demo --stay`: a worker is killed by its button, disappears, and is replaced.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { checkAccess, closeBrowser, openPage, startDemo, until } from './support.mjs';

after(closeBrowser);

const isReady = '#servers tbody tr';
const rows = (page) => page.locator('#servers tbody tr');
const alive = (page) => page.locator('#servers tbody tr:not(.dead)');

test('demonstration: a worker is killed by its button, and another takes its place', async (t) => {
  const demo = await startDemo(t);
  const page = await openPage(t, demo, { isReady });
  assert.equal(await alive(page).count(), 2);
  const pid = await alive(page).first().getAttribute('data-pid');
  await page.getByRole('button', { name: `Kill worker ${pid}` }).click();
  const dead = page.locator(`tr.dead[data-pid="${pid}"]`);
  await dead.getByText(/^gone after \d+ ms$/).waitFor();
  await until('two others alive', async () => (await alive(page).count()) === 2);
  assert.match(await page.locator('#story').innerText(), new RegExp(`killed worker ${pid} with SIGKILL[^]*`));
  assert.match(await page.locator('#figures').innerText(), /\b0 failed/);
  await until('the dead one to disappear', async () => (await dead.count()) === 0);
  const link = alive(page).first().locator('a');
  assert.match(await link.getAttribute('href'), /^http:\/\/127\.0\.0\.1:\d+\/#path=\/demo\/[0-9a-f]+-\d{10}$/);
});

test('demonstration: a server comes and goes by buttons', async (t) => {
  const demo = await startDemo(t);
  const page = await openPage(t, demo, { isReady });
  assert.ok(await page.getByRole('button', { name: 'Remove server 1' }).isDisabled(), 'the last one stays');
  await page.getByRole('button', { name: 'Add a server' }).click();
  await until('four workers', async () => (await alive(page).count()) === 4);
  await page.getByRole('button', { name: 'Remove server 1' }).click();
  await page.locator('[data-server="1"]').waitFor({ state: 'detached' });
  assert.equal(await page.locator('[data-server="2"]').count(), 1);
});

test('demonstration: the page says when it has ended', async (t) => {
  const demo = await startDemo(t);
  const page = await openPage(t, demo, { isReady, mayLoseServer: true });
  await demo.stop();
  await page.getByText('The demonstration has ended, or does not answer.').waitFor();
});

for (const dark of [false, true]) {
  for (const phone of [false, true]) {
    test(`demonstration: axe-core finds nothing serious: ${dark ? 'dark' : 'light'}, ${phone ? 'phone' : 'desktop'}`, async (t) => {
      const demo = await startDemo(t);
      const page = await openPage(t, demo, { dark, phone, isReady });
      await page.getByRole('button', { name: /^Kill worker/ }).first().click();
      await page.locator('tr.dead').waitFor();
      assert.equal(await rows(page).count() >= 2, true);
      await checkAccess(page, 'the demonstration');
    });
  }
}
