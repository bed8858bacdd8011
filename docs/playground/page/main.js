// The page: forms for what a reader can do, and views of the state that the core gives back.

import { h, $, setText, show, button } from './dom.js';
import { span, visible } from './format.js';
import { startCore } from './core.js';
import { w } from './words.js';

const progress = { opened: 0, ephemeral: 0, watched: 0, told: 0, explained: 0, sequential: 0 };
const log = [];
let run;
let state;

const moment = (ms) => `${(ms / 1000).toFixed(1)} s`;
const option = ([value, text]) => h('option', { value }, text);
const labelled = (text, field, properties) => h('label', properties, text, field);
const checkbox = (id, text, checked) => h('label', {}, h('input', { type: 'checkbox', id, checked }), text);
const box = (id, heading, ...children) => h('section', { class: 'box', 'aria-labelledby': id }, h('h2', { id }, heading), ...children);
const form = (act, ...children) => h('form', { onsubmit: (event) => { event.preventDefault(); act(); } }, ...children);

/** Carries out a command, and shows what came of it. Returns the answer. */
function act(command) {
  let outcome;
  try {
    outcome = run(command);
  } catch (error) {
    setText($('error'), w.broken + error.message);
    return null;
  }
  state = outcome.state;
  setText($('error'), outcome.error ?? (state.is_full ? w.full : ''));
  $('open').disabled = state.is_full;
  for (const seen of outcome.seen) {
    log.unshift(seen);
    if (seen.kind === 'opened') progress.opened++;
    if (seen.kind === 'event') progress.told++;
    if (seen.kind === 'request' && !seen.error) {
      if (seen.watch) progress.watched++;
      if (seen.op === 'create' && seen.answer !== seen.path) progress.sequential++;
    }
  }
  progress.ephemeral ||= state.nodes.some((node) => node.owner);
  if (command.do === 'explain' && !outcome.error) progress.explained++;
  log.length = Math.min(log.length, 300);
  render();
  return outcome.answer;
}

function build() {
  const other = document.documentElement.lang === 'en' ? 'zh' : 'en';
  document.body.append(
    h('header', {},
      h('h1', {}, document.title),
      h('a', { href: 'playground.html' }, w.book),
      h('a', { class: 'language-link', href: `../${other}/try.html`, lang: other, hreflang: other }, w.other),
      button(w.begin, begin, { id: 'begin' })),
    h('main', {},
      h('p', { class: 'dim' }, w.ready),
      h('section', { 'aria-labelledby': 'try' }, h('h2', { id: 'try' }, w.try), h('ol', { class: 'steps', id: 'steps' })),
      h('p', { id: 'error', role: 'alert' }),
      h('div', { class: 'columns' },
        h('div', {}, sessionsBox(), requestBox(), clockBox()),
        h('div', {}, treeBox(), logBox(), explainBox()))));
  changeForm();
}

const sessionsBox = () => box('sessions-heading', w.sessions,
  form(() => {
    act({ do: 'open', timeout: Number($('timeout').value), pings: $('pings').checked });
    const newest = state.clients.at(-1);
    if (newest && newest.life === 'open' && state.clients.length === 1) $('client').value = newest.client;
  }, h('div', { class: 'line' },
    labelled(w.timeout, h('select', { id: 'timeout' }, [6000, 10_000, 30_000].map((ms) => option([ms, span(ms)])))),
    checkbox('pings', w.pings, true),
    h('button', { class: 'main', id: 'open' }, w.open))),
  h('ul', { class: 'plain', id: 'sessions' }));

const requestBox = () => box('request-heading', w.request,
  form(request,
    h('div', { class: 'line' },
      labelled(w.session, h('select', { id: 'client' })),
      labelled(w.do, h('select', { id: 'op', onchange: changeForm }, Object.entries(w.ops).map(option))),
      labelled(w.mode, h('select', { id: 'mode' }, Object.entries(w.modes).map(option)), { id: 'mode-label' })),
    h('div', { class: 'line' },
      labelled(w.path, h('input', { id: 'path', class: 'code', value: '/leader', required: true, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' }), { class: 'wide' }),
      labelled(w.data, h('input', { id: 'data', class: 'code', autocomplete: 'off', maxlength: '1000' }), { class: 'wide', id: 'data-label' })),
    h('div', { class: 'line' },
      h('label', { id: 'watch-label' }, h('input', { type: 'checkbox', id: 'watch' }), w.watch),
      h('button', { class: 'main', id: 'send' }, w.send))));

const clockBox = () => box('clock-heading', w.clock,
  h('div', { class: 'line' }, h('output', { class: 'clock', id: 'clock', 'aria-labelledby': 'clock-heading' }),
    [1, 5, 30].map((s) => button(w.bySeconds(s), () => act({ do: 'advance', ms: s * 1000 }), { id: `advance-${s}` }))),
  form(() => act({ do: 'advance', ms: Math.round(Number($('seconds').value) * 1000) }),
    h('div', { class: 'line' },
      labelled(w.seconds, h('input', { id: 'seconds', type: 'number', min: '0.1', max: '3600', step: '0.1', value: '10', class: 'number' })),
      h('button', { id: 'move' }, w.move))),
  h('p', { class: 'dim' }, w.still));

const treeBox = () => box('tree-heading', w.tree, h('ul', { class: 'plain', id: 'tree' }));

const logBox = () => box('log-heading', w.log, h('div', { class: 'log', role: 'log', tabindex: '0', 'aria-labelledby': 'log-heading' }, h('ol', { class: 'plain', id: 'log' })));

const explainBox = () => box('explain-heading', w.explainHead,
  form(() => explain($('explained').value), h('div', { class: 'line' },
    labelled(w.path, h('input', { id: 'explained', class: 'code', value: '/leader', required: true, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' }), { class: 'wide' }),
    h('button', { id: 'explain' }, w.explain))),
  h('pre', { id: 'explanation', 'aria-live': 'polite', hidden: true }));

/** Shows the fields that the chosen request has. */
function changeForm() {
  const op = $('op').value;
  $('mode-label').hidden = op !== 'create';
  $('data-label').hidden = !['create', 'set'].includes(op);
  $('watch-label').hidden = ['create', 'set', 'delete'].includes(op);
}

function request() {
  if (!$('client').value) {
    setText($('error'), w.openFirst);
    return;
  }
  const op = $('op').value;
  const watch = !$('watch-label').hidden && $('watch').checked;
  act({ do: op, client: Number($('client').value), path: $('path').value.trim(), data: $('data').value, mode: $('mode').value, watch });
}

function explain(path) {
  $('explained').value = path;
  let text = act({ do: 'explain', path });
  if (text === null) return;
  for (const { client, session } of state.clients) text = text.replaceAll(`session ${session}`, `session ${client} (${session})`);
  setText($('explanation'), text);
  $('explanation').hidden = false;
}

function begin() {
  log.length = 0;
  for (const name of Object.keys(progress)) progress[name] = 0;
  $('explanation').hidden = true;
  act({ do: 'begin', wall: Date.now() });
}

function render() {
  setText($('clock'), moment(state.time));
  const done = w.steps.map(([, isDone]) => Boolean(isDone(progress)));
  show($('steps'), done, () => w.steps.map(([text], index) => h('li', { class: done[index] && 'done' }, text, done[index] && h('span', { class: 'dim' }, w.aside(w.done)))));
  const open = state.clients.filter((client) => client.life === 'open').map((client) => client.client);
  const chosen = $('client').value;
  show($('client'), open, () => open.map((number) => option([number, String(number)])));
  if (open.includes(Number(chosen))) $('client').value = chosen;
  renderSessions();
  renderTree();
  show($('log'), [log.length, log[0], state.time], () => (log.length ? log.map(logLine) : [h('li', { class: 'none' }, w.nothing)]));
}

function renderSessions() {
  const told = (number) => log.filter((seen) => seen.kind === 'event' && seen.client === number);
  const focused = document.activeElement?.id;
  show($('sessions'), [state.clients, log.length], () => (state.clients.length ? [...state.clients].reverse().map((client) => card(client, told(client.client))) : [h('li', { class: 'none' }, w.noSessions)]));
  // A card that is built anew keeps the focus of the keyboard.
  if (focused && document.activeElement?.id !== focused) $(focused)?.focus();
}

function card(client, told) {
  const number = client.client;
  const heading = `session-${number}`;
  const facts = client.life === 'open' ? `${client.pings ? w.pinging : w.silent}${w.comma}${w.expires(moment(client.expires), span(client.timeout))}` : w.ended[client.life];
  return h('li', { class: `session ${client.life}`, 'aria-labelledby': heading },
    h('h3', { id: heading }, w.name(number)),
    h('p', { class: 'facts' }, facts),
    client.ephemerals.length > 0 && h('p', {}, w.line(w.owns, ''), h('code', {}, client.ephemerals.map(visible).join(', '))),
    client.watches.length > 0 && h('p', {}, w.line(w.watches, ''), h('code', {}, client.watches.map(({ path, kind }) => `${visible(path)} (${w.kinds[kind]})`).join(', '))),
    told.map(({ event, path }) => h('p', { class: 'told' }, w.event(event, visible(path)))).slice(0, 3),
    client.life === 'open' && h('div', { class: 'line' },
      h('label', {}, h('input', { type: 'checkbox', id: `pings-${number}`, 'aria-label': w.of(w.pings, number), checked: client.pings, onchange: (event) => act({ do: 'pings', client: number, pings: event.target.checked }) }), w.pings),
      button(w.expire, () => act({ do: 'expire', client: number }), { id: `expire-${number}`, 'aria-label': w.of(w.expire, number) }),
      button(w.close, () => act({ do: 'close', client: number }), { id: `close-${number}`, 'aria-label': w.of(w.close, number) })));
}

function renderTree() {
  const watchers = (path) => state.clients.filter((client) => client.watches.some((watch) => watch.path === path)).map((client) => client.client);
  show($('tree'), [state.nodes, state.clients.map((client) => client.watches)], () => state.nodes.map((node) => {
    const name = node.path.slice(node.path.lastIndexOf('/') + 1) || '/';
    const watching = watchers(node.path);
    const facts = [node.data && `“${visible(node.data)}”`, node.version > 0 && w.version(node.version), node.owner && w.owner(node.owner), watching.length > 0 && w.watchedBy(watching.join(', '))];
    return h('li', { class: `node ${node.owner ? 'ephemeral' : ''}`, style: `--level: ${node.path === '/' ? 0 : node.path.split('/').length - 1}` },
      button(visible(name), () => { $('path').value = node.path; explain(node.path); }, { title: node.path }),
      h('span', {}, facts.filter(Boolean).join(' · ')));
  }));
}

function logLine(seen) {
  const what = {
    opened: () => w.opened(span(seen.timeout)),
    expired: () => w.expired,
    closed: () => w.closedSession,
    event: () => w.event(seen.event, visible(seen.path)),
    request: () => `${w.ops[seen.op]} ${visible(seen.path)}${seen.watch ? w.aside(w.watch) : ''} → ${seen.error ? `${seen.error}: ${seen.message}` : answerOf(seen)}`,
  }[seen.kind]();
  return h('li', { class: seen.error ? 'failed' : seen.kind }, h('time', {}, moment(seen.time)), w.line(w.name(seen.client), what));
}

function answerOf({ op, answer }) {
  if (op === 'exists') return answer ? w.yes : w.no;
  if (op === 'children') return answer.map(visible).join(', ') || w.none;
  if (op === 'get') return `“${visible(answer)}”`;
  if (op === 'create') return visible(answer);
  return op === 'set' ? w.version(answer) : w.done;
}

build();
try {
  run = await startCore($('core').textContent);
  begin();
} catch (error) {
  setText($('error'), w.stopped + error.message);
}
