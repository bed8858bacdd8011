// Shows the stage of the demonstration as it changes. Text becomes text nodes and nothing else.

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');

/** Builds an element; empty children are left out. */
function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Leaves out most of the digits that make the name of a node unique. */
const short = (text) => text.replace(/([0-9a-f]{6})[0-9a-f]{26}-/g, '$1…');

function notice(text) {
  $('notice').textContent = text;
  $('notice').hidden = !text;
}

/** Posts a wish; what is refused is shown. */
async function post(path) {
  try {
    const response = await fetch(path, { method: 'POST' });
    notice(response.ok ? '' : await response.text());
  } catch {
    notice('The demonstration does not answer.');
  }
}

function figure(value, words) {
  return h('span', { class: 'figure' }, h('i', {}, number.format(value)), ` ${words}`);
}

function workerRow(stage, worker, most) {
  const node = stage.zk_page
    ? h('a', { href: `${stage.zk_page}#path=${worker.node.split('/').map(encodeURIComponent).join('/')}`, target: 'zk-mini', title: worker.node }, short(worker.node))
    : short(worker.node);
  const state = worker.gone_after_ms === null ? 'gone' : `gone after ${Math.max(1, Math.round(worker.gone_after_ms))} ms`;
  return h('tr', { class: worker.is_dead ? 'dead' : worker.is_new ? 'new' : '', 'data-pid': worker.pid },
    h('td', { class: 'pid' }, String(worker.pid)),
    h('td', { class: 'node' }, node),
    h('td', { class: 'number' }, number.format(worker.answered)),
    h('td', { class: 'rate' }, !worker.is_dead && h('meter', { min: 0, max: most, value: worker.per_second, 'aria-label': `${worker.per_second} calls a second` })),
    h('td', {}, worker.is_dead
      ? state
      : h('button', {
        type: 'button', class: 'danger', disabled: !worker.may_kill, 'aria-label': `Kill worker ${worker.pid}`,
        'data-key': `kill-${worker.pid}`, onclick: () => post(`/workers/${worker.pid}/kill`),
      }, 'Kill')));
}

function serverCard(stage, server, most) {
  const about = server.addr === null ? server.state : `${server.addr}, parent ${server.parent}${server.state === 'serving' ? '' : `, ${server.state}`}`;
  return h('div', { class: 'server', 'data-server': server.number },
    h('div', { class: 'bar' },
      h('h3', {}, `Server ${server.number}`),
      h('code', { class: 'dim' }, about),
      h('span', { class: 'grow' }),
      h('button', {
        type: 'button', class: 'quiet', disabled: !server.may_stop, 'aria-label': `Remove server ${server.number}`,
        'data-key': `stop-${server.number}`, onclick: () => post(`/servers/${server.number}/stop`),
      }, 'Remove')),
    h('table', {},
      h('thead', {}, h('tr', {},
        h('th', { scope: 'col' }, 'worker'), h('th', { scope: 'col' }, 'node in the registry'),
        h('th', { scope: 'col', class: 'number' }, 'answered'), h('th', { scope: 'col', class: 'rate' }, 'now'),
        h('th', { scope: 'col' }, 'SIGKILL'))),
      h('tbody', {}, server.workers.map((worker) => workerRow(stage, worker, most)))));
}

/** Replaces what is in an element; a button that has the focus keeps it. */
function fill(element, children) {
  const key = element.contains(document.activeElement) && document.activeElement.dataset.key;
  element.replaceChildren(...children);
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

let last = '';
let held = null;

function show(stage) {
  $('hosts').textContent = stage.hosts;
  $('figures').replaceChildren(
    figure(stage.calls.per_second, 'calls a second'), figure(stage.calls.ok, 'answered'),
    figure(stage.calls.retried, 'tried again'), figure(stage.calls.failed, 'failed'));
  if (stage.zk_page) {
    $('zk-page').href = stage.zk_page;
    $('zk-page').target = 'zk-mini';
    $('zk-page').hidden = false;
  }
  $('add').disabled = !stage.may_add;
  const most = Math.max(1, ...stage.servers.flatMap((server) => server.workers.map((worker) => worker.per_second)));
  fill($('servers'), stage.servers.map((server) => serverCard(stage, server, most)));
  const story = JSON.stringify(stage.story);
  if (story !== last) {
    last = story;
    $('story').replaceChildren(...stage.story.map((line) =>
      h('li', { class: line.kind }, h('time', {}, `${line.at.toFixed(3)} s`), short(line.text))));
  }
}

// While a button is pressed nothing is replaced: otherwise the click would be lost.
addEventListener('pointerdown', () => { held = undefined; });
function release() {
  setTimeout(() => {
    const stage = held;
    held = null;
    if (stage) show(stage);
  });
}
addEventListener('pointerup', release);
addEventListener('pointercancel', release);

$('add').addEventListener('click', () => post('/servers'));
const events = new EventSource('/events');
events.onmessage = ({ data }) => {
  const stage = JSON.parse(data);
  document.body.classList.remove('lost');
  if (held === null) show(stage);
  else held = stage;
};
events.onerror = () => {
  document.body.classList.add('lost');
  notice('The demonstration has ended, or does not answer.');
};
events.onopen = () => notice('');
