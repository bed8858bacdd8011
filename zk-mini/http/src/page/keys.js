// Keys, and the page that lists them.

import { openDialog } from './dialog.js';
import { $, h } from './dom.js';
import { newFault } from './faults-view.js';
import { changed, isReadOnly, state } from './state.js';
import { go } from './route.js';
import { toNow } from './timeline.js';

const KEYS = [
  ['/', 'filter the tree', () => focusIn('tree', 'filter')],
  ['g', 'go to a path, also one that is gone: who deleted it?', () => focusIn('node', 'path-field')],
  ['t', 'the tree: arrows move, Enter opens', () => focusIn('tree', 'tree')],
  ['l', 'the timeline: arrows choose a moment, with Shift two', () => focusIn('timeline', 'strip')],
  ['s', 'the servers of an ensemble: Tab moves, Enter acts', () => state.ensemble.length > 0 && focusServers()],
  ['e', 'let the owner of the node expire (asks)', () => !isReadOnly() && $('expire-owner')?.click()],
  ['f', 'new fault', newFault],
  ['.', 'pause and go on', () => pause()],
  ['?', 'these keys', help],
];

export function startKeys() {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (event.key === 'Escape') {
      if (state.at) toNow();
      else if (state.from) go({ from: null });
      return;
    }
    if (event.target.matches('input, textarea, select')) return;
    const found = KEYS.find(([key]) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });
  $('help').addEventListener('click', help);
  $('pause').addEventListener('click', pause);
}

function focusIn(tab, id) {
  go({ tab });
  // At once: what is typed next belongs there.
  document.body.dataset.tab = tab;
  $(id).focus();
  $(id).select?.();
}

function focusServers() {
  go({ tab: 'servers', servers: 'shown' });
  document.body.dataset.tab = 'servers';
  document.body.classList.remove('without-servers');
  $('server-list').focus();
}

function pause() {
  state.paused = !state.paused;
  changed('paused', 'lost');
}

function help() {
  openDialog({
    title: 'Keys',
    body: [
      h('table', { class: 'keys' }, h('tbody', {}, [...KEYS, ['Esc', 'back to now', null]].filter(([key]) => key !== 's' || state.ensemble.length > 0).map(([key, text]) =>
        h('tr', {}, h('th', { scope: 'row' }, h('kbd', {}, key)), h('td', {}, text))))),
      h('p', { class: 'dim' }, '◌ is an ephemeral node: it goes when its session ends. ◉ counts the watches on a node. '
        + 'A ring empties until its session expires; each sign of life refills it. The server looks at every tick only, '
        + 'so a session may live up to a tick longer than its timeout.'),
    ],
  });
}
