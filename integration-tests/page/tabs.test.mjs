// Several pages of one server: a browser has six connections for all of them, and the server a number of streams.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { closeBrowser, openPage, put, row, startServer, until } from './support.mjs';

after(closeBrowser);

/** Tells a page that it is in sight, or that it is not: without a window each page is in sight. */
function setHidden(page, isHidden) {
  return page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { configurable: true, value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
}

test('hidden tabs leave the connections of the browser to the one in sight, and catch up when they are shown', async (t) => {
  const server = await startServer(t);
  await put(server, '/before', '');
  const page = await openPage(t, server);
  await row(page, 'before').waitFor();
  await setHidden(page, true);
  for (let number = 2; number <= 7; number += 1) {
    const tab = await page.context().newPage();
    await tab.goto(server.url);
    await row(tab, 'before').waitFor();
    if (number < 7) {
      await setHidden(tab, true);
      continue;
    }
    await put(server, '/meanwhile', '');
    await row(tab, 'meanwhile').waitFor();
  }
  assert.equal(await row(page, 'meanwhile').count(), 0, 'a hidden tab does not follow');
  await setHidden(page, false);
  await row(page, 'meanwhile').waitFor();
});

test('a tab that is hidden and shown again does not say that the server is gone', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, server);
  await page.evaluate(() => {
    window.wasLost = false;
    new MutationObserver(() => {
      window.wasLost ||= document.body.classList.contains('lost');
    }).observe(document.body, { attributeFilter: ['class'] });
  });
  for (let round = 0; round < 3; round += 1) {
    // Also at once, before the stream has ended.
    await page.evaluate(() => {
      for (const value of [true, false]) {
        Object.defineProperty(document, 'hidden', { configurable: true, value });
        document.dispatchEvent(new Event('visibilitychange'));
      }
    });
    await put(server, `/after-${round}`, '');
    await row(page, `after-${round}`).waitFor();
  }
  assert.equal(await page.evaluate(() => window.wasLost), false);
});

test('a page says why the server does not tell it what happens, and follows as soon as it may', async (t) => {
  const server = await startServer(t, { options: ['--max-client-cnxns', '0'] });
  const others = new AbortController();
  t.after(() => others.abort());
  const open = () => fetch(`${server.url}v1/events`, { signal: others.signal });
  // As many as the server has.
  for (const { status } of await Promise.all(Array.from({ length: 128 }, open))) assert.equal(status, 200);
  const page = await openPage(t, server, { mayLoseServer: true });
  await until('the reason', async () =>
    /The server does not tell this page what happens: there are too many event streams;/.test(await page.locator('#notice').innerText()));
  assert.equal(await page.locator('body.lost').count(), 0);
  others.abort();
  await until('the notice to go', () => page.locator('#notice').isHidden());
  await put(server, '/after', '');
  await row(page, 'after').waitFor();
});
