// What clients store is hostile: it is shown, and does nothing.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { closeBrowser, fitsSideways, openPage, put, row, startServer, until } from './support.mjs';

after(closeBrowser);

const SCRIPT = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>';

test('names and data of nodes are text, whatever is in them', async (t) => {
  const server = await startServer(t);
  const names = [SCRIPT.replaceAll('/', '|'), '"><b>bold', '%2e%2e', '?at=0x1#path=&', 'a\u00a0b', '{{7*7}}${7*7}', 'javascript:harmed=1'];
  for (const name of names) await put(server, `/${name}`, SCRIPT);
  const page = await openPage(t, server);
  for (const name of names) {
    await row(page, name).click();
    await until(`the data of ${name}`, async () => (await page.locator('#node h1').textContent()) === `/${name}`
      && (await page.locator('#node pre').innerText()).includes('<script>'));
    await page.reload();
    await until(`its address holds: ${name}`, async () => (await page.locator('#node pre').innerText()).includes('<script>'));
  }
  await page.locator('#as-list').click();
  await page.locator('.entry').first().waitFor();
  assert.equal(await page.evaluate(() => window.harmed), undefined);
  assert.equal(await page.locator('main img, main script, main b.x, #timeline img').count(), 0);
});

test('a name that turns the direction of writing is shown with its trick', async (t) => {
  const server = await startServer(t);
  await put(server, '/שלום עולם', 'שלום');
  const { stat } = await put(server, '/invoice\u202egnp.exe', 'abc\u202edef');
  const page = await openPage(t, server);
  const moment = (pattern) => until(pattern, async () => pattern.test(await page.locator('#moment').innerText()));
  await moment(/^last: .* · \/invoice\\u\{202e\}gnp\.exe created /);
  await page.goto(`${server.url}#at=${stat.czxid}`);
  await moment(/^\d.* · \/invoice\\u\{202e\}gnp\.exe created /);
  await page.goto(`${server.url}#`);
  await row(page, 'invoice\\u{202e}gnp.exe').click();
  await until('the trick', async () => (await page.locator('#node pre').innerText()) === 'abc\\u{202e}def');
  await row(page, 'שלום עולם').click();
  await until('other scripts are fine', async () => (await page.locator('#node pre').innerText()) === 'שלום');
});

test('large data are cut, and complete in the download', async (t) => {
  const server = await startServer(t);
  const data = '0123456789abcdef'.repeat(60_000);
  await put(server, '/large', data);
  const page = await openPage(t, server, { hash: '#path=/large' });
  await until('the begin', async () => (await page.locator('#node pre').innerText()).length === 64 << 10);
  assert.match(await page.locator('#node').innerText(), /first 64 KB of 938 KB/);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()]);
  assert.equal(download.suggestedFilename(), 'large');
  assert.equal(await readFile(await download.path(), 'utf8'), data);
  assert.ok(await fitsSideways(page));
});

test('bytes that are no text are shown as bytes', async (t) => {
  const server = await startServer(t);
  await put(server, '/bytes', Buffer.from([0xff, 0xfe, 0x00, 0x41, 0xc3, 0x28]));
  const page = await openPage(t, server, { hash: '#path=/bytes' });
  await until('hex', async () => /^000000 {2}ff fe 00 41 c3 28 +···A·\($/.test(await page.locator('#node pre').innerText()));
  assert.deepEqual(await page.locator('#node .choices button').allInnerTexts(), ['Hex']);
});
