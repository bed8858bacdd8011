// The strip at the foot: what happened when. Choosing a moment shows the tree as it was; two moments, what changed between.

import { $, button, h, setText, show } from './dom.js';
import { clockTime, shortId, span, visible } from './format.js';
import { classOf, inWords, past } from './history-ring.js';
import { go } from './route.js';
import { changed, on, serverNow, state } from './state.js';

const SPANS = [['1 min', 60_000], ['10 min', 600_000], ['1 h', 3_600_000], ['all', Infinity]];
/** Where the marks of each class stand: from, to (in shares of the height), and the colour. */
const MARKS = {
  write: [0.1, 0.9, '--accent'], event: [0.5, 0.9, '--ephemeral'], end: [0.1, 0.9, '--dead'], cut: [0.66, 0.9, '--dim'],
  open: [0.66, 0.9, '--dim'], fault: [0.1, 0.46, '--fault'], server: [0.0, 1.0, '--ink'],
};
/** Order of painting: what is rare comes last, on top. */
const ORDER = ['event', 'open', 'cut', 'write', 'server', 'fault', 'end'];

let canvas;
let chosenSpan = null;
/** End of the window, while a moment of the past is chosen; else it is now. */
let heldEnd = null;
let hover = null;
let drag = null;
let colours = {};
let marking = null;

export function startTimeline() {
  canvas = $('strip');
  show($('spans'), 'spans', () => SPANS.map(([label, ms]) => button(label, () => {
    chosenSpan = ms;
    heldEnd = null;
    changed('history');
  }, { class: 'choice', 'data-span': ms })));
  canvas.addEventListener('pointerdown', press);
  canvas.addEventListener('pointermove', point);
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  canvas.addEventListener('pointerleave', () => {
    hover = null;
    changed('history');
  });
  canvas.addEventListener('wheel', pan, { passive: false });
  canvas.addEventListener('keydown', keyDown);
  $('compare').addEventListener('click', compare);
  $('to-now').addEventListener('click', toNow);
  new ResizeObserver(() => changed('history')).observe(canvas);
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const [, , name] of Object.values(MARKS)) colours[name] = style.getPropertyValue(name).trim();
    colours['--select'] = style.getPropertyValue('--select').trim();
    changed('history');
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', readColours);
  readColours();
  on('history tick at from clock lost', draw);
}

/** Back to the present. */
export function toNow() {
  marking = null;
  heldEnd = null;
  go({ at: null, from: null });
  changed('history');
}

/** The part of time that is shown: `[begin, end]`. */
function shownTime() {
  const end = heldEnd ?? serverNow();
  const first = past.entries[0]?.ms ?? end - 60_000;
  const ms = chosenSpan ?? fittingSpan(end);
  return [ms === Infinity ? Math.min(first, end - 1000) - (end - first) * 0.02 : end - ms, end];
}

/** The shortest span in which something has happened. */
function fittingSpan(end) {
  const last = past.entries.at(-1)?.ms;
  if (last === undefined) return 60_000;
  return SPANS.find(([, ms]) => end - last < ms * 0.9)[1];
}

function draw() {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const [begin, end] = shownTime();
  const xOf = (ms) => ((ms - begin) / (end - begin)) * (width - 3);
  paintBetween(context, xOf, height);
  paintMarks(context, xOf, begin, end, width, height);
  paintCursor(context, state.at, xOf, height);
  paintCursor(context, state.from ?? marking, xOf, height);
  if (hover !== null && !drag) line(context, hover, height, colours['--dim'], 1);
  if (!heldEnd) line(context, width - 2, height, colours['--ink'], 2);
  say(begin, end);
}

function paintMarks(context, xOf, begin, end, width, height) {
  const columns = Object.fromEntries(ORDER.map((name) => [name, new Map()]));
  const { entries } = past;
  for (let index = past.indexAt(begin); index < entries.length && entries[index].ms <= end; index += 1) {
    const column = columns[classOf(entries[index])];
    const x = Math.round(xOf(entries[index].ms));
    column.set(x, (column.get(x) ?? 0) + 1);
  }
  for (const name of ORDER) {
    const [from, to, colour] = MARKS[name];
    context.fillStyle = colours[colour];
    // Where much happens, the marks tell how much by their strength.
    const most = Math.max(...columns[name].values());
    for (const [x, number] of columns[name]) {
      context.globalAlpha = 0.7 + 0.3 * (number / most);
      context.fillRect(Math.min(x, width - 5), from * height, 2.5, (to - from) * height);
    }
    context.globalAlpha = 1;
  }
}

const msOf = (zxid) => past.entries[past.indexOfZxid(zxid)]?.ms;

function paintBetween(context, xOf, height) {
  if (!state.at || !state.from) return;
  const [a, b] = [msOf(state.at), msOf(state.from)];
  if (a === undefined || b === undefined) return;
  context.fillStyle = colours['--select'];
  context.fillRect(xOf(Math.min(a, b)), 0, Math.abs(xOf(a) - xOf(b)), height);
}

function paintCursor(context, zxid, xOf, height) {
  const ms = zxid && msOf(zxid);
  if (!ms) return;
  const x = xOf(ms) + 1;
  line(context, x - 1, height, colours['--ink'], 2);
  context.beginPath();
  context.moveTo(x - 7, 0);
  context.lineTo(x + 7, 0);
  context.lineTo(x, 9);
  context.fill();
}

function line(context, x, height, colour, width) {
  context.fillStyle = colour;
  context.fillRect(x, 0, width, height);
}

/** Says in words what the strip shows. */
function say(begin, end) {
  for (const element of $('spans').children) {
    const shown = chosenSpan ?? fittingSpan(heldEnd ?? serverNow());
    element.setAttribute('aria-pressed', String(String(shown) === element.dataset.span));
  }
  const entry = hover !== null ? entryAtX(hover) : state.at ? past.entries[past.indexOfZxid(state.at)] : null;
  const words = visible(entry ? `${clockTime(entry.ms)} · ${shortId(entry.zxid)} · ${inWords(entry)}` : latest());
  setText($('moment'), words);
  const at = state.at ? past.indexOfZxid(state.at) : past.entries.length - 1;
  canvas.setAttribute('aria-valuemin', '0');
  canvas.setAttribute('aria-valuemax', String(Math.max(0, past.entries.length - 1)));
  canvas.setAttribute('aria-valuenow', String(Math.max(0, at)));
  canvas.setAttribute('aria-valuetext', state.at ? words : 'now');
  setText($('from-time'), clockTime(begin).slice(0, 8));
  setText($('to-time'), heldEnd ? clockTime(end).slice(0, 8) : state.clock.mode === 'manual' ? 'now (the clock stands still)' : 'now');
  $('compare').hidden = !state.at;
  $('compare').setAttribute('aria-pressed', String(marking !== null || state.from !== null));
  setText($('compare'), marking !== null ? 'Now choose the other moment' : state.from !== null ? 'Stop comparing' : 'Compare with…');
  $('to-now').hidden = !state.at;
}

function latest() {
  const last = past.entries.at(-1);
  if (!last) return 'Nothing has happened yet.';
  const ago = Math.max(0, serverNow() - last.ms);
  return `last: ${clockTime(last.ms)}${ago > 1500 ? `, ${span(Math.round(ago / 1000) * 1000)} ago` : ''} · ${inWords(last)}`;
}

/** Entry at a place: the nearest one within a few pixels, else the last one before it. */
function entryAtX(x) {
  const [begin, end] = shownTime();
  const width = canvas.clientWidth - 3;
  const ms = begin + (x / width) * (end - begin);
  const near = ((end - begin) / width) * 5;
  const at = past.indexAt(ms);
  const [before, after] = [past.entries[at - 1], past.entries[at]];
  if (after && after.ms - ms < near && (!before || after.ms - ms < ms - before.ms)) return after;
  return before ?? null;
}

const xOfEvent = (event) => Math.min(canvas.clientWidth, Math.max(0, event.clientX - canvas.getBoundingClientRect().left));

function press(event) {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  drag = { isMark: event.shiftKey || marking !== null };
  hold();
  choose(xOfEvent(event), true);
}

/** The window stands still while a moment is chosen. */
function hold() {
  heldEnd ??= serverNow();
}

function point(event) {
  hover = xOfEvent(event);
  if (drag) choose(hover, false);
  changed('history');
}

function release(event) {
  if (!drag) return;
  drag = null;
  if (event.pointerType !== 'mouse') hover = null;
  changed('history');
}

function choose(x, isFirst) {
  const entry = entryAtX(x);
  if (!entry) return;
  if (drag?.isMark && (state.at || marking)) {
    const from = state.from ?? state.at ?? marking;
    marking = null;
    go({ at: entry.zxid, from: from === entry.zxid ? null : from }, { replace: !isFirst });
  } else {
    go({ at: entry.zxid, from: null }, { replace: !isFirst || state.at !== null });
  }
}

function compare() {
  if (state.from) go({ from: null });
  else marking = marking === null ? state.at : null;
  changed('history');
}

function pan(event) {
  const delta = event.deltaX || (event.shiftKey ? event.deltaY : 0);
  if (!delta) return;
  event.preventDefault();
  const [begin, end] = shownTime();
  move((delta / canvas.clientWidth) * (end - begin));
}

function move(ms) {
  const end = (heldEnd ?? serverNow()) + ms;
  heldEnd = end >= serverNow() && !state.at ? null : Math.min(end, serverNow());
  changed('history');
}

function keyDown(event) {
  const { entries } = past;
  const at = state.at ? past.indexOfZxid(state.at) : entries.length - 1;
  const [begin, end] = shownTime();
  const step = (by) => {
    // Several entries may belong to one transaction.
    let next = at + by;
    while (entries[next] && state.at && entries[next].zxid === state.at) next += by;
    if (!entries[next]) return by > 0 ? toNow() : undefined;
    hold();
    const entry = entries[next];
    if (entry.ms < begin || entry.ms > end) heldEnd = Math.min(serverNow(), entry.ms + (end - begin) / 2);
    return go({ at: entry.zxid, from: event.shiftKey ? state.from ?? state.at : null }, { replace: state.at !== null });
  };
  const actions = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), Home: () => step(-at), End: toNow,
    PageUp: () => move((begin - end) / 2), PageDown: () => move((end - begin) / 2),
  };
  if (!actions[event.key] || !entries.length) return;
  event.preventDefault();
  actions[event.key]();
}

/** Legend, for the page. */
const LEGEND = [['write', 'write'], ['event', 'watch event'], ['end', 'session ended'], ['fault', 'fault'], ['open', 'opened, cut']];

export function startLegend() {
  show($('legend'), 'legend', () => LEGEND.map(([name, text]) => h('span', {}, h('i', { class: `mark ${name}`, 'aria-hidden': 'true' }), text)));
}
