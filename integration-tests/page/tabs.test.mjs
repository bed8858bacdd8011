// Several pages of one server: a browser has six connections for all of them.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { closeBrowser, openPage, put, row, startServer } from './support.mjs';

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
