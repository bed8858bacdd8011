// The servers of an ensemble: what each is, and what people do to them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
import { api, checkAccess, closeBrowser, openPage, put, row, startKazoo, startServer, until } from './support.mjs';

after(closeBrowser);

/** Starts an ensemble of three. Returns its servers, each as the other tests know one. */
async function startThree(t) {
  const first = await startServer(t, { options: ['--servers', '3'] });
  const rows = await api(first, 'GET', 'v1/servers');
  return rows.map(({ address }) => ({ address, port: Number(address.split(':').at(-1)), url: `http://${address}/` }));
}

const server = (page, number) => page.getByRole('listitem', { name: `Server ${number}` });
const press = (page, number, name) => server(page, number).getByRole('button', { name, exact: true }).click();
const says = (page, number, pattern) => until(`server ${number}: ${pattern}`, async () => pattern.test((await server(page, number).innerText()).replaceAll('\n', ' ')));
const told = (page, pattern) => until(`told: ${pattern}`, async () => pattern.test(await page.locator('#said').innerText()));
const notice = (page, pattern) => until(`notice: ${pattern}`, async () => pattern.test(await page.locator('#notice').innerText()));
const states = async (at) => (await api(at, 'GET', 'v1/servers')).map(({ state, role }) => `${state} ${role}`);

test('a single server has no servers to show, and none are asked for', async (t) => {
  const single = await startServer(t);
  const page = await openPage(t, single, { hash: '#tab=servers' });
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await until('two looks', () => asked.filter((path) => path === '/v1/status').length >= 2);
  assert.ok(!asked.includes('/v1/servers'), String(asked));
  assert.equal(await page.locator('#ensemble, #servers-button, #tabs [data-tab=servers]').filter({ visible: true }).count(), 0);
  await until('the tab of the tree instead', () => page.evaluate(() => document.body.dataset.tab === 'tree'));
  await page.keyboard.press('s');
  await page.keyboard.press('?');
  assert.doesNotMatch(await page.locator('dialog').innerText(), /servers of an ensemble/);
});

test('each server says what it is, and which one this page asks', async (t) => {
  const three = await startThree(t);
  const { last_zxid: zxid } = await api(three[0], 'GET', 'v1/status');
  const page = await openPage(t, three[1], { mayAsk: [three[0].url] });
  await says(page, 1, new RegExp(`^1 ${three[0].address} follower running zxid ${zxid} no lag`));
  await says(page, 3, /leader running/);
  assert.equal(await page.locator('#servers-asked').innerText(), 'this page asks server 2');
  assert.equal(await server(page, 2).locator('[aria-current]').innerText(), three[1].address);
  assert.deepEqual(await page.locator('#server-list a[title^="the page of"]').evaluateAll((links) => links.map((link) => link.href)), [three[0].url, three[2].url]);
  await page.getByRole('button', { name: 'Servers' }).click();
  await until('the servers to go', async () => page.locator('#ensemble').isHidden());
  await page.reload();
  await until('that they are still gone', async () => (await page.locator('.peer').count()) === 3 && page.locator('#ensemble').isHidden());
  await page.keyboard.press('s');
  await until('the servers', async () => page.locator('#ensemble').isVisible());
  await server(page, 1).getByRole('link', { name: three[0].address }).click();
  await until('the page of server 1', async () => (await page.locator('#servers-asked').innerText()) === 'this page asks server 1');
});

test('the leader is stopped and started by the keyboard: another one leads, and a client moves on', async (t) => {
  const three = await startThree(t);
  const kazoo = await startKazoo(t, three[2], { timeout: 30 });
  const page = await openPage(t, three[0]);
  await says(page, 3, /leader running/);
  await page.keyboard.press('s');
  const focused = () => page.evaluate(() => document.activeElement.title);
  await until('the button', async () => {
    if (/^stop server 3:/.test(await focused())) return true;
    await page.keyboard.press('Tab');
    return false;
  });
  await page.keyboard.press('Enter');
  await told(page, /^Server 3 is stopped: its port refuses\. Server 2 leads now\./);
  await says(page, 3, /looking stopped/);
  await says(page, 2, /leader running/);
  assert.deepEqual(await states(three[0]), ['running follower', 'running leader', 'stopped looking']);
  // The focus has stayed in its place, where it now starts.
  assert.match(await focused(), /^start server 3/);
  assert.equal(await server(page, 3).getByRole('button', { name: 'Restart' }).isDisabled(), true);
  await page.keyboard.press('Enter');
  await told(page, /^Server 3 is started/);
  await says(page, 3, /follower running/);
  await until('the client to be back', async () => (await api(three[0], 'GET', 'v1/history?limit=1000'))
    .some((entry) => entry.what === 'resumed' && entry.session === kazoo.session));
});

test('servers are cut off, frozen, restarted and elected, and what others do is seen', async (t) => {
  const three = await startThree(t);
  const page = await openPage(t, three[0]);
  await says(page, 2, /follower running/);
  await press(page, 2, 'Partition');
  await told(page, /^Server 2 is cut off/);
  await says(page, 2, /looking partitioned/);
  await press(page, 2, 'Heal');
  await says(page, 2, /follower running/);
  await press(page, 2, 'Freeze');
  await told(page, /^Server 2 is frozen/);
  await says(page, 2, /frozen/);
  assert.deepEqual(await states(three[0]), ['running follower', 'frozen follower', 'running leader']);
  await press(page, 2, 'Thaw');
  await says(page, 2, /follower running/);
  await press(page, 1, 'Lead');
  await told(page, /^Server 1 was elected: all connections were closed\.$|^Server 1 was elected: all connections were closed\.\s+Close$/);
  await says(page, 1, /leader running/);
  assert.equal(await server(page, 1).getByRole('button', { name: 'Lag…' }).isDisabled(), true);
  await press(page, 2, 'Restart');
  await told(page, /^Server 2 was stopped and started/);
  await api(three[2], 'POST', 'v1/servers/3/lead');
  await says(page, 3, /leader running/);
  await says(page, 1, /follower running/);
});

test('a server that lags shows its own tree, until it does not lag any more', async (t) => {
  const three = await startThree(t);
  await put(three[2], '/before', '');
  const page = await openPage(t, three[0]);
  await row(page, 'before').waitFor();
  await press(page, 1, 'Lag…');
  const dialog = page.locator('dialog');
  await dialog.getByLabel('Behind by').fill('7');
  await dialog.getByText('As JSON').click();
  assert.equal(await dialog.locator('output').innerText(), '{"transactions":7}');
  await dialog.getByLabel('Behind by').press('Enter');
  await told(page, /^Server 1 lags by 7 transactions\./);
  await put(three[2], '/later', '');
  await says(page, 1, /lags by 7 transactions · 1 behind/);
  await notice(page, /Server 1, which this page asks, is 1 transaction behind/);
  assert.equal(await row(page, 'later').count(), 0);
  const leading = await openPage(t, three[2]);
  await row(leading, 'later').waitFor();

  await press(page, 1, 'Lag…');
  await dialog.getByLabel('Of what').selectOption('nothing');
  await dialog.getByRole('button', { name: 'Set it' }).click();
  await told(page, /^Server 1 does not lag\./);
  await row(page, 'later').waitFor();
  await until('the notice to go', async () => page.locator('#notice').isHidden());
  await says(page, 1, /no lag(?! ·)/);
  await press(page, 1, 'Lag…');
  await dialog.getByLabel('Of what').selectOption('milliseconds');
  await dialog.getByRole('button', { name: 'Set it' }).click();
  await says(page, 1, /lags by 1 s/);
  assert.deepEqual((await api(three[1], 'GET', 'v1/servers'))[0].lag, { ms: 1000 });
});

test('the quorum is lost and regained, and what does not bring it back is said', async (t) => {
  const three = await startThree(t);
  const page = await openPage(t, three[0]);
  await page.getByRole('button', { name: 'Lose quorum' }).click();
  await told(page, /^The quorum is lost/);
  await notice(page, /There is no quorum: clients that ask for read-only service are served/);
  for (const number of [1, 2, 3]) await says(page, number, /looking read-only/);
  assert.equal(await server(page, 2).getByRole('button', { name: 'Lead' }).isDisabled(), true);
  await page.getByRole('button', { name: 'Regain quorum' }).click();
  await told(page, /^There is a quorum again\. Server 3 leads\./);
  await until('the notice to go', async () => page.locator('#notice').isHidden());
  await press(page, 2, 'Stop');
  await press(page, 3, 'Partition');
  await told(page, /^Server 3 is cut off.* The quorum is lost\./);
  await page.getByRole('button', { name: 'Regain quorum' }).click();
  await told(page, /^More than half of the servers must take part/);
  await press(page, 2, 'Start');
  await told(page, /^Server 2 is started.* Server 2 leads now\./);
});

test('the server that this page asks is stopped only when sure, and the page says where to go', async (t) => {
  const three = await startThree(t);
  const page = await openPage(t, three[0], { mayLoseServer: true });
  await says(page, 1, /running/);
  await press(page, 1, 'Stop');
  assert.deepEqual(await states(three[1]), ['running follower', 'running follower', 'running leader']);
  await server(page, 1).getByRole('button', { name: 'Sure?' }).click();
  await notice(page, /Server 1, which this page asks, is stopped\. Or look at server 2, server 3\./);
  assert.deepEqual(await page.locator('#notice a').evaluateAll((links) => links.map((link) => link.href)), [three[1].url, three[2].url]);
  await api(three[1], 'POST', 'v1/servers/1/start');
  await until('the notice to go', async () => page.locator('#notice').isHidden());
});

test('the page of a frozen server says that clients hear nothing of it, and where to go', async (t) => {
  const three = await startThree(t);
  const page = await openPage(t, three[0]);
  await press(page, 1, 'Freeze');
  const frozen = /Server 1, which this page asks, is frozen: clients hear nothing of it\. Or look at server 2, server 3\./;
  await notice(page, frozen);
  await page.getByRole('button', { name: 'Lose quorum' }).click();
  await told(page, /^The quorum is lost/);
  await notice(page, frozen);
  await press(page, 1, 'Thaw');
  await notice(page, /There is no quorum/);
});

test('what cannot be done is told, with the reason', async (t) => {
  const three = await startThree(t);
  const page = await openPage(t, three[0], { mayLoseServer: true });
  await press(page, 2, 'Stop');
  await says(page, 2, /stopped/);
  const other = createServer().listen(three[1].port, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  await press(page, 2, 'Start');
  await until('the reason', async () => (await page.locator('#said.wrong').innerText()).includes(three[1].address));
  await says(page, 2, /stopped/);

  await press(page, 1, 'Lag…');
  await api(three[0], 'POST', 'v1/servers/1/lead');
  await page.locator('dialog').getByRole('button', { name: 'Set it' }).click();
  await page.locator('dialog [role=alert]').getByText('server 1 leads, and a leader does not lag').waitFor();
});

test('a server without a vote cannot be told to lead', async (t) => {
  const first = await startServer(t, { options: ['--servers', '3', '--observers', '1'] });
  const page = await openPage(t, first);
  await says(page, 4, /observer running/);
  const lead = (number) => server(page, number).getByRole('button', { name: 'Lead' });
  assert.equal(await lead(4).isDisabled(), true);
  assert.match(await lead(4).getAttribute('title'), /^server 4 is an observer, which does not lead/);
  assert.equal(await lead(2).isDisabled(), false);
  // As after a reconfig that removes it.
  await page.route('**/v1/servers', async (route) => {
    const response = await route.fetch();
    const rows = (await response.json()).map((each) => (each.server === 2 ? { ...each, member: false } : each));
    await route.fulfill({ response, json: rows });
  });
  await until('server 2 to be no member', () => lead(2).isDisabled());
  assert.match(await lead(2).getAttribute('title'), /^server 2 is no member of the ensemble, and does not lead/);
});

test('nothing is done to servers in the past', async (t) => {
  const three = await startThree(t);
  await put(three[0], '/a', '');
  const page = await openPage(t, three[0], { hash: `#at=${(await api(three[0], 'GET', 'v1/status')).last_zxid}` });
  await page.locator('body.past').waitFor();
  await says(page, 3, /leader/);
  assert.equal(await page.locator('#ensemble button:not(:disabled)').count(), 0);
});

for (const dark of [false, true]) {
  for (const [look, options] of [['phone', { phone: true }], ['desktop', {}], ['small window', { size: { width: 880, height: 640 } }]]) {
    test(`axe-core finds nothing serious in the servers: ${dark ? 'dark' : 'light'}, ${look}`, async (t) => {
      const three = await startThree(t);
      await api(three[0], 'POST', 'v1/servers/1/lag', { transactions: 100 });
      for (let index = 0; index < 3; index += 1) await put(three[2], `/n${index}`, '');
      await api(three[0], 'POST', 'v1/servers/2/freeze');
      const page = await openPage(t, three[0], { dark, hash: '#tab=servers', ...options });
      await says(page, 1, /3 behind/);
      const fits = () => page.locator('#ensemble').evaluate((box) => box.scrollWidth <= box.clientWidth
        && [...box.querySelectorAll('button, .peer > div')].every((part) => part.getBoundingClientRect().right <= innerWidth));
      await checkAccess(page, 'lagging and frozen');
      assert.ok(await fits(), 'all is in sight');
      await press(page, 1, 'Lag…');
      await page.locator('dialog[open]').waitFor();
      await checkAccess(page, 'the dialog');
      await page.keyboard.press('Escape');
      await api(three[0], 'POST', 'v1/servers/3/partition');
      await api(three[0], 'POST', 'v1/servers/2/stop');
      await says(page, 1, /read-only/);
      await says(page, 3, /partitioned/);
      await checkAccess(page, 'without a quorum');
      assert.ok(await fits(), 'all is in sight');
    });
  }
}
