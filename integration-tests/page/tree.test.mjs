// The tree: what it shows after it was loaded again, and while several answers are under way.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { api, closeBrowser, fitsSideways, openPage, put, row, startServer, until } from './support.mjs';

after(closeBrowser);

/** Page in which `startModel()` gives a tree of the page's own kind; the root has one child in each answer of the server. */
async function openModel(t) {
  const page = await openPage(t, await startServer(t));
  await page.evaluate(async () => {
    const { TreeModel } = await import('/page/tree-model.js');
    const answer = (name, depth, children) => ({
      name, kind: 'persistent', stat: { numChildren: children.length }, watches: 0, children: depth > 0 ? children : [],
    });
    window.startModel = () => new TreeModel(async (path, depth) => answer('', depth, [answer('child', depth - 1, [])]), () => true, () => {});
  });
  return page;
}

test('a filter keeps its matches when the tree is loaded again', async (t) => {
  const server = await startServer(t);
  await put(server, '/deep/inner/needle-1', '');
  const page = await openPage(t, server);
  await page.locator('#filter').fill('needle');
  await row(page, 'needle-1').waitFor();
  // After such a thing the page loads the tree again.
  await api(server, 'POST', 'v1/freeze');
  await api(server, 'POST', 'v1/thaw');
  await put(server, '/deep/inner/needle-2', '');
  await row(page, 'needle-2').waitFor();
  await until('the count', async () => (await page.locator('#tree-count').innerText()) === '2 matches');
  await row(page, 'needle-1').waitFor();
});

test('a tree is loaded as deep as was asked, also behind a request that is under way', async (t) => {
  const page = await openModel(t);
  const names = await page.evaluate(async () => {
    const model = window.startModel();
    await Promise.all([model.load('/', 0), model.load('/', 1)]);
    return model.root.children && [...model.root.children.keys()];
  });
  assert.deepEqual(names, ['child']);
});

test('a node that was deleted and is back stays', async (t) => {
  const page = await openModel(t);
  const names = await page.evaluate(async () => {
    const model = window.startModel();
    await model.load('/');
    model.apply({ path: '/child', what: 'deleted' });
    await model.load('/');
    const { now } = performance;
    performance.now = () => now.call(performance) + 60_000;
    model.sweep();
    return [...model.root.children.keys()];
  });
  assert.deepEqual(names, ['child']);
});

test('a filter says when the tree is too large to search whole', async (t) => {
  const server = await startServer(t);
  const deep = Array.from({ length: 61 }, (_, level) => `/level-${level + 1}`).join('');
  await put(server, `${deep}/needle`, '');
  await put(server, '/needle', '');
  // The browser complains of the answer that is too large, as of every error.
  const page = await openPage(t, server, { mayLoseServer: true });
  const { width } = await page.locator('#filter').boundingBox();
  await page.locator('#filter').fill('needle');
  const says = (count) => until(count, async () => (await page.locator('#tree-count').innerText()) === count);
  await says('1 match in what is open: the tree is too large to search whole');
  assert.ok(await fitsSideways(page));
  assert.equal((await page.locator('#filter').boundingBox()).width, width);
  await page.locator('#filter').fill('no such node');
  await says('0 matches in what is open: the tree is too large to search whole');
  await page.locator('#filter').fill('');
  await says('');
});

for (const size of [{ width: 1300, height: 860 }, { width: 390, height: 844 }]) {
  test(`a row of any level can be read: ${size.width} wide`, async (t) => {
    const server = await startServer(t);
    const path = Array.from({ length: 100 }, (_, level) => `/level-${level + 1}`).join('');
    await put(server, path, '');
    const page = await openPage(t, server, { size, hash: `#path=${path}` });
    const tree = await page.locator('#tree').boundingBox();
    await row(page, 'level-100').waitFor();
    for (const name of ['level-100', 'level-80']) {
      const text = row(page, name).locator('.name');
      await until(`all of ${name}`, () => text.evaluate((element) => element.scrollWidth <= element.clientWidth && element.clientWidth > 50));
      const box = await text.boundingBox();
      assert.ok(box.x >= tree.x && box.x + box.width <= tree.x + tree.width && box.y >= tree.y && box.y + box.height <= tree.y + tree.height, name);
    }
    assert.equal(await row(page, 'level-100').getAttribute('aria-selected'), 'true');
    assert.ok(await fitsSideways(page));
  });
}
