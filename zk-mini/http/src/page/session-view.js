// Sessions on the right: each with a ring that empties until it expires, and refills when the client is heard of.

import { api } from './api.js';
import { $, askingButton, button, h, setText, show, svg } from './dom.js';
import { clockTime, count, countdown, shortId, span, visible } from './format.js';
import { past } from './history-ring.js';
import { hurry } from './live.js';
import { listOnly } from './log-view.js';
import { go, pathLink, sentence } from './route.js';
import { on, state, timeLeft } from './state.js';
import { attempt, tell } from './tell.js';
import { VirtualList } from './virtual-list.js';

const AROUND = 2 * Math.PI * 16;
let list;

export function startSessions() {
  list = new VirtualList($('session-list'), {
    keyOf: (row) => row.id, build: buildCard, update: updateCard, role: 'list',
  });
  on('sessions lost at session clock tick', render);
  on('session', () => {
    const index = list.rows.findIndex((row) => row.id === state.session);
    if (index >= 0 && (state.at || !past.hasEnded(state.session))) {
      list.reveal(index);
    } else if (state.session && state.heardAt) {
      // It has ended: what is left of it is what it did.
      listOnly(state.session);
      go({ tab: 'timeline' }, { replace: true });
    }
  });
}

/** Session with this id, if it is alive now. */
export const sessionOf = (id) => state.sessions.find((session) => session.id === id);

function render() {
  // By age, as ids grow: cards do not change places under the hand.
  const rows = state.at ? pastRows() : [...state.sessions];
  rows.sort((a, b) => a.id.length - b.id.length || (a.id < b.id ? -1 : 1));
  list.measure();
  list.set(rows);
  setText($('session-count'), rows.length ? String(rows.length) : '');
  const isNone = rows.length === 0 && state.heardAt > 0;
  show($('session-none'), [isNone, state.at], () => isNone && h('p', { class: 'none' },
    state.at ? 'There was no session then.' : 'No client has a session. A client that connects appears here.'));
}

function pastRows() {
  return [...past.sessionsAt(state.at, state.sessions)].map(([id, { session, end }]) => ({ id, ...session, end, isPast: true }));
}

function buildCard() {
  const full = svg('circle', { cx: 20, cy: 20, r: 16, class: 'rail' });
  const left = svg('circle', { cx: 20, cy: 20, r: 16, class: 'left', transform: 'rotate(-90 20 20)', 'stroke-dasharray': AROUND });
  const card = h('div', { class: 'card', role: 'listitem' },
    svg('svg', { class: 'ring', viewBox: '0 0 40 40', 'aria-hidden': 'true' }, full, left),
    h('div', { class: 'who' }), h('div', { class: 'dim facts', title: 'The server looks at every tick: an expiry may come up to a tick after the timeout.' }), h('div', { class: 'held' }), h('div', { class: 'actions' }));
  card.left = left;
  return card;
}

function updateCard(card, session) {
  const [, who, facts, held, actions] = card.children;
  const remaining = session.isPast ? 0 : timeLeft(session);
  const isCut = !session.isPast && !session.connected;
  const isLate = !session.isPast && remaining < session.timeout_ms / 4;
  card.className = `card${isCut ? ' dying' : isLate ? ' late' : ''}${session.frozen ? ' frozen' : ''}${session.id === state.session ? ' chosen' : ''}`;
  const share = session.isPast ? 0 : Math.min(1, remaining / session.timeout_ms);
  card.left.style.strokeDashoffset = String(AROUND * (1 - share));
  show(who, [session.id, session.client, session.connected, session.frozen, session.isPast], () => [
    h('a', { href: '#', class: 'code', title: session.id, onclick: (event) => {
      event.preventDefault();
      go({ session: session.id, tab: 'sessions' });
    } }, shortId(session.id)), ' ',
    h('small', {}, session.client ?? (session.connected && !session.isPast ? 'in this process' : '')),
  ]);
  setText(facts, session.isPast ? pastFacts(session) : presentFacts(session, remaining));
  show(held, [session.id, session.ephemerals, isCut], () => heldNodes(session, isCut));
  show(actions, [session.id, session.connected, session.frozen, Boolean(session.isPast), state.lostSince !== null, state.at], () =>
    !session.isPast && state.lostSince === null && !state.at && actionsOf(session));
}

function presentFacts(session, remaining) {
  const parts = [session.frozen ? 'frozen' : session.connected ? null : 'no connection', `${countdown(remaining)} left, timeout ${span(session.timeout_ms)}`];
  if (session.watches) parts.push(session.watches === 1 ? '1 watch' : `${session.watches} watches`);
  return parts.filter(Boolean).join(' · ');
}

function pastFacts(session) {
  return session.end ? `${session.end.what} later, at ${clockTime(session.end.ms)}` : 'still there now';
}

function heldNodes(session, isCut) {
  const paths = session.ephemerals ?? [];
  if (session.end) return h('span', { class: 'dim' }, sentence(session.end.because ?? ''));
  if (!paths.length) return h('span', { class: 'dim' }, session.isPast ? '' : 'holds no node');
  return [h('span', { class: 'dim' }, isCut ? 'takes with it ' : 'holds '), pathLink(paths[0]),
    paths.length > 1 && h('span', { class: 'dim', title: paths.slice(0, 50).map(visible).join('\n') }, ` and ${paths.length - 1} more`)];
}

function actionsOf(session) {
  const act = (action, text) => () => attempt(async () => {
    await api.session(session.id, action);
    tell(text);
    hurry();
  });
  const name = `session ${session.id}`;
  const nodes = session.ephemerals?.length ?? 0;
  return [
    askingButton('Expire', () => (nodes ? `Sure? ${count(nodes, 'node')} will go` : 'Sure?'),
      act('expire', `Session ${session.id} has expired.`), { title: `let ${name} expire now` }),
    session.connected && button('Cut', act('disconnect', `The connection of session ${session.id} was closed.`),
      { title: `close the connection of ${name}; the client may come back` }),
    session.frozen
      ? button('Thaw', act('thaw', `Session ${session.id} goes on.`), { title: `let ${name} go on` })
      : button('Freeze', act('freeze', `Session ${session.id} is frozen: nothing is heard of it.`),
        { title: `hear nothing of ${name} until it is thawed` }),
  ];
}

/** Lets the owner of the chosen node expire. */
export function expireSession(id, path) {
  return attempt(async () => {
    await api.session(id, 'expire');
    tell(path ? `Session ${id} has expired, and ${path} went with it.` : `Session ${id} has expired.`);
    hurry();
  });
}
