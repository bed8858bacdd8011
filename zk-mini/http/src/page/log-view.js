// The timeline as a list: the same entries, one a row, the last one first.

import { $, h, setText, show } from './dom.js';
import { clockTime } from './format.js';
import { classOf, inWords, past } from './history-ring.js';
import { pathLink, sentence, sessionLink, zxidLink } from './route.js';
import { changed, on, state } from './state.js';
import { VirtualList } from './virtual-list.js';

let list;
let isOpen = false;
let shownFilter = '';

export function startLog() {
  list = new VirtualList($('log'), { keyOf: (entry) => entry.seq, build: buildRow, update: updateRow, role: 'list' });
  $('as-list').addEventListener('click', () => openList(!isOpen));
  $('log-filter').addEventListener('input', () => {
    shownFilter = $('log-filter').value.trim().toLowerCase();
    changed('history');
  });
  on('history at tab', render);
}

function openList(isWanted) {
  isOpen = isWanted;
  document.body.classList.toggle('with-log', isOpen);
  $('as-list').setAttribute('aria-pressed', String(isOpen));
  changed('history');
}

/** Opens the list with those entries alone that have a text in them. */
export function listOnly(text) {
  $('log-filter').value = text;
  shownFilter = text;
  openList(true);
}

function render() {
  if (!isOpen && state.tab !== 'timeline') return;
  const all = past.entries;
  const last = state.at ? past.indexOfZxid(state.at) + 1 : all.length;
  const rows = [];
  for (let index = last - 1; index >= 0 && rows.length < 5000; index -= 1) {
    if (!shownFilter || inWords(all[index]).toLowerCase().includes(shownFilter)) rows.push(all[index]);
  }
  list.set(rows);
}

function buildRow() {
  return h('div', { class: 'entry', role: 'listitem' }, h('i', { 'aria-hidden': 'true' }), h('time'), h('span', { class: 'zxid' }), h('span', { class: 'text' }));
}

function updateRow(element, entry) {
  const [mark, time, zxid, text] = element.children;
  mark.className = `mark ${classOf(entry)}`;
  setText(time, clockTime(entry.ms));
  show(zxid, entry.zxid, () => zxidLink(entry.zxid));
  show(text, entry.seq, () => words(entry));
}

function words(entry) {
  const because = sentence(entry.because ?? entry.what);
  switch (entry.kind) {
    case 'transaction': return [pathLink(entry.path), ' ', because];
    case 'event': return [`${entry.what} of `, pathLink(entry.path), entry.because && [': ', because]];
    case 'server':
    case 'fault': return sentence(inWords(entry));
    default: return [entry.session && ['session ', sessionLink(entry.session)], ' ', because];
  }
}
