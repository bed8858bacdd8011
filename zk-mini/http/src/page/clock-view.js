// The clock: real, or moved by hand.

import { api } from './api.js';
import { $, button, h, show } from './dom.js';
import { clockTime, countdown, span } from './format.js';
import { hurry, takeClock } from './live.js';
import { changed, isReadOnly, on, state } from './state.js';
import { attempt, tell } from './tell.js';

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
  const next = clock.next_deadline_ms ?? null;
  $('clock-bar').hidden = !isManual;
  show($('clock-bar'), [isManual, clock.now, clock.tick_ms, next, isOff], () => isManual && [
    h('strong', {}, 'The clock stands still'), clock.now && [' at ', h('code', {}, clockTime(clock.now))],
    h('span', { class: 'grow' }),
    step(`+1 tick (${span(clock.tick_ms)})`, clock.tick_ms),
    step('+1 s', 1000), step('+10 s', 10_000),
    button(next === null ? 'To the next expiry' : `To the next expiry (${countdown(next)})`,
      () => change({ to_next_deadline: true }, 'The clock went on to the next time at which something happens.'), { disabled: isOff || next === null }),
    button('Let it run', () => change({ mode: 'real' }, 'The clock runs again.'), { disabled: isOff }),
  ]);
}

const step = (label, ms) => button(label, () => advance(ms), { disabled: isReadOnly() });

/** Moves the clock. */
function advance(ms) {
  return change({ advance_ms: ms }, `The clock went on by ${span(ms)}.`);
}

function change(request, text) {
  return attempt(async () => {
    takeClock(await api.setClock(request));
    tell(text);
    hurry();
    changed('history');
  });
}
