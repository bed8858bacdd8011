// The clock: real, or moved by hand.

import { api } from './api.js';
import { $, button, h, show } from './dom.js';
import { clockTime, countdown, span } from './format.js';
import { hurry, takeClock } from './live.js';
import { changed, isReadOnly, on, state } from './state.js';
import { attempt, tell } from './tell.js';

/** ZooKeeper's default of `tickTime`, for a server that does not tell its own. */
const TICK = 2000;

export function startClock() {
  on('clock sessions lost at', render);
}

function render() {
  const { clock } = state;
  const isManual = clock.mode === 'manual';
  document.body.classList.toggle('manual', isManual);
  const isOff = isReadOnly();
  show($('clock-button'), [isManual, isOff], () => button(isManual ? 'Clock: by hand' : 'Clock: real',
    () => change({ mode: isManual ? 'real' : 'manual' }, isManual ? 'The clock runs again, on from the time that it showed.' : 'The clock stands still.'),
    { disabled: isOff, 'aria-pressed': String(isManual), title: isManual ? 'let the clock run' : 'stop the clock, and move it by hand' }));
  const next = nextExpiry();
  $('clock-bar').hidden = !isManual;
  show($('clock-bar'), [isManual, clock.now, clock.tick_ms, next, isOff], () => isManual && [
    h('strong', {}, 'The clock stands still'), clock.now && [' at ', h('code', {}, clockTime(clock.now))],
    h('span', { class: 'grow' }),
    step(`+1 tick (${span(clock.tick_ms ?? TICK)})`, clock.tick_ms ?? TICK),
    step('+1 s', 1000), step('+10 s', 10_000),
    button(next === null ? 'To the next expiry' : `To the next expiry (${countdown(next)})`, () => advance(next), { disabled: isOff || next === null }),
    button('Let it run', () => change({ mode: 'real' }, 'The clock runs again.'), { disabled: isOff }),
  ]);
}

const step = (label, ms) => button(label, () => advance(ms), { disabled: isReadOnly() });

/** Milliseconds until the first session expires; `null` if there is none. */
function nextExpiry() {
  const times = state.sessions.map((session) => session.expires_in_ms);
  return times.length ? Math.max(1, Math.min(...times)) : null;
}

/** Moves the clock. */
export function advance(ms) {
  return change({ advance_ms: ms }, `The clock went on by ${span(ms)}.`);
}

function change(request, text) {
  return attempt(async () => {
    takeClock({ ...state.clock, ...(await api.setClock(request)) });
    tell(text);
    hurry();
    changed('history');
  });
}
