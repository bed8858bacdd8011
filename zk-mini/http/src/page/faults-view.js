// Faults: a strip with those that are set, and how often each fired; and a dialog that makes one as a sentence.

import { api } from './api.js';
import { openDialog } from './dialog.js';
import { $, button, h, show } from './dom.js';
import { shortId, visible } from './format.js';
import { lookAtFaults } from './live.js';
import { changed, isReadOnly, on, state } from './state.js';
import { attempt, tell } from './tell.js';

const OPS = ['*', 'create', 'delete', 'setData', 'getData', 'exists', 'getChildren', 'getChildren2', 'multi', 'sync', 'ping', 'check', 'setWatches'];
const EVENTS = ['*', 'NodeCreated', 'NodeDeleted', 'NodeDataChanged', 'NodeChildrenChanged'];
const CODES = ['CONNECTIONLOSS', 'OPERATIONTIMEOUT', 'NONODE', 'NODEEXISTS', 'BADVERSION', 'NOTEMPTY', 'NOAUTH', 'SESSIONEXPIRED', 'MARSHALLINGERROR',
  'SYSTEMERROR', 'THROTTLEDOP', 'REQUESTTIMEOUT'];

/** What a rule can be about, the word between that and a session, and what can be done then. */
const KINDS = {
  request: {
    label: 'a client asks for',
    session: 'by',
    then: {
      after: ['apply it, then lose the reply and the connection', { drop: 'after_apply' }],
      before: ['lose it and the connection', { drop: 'before_apply' }],
      silentAfter: ['apply it, then never answer', { silent: 'after_apply' }],
      silentBefore: ['lose it, and never answer', { silent: 'before_apply' }],
      delay: ['do it late, by', (value) => ({ delay_ms: value.ms })],
      delayReply: ['do it, then answer late, by', (value) => ({ delay_reply_ms: value.ms })],
      fail: ['refuse it with', (value) => ({ fail: value.code })],
    },
  },
  event: { label: 'a client is to be told of', session: 'in', then: {
    drop: ['do not send it', { drop_event: true }], delay: ['send it late, by', (value) => ({ delay_ms: value.ms })],
  } },
  connect: { label: 'a client connects', then: { refuse: ['close without an answer', { refuse: true }] } },
  reattach: { label: 'a client comes back with', session: '', then: { refuse: ['say that the session has expired', { refuse: true }] } },
  expiry: { label: 'time runs out for', session: '', then: { hold: ['keep its ephemeral nodes for', (value) => ({ hold_ephemerals_ms: value.ms })] } },
};

export function startFaults() {
  on('faults lost at', render);
  $('new-fault').addEventListener('click', newFault);
  on('lost at', () => {
    $('new-fault').disabled = isReadOnly();
  });
}

function render() {
  const strip = $('faults');
  strip.hidden = state.faults.length === 0;
  show(strip, [state.faults, isReadOnly()], () => state.faults.length > 0 && [
    h('strong', {}, 'Faults'),
    h('ul', {}, state.faults.map((fault) => h('li', { class: fault.fired ? 'fired' : '' },
      h('span', {}, visible(fault.text)), h('b', { class: 'fired-count' }, fault.fired ? `fired ${fault.fired}×` : 'not yet'),
      button('✕', () => remove(fault), { class: 'quiet', 'aria-label': `Remove: ${visible(fault.text)}`, disabled: isReadOnly() })))),
    state.faults.length > 1 && button('Remove all', removeAll, { class: 'quiet', disabled: isReadOnly() }),
  ]);
}

function remove(fault) {
  return attempt(async () => {
    await api.removeFault(fault.id);
    await lookAtFaults();
    tell('The fault was removed.');
  });
}

function removeAll() {
  return attempt(async () => {
    await api.removeFaults();
    await lookAtFaults();
    tell('All faults were removed.');
  });
}

const choice = (label, options) => h('select', { 'aria-label': label }, options.map(([value, text]) => h('option', { value }, text)));
const number = (label, value, min = 1) => h('input', { type: 'number', 'aria-label': label, min, max: 86_400_000, value, class: 'number' });

/** Opens the dialog that makes a fault. */
export function newFault() {
  if (isReadOnly()) return null;
  const kind = choice('What happens', Object.entries(KINDS).map(([name, { label }]) => [name, label]));
  const op = choice('Request', OPS.map((name) => [name, name === '*' ? 'anything' : name]));
  op.value = 'create';
  const event = choice('Event', EVENTS.map((name) => [name, name === '*' ? 'anything' : name]));
  const path = h('input', { class: 'code', 'aria-label': 'Path, or a pattern of paths', list: 'fault-paths', spellcheck: 'false', placeholder: '/**' });
  path.value = state.path === '/' ? '/**' : state.path;
  const paths = h('datalist', { id: 'fault-paths' }, ['/**', state.path, `${state.path === '/' ? '' : state.path}/*`, `${state.path === '/' ? '' : state.path}/**`]
    .map((value) => h('option', { value })));
  const session = choice('Session', [['', 'any session'], ...state.sessions.map((it) => [it.id, `session ${shortId(it.id)}`])]);
  const how = choice('How often', [['times', 'the first'], ['nth', 'only number'], ['every', 'every'], ['always', 'each time']]);
  const often = number('Number', 1);
  const unit = h('span', {});
  const then = h('select', { 'aria-label': 'Then' });
  const ms = number('Milliseconds', 1000, 0);
  const code = choice('Error', CODES.map((name) => [name, name]));
  const saying = h('output', { class: 'dim rule' });

  const rule = () => {
    const when = { request: { op: op.value }, event: { event: event.value }, connect: { connect: true }, reattach: { reattach: true },
      expiry: { expiry: true } }[kind.value];
    if ((kind.value === 'request' || kind.value === 'event') && path.value.trim()) when.path = path.value.trim();
    if (session.value && kind.value !== 'connect') when.session = session.value;
    if (how.value !== 'always') when[how.value] = Number(often.value);
    const [, effectOf] = KINDS[kind.value].then[then.value];
    return { when, then: typeof effectOf === 'function' ? effectOf({ ms: Number(ms.value), code: code.value }) : effectOf };
  };
  const parts = {
    request: h('span', {}, ' ', op, ' of ', path, paths), event: h('span', {}, ' ', event, ' of '),
  };
  const update = () => {
    const isAboutPath = kind.value === 'request' || kind.value === 'event';
    for (const [name, part] of Object.entries(parts)) part.hidden = kind.value !== name;
    if (isAboutPath) parts[kind.value].append(path, paths);
    by.hidden = kind.value === 'connect';
    word.textContent = ` ${KINDS[kind.value].session} `;
    often.hidden = how.value === 'always';
    unit.textContent = { times: Number(often.value) === 1 ? 'time' : 'times', nth: '', every: Number(often.value) === 1 ? 'time' : 'times', always: '' }[how.value];
    ms.parentElement.hidden = !['delay', 'delayReply', 'hold'].includes(then.value);
    code.hidden = then.value !== 'fail';
    saying.textContent = JSON.stringify(rule());
  };
  const refill = () => {
    then.replaceChildren(...Object.entries(KINDS[kind.value].then).map(([name, [label]]) => h('option', { value: name }, label)));
    update();
  };
  const word = h('span', {});
  const by = h('span', {}, word, session);
  const body = h('div', { class: 'sentence', oninput: update },
    h('p', {}, 'When ', kind, parts.request, parts.event, by, ','),
    h('p', {}, how, ' ', often, ' ', unit, ','),
    h('p', {}, then, ' ', code, h('span', {}, ms, ' ms')),
    h('details', {}, h('summary', {}, 'As JSON, for POST /v1/faults'), saying));
  kind.addEventListener('input', refill);
  refill();
  return openDialog({
    title: 'New fault', body, label: 'Set it', wide: true,
    accept: async () => {
      await api.addFault(rule());
      await lookAtFaults();
      changed('faults');
      tell('The fault is set. It stays until it is removed.');
    },
  });
}
