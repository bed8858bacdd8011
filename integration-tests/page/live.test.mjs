// What people do with the page: look, act, go back in time.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { api, closeBrowser, openPage, put, row, startKazoo, startServer, until } from './support.mjs';

after(closeBrowser);

const nodeText = (page) => page.locator('#node').innerText();

test('an empty server says what to do, and shows what a client creates', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, server);
  await until('three commands', async () => (await page.locator('#node .command').count()) === 3);
  assert.match(await nodeText(page), new RegExp(`KazooClient\\('${server.address}'\\)`));
  const kazoo = await startKazoo(t, server);
  await kazoo.call('create', '/hello', 'world', true);
  await row(page, 'hello').click();
  await until('the sentence', async () => /Ephemeral: it goes when session .* ends, in \d+\.\d s unless that is heard of/.test(await nodeText(page)));
  assert.match(await nodeText(page), /world/);
  await until('the card of the session', async () => (await page.locator('.card').count()) === 1);
  assert.match(await page.locator('.card').innerText(), /left, timeout 10 s[^]*\/hello/);
});

test('a session expires by a click: kazoo reports LOST, the node goes, and explain names the reason', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server);
  await kazoo.call('create', '/leader', 'me', true);
  const page = await openPage(t, server, { hash: '#path=/leader' });
  await page.getByRole('button', { name: 'Expire its session' }).click();
  await page.locator('#expire-owner.asking').click();
  assert.equal(await kazoo.call('wait_lost'), true);
  await until('the reason', async () => {
    const text = await nodeText(page);
    return text.includes('It is gone.') && /deleted by the end of session \S+: expired by the test, last heard/.test(text);
  });
  await until('the row to fade', async () => (await row(page, 'leader').count()) === 0);
  await page.locator('#node .say a.code').click();
  await until('all that the session did', async () => {
    const did = await page.locator('#log .entry').allInnerTexts();
    return did.length >= 3 && /opened/.test(did.at(-1)) && (await page.locator('#log-filter').inputValue()) === kazoo.session;
  });
  await until('the row to go', async () => (await page.locator('#tree .row').filter({ hasText: 'leader' }).count()) === 0);
});

test('somebody who was not there asks who deleted a node', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server);
  await kazoo.call('create', '/jobs/nightly', '', false);
  await kazoo.call('delete', '/jobs/nightly');
  const page = await openPage(t, server);
  await row(page, 'jobs').waitFor();
  await page.keyboard.press('g');
  await page.keyboard.type('/jobs/nightly');
  await page.keyboard.press('Enter');
  await until('the answer', async () => /It was deleted by request \d+ \(delete\) of session/.test(await nodeText(page)));
  await page.locator('#node .doings a.code').first().click();
  await until('its session is marked', async () => (await page.locator('.card.chosen').count()) === 1);
});

test('the timeline shows the past, and what changed between two moments', async (t) => {
  const server = await startServer(t);
  const { stat } = await put(server, '/config', 'old');
  await put(server, '/config', 'new');
  await put(server, '/later', '1');
  const page = await openPage(t, server, { hash: '#path=/config' });
  await until('the present', async () => /new/.test(await page.locator('#node pre').innerText()));
  await row(page, 'later').waitFor();
  await page.locator('#strip').focus();
  await until('the moment after the creation', async () => {
    if (await page.evaluate((at) => location.hash.includes(`at=${at}&`) || location.hash.endsWith(`at=${at}`), stat.czxid)) return true;
    await page.keyboard.press('ArrowLeft');
    return false;
  });
  await until('the data of then', async () => /old/.test(await page.locator('#node pre').innerText()));
  await until('the tree of then', async () => (await row(page, 'later').count()) === 0);
  assert.match(await page.locator('#notice').innerText(), /The past after transaction 0x/);
  assert.equal(await page.locator('#node .actions').count(), 0, 'nothing can be changed in the past');
  assert.equal(await page.locator('#new-fault').isDisabled(), true);
  assert.match(await page.locator('#node .doings').innerText(), /created over HTTP[^]*later, at \S+\s+changed/);

  await page.keyboard.press('Shift+ArrowRight');
  await until('the difference', async () => /changed\s+\/config[^]*old[^]*new/.test(await nodeText(page)));
  await page.keyboard.press('Escape');
  await row(page, 'later').waitFor();
  await until('the present', async () => /new/.test(await page.locator('#node pre').innerText()));
});

test('reads do not push the timeline out, and are not sent to the page', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server);
  await kazoo.call('create', '/config', 'old');
  await kazoo.call('read', '/config', 6000);
  const countReads = () => {
    const { parse } = JSON;
    window.reads = 0;
    JSON.parse = (text) => {
      if (text.includes('"kind":"request"')) window.reads += 1;
      return parse(text);
    };
  };
  const page = await openPage(t, server, { script: countReads });
  await until('the creation', async () => /\/config created by/.test(await page.locator('#moment').innerText()));
  await page.locator('#as-list').click();
  await until('the creation in the list', async () => /\/config created by/.test(await page.locator('#log').innerText()));
  await kazoo.call('read', '/config', 100);
  await kazoo.call('set', '/config', 'new');
  await until('the change', async () => /\/config changed by/.test(await page.locator('#moment').innerText()));
  assert.equal(await page.evaluate(() => window.reads), 0);
});

test('the strip is dragged with the mouse', async (t) => {
  const server = await startServer(t);
  for (let index = 0; index < 5; index += 1) await put(server, `/n${index}`, '');
  const page = await openPage(t, server);
  await row(page, 'n4').waitFor();
  const box = await page.locator('#strip').boundingBox();
  await page.mouse.move(box.x + box.width - 6, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 3, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await until('a moment', () => page.evaluate(() => location.hash.includes('at=0x')));
  await page.getByRole('button', { name: 'Back to now (Esc)' }).click();
  await until('the present', () => page.evaluate(() => !location.hash.includes('at=')));
});

test('a fault that is made by choosing fires', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server);
  const page = await openPage(t, server);
  await page.keyboard.press('f');
  const dialog = page.locator('dialog');
  await dialog.getByLabel('Path, or a pattern of paths').fill('/orders/**');
  await dialog.getByLabel('Then').selectOption({ label: 'refuse it with' });
  await dialog.getByLabel('Error').selectOption('NOAUTH');
  await dialog.getByRole('button', { name: 'Set it' }).click();
  await until('the strip', async () => /create of \/orders\/\*\*, once: fail with NOAUTH\s*not yet/.test(await page.locator('#faults').innerText()));
  await assert.rejects(kazoo.call('create', '/orders/1'), /NoAuth/);
  await until('the count', async () => /fired 1×/.test(await page.locator('#faults').innerText()));
  await page.locator('#faults').getByRole('button', { name: /^Remove/ }).click();
  await until('the strip to go', async () => page.locator('#faults').isHidden());
  assert.deepEqual(await api(server, 'GET', 'v1/faults'), []);
});

test('a fault does it late, or answers late: each is offered by its name', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, server);
  for (const [label, then] of [['do it late, by', { delay_ms: 700 }], ['do it, then answer late, by', { delay_reply_ms: 700 }]]) {
    await page.locator('#new-fault').click();
    const dialog = page.locator('dialog');
    await dialog.getByLabel('Then').selectOption({ label });
    await dialog.getByLabel('Milliseconds').fill('700');
    await dialog.getByRole('button', { name: 'Set it' }).click();
    await until(label, async () => (await api(server, 'GET', 'v1/faults')).some((fault) => JSON.stringify(fault.then) === JSON.stringify(then)));
    await dialog.waitFor({ state: 'detached' });
  }
});

test('a fault that somebody else sets is shown before it fires', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, server);
  // The second look: the first one has found no fault.
  await page.waitForResponse(/\/v1\/clock$/);
  const rule = { when: { op: 'create', path: '/orders/**' }, then: { fail: 'NOAUTH' } };
  const { id } = await api(server, 'POST', 'v1/faults', rule);
  await until('the fault', async () => /create of \/orders\/\*\*: fail with NOAUTH\s*not yet/.test(await page.locator('#faults').innerText()));
  await api(server, 'DELETE', `v1/faults/${id}`);
  await until('the strip to go', async () => page.locator('#faults').isHidden());
});

test('a fault in the strip names all its conditions, and what it does', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, server);
  const rules = [
    { when: { connect: true, listener: server.address }, then: { refuse: true } },
    { when: { op: 'create', path: '/a\u202eb', connection: '0x7' }, then: { slow: { latency_ms: 40 } } },
    { when: { op: 'setData' }, then: { delay_reply_ms: 700 } },
  ];
  for (const rule of rules) await api(server, 'POST', 'v1/faults', rule);
  const said = [`connect at listener ${server.address}: refuse`, 'create of /a\\u{202e}b on connection 7: a link with 40ms latency',
    'setData: apply, then delay the reply by 700ms'];
  await until('all three', async () => (await page.locator('#faults li > span').count()) === 3);
  assert.deepEqual(await page.locator('#faults li > span').allInnerTexts(), said);
  assert.deepEqual(await page.locator('#faults li > button').evaluateAll((all) => all.map((each) => each.getAttribute('aria-label'))),
    said.map((text) => `Remove: ${text}`));
});

test('a clock that is moved by hand lets a session expire', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server);
  await kazoo.call('create', '/mine', '', true);
  const page = await openPage(t, server);
  await row(page, 'mine').waitFor();
  await page.getByRole('button', { name: 'Clock: real' }).click();
  await until('the bar', async () => /The clock stands still/.test(await page.locator('#clock-bar').innerText()));
  await page.getByRole('button', { name: '+1 tick (2 s)' }).click();
  await until('the clock to have moved', async () => /went on by 2 s/.test(await page.locator('#said').innerText()));
  await page.getByRole('button', { name: /^To the next/ }).click();
  assert.equal(await kazoo.call('wait_lost'), true);
  await until('the row to go', async () => (await page.locator('#tree .row').filter({ hasText: 'mine' }).count()) === 0);
  await page.locator('#clock-bar').getByRole('button', { name: 'Let it run' }).click();
  await until('the clock runs', async () => (await api(server, 'GET', 'v1/clock')).mode === 'real');
});

test('nodes are created, set and deleted', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, server);
  await page.getByRole('button', { name: 'Or create a node here' }).click();
  await page.locator('dialog').getByLabel('Path').fill('/a/b');
  await page.locator('dialog').getByLabel('Data').fill('{"x":[1,2]}');
  await page.locator('dialog').getByRole('button', { name: 'Create' }).click();
  await until('the node', async () => (await page.locator('#node pre').innerText()) === '{\n  "x": [\n    1,\n    2\n  ]\n}');
  await page.getByRole('button', { name: 'Hex' }).click();
  await until('hex', async () => /^000000 {2}7b 22 78 22 .* \{"x":\[1,2\]\}$/.test(await page.locator('#node pre').innerText()));
  await page.getByRole('button', { name: 'Set data' }).click();
  await page.locator('dialog').getByLabel('Data').fill('plain');
  await page.locator('dialog').getByRole('button', { name: 'Set', exact: true }).click();
  await until('the new data', async () => (await page.locator('#node').innerText()).includes('changed 1 time'));
  await row(page, 'a').click();
  await until('the node above', async () => (await page.locator('#node h1').textContent()) === '/a');
  await page.locator('#node').getByRole('button', { name: 'Delete' }).click();
  await page.locator('#node .danger.asking').click();
  await until('it is gone', async () => (await nodeText(page)).includes('It is gone.'));
  assert.equal((await fetch(`${server.url}v1/tree?path=/a`)).status, 404);
});

test('line ends stay as they are, or the dialog says what becomes of them', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, server);
  const hint = page.locator('dialog').getByText('all become LF');
  /** Sets the data of a new node by the dialog, after `change`. Returns what it is then. */
  const setBy = async (path, data, isSaid, change) => {
    await put(server, path, data);
    await row(page, path.slice(1)).click();
    await until(path, async () => (await page.locator('#node h1').textContent()) === path);
    await page.getByRole('button', { name: 'Set data' }).click();
    assert.equal(await hint.count(), isSaid ? 1 : 0, path);
    await change(page.locator('dialog').getByLabel('Data'));
    await page.locator('dialog').getByRole('button', { name: 'Set', exact: true }).click();
    await page.locator('dialog').waitFor({ state: 'detached' });
    return (await api(server, 'GET', `v1/tree?path=${path}`)).data;
  };
  const nothing = async () => {};
  const append = async (area) => area.fill(`${await area.inputValue()}c\n`);
  assert.equal(await setBy('/crlf', 'a\r\nb\r\n', false, nothing), 'a\r\nb\r\n');
  assert.equal(await setBy('/crlf-changed', 'a\r\nb\r\n', false, append), 'a\r\nb\r\nc\r\n');
  assert.equal(await setBy('/mixed', 'a\r\nb\n\rc', true, nothing), 'a\r\nb\n\rc');
  assert.equal(await setBy('/mixed-changed', 'a\r\nb\n', true, append), 'a\nb\nc\n');
  assert.equal(await setBy('/lf', 'a\nb\n', false, append), 'a\nb\nc\n');
});

test('a connection is cut, a session is frozen and thawed', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server, { timeout: 30 });
  const page = await openPage(t, server);
  const card = page.locator('.card');
  await card.getByRole('button', { name: 'Freeze' }).click();
  await until('the word', async () => /frozen/.test(await card.innerText()));
  await card.getByRole('button', { name: 'Thaw' }).click();
  await until('the word to go', async () => !/frozen/.test(await card.innerText()));
  await card.getByRole('button', { name: 'Cut' }).click();
  await until('the client to be back', async () => {
    const entries = await api(server, 'GET', 'v1/history?limit=1000');
    return entries.some((entry) => entry.what === 'resumed' && entry.session === kazoo.session);
  });
});

test('watches are shown with who set them', async (t) => {
  const server = await startServer(t);
  const kazoo = await startKazoo(t, server);
  await kazoo.call('create', '/watched', '');
  await kazoo.call('watch', '/watched');
  await kazoo.call('watch_children', '/watched');
  const page = await openPage(t, server, { hash: '#path=/watched' });
  await until('both watches', async () => /Watched by[^]*data[^]*session[^]*children[^]*session/.test(await nodeText(page)));
  await until('their count in the tree', async () => /◉ 2/.test(await row(page, 'watched').innerText()));
});

test('a server that is gone greys the page, which comes back by itself', async (t) => {
  const server = await startServer(t);
  await put(server, '/before', 'what it was');
  const { last_zxid: moment } = await api(server, 'GET', 'v1/status');
  const page = await openPage(t, server, { mayLoseServer: true, hash: '#path=/before' });
  const inPast = await openPage(t, server, { mayLoseServer: true, hash: `#path=/before&at=${moment}` });
  await row(page, 'before').waitFor();
  for (const each of [page, inPast]) await until('the data', async () => /what it was/.test(await nodeText(each)));
  await server.stop();
  await until('the notice', async () => /The server does not answer since \d\d:\d\d/.test(await page.locator('#notice').innerText()));
  assert.equal(await page.locator('body.lost').count(), 1);
  await row(page, 'before').waitFor();
  await until('the greyed node, which nobody can change', async () => (await page.locator('#node .actions').count()) === 0);
  assert.match(await nodeText(page), /what it was/);
  const again = await startServer(t, { port: server.port });
  await put(again, '/after', '');
  await row(page, 'after').waitFor();
  assert.equal(await page.locator('body.lost').count(), 0);
  await until('the old tree to go', async () => (await row(page, 'before').count()) === 0);
  await row(inPast, 'after').waitFor();
  assert.equal(await inPast.locator('body.past').count(), 0, 'a moment that the new server does not know is left');
});

test('a token is asked for once, and kept for the tab', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'page-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'token');
  await writeFile(file, 'correct-horse-battery-staple\n', { mode: 0o600 });
  const server = await startServer(t, { options: ['--http-token-file', file] });
  const page = await openPage(t, server, { mayLoseServer: true, isReady: 'dialog[open]' });
  const token = page.locator('dialog').getByLabel('Token');
  await token.fill('wrong');
  await page.keyboard.press('Enter');
  await page.locator('dialog').getByText('That was not the token.').waitFor();
  await token.fill('“correct-horse-battery-staple”');
  await page.keyboard.press('Enter');
  await until('a new dialog', async () => (await token.inputValue()) === '');
  await page.locator('dialog').getByText('That was not the token.').waitFor();
  await page.reload();
  await page.locator('dialog').getByText('That was not the token.').waitFor();
  await token.fill('correct-horse-battery-staple');
  await page.keyboard.press('Enter');
  await page.locator('#figures .figure').last().waitFor();
  await page.locator('.command').first().waitFor();
  assert.equal(await page.locator('dialog').count(), 0);
  await page.reload();
  await page.locator('.command').first().waitFor();
  assert.equal(await page.locator('dialog').count(), 0);
  assert.deepEqual(await page.evaluate(() => [localStorage.length, document.cookie]), [0, '']);
});
