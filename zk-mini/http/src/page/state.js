// What the page knows, and who wants to hear of changes. However much changes, a listener runs once a frame at most.

export const state = {
  /** Figures of the server; `null` before its first answer. */
  status: null,
  /** Time at which the server was lost; `null` while it answers. */
  lostSince: null,
  /** Why the server, which answers, does not tell what happens; `null` if it does. */
  refusal: null,
  /** True while the user has stopped the stream. */
  paused: false,
  sessions: [],
  faults: [],
  /** Servers of an ensemble; none if this is a single one. */
  ensemble: [],
  clock: { mode: 'real' },
  /** Difference of the server's wall clock from the browser's. */
  clockAhead: 0,
  /** `performance.now()` of the last answer about sessions. */
  heardAt: 0,
  // What the user looks at; it stands in the address, too.
  path: '/',
  /** Zxid of a moment in the past; `null` is now. */
  at: null,
  /** Zxid of another moment that it is compared with. */
  from: null,
  session: null,
  tab: 'tree',
  /** `hidden` if a wide page does not show the servers. */
  servers: 'shown',
};

const listeners = new Map();
const dirty = new Set();
let isPlanned = false;

/** Calls `listener` in the frame after any of the topics has changed. */
export function on(topics, listener) {
  for (const topic of topics.split(' ')) {
    if (!listeners.has(topic)) listeners.set(topic, new Set());
    listeners.get(topic).add(listener);
  }
}

/** Tells that topics have changed. */
export function changed(...topics) {
  for (const topic of topics) dirty.add(topic);
  if (isPlanned) return;
  isPlanned = true;
  requestAnimationFrame(flush);
}

function flush() {
  isPlanned = false;
  const due = new Set([...dirty].flatMap((topic) => [...(listeners.get(topic) ?? [])]));
  dirty.clear();
  for (const listener of due) listener();
}

/** Time of the server's wall clock, in milliseconds. */
export function serverNow() {
  if (state.clock.mode === 'manual' && state.clock.now) return state.clock.now;
  return (state.lostSince ?? Date.now()) + state.clockAhead;
}

/** Milliseconds until a session expires, unless it is heard of. */
export function timeLeft(session) {
  const passed = state.clock.mode === 'manual' || state.lostSince ? 0 : performance.now() - state.heardAt;
  return Math.max(0, session.expires_in_ms - passed);
}

/** True if nothing can be changed: the page shows the past, or the server is gone. */
export const isReadOnly = () => state.at !== null || state.lostSince !== null;
