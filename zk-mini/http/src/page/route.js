// The address of the page says what it shows, so links, the back button and bookmarks work: `#path=/a&at=0x1f`.

import { h } from './dom.js';
import { shortId, visible } from './format.js';
import { changed, state } from './state.js';

const FIELDS = ['path', 'at', 'from', 'session', 'tab', 'servers'];
const DEFAULTS = { path: '/', at: null, from: null, session: null, tab: 'tree', servers: 'shown' };

/** Shows something else; what is not named stays. `replace` leaves no entry behind for the back button. */
export function go(change, { replace = false } = {}) {
  const address = addressOf(change);
  if (address === addressOf({})) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  follow();
}

function addressOf(change) {
  const next = { ...state, ...change };
  const given = FIELDS.filter((field) => next[field] !== DEFAULTS[field]);
  return `#${given.map((field) => `${field}=${encodeURIComponent(next[field]).replaceAll('%2F', '/')}`).join('&')}`;
}

/** Takes over what the address says. */
export function follow() {
  const given = new URLSearchParams(location.hash.slice(1).replaceAll('+', '%2B'));
  const hex = (value) => (/^0x[0-9a-f]{1,16}$/i.test(value ?? '') ? value.toLowerCase() : null);
  const next = { path: given.get('path') ?? '/', at: hex(given.get('at')), from: hex(given.get('from')) };
  if (!next.path.startsWith('/')) next.path = `/${next.path}`;
  next.session = hex(given.get('session'));
  next.tab = given.get('tab') ?? 'tree';
  next.servers = given.get('servers') === 'hidden' ? 'hidden' : 'shown';
  for (const field of FIELDS) {
    if (state[field] === next[field]) continue;
    state[field] = next[field];
    changed(field);
  }
}

function link(change, properties, ...text) {
  const act = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(change);
  };
  return h('a', { href: addressOf(change), onclick: act, ...properties }, ...text);
}

/** Link to a node. */
export function pathLink(path, text = path) {
  return link({ path, from: null, tab: 'node' }, { class: 'code path' }, h('bdi', {}, visible(text)));
}

/** Link to a session. */
export function sessionLink(id) {
  return link({ session: id, tab: 'sessions' }, { class: 'code', title: id }, shortId(id));
}

/** Link to a moment. */
export function zxidLink(zxid, text = shortId(zxid)) {
  return link({ at: zxid, tab: 'timeline' }, { class: 'code', title: `the tree as it was after ${zxid}` }, text);
}

/** Sentence of the server, with links where it names a session. */
export function sentence(text) {
  return text.split(/(session 0x[0-9a-f]+)/).map((part, index) =>
    index % 2 ? ['session ', sessionLink(part.slice(8))] : visible(part));
}
