// The live side: follows the events of the server, asks for what has no events, and notices when the server is gone.

import { ApiError, api } from './api.js';
import { ASKED_KINDS, past } from './history-ring.js';
import { isBehind } from './servers-view.js';
import { changed, on, state } from './state.js';
import { readEvents } from './stream.js';

/** Milliseconds between two looks at sessions and figures. */
const EVERY = 1000;
/** Milliseconds between two attempts to reach a server that is gone. */
const RETRY = 700;
/** Number of earlier entries that are asked for: as many as the server gives at once. */
const EARLIER = 10000;
/** Why a stream is given up while nobody looks. */
const RESTING = new Error('nobody looks');

let handlers;
let stream = null;

/** Begins. `reloaded()` is called when everything may be different, `applied(entry)` for each change of a node. */
export function startLive(reloaded, applied) {
  handlers = { reloaded, applied };
  follow();
  poll();
  on('paused', rest);
  document.addEventListener('visibilitychange', rest);
}

const isResting = () => state.paused || document.hidden;

/** Gives up the stream while nobody looks: a browser has six connections for all pages of a server. */
function rest() {
  if (isResting()) stream?.abort(RESTING);
}

async function follow() {
  for (;;) {
    const end = isResting() ? RESTING : await followOnce().catch((error) => error);
    if (end !== RESTING) lose(end);
    await wait(end === RESTING ? 150 : RETRY);
  }
}

/** Follows the events until the server ends the stream. Rejects with the reason if it ends otherwise. */
async function followOnce() {
  const own = new AbortController();
  stream = own;
  try {
    await api.status();
    await readEvents(`/v1/events?kind=${ASKED_KINDS}`, own.signal, () => catchUp(own.signal).catch((error) => own.abort(error)), receive);
  } catch (error) {
    throw own.signal.reason ?? error;
  } finally {
    // One that was silent for too long is still open, and has a place at the server.
    own.abort();
  }
}

/** Loads what happened before the stream began. What comes meanwhile waits. */
async function catchUp(signal) {
  waiting = [];
  const entries = await api.history({ kind: ASKED_KINDS, limit: EARLIER });
  if (signal.aborted) return;
  past.clear();
  past.add(entries);
  handlers.reloaded();
  const later = waiting;
  waiting = null;
  take(later);
  Object.assign(state, { lostSince: null, refusal: null });
  changed('lost', 'history', 'tree');
}
let waiting = null;

function receive(events) {
  const entries = [];
  for (const { event, data } of events) {
    if (event === 'missed') {
      handlers.reloaded();
      continue;
    }
    entries.push(JSON.parse(data));
  }
  if (waiting) waiting.push(...entries);
  else take(entries);
}

function take(entries) {
  const last = past.lastSeq;
  past.add(entries);
  let hasSessions = false;
  for (const entry of entries) {
    if (entry.seq <= last) continue;
    if (entry.kind === 'transaction') handlers.applied(entry);
    else if (entry.kind === 'server' && !entry.session) handlers.reloaded();
    else if (entry.kind !== 'event' && entry.kind !== 'fault') hasSessions = true;
  }
  if (hasSessions) hurry();
  changed('history');
}

let hurried;
let timer;
/** Asks for sessions sooner than the next time: something has happened to one. */
export function hurry() {
  hurried ??= setTimeout(() => {
    hurried = undefined;
    clearTimeout(timer);
    poll();
  }, 120);
}

async function poll() {
  clearTimeout(timer);
  const begun = performance.now();
  try {
    if (!isResting() && !state.lostSince) await look();
  } catch {
    // The stream tells whether the server is gone.
  }
  timer = setTimeout(poll, Math.max(EVERY, 3 * (performance.now() - begun)));
}

/** True if the server that is asked was behind at the last look. */
let wasBehind = false;

async function look() {
  const [status, sessions, clock] = await Promise.all([api.status(), api.sessions(), api.clock()]);
  const ensemble = status.servers > 1 ? await api.servers() : [];
  const { watches, last_zxid: before } = state.status ?? {};
  Object.assign(state, { status, sessions, ensemble });
  state.heardAt = performance.now();
  takeClock(clock);
  changed('status', 'sessions', 'clock', 'servers');
  // A server that is behind has things later than the news of them.
  if (isBehind() !== wasBehind || (wasBehind && before !== status.last_zxid)) handlers.reloaded();
  wasBehind = isBehind();
  if (watches !== status.watches) changed('watches');
  await lookAtFaults();
}

/** Takes over what the server says of its clock. */
export function takeClock(clock) {
  state.clock = { ...clock, now: clock.now_ms };
  state.clockAhead = clock.now_ms - Date.now();
  changed('clock');
}

/** Asks for the faults. */
export async function lookAtFaults() {
  state.faults = await api.faults();
  changed('faults');
}

/** Notes why the stream has ended: the server refuses it, or is gone. */
function lose(end) {
  // Not what a proxy says of a server that is gone.
  const refusal = end instanceof ApiError && end.code !== 'HTTP' ? end.message : null;
  const lostSince = refusal === null ? state.lostSince ?? Date.now() : null;
  if (refusal === state.refusal && lostSince === state.lostSince) return;
  Object.assign(state, { lostSince, refusal });
  changed('lost');
  if (refusal !== null) handlers.reloaded();
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
