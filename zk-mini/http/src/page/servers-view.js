// Servers of a simulated ensemble: a row each, with what can be done to it. A single server has no such view.

import { api } from './api.js';
import { openDialog } from './dialog.js';
import { $, askingButton, button, h, setText, show } from './dom.js';
import { count, span } from './format.js';
import { hurry } from './live.js';
import { go, zxidLink } from './route.js';
import { changed, isReadOnly, on, state } from './state.js';
import { attempt, tell } from './tell.js';

/** What is said when something was done. */
const DONE = {
  stop: (it) => `${it} is stopped: its port refuses.`,
  start: (it) => `${it} is started, with everything that has happened meanwhile.`,
  restart: (it) => `${it} was stopped and started.`,
  partition: (it) => `${it} is cut off from the others: its connections were closed, and new ones get no answer.`,
  heal: (it) => `${it} is connected to the others again.`,
  freeze: (it) => `${it} is frozen: its clients hear nothing of it.`,
  thaw: (it) => `${it} goes on.`,
  lead: (it) => `${it} was elected: all connections were closed.`,
};

export function startServers() {
  on('servers status lost at tab', render);
  $('servers-button').addEventListener('click', () => go({ servers: state.servers === 'hidden' ? 'shown' : 'hidden' }, { replace: true }));
}

const isEnsemble = () => state.ensemble.length > 0;

/** Server that this page asks; `null` if that is a single one. */
export const askedServer = () => state.ensemble.find(({ server }) => server === state.status?.server) ?? null;

/** True if the server that this page asks may not have what has happened: its tree is not changed by news. */
export function isBehind() {
  const asked = askedServer();
  return asked !== null && (!asked.lag.none || asked.behind > 0 || isApart(asked));
}

const isApart = (row) => row?.state === 'partitioned' || row?.state === 'stopped';

/** What is not as usual with the server that this page asks, in a sentence; `null` if nothing. */
export function noticeOfServers() {
  const asked = askedServer();
  const isLost = isEnsemble() && !leader();
  if (isLost && !isApart(asked) && asked?.state !== 'frozen') {
    return [h('strong', {}, 'There is no quorum'), ': clients that ask for read-only service are served, and all others are refused.'];
  }
  if (!asked) return null;
  const name = h('strong', {}, `Server ${asked.server}, which this page asks`);
  if (asked.state === 'stopped') return [name, ', is stopped. ', elsewhere(asked)];
  if (asked.state === 'partitioned') return [name, ', is cut off from the others. What stands here may be old. ', elsewhere(asked)];
  if (asked.state === 'frozen') return [name, ', is frozen: clients hear nothing of it. ', elsewhere(asked)];
  if (asked.behind > 0) return [name, `, is ${count(asked.behind, 'transaction')} behind. The tree is the one that it has.`];
  return null;
}

/** Links to the pages of the other servers that can be asked. */
export function elsewhere(but) {
  const others = state.ensemble.filter((row) => row !== but && row.address && row.state !== 'stopped' && row.server !== state.status?.server);
  return others.length > 0 && ['Or look at ', others.map((row, index) => [index > 0 && ', ', h('a', { href: pageOf(row) }, `server ${row.server}`)]), '.'];
}

/** Address of a server's page. One that listens everywhere is where this page came from. */
function pageOf({ address }) {
  const end = address.lastIndexOf(':');
  const host = ['0.0.0.0', '[::]'].includes(address.slice(0, end)) ? location.hostname : address.slice(0, end);
  return `${location.protocol}//${host}:${address.slice(end + 1)}/`;
}

const leader = () => state.ensemble.find(({ role }) => role === 'leader');

function render() {
  const asked = askedServer();
  document.body.classList.toggle('ensemble', isEnsemble());
  document.body.classList.toggle('without-servers', state.servers === 'hidden');
  $('servers-button').setAttribute('aria-expanded', String(state.servers !== 'hidden'));
  if (!isEnsemble() && state.tab === 'servers' && state.status) go({ tab: 'tree' }, { replace: true });
  const isLost = !leader();
  setText($('servers-asked'), asked ? `this page asks server ${asked.server}` : '');
  keepingFocus($('quorum'), [isLost, isReadOnly()], () => button(isLost ? 'Regain quorum' : 'Lose quorum', () => setQuorum(!isLost), {
    disabled: isReadOnly(),
    title: isLost ? 'let the servers that take part elect a leader' : 'close all connections, and serve only read-only clients',
  }));
  const list = $('server-list');
  while (list.children.length > state.ensemble.length) list.lastChild.remove();
  state.ensemble.forEach((row, index) => renderRow(list.children[index] ?? list.appendChild(newRow()), row, row === asked));
}

const newRow = () => h('li', { class: 'peer' },
  h('div', { class: 'which' }), h('div', { class: 'role' }), h('div', { class: 'state' }), h('div', { class: 'seen' }), h('div', { class: 'lag' }),
  h('div', { class: 'actions', role: 'group' }));

function renderRow(element, row, isAsked) {
  const [which, role, word, seen, lag, actions] = element.children;
  element.classList.toggle('asked', isAsked);
  element.dataset.state = row.state;
  element.setAttribute('aria-label', `Server ${row.server}`);
  actions.setAttribute('aria-label', `What can be done to server ${row.server}`);
  show(which, [row.server, row.address, isAsked], () => [
    h('b', {}, String(row.server)), ' ',
    row.address && (isAsked ? h('code', { 'aria-current': 'true' }, row.address) : h('a', { class: 'code', href: pageOf(row), title: `the page of server ${row.server}` }, row.address)),
  ]);
  show(role, row.role, () => (row.role === 'leader' ? h('b', {}, 'leader') : row.role));
  show(word, row.state, () => row.state);
  show(seen, row.last_zxid, () => [h('span', { class: 'dim' }, 'zxid '), zxidLink(row.last_zxid, row.last_zxid)]);
  show(lag, [row.lag, row.behind], () => [
    h('span', { class: row.lag.none ? 'dim' : '' }, lagInWords(row.lag)), row.behind > 0 && h('span', { class: 'behind' }, ` · ${row.behind.toLocaleString('en')} behind`),
  ]);
  keepingFocus(actions, [row.server, row.state, row.role, row.member, row.lag, isAsked, isReadOnly(), state.status?.frozen], () => actionsOf(row, isAsked));
}

function lagInWords(lag) {
  if (lag.none) return 'no lag';
  return `lags by ${lag.ms === undefined ? count(lag.transactions, 'transaction') : span(lag.ms)}`;
}

/** Always the same buttons in the same places, so that none moves under the hand. */
function actionsOf(row, isAsked) {
  const it = `server ${row.server}`;
  const [isStopped, isCut, isFrozen] = ['stopped', 'partitioned', 'frozen'].map((word) => row.state === word);
  const one = (action, label, title, isOff = isStopped) =>
    button(label, () => act(row.server, action), { title, disabled: isOff || isReadOnly() });
  const stop = isAsked
    ? askingButton('Stop', 'Sure?', () => act(row.server, 'stop'), { title: `stop ${it}, which this page asks: its port refuses`, disabled: isReadOnly() })
    : one('stop', 'Stop', `stop ${it}: its port refuses`);
  return [
    isStopped ? one('start', 'Start', `start ${it} on its port`, false) : stop,
    one('restart', 'Restart', `stop ${it} and start it`),
    isCut ? one('heal', 'Heal', `connect ${it} to the others again`) : one('partition', 'Partition', `cut ${it} off from the others`),
    isFrozen
      ? one('thaw', 'Thaw', state.status?.frozen ? 'all servers are frozen: thaw them together' : `let ${it} go on`, state.status?.frozen)
      : one('freeze', 'Freeze', `let the clients of ${it} hear nothing`),
    button('Lag…', () => askLag(row), {
      title: row.role === 'leader' ? 'a leader does not lag: let another server lead first' : `let ${it} show the past`,
      disabled: isStopped || row.role === 'leader' || isReadOnly(),
    }),
    one('lead', 'Lead', cannotLead(row) ?? `elect ${it}, in a new epoch; all connections are closed`, cannotLead(row) !== null),
  ];
}

/** Reason for which a server cannot be elected; `null` if it can. */
function cannotLead({ server, role, member }) {
  if (role === 'looking') return `server ${server} takes no part, or there is no quorum`;
  if (role === 'observer') return `server ${server} is an observer, which does not lead: reconfig gives it a vote`;
  return member === false ? `server ${server} is no member of the ensemble, and does not lead: reconfig gives it a vote` : null;
}

/** Rebuilds buttons; the focus stays at the one that has taken the place of another. */
function keepingFocus(element, key, build) {
  const index = [...element.children].indexOf(document.activeElement);
  show(element, key, build);
  if (index >= 0) (element.children[index].disabled ? element.querySelector('button:not(:disabled)') : element.children[index])?.focus();
}

function act(server, action) {
  return attempt(async () => {
    await api.server(server, action);
    await took(DONE[action](`Server ${server}`));
  });
}

/** Says what was done, and what came of it. */
async function took(text) {
  const before = leader();
  await lookAtServers();
  const after = leader();
  const next = after && after.server !== before?.server && !text.startsWith(`Server ${after.server} was elected`) && ` Server ${after.server} leads now.`;
  tell(text + (next || (before && !after ? ' The quorum is lost.' : '')));
  hurry();
}

async function lookAtServers() {
  state.ensemble = await api.servers();
  changed('servers');
}

function setQuorum(isLost) {
  return attempt(async () => {
    await api.quorum(isLost);
    await lookAtServers();
    tell(isLost ? 'The quorum is lost: all connections were closed, and only read-only clients are served.'
      : leader() ? `There is a quorum again. Server ${leader().server} leads.`
        : 'More than half of the servers must take part: start those that are stopped, heal those that are cut off.');
    hurry();
  });
}

/** Asks how far a server is to be behind. */
function askLag({ server, lag }) {
  const kinds = ['transactions', 'ms', 'none'];
  const kind = h('select', { 'aria-label': 'Of what' }, kinds.map((value) => h('option', { value }, { ms: 'milliseconds', none: 'nothing' }[value] ?? value)));
  const amount = h('input', { type: 'number', class: 'number', min: 0, max: 86_400_000, required: true, autofocus: true, 'aria-label': 'Behind by' });
  kind.value = lag.ms === undefined ? 'transactions' : 'ms';
  amount.value = lag[kind.value] ?? 5;
  const json = h('output', { class: 'dim rule' });
  const body = () => (kind.value === 'none' ? { none: true } : { [kind.value]: Number(amount.value) });
  const update = () => {
    amount.hidden = amount.disabled = kind.value === 'none';
    json.textContent = JSON.stringify(body());
  };
  kind.addEventListener('input', () => {
    amount.value = kind.value === 'ms' ? 1000 : 5;
  });
  const fields = h('div', { class: 'sentence', oninput: update },
    h('p', {}, `Server ${server} is behind the leader by `, amount, ' ', kind, '.'),
    h('p', { class: 'dim plain' }, 'Its clients read what it has. Their own writes they see, and a sync waits until it has caught up.'),
    h('details', {}, h('summary', {}, `As JSON, for POST /v1/servers/${server}/lag`), json));
  update();
  return openDialog({
    title: `Lag of server ${server}`, body: fields, label: 'Set it',
    accept: async () => {
      const row = await api.server(server, 'lag', body());
      await took(row.lag.none ? `Server ${server} does not lag.` : `Server ${server} ${lagInWords(row.lag)}.`);
    },
  });
}
