// Dialogs that create a node, and set the data of one.

import { api } from './api.js';
import { field, openDialog } from './dialog.js';
import { h } from './dom.js';
import { childOf, shortId, visible } from './format.js';
import { go } from './route.js';
import { state } from './state.js';
import { tell } from './tell.js';

const area = (value) => {
  const input = h('textarea', { rows: 8, spellcheck: 'false', class: 'code' });
  input.value = value;
  return input;
};

/** Asks for new data of a node. */
export function askSet(path, node) {
  const isText = node.encoding !== 'base64';
  const before = isText ? node.data ?? '' : '';
  const input = area(before);
  input.setAttribute('autofocus', '');
  // A text area knows no line ends but LF.
  const shown = input.value;
  const withCrlf = (text) => text.replaceAll('\n', '\r\n');
  const isCrlf = before !== shown && before === withCrlf(shown);
  const hint = isText
    ? before !== shown && !isCrlf && 'The line ends of the present data are CR, or not all alike; if you change it, all become LF.'
    : 'The present data is not UTF-8; it will be replaced.';
  return openDialog({
    title: `Set the data of ${visible(path)}`,
    body: field('Data', input, hint),
    label: 'Set',
    wide: true,
    accept: async () => {
      await api.put(path, input.value === shown ? before : isCrlf ? withCrlf(input.value) : input.value);
      tell(`The data of ${path} was set.`);
    },
  });
}

/** Asks for a new node below another. */
export function askCreate(parent, name = '') {
  const path = h('input', { class: 'code', spellcheck: 'false', autocomplete: 'off', autofocus: true, required: true });
  path.value = childOf(parent, name);
  const data = area('');
  data.rows = 4;
  const owner = h('select', {}, h('option', { value: '' }, 'stays until it is deleted'),
    state.sessions.map((session) => h('option', { value: session.id },
      `ephemeral: goes with session ${shortId(session.id)}${session.client ? ` of ${session.client}` : ''}`)));
  const sequential = h('input', { type: 'checkbox' });
  return openDialog({
    title: 'New node',
    body: [
      field('Path', path, 'Nodes above it that do not exist are made.'),
      field('Data', data),
      field('How long', owner),
      h('label', { class: 'check' }, sequential, ' sequential: a number of ten digits is put behind its name'),
    ],
    label: 'Create',
    accept: async () => {
      const wanted = path.value.trim();
      if (!wanted.startsWith('/')) throw new Error('A path begins with a slash.');
      const created = await api.put(wanted, data.value, { ephemeral_owner: owner.value || null, sequential: sequential.checked });
      tell(`${created.path} was created.`);
      go({ path: created.path, from: null, tab: 'node' });
    },
  });
}
