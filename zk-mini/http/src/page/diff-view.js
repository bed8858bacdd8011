// Two moments: what changed between them.

import { api } from './api.js';
import { bytesOf } from './data-view.js';
import { button, h, show } from './dom.js';
import { count, size, visible } from './format.js';
import { go, pathLink, zxidLink } from './route.js';
import { changed, state } from './state.js';

/** Number of characters of data that are shown. */
const SHOWN = 400;
const SAYING = ['created', 'changed', 'replaced', 'deleted'];

let known = null;
let asked = '';

/** Shows in `box` what changed between the two chosen moments. */
export function diffView(box) {
  const [from, to] = [state.from, state.at].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  const key = `${from} ${to}`;
  if (asked !== key) {
    asked = key;
    known = null;
    api.diff(from, to).then((answer) => answer, (error) => ({ error })).then((answer) => {
      if (asked !== key) return;
      known = answer;
      changed('node');
    });
  }
  show(box, ['diff', key, known], () => [
    h('h1', { class: 'plain' }, 'What changed'),
    h('p', { class: 'say' }, 'From ', zxidLink(from), ' to ', zxidLink(to), known?.changes && `: ${summary(known.changes)}.`),
    h('div', { class: 'actions' }, button('Close', () => go({ from: null }))),
    known?.error && h('p', { class: 'bad' }, known.error.message),
    known?.changes && h('ol', { class: 'diff' }, known.changes.map(changeRow)),
    known?.more > 0 && h('p', { class: 'dim' }, `and ${count(known.more, 'node')} more`),
  ]);
}

function summary(changes) {
  const parts = SAYING.map((what) => {
    const number = changes.filter((change) => change.what === what).length;
    return number ? `${count(number, 'node')} ${what}` : null;
  });
  return parts.filter(Boolean).join(', ') || 'nothing';
}

function changeRow({ path, what, before, after }) {
  return h('li', { class: what },
    h('span', { class: 'what' }, what), ' ', pathLink(path),
    h('div', { class: 'sides' },
      before && h('div', { class: 'before' }, h('span', { class: 'dim' }, after ? 'before ' : 'its data: '), inShort(before)),
      after && h('div', { class: 'after' }, h('span', { class: 'dim' }, before ? 'after ' : 'its data: '), inShort(after))));
}

function inShort(side) {
  if (side.encoding === 'omitted') return h('span', { class: 'dim' }, 'too large to show here');
  const bytes = bytesOf(side);
  if (bytes === null) return h('span', { class: 'dim' }, 'null');
  if (side.encoding === 'base64') return h('span', { class: 'dim' }, `${size(bytes.length)}, not UTF-8`);
  if (!side.data) return h('span', { class: 'dim' }, 'empty');
  const text = visible(side.data.slice(0, SHOWN));
  return h('code', {}, side.data.length > SHOWN ? `${text}…` : text);
}
