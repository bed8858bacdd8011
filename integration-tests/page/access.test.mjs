// Everybody can use it: accessibility by axe-core, keyboard, narrow windows, light and dark.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { api, checkAccess, closeBrowser, openPage, put, row, startKazoo, startServer, until } from './support.mjs';

after(closeBrowser);

async function scene(t) {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server, { timeout: 30 });
  await kazoo.call('create', '/services/echo/worker', '{"host":"127.0.0.1"}', true);
  await kazoo.call('watch', '/services/echo/worker');
  await put(server, `/${'long-name-'.repeat(20)}`, 'x'.repeat(500));
  await api(server, 'POST', 'v1/faults', { when: { op: 'create', path: '/never/**' }, then: { fail: 'NONODE' } });
  return server;
}

for (const dark of [false, true]) {
  for (const phone of [false, true]) {
    const look = `${dark ? 'dark' : 'light'}, ${phone ? 'phone' : 'desktop'}`;

    test(`axe-core finds nothing serious: ${look}`, async (t) => {
      const empty = await startServer(t);
      const first = await openPage(t, empty, { dark, phone });
      await first.locator('.command').first().waitFor();
      await checkAccess(first, 'the first visit');

      const server = await scene(t);
      const page = await openPage(t, server, { dark, phone, hash: '#path=/services/echo/worker&tab=node' });
      await page.locator('#node pre').waitFor();
      await page.locator('#node summary').click();
      await checkAccess(page, 'a node');
      for (const tab of phone ? ['tree', 'sessions', 'timeline'] : []) {
        await page.locator(`#tabs [data-tab=${tab}]`).click();
        await page.locator(`[data-part=${tab}]`).waitFor();
        await checkAccess(page, tab);
      }
      if (!phone) {
        await page.locator('#as-list').click();
        await page.locator('.entry').first().waitFor();
        await checkAccess(page, 'the list');
      }
      await page.locator('#new-fault').click();
      await page.locator('dialog[open]').waitFor();
      await checkAccess(page, 'a dialog');
      await page.keyboard.press('Escape');
      await page.goto(`${server.url}#path=/services&at=${(await api(server, 'GET', 'v1/status')).last_zxid}`);
      await page.locator('body.past').waitFor();
      await checkAccess(page, 'the past');
    });
  }
}

test('what a card of a session says and asks has room in it', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server, { timeout: 30 });
  await kazoo.call('create', `/${'long-name-'.repeat(9)}/and-its-end`, '', true);
  await kazoo.call('create', '/another', '', true);
  const page = await openPage(t, server);
  const card = page.locator('.card');
  await card.getByText('and 1 more').waitFor();
  await card.getByRole('button', { name: 'Expire' }).click();
  await card.getByText('Sure? 2 nodes will go').waitFor();
  const outside = await card.evaluate((box) => [...box.querySelectorAll('.held > *, .actions > *')]
    .filter((part) => part.getBoundingClientRect().right > box.getBoundingClientRect().right).map((part) => part.innerText));
  assert.deepEqual(outside, []);
});

test('the tree is used by the keyboard, and tells where one is', async (t) => {
  const server = await startServer(t);
  for (const path of ['/a/1', '/a/2', '/b']) await put(server, path, path);
  const page = await openPage(t, server);
  await row(page, 'b').waitFor();
  await page.keyboard.press('t');
  const active = () => page.evaluate(() => document.getElementById(document.getElementById('tree').getAttribute('aria-activedescendant'))?.innerText.split('\n')[0] ?? '');
  const press = async (key, name) => {
    await page.keyboard.press(key);
    await until(`${key}: ${name}`, async () => (await page.locator('#tree .row.active .name').innerText()) === name);
    assert.ok(await active() !== '');
  };
  await press('ArrowDown', 'a');
  await page.keyboard.press('ArrowRight');
  await row(page, '1').waitFor();
  assert.equal(await row(page, 'a').getAttribute('aria-expanded'), 'true');
  await press('ArrowRight', '1');
  await press('ArrowDown', '2');
  await page.keyboard.press('Enter');
  await until('the node', async () => /\/a\/2/.test(await page.locator('#node pre').innerText()));
  assert.equal(await row(page, '2').getAttribute('aria-selected'), 'true');
  assert.deepEqual([await row(page, '2').getAttribute('aria-level'), await row(page, '2').getAttribute('aria-posinset')], ['3', '2']);
  await press('ArrowLeft', 'a');
  await page.keyboard.press('/');
  await page.keyboard.type('a/1');
  await until('the match', async () => (await page.locator('#tree-count').innerText()) === '1 match');
  assert.equal(await row(page, 'b').count(), 0);
  await page.keyboard.press('Escape');
  await row(page, 'b').waitFor();
  await page.keyboard.press('?');
  await page.locator('dialog').getByText('filter the tree').waitFor();
});

test('rings and rows keep still for those who want less motion', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, server);
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await put(server, '/new', '');
  await row(page, 'new').waitFor();
  assert.equal(await row(page, 'new').evaluate((element) => getComputedStyle(element).animationName), 'none');
});
