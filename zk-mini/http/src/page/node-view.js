// The node in the middle: what it is in a sentence, its data, who did what to it, who watches it.

import { ApiError, api } from './api.js';
import { dataView } from './data-view.js';
import { diffView } from './diff-view.js';
import { askCreate, askSet } from './edit.js';
import { $, askingButton, button, h, setText, show } from './dom.js';
import { clockTime, count, countdown, parentOf, size, span, time, visible } from './format.js';
import { past } from './history-ring.js';
import { go, pathLink, sentence, sessionLink, zxidLink } from './route.js';
import { expireSession, sessionOf } from './session-view.js';
import { changed, isReadOnly, on, state, timeLeft } from './state.js';
import { attempt, tell } from './tell.js';
import { isEmptyServer, welcome } from './welcome.js';

/** Number of watches up to which all are looked through. */
const MANY_WATCHES = 2000;
/** Milliseconds between two looks at a node that keeps changing. */
const EVERY = 300;

/** What is known of the chosen node: `{ path, at, node, history, watches, error }`. */
let known = null;
let knownText = '';
/** Counts what was new. */
let revision = 0;
/** Counts how often the form of the data was changed by hand. */
let formChanges = 0;
let isLoading = false;
let isDue = false;

export function startNode() {
  on('path at lost', look);
  on('watches', look);
  on('node path at from lost status sessions history', render);
  on('tick', renderCountdown);
  $('path-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const path = $('path-field').value.trim();
    if (path) go({ path: path.startsWith('/') ? path : `/${path}`, from: null, tab: 'node' });
    $('path-field').value = '';
  });
  $('path-field').addEventListener('keydown', (event) => event.key === 'Enter' && $('path-form').requestSubmit());
  $('path-field').addEventListener('focus', () => {
    $('gone-paths').replaceChildren(...past.deletedPaths(30).map((path) => h('option', { value: path }, 'deleted')));
  });
}

/** Looks again, if a change may be about the chosen node. */
export function nodeChanged(entry) {
  if (entry.path === state.path || parentOf(entry.path) === state.path) look();
}

/** Asks the server for all there is to say about the chosen node; one question at a time. */
export async function look() {
  if (isLoading) {
    isDue = true;
    return;
  }
  isLoading = true;
  isDue = false;
  const { path, at } = state;
  const [node, explained, watches] = await Promise.allSettled([
    api.node(path, at), api.explain(path), at ? [] : watchesOf(path),
  ]);
  const isUnheard = node.status === 'rejected' && !(node.reason instanceof ApiError);
  // A server that is gone says nothing: what is known stays in sight.
  const next = isUnheard && known?.path === path && known.at === at ? known : {
    path, at,
    node: node.value ?? null,
    error: isUnheard ? 'The server does not answer.' : node.reason?.message ?? null,
    history: explained.value?.history ?? [],
    isCut: explained.value?.is_cut,
    watches: watches.value ?? [],
  };
  // Data may be long: they are compared here, once.
  const text = JSON.stringify(next);
  if (text !== knownText) revision += 1;
  [known, knownText] = [next, text];
  changed('node');
  setTimeout(() => {
    isLoading = false;
    if (isDue || known.path !== state.path || known.at !== state.at) look();
  }, known.path === state.path ? EVERY : 0);
}

function render() {
  document.title = `${state.path === '/' ? 'zk-mini' : visible(state.path)} · ${location.host}`;
  const box = $('node');
  if (state.from !== null && state.at !== null) {
    diffView(box);
    return;
  }
  if (isEmptyServer()) {
    const [gone] = past.deletedPaths(1);
    show(box, ['welcome', gone], () => welcome(gone));
    return;
  }
  if (known?.path !== state.path || known.at !== state.at) return;
  const { node, history } = known;
  const owner = node ? sessionOf(node.stat.ephemeralOwner) : null;
  const key = [revision, isReadOnly(), owner?.connected, owner?.client, owner?.frozen, formChanges];
  show(box, key, () => (node ? presentNode(known, owner) : absentNode(known, history)));
  renderCountdown();
}

function presentNode({ path, at, node, history, watches, isCut }, owner) {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return [
    heading(path),
    h('p', { class: 'say' }, nature(node, owner, at)),
    h('p', { class: 'dim line' }, facts(node)),
    !isReadOnly() && actions(path, node, owner),
    dataView(node, name, () => {
      formChanges += 1;
      changed('node');
    }),
    doings(path, history, isCut),
    !at && watchers(path, watches),
    statTable(node),
  ];
}

/** The path, each part of it a link. */
function heading(path) {
  const parts = path === '/' ? [] : path.slice(1).split('/');
  const links = parts.map((part, index) => {
    const to = `/${parts.slice(0, index + 1).join('/')}`;
    return [h('span', { class: 'slash' }, '/'), index === parts.length - 1 ? h('bdi', {}, visible(part)) : pathLink(to, part)];
  });
  return h('h1', {}, path === '/' ? '/' : links);
}

/** What kind of node it is, and what ends it. */
function nature({ kind, ttl_ms: ttl, stat }, owner, at) {
  if (kind === 'container') return [h('b', {}, 'Container'), ': the server deletes it when its last child is gone.'];
  if (kind === 'ttl') return [h('b', {}, 'Time to live'), `: the server deletes it ${span(ttl)} after its last change, if it has no children.`];
  if (kind === 'persistent') return [h('b', {}, 'Persistent'), ': it stays until somebody deletes it.'];
  const word = h('b', { class: 'ephemeral' }, 'Ephemeral');
  const session = ['session ', sessionLink(stat.ephemeralOwner)];
  if (at) return [word, ': it goes when ', session, ' ends.'];
  if (!owner) return [word, ': its ', session, ' has ended; a fault holds the node.'];
  const client = owner.client ? [' of ', h('b', {}, owner.client)] : '';
  const left = h('b', { class: 'left-of', 'data-session': owner.id });
  const cut = owner.connected ? '' : h('span', { class: 'bad' }, ' That has no connection now.');
  return [word, ': it goes when ', session, client, ' ends, in ', left, ' unless that is heard of.', cut];
}

function renderCountdown() {
  for (const element of $('node').querySelectorAll('.left-of')) {
    const owner = sessionOf(element.dataset.session);
    if (owner) setText(element, countdown(timeLeft(owner)));
  }
}

function facts({ stat }) {
  const parts = [
    stat.ctime ? `created at ${time(millis(stat.ctime))}` : 'always there',
    stat.version ? `changed ${count(stat.version, 'time')}, last at ${time(millis(stat.mtime))}` : 'never changed',
    stat.numChildren ? count(stat.numChildren, 'child', 'children') : null,
  ];
  return parts.filter(Boolean).join(' · ');
}

const clientOf = (id) => {
  const client = sessionOf(id)?.client;
  return client && ` ${client}`;
};

const millis = (value) => (typeof value === 'number' ? value : Date.parse(value));

function actions(path, node, owner) {
  const below = node.stat.numChildren;
  const isSystem = path === '/' || path === '/zookeeper' || path.startsWith('/zookeeper/');
  const remove = () => attempt(async () => {
    await api.remove(path, below > 0);
    tell(`${path} was deleted.`);
  });
  return h('div', { class: 'actions' },
    button('Set data', () => askSet(path, node)),
    !owner && button('New child', () => askCreate(path)),
    owner && askingButton('Expire its session', () => `Sure? ${count(owner.ephemerals?.length ?? 1, 'node')} will go`,
      () => expireSession(owner.id, path), { id: 'expire-owner' }),
    !isSystem && askingButton('Delete', below ? 'Sure? All below it goes, too' : 'Sure?', remove, { class: 'danger' }));
}

/** Who created, changed and deleted it, and the faults that hit it. */
function doings(path, history, isCut) {
  const faults = past.about(path, 'fault', 20);
  const isLater = (entry) => state.at !== null && BigInt(entry.zxid) > BigInt(state.at);
  const all = [...history.map((change) => ({ ...change, ms: millis(change.time) })), ...faults].sort((a, b) => a.ms - b.ms);
  const shown = all.slice(-200);
  return h('section', { class: 'doings', 'aria-label': 'Who did what' },
    h('h2', {}, 'Who did what'),
    all.length === 0 && h('p', { class: 'none' },
      isCut ? 'That is no longer kept.' : 'Nothing is known: nobody has touched it since the history began.'),
    all.length > 0 && (isCut || shown.length < all.length) && h('p', { class: 'dim' }, 'Earlier changes are no longer kept.'),
    shown.length > 0 && h('ol', {}, shown.map((entry) => h('li', { class: entry.kind === 'fault' ? 'fault' : entry.what },
      isLater(entry) && h('span', { class: 'dim' }, 'later, at '),
      h('time', { title: new Date(entry.ms).toISOString() }, clockTime(entry.ms)), ' ',
      entry.kind === 'fault' ? [h('b', {}, 'fault'), ` ${visible(entry.because ?? '')}: ${visible(entry.what)}`] : sentence(entry.because ?? entry.what),
      ', ', zxidLink(entry.zxid)))));
}

const KINDS = {
  data: ['data', 'one event'], children: ['children', 'one event'],
  persistent: ['data and children', 'until removed'], recursive: ['everything below, too', 'until removed'],
};

/** Watches that are told of a node: on its path, on the children of the node above, and on all that is below one above. */
async function watchesOf(path) {
  if ((state.status?.watches ?? 0) > MANY_WATCHES) return api.watches({ path, limit: MANY_WATCHES });
  const all = await api.watches({ limit: MANY_WATCHES });
  const isAbove = (above) => above === '/' || path.startsWith(`${above}/`);
  const isTold = (watch) => watch.path === path || (watch.kind === 'recursive' ? isAbove(watch.path) : watch.kind !== 'data' && watch.path === parentOf(path));
  return all.filter(isTold);
}

function watchers(path, watches) {
  if (!watches.length) return null;
  const shown = watches.slice(0, 100);
  return h('section', { 'aria-label': 'Watched by' },
    h('h2', {}, 'Watched by'),
    h('table', {}, h('tbody', {}, shown.map((watch) => {
      const [what, until] = KINDS[watch.kind] ?? [watch.kind, ''];
      return h('tr', {},
        h('th', { scope: 'row' }, what, watch.path !== path && [' of ', pathLink(watch.path)]),
        h('td', {}, watch.session ? ['session ', sessionLink(watch.session)] : `connection ${watch.connection}`,
          clientOf(watch.session), until && `, ${until}`));
    }))),
    watches.length > shown.length && h('p', { class: 'dim' }, `and ${(watches.length - shown.length).toLocaleString('en')} more`));
}

function statTable({ kind, stat }) {
  const value = (name, it) => {
    if (/zxid$/.test(name)) return zxidLink(it);
    if (/time$/.test(name)) return [h('code', {}, String(it)), it ? ` ${time(millis(it))}` : ' before all time'];
    if (name === 'ephemeralOwner' && kind === 'ephemeral') return sessionLink(it);
    return h('code', {}, String(it));
  };
  return h('details', { class: 'stat' },
    h('summary', {}, 'Stat, with ZooKeeper’s names'),
    h('table', {}, h('tbody', {}, Object.entries(stat).map(([name, it]) =>
      h('tr', {}, h('th', { scope: 'row' }, h('code', {}, name)), h('td', {}, value(name, it)))))));
}

function absentNode({ path, at, error }, history) {
  const last = history.at(-1);
  const saying = error ?? (at
    ? `It did not exist after transaction ${at}.`
    : last?.what === 'deleted' ? 'It is gone.' : 'There is no such node, and none is remembered.');
  return [
    heading(path),
    h('p', { class: 'say' }, h('b', {}, saying), !at && last?.what === 'deleted' && [' It was ', sentence(last.because), `, at ${time(millis(last.time))}.`]),
    !isReadOnly() && !error && h('div', { class: 'actions' }, button('Create it', () => askCreate(parentOf(path), path.slice(path.lastIndexOf('/') + 1)))),
    !error && history.length > 0 && doings(path, history),
  ];
}
