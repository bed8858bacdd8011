// The book in a real Chromium, from its files, on a phone and on a desk: nothing sticks out, nothing is asked of the network,
// nothing is said in the console, and each page leads to itself in the other language and back.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';

const { PAGE_MODULES, CHROMIUM, BOOK, BOOK_SCREENSHOTS } = process.env;
const { chromium } = createRequire(`${PAGE_MODULES}/`)('playwright-core');

const browser = await chromium.launch({ executablePath: CHROMIUM, chromiumSandbox: process.getuid() !== 0, args: ['--disable-dev-shm-usage'] });
after(() => browser.close());

const chapters = readdirSync(`${BOOK}/en`, { recursive: true })
  .filter((name) => name.endsWith('.html') && name !== 'toc.html')
  .sort();
const address = (language, name) => pathToFileURL(`${BOOK}/${language}/${name}`).href;

/** Opens a page for reading, and collects what it complains of and asks for. */
async function reader(size) {
  const context = await browser.newContext({ viewport: size });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${page.url()}: console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.stack}`));
  page.on('request', (request) => {
    if (!/^(file|data|blob):/.test(request.url())) complaints.push(`${page.url()}: asks for ${request.url()}`);
  });
  return { context, page, complaints };
}

for (const [device, size] of Object.entries({ phone: { width: 375, height: 812 }, desk: { width: 1280, height: 800 } })) {
  for (const language of ['en', 'zh']) {
    test(`every page of ${language} is read on a ${device}`, async () => {
      assert.notEqual(chapters.length, 0);
      const { context, page, complaints } = await reader(size);
      for (const name of chapters) {
        await page.goto(address(language, name));
        const { wide, sticking } = await page.evaluate(() => {
          for (const answer of document.querySelectorAll('details')) answer.open = true;
          const root = document.documentElement;
          const out = [...document.querySelectorAll('main *')].filter((each) => each.getBoundingClientRect().right > root.clientWidth + 1);
          // What scrolls by itself, such as a long line of code, may be wider than the page.
          const outside = out.filter((each) => !each.closest('pre, .table-wrapper'));
          return { wide: root.scrollWidth - root.clientWidth, sticking: outside.map((each) => each.outerHTML.slice(0, 80)) };
        });
        assert.ok(wide <= 0, `${language}/${name} scrolls by ${wide} px: ${sticking.join('; ')}`);
        assert.deepEqual(sticking, [], `${language}/${name}: sticks out of the page`);
        if (BOOK_SCREENSHOTS) {
          await page.screenshot({ path: `${BOOK_SCREENSHOTS}/${device}-${language}-${name.replaceAll('/', '-')}.png`, fullPage: true });
        }
      }
      assert.deepEqual(complaints, []);
      await context.close();
    });
  }
}

test('each page leads to itself in the other language, and back', async () => {
  const { context, page, complaints } = await reader({ width: 375, height: 812 });
  for (const name of chapters) {
    await page.goto(address('en', name));
    await page.locator('.language-link').click();
    await page.waitForURL(address('zh', name));
    await page.locator('.language-link').click();
    await page.waitForURL(address('en', name));
  }
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the contents lead on', async () => {
  const { context, page, complaints } = await reader({ width: 375, height: 812 });
  await page.goto(address('en', 'index.html'));
  await page.locator('#mdbook-sidebar-toggle').click();
  await page.locator('#mdbook-sidebar a', { hasText: 'About the tutorial' }).click();
  await page.waitForURL(address('en', 'tutorial/index.html'));
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the search finds a chapter', async () => {
  const { context, page, complaints } = await reader({ width: 375, height: 812 });
  await page.goto(address('en', 'index.html'));
  await page.locator('#mdbook-search-toggle').click();
  const found = page.locator('#mdbook-searchresults a[href*="tutorial/reaping.html"]').first();
  for (let tries = 0; tries < 20 && !(await found.isVisible()); tries++) {
    // Keys that come before the index is loaded are not searched for.
    await page.locator('#mdbook-searchbar').fill('');
    await page.locator('#mdbook-searchbar').pressSequentially('zombie', { delay: 50 });
  }
  await found.click();
  await page.waitForURL(/tutorial\/reaping\.html/);
  assert.deepEqual(complaints, []);
  await context.close();
});
