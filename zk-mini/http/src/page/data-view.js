// Data of a node: as text, as JSON, or as bytes in hex with ASCII beside them.

import { button, h } from './dom.js';
import { size } from './format.js';

/** Number of bytes that are shown; the rest is for the download. */
const SHOWN = 64 << 10;
/** Number of bytes that are shown in hex. */
const SHOWN_HEX = 16 << 10;

let chosen = null;

/** Bytes of the data that the server sent; `null` for null. */
export function bytesOf({ data, encoding }) {
  if (data === null || data === undefined) return null;
  if (encoding !== 'base64') return new TextEncoder().encode(data);
  return Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
}

/** Builds the view of a node's data. `again` is called when another form is chosen. */
export function dataView(node, name, again) {
  const bytes = bytesOf(node);
  if (bytes === null) return h('p', { class: 'none' }, 'No data: it is null.');
  if (bytes.length === 0) return h('p', { class: 'none' }, 'No data: it is empty.');
  const forms = formsOf(node, bytes);
  const form = forms.has(chosen) ? chosen : [...forms.keys()][0];
  const limit = form === 'Hex' ? SHOWN_HEX : SHOWN;
  const choices = [...forms.keys()].map((other) => button(other, () => {
    chosen = other;
    again();
  }, { class: 'choice', 'aria-pressed': other === form ? 'true' : 'false' }));
  return h('div', { class: 'data' },
    h('div', { class: 'bar' },
      h('div', { class: 'choices', role: 'group', 'aria-label': 'Form of the data' }, choices),
      h('span', { class: 'dim' }, size(bytes.length)),
      node.encoding === 'base64' && h('span', { class: 'dim' }, 'not UTF-8'),
      h('span', { class: 'grow' }),
      navigator.clipboard && node.encoding !== 'base64'
        && button('Copy', (event) => copy(node.data, event.currentTarget), { class: 'quiet' }),
      button('Download', () => download(bytes, name), { class: 'quiet' })),
    h('pre', { tabindex: '0', 'aria-label': `Data, as ${form}` }, forms.get(form)(limit)),
    bytes.length > limit && h('p', { class: 'dim' },
      `These are the first ${size(limit)} of ${size(bytes.length)}; the download has all of them.`));
}

/** Forms that suit the data, the best one first: each writes at most so many bytes. */
function formsOf(node, bytes) {
  const forms = new Map();
  const hex = (limit) => [hexDump(bytes.subarray(0, limit))];
  if (node.encoding === 'base64') return forms.set('Hex', hex);
  const pretty = bytes.length <= SHOWN ? prettyJson(node.data) : null;
  if (pretty !== null) forms.set('JSON', () => coloured(pretty));
  forms.set('Text', (limit) => [shownText(node.data.slice(0, limit))]);
  return forms.set('Hex', hex);
}

function prettyJson(text) {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

/** JSON with its keys and its values apart. */
function coloured(json) {
  return json.split(/("(?:[^"\\]|\\.)*"(?=:))/).map((part, index) =>
    index % 2 ? h('span', { class: 'key' }, shownText(part)) : shownText(part));
}

/** Text in which nothing is hidden, and nothing turns the direction of writing. */
function shownText(text) {
  return text.replace(/[^\P{C}\n\t]/gu, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}

function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const line = [...bytes.subarray(at, at + 16)];
    const hex = line.map((byte) => byte.toString(16).padStart(2, '0')).join(' ').padEnd(47);
    const ascii = line.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex}  ${ascii}`);
  }
  return lines.join('\n');
}

/** Copies a text, and says so on the button. */
export async function copy(text, element) {
  const label = element.textContent;
  try {
    await navigator.clipboard.writeText(text);
    element.textContent = 'Copied';
  } catch {
    element.textContent = 'Not allowed';
  }
  setTimeout(() => {
    element.textContent = label;
  }, 1500);
}

function download(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }));
  h('a', { href: url, download: name || 'root' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
