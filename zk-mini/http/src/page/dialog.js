// Dialogs: the browser's own element, so focus, Escape and screen readers behave.

import { button, h } from './dom.js';

/**
 * Opens a dialog with a title and fields. `accept()` is called for its main button; what it throws is shown, and the dialog
 * stays. Resolves when the dialog has closed.
 */
export function openDialog({ title, body, label, accept, wide }) {
  const wrong = h('p', { class: 'bad', role: 'alert' });
  const dialog = h('dialog', { 'aria-label': title, class: wide ? 'wide' : null });
  const close = () => dialog.close();
  const form = h('form', { onsubmit: async (event) => {
    event.preventDefault();
    try {
      await accept();
      close();
    } catch (error) {
      wrong.textContent = error.message;
    }
  } },
  h('h2', {}, title), body, wrong,
  h('div', { class: 'actions end' },
    button(label ? 'Cancel' : 'Close', close), label && h('button', { type: 'submit', class: 'main' }, label)));
  dialog.append(form);
  document.body.append(dialog);
  const closed = new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve();
    });
  });
  dialog.showModal();
  dialog.querySelector('[autofocus]')?.focus();
  return closed;
}

let nextId = 0;
/** Field with its label. */
export function field(label, input, hint) {
  nextId += 1;
  input.id ||= `field-${nextId}`;
  return h('div', { class: 'field' }, h('label', { for: input.id }, label), input, hint && h('small', { class: 'dim' }, hint));
}

/** Asks for the token that the server wants. */
export async function askToken(wasWrong) {
  const input = h('input', { type: 'password', autocomplete: 'off', autofocus: true, spellcheck: 'false' });
  let token = null;
  while (!token) {
    await openDialog({
      title: 'This server wants a token',
      body: [h('p', { class: wasWrong ? 'bad' : null }, wasWrong ? 'That was not the token.' : 'It stands in the file that the server was started with (--http-token-file).'),
        field('Token', input, 'It is kept in this tab until you close it.')],
      label: 'Go on',
      accept: async () => {
        token = input.value.trim();
        if (!token) throw new Error('The token is empty.');
      },
    });
  }
  return token;
}
