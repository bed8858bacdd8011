// Server-sent events, read with `fetch`: an `EventSource` could not send a token.

import { request } from './api.js';

/** Milliseconds without a byte, comments included, after which the connection is taken for dead. */
const SILENT = 60_000;

/**
 * Reads events until the stream ends or fails. `opened` is called when the server has answered, `received` with the events of
 * each piece that arrives: `[{ event, data }]`.
 */
export async function readEvents(path, signal, opened, received) {
  const response = await request(path, { signal, headers: { Accept: 'text/event-stream' } });
  opened();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await withLimit(reader.read());
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    const events = blocks.map(parse).filter((event) => event.data !== '');
    if (events.length) received(events);
  }
}

function parse(block) {
  const event = { event: 'message', data: '' };
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon < 1) continue;
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (line.startsWith('data:')) event.data += (event.data && '\n') + value;
    else if (line.startsWith('event:')) event.event = value;
  }
  return event;
}

function withLimit(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('nothing was heard for a minute')), SILENT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
