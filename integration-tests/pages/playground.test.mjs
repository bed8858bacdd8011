// The playground in a real Chromium, from its file: what the chapter about it says happens, in both languages, on a phone too.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';

const { PAGE_MODULES, CHROMIUM, BOOK, BOOK_SCREENSHOTS } = process.env;
const modules = createRequire(`${PAGE_MODULES}/`);
const { chromium } = modules('playwright-core');
const axe = readFileSync(modules.resolve('axe-core/axe.min.js'), 'utf8');

const browser = await chromium.launch({ executablePath: CHROMIUM, chromiumSandbox: process.getuid() !== 0, args: ['--disable-dev-shm-usage'] });
after(() => browser.close());

/** Opens the playground, without a network. */
async function player(language, options) {
  const context = await browser.newContext({ viewport: { width: 375, height: 812 }, offline: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(error.stack));
  page.on('request', (request) => {
    if (!/^(file|data|blob):/.test(request.url())) complaints.push(`asks for ${request.url()}`);
  });
  await page.goto(pathToFileURL(`${BOOK}/${language}/try.html`).href);
  await page.locator('#tree li').waitFor();
  return { context, page, complaints };
}

/** Sends a request of a client. */
async function send(page, client, op, path, { mode, data, watch } = {}) {
  await page.locator('#client').selectOption(String(client));
  await page.locator('#op').selectOption(op);
  await page.locator('#path').fill(path);
  if (mode) await page.locator('#mode').selectOption(mode);
  if (data !== undefined) await page.locator('#data').fill(data);
  if (await page.locator('#watch').isVisible()) await page.locator('#watch').setChecked(Boolean(watch));
  await page.locator('#send').click();
}

const text = (page, selector) => page.locator(selector).innerText();

for (const language of ['en', 'zh']) {
  for (const [device, options] of Object.entries({ phone: {}, desk: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' } })) {
    test(`a silent session expires, and who watches is told: ${language} on a ${device}`, async () => {
      const { context, page, complaints } = await player(language, options);
      await page.locator('#open').click();
      await page.locator('#open').click();
      await send(page, 1, 'create', '/leader', { mode: 'ephemeral', data: 'me' });
      assert.match(await text(page, '#tree'), /leader/);
      await send(page, 2, 'exists', '/leader', { watch: true });
      await page.locator('#pings-1').uncheck();
      await page.locator('#advance-5').click();
      await page.locator('#advance-5').click();
      assert.equal(await text(page, '#clock'), '10.0 s');
      assert.doesNotMatch(await text(page, '#tree'), /leader/);
      assert.match(await text(page, '.session.open'), /NodeDeleted \/leader/);
      assert.equal(await page.locator('.session.expired').count(), 1);
      const events = page.locator('#log li.event');
      assert.equal(await events.count(), 1, 'one session is told, once');
      assert.match(await events.innerText(), /2.*NodeDeleted \/leader/);
      await page.locator('#explain').click();
      const explanation = await text(page, '#explanation');
      assert.match(explanation, /\/leader does not exist\n.*created by request 1 .*session 1 .*\n.*expired, last heard/s);
      assert.equal(await page.locator('#steps li.done').count(), 5);

      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `scrolls sideways by ${wide} px`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate('axe.run()');
      assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join('; ')}`), []);
      if (BOOK_SCREENSHOTS) await page.screenshot({ path: `${BOOK_SCREENSHOTS}/playground-${language}-${device}.png`, fullPage: true });
      assert.deepEqual(complaints, []);
      await context.close();
    });
  }
}

test('the keyboard is enough, and a request that fails says why', async () => {
  const { context, page, complaints } = await player('en', {});
  await page.locator('#path').focus();
  await page.keyboard.press('Enter');
  assert.match(await text(page, '#error'), /Open a session first/);
  await page.locator('#open').focus();
  await page.keyboard.press('Enter');
  await page.locator('#path').fill('/a/b');
  await page.keyboard.press('Enter');
  assert.match(await text(page, '#log li.failed'), /create \/a\/b → NONODE/);
  await page.locator('#pings-1').focus();
  await page.keyboard.press('Space');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'pings-1', 'the focus stays where it was');
  await page.locator('#seconds').fill('20');
  await page.keyboard.press('Enter');
  assert.match(await text(page, '.session'), /expired/);
  await page.locator('#begin').focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('.session').count(), 0);
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a page with room for no more sessions says so, until the reader begins again', async () => {
  const { context, page, complaints } = await player('zh', {});
  const open = page.locator('#open');
  for (let clicks = 0; clicks < 100 && (await open.isEnabled()); clicks++) await open.click();
  assert.equal(await page.locator('.session').count(), 20);
  assert.match(await text(page, '#error'), /重新开始/);
  await page.locator('#begin').click();
  assert.ok(await open.isEnabled());
  assert.equal(await text(page, '#error'), '');
  assert.deepEqual(complaints, []);
  await context.close();
});

test('what a reader types never becomes markup', async () => {
  const { context, page, complaints } = await player('en', {});
  await page.locator('#open').click();
  const hostile = '<img src=x onerror=document.title=1>';
  await send(page, 1, 'create', `/${hostile.replace('/', '')}`, { mode: 'persistent', data: hostile });
  await page.locator('#tree button', { hasText: 'onerror' }).click();
  assert.match(await text(page, '#explanation'), /onerror.* exists/);
  assert.equal(await page.locator('img').count(), 0);
  assert.equal(await page.title(), 'zk-mini: playground');
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the chapter leads to the playground, and the playground back', async () => {
  const { context, page, complaints } = await player('en', {});
  await page.goto(pathToFileURL(`${BOOK}/en/playground.html`).href);
  await page.locator('main a[href="try.html"]').click();
  await page.locator('#tree li').waitFor();
  await page.locator('a[href="playground.html"]').click();
  await page.waitForURL(/\/en\/playground\.html$/);
  assert.deepEqual(complaints, []);
  await context.close();
});
