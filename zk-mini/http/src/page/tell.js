// Short messages at the foot of the page; screen readers read them out.

import { $, button, h } from './dom.js';

let timer;

/** Says what has happened. */
export function tell(text) {
  put(text, 'said', 5000);
}

/** Says what went wrong. It stays longer. */
export function complain(error) {
  put(error.message || String(error), 'said wrong', 12_000);
}

function put(text, kind, ms) {
  const box = $('said');
  clearTimeout(timer);
  box.className = kind;
  box.replaceChildren(h('span', {}, text), button('Close', () => hide(), { class: 'quiet' }));
  box.hidden = false;
  timer = setTimeout(hide, ms);
}

function hide() {
  $('said').hidden = true;
}

/** Does something, and says why if it fails. Returns whether it went well. */
export async function attempt(act) {
  try {
    await act();
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}
