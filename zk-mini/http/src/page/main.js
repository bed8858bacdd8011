// Begins, and ties the parts together: the tree of now or of a chosen moment, the header, the tabs of a narrow page.

import { api, onTokenWanted } from './api.js';
import { startClock } from './clock-view.js';
import { askToken } from './dialog.js';
import { $, button, h, setText, show } from './dom.js';
import { startFaults } from './faults-view.js';
import { clockTime, shortId } from './format.js';
import { startKeys } from './keys.js';
import { startLive } from './live.js';
import { startLog } from './log-view.js';
import { look, nodeChanged, startNode } from './node-view.js';
import { follow, go } from './route.js';
import { elsewhere, isBehind, noticeOfServers, startServers } from './servers-view.js';
import { startSessions } from './session-view.js';
import { changed, on, state } from './state.js';
import { attempt, complain } from './tell.js';
import { startLegend, startTimeline, toNow } from './timeline.js';
import { TreeModel } from './tree-model.js';
import { isExpanded, isFiltered, showTree, startTree } from './tree-view.js';
import { connectString } from './welcome.js';

const present = new TreeModel((path, depth) => api.tree(path, depth), isExpanded, () => changed('tree', 'empty'));

/** Shows the tree of the chosen moment. */
async function showMoment() {
  const { at } = state;
  document.body.classList.toggle('past', at !== null);
  if (at === null) {
    showTree(present);
    return;
  }
  const then = new TreeModel((path, depth) => api.tree(path, depth, at), isExpanded, () => changed('tree'));
  try {
    await then.load('/');
    if (state.at === at) showTree(then);
  } catch (error) {
    if (state.at !== at) return;
    complain(error);
    toNow();
  }
}

/** Everything may be different: after a reconnect, a restart, a gap in the events. */
function reload() {
  present.reload(isFiltered());
  look();
}

function watchEmptiness() {
  const isEmpty = Boolean(present.root.children) && [...present.root.children.keys()].every((name) => name === 'zookeeper');
  if (state.isEmpty === isEmpty) return;
  state.isEmpty = isEmpty;
  changed('node');
  // A narrow page shows one part: on the first visit that which says what to do.
  if (isEmpty && state.tab === 'tree' && matchMedia('(max-width: 860px)').matches) go({ tab: 'node' }, { replace: true });
}

function renderHeader() {
  const { status, lostSince, at } = state;
  setText($('address'), connectString());
  show($('figures'), [status, at], () => status && [
    h('span', { class: 'figure compat' }, 'like ZooKeeper ', h('i', {}, status.compat)),
    // The figures are those of now.
    at === null && [figure('zxid', shortId(status.last_zxid), status.last_zxid), counted(status.nodes, 'node'),
      counted(status.sessions, 'session'), counted(status.watches, 'watch', 'watches')],
  ]);
  document.body.classList.toggle('lost', lostSince !== null);
  const notice = noticeOf();
  $('notice').hidden = notice === null;
  show($('notice'), [lostSince, state.refusal, at, state.paused, status, state.ensemble], () => notice);
  $('pause').setAttribute('aria-pressed', String(state.paused));
  setText($('pause'), state.paused ? 'Go on' : 'Pause');
}

/** What is not as usual, in a sentence; `null` if nothing. */
function noticeOf() {
  const { status, lostSince, refusal, at } = state;
  if (lostSince !== null) {
    return [h('strong', {}, 'The server does not answer'), ` since ${clockTime(lostSince)}. What stands here may be old. The page comes back by itself. `, elsewhere()];
  }
  if (at !== null) {
    return [h('strong', {}, 'The past'), ' after transaction ', h('code', { title: at }, shortId(at)), '. Nothing can be changed here. ',
      button('Back to now (Esc)', toNow)];
  }
  if (state.paused) return [h('strong', {}, 'Paused'), '. Nothing here moves until you go on (press . again).'];
  if (refusal !== null) {
    return [h('strong', {}, 'The server does not tell this page what happens'), `: ${refusal}. What stands here may be old. The page tries again by itself.`];
  }
  if (status?.down) return [h('strong', {}, 'The server is down'), ': it takes no ZooKeeper connections.'];
  if (status?.frozen) {
    return [h('strong', {}, 'The server is frozen'), ': clients hear nothing of it. ', button('Thaw', () => attempt(() => api.thaw()))];
  }
  if (status?.read_only) return [h('strong', {}, 'The disk fails'), ': every write is refused until it works again.'];
  return noticeOfServers();
}

const figure = (name, value, title) => h('span', { class: 'figure', title }, `${name} `, h('i', {}, value));
const counted = (number, one, many = `${one}s`) =>
  h('span', { class: 'figure' }, h('i', {}, number.toLocaleString('en')), ` ${number === 1 ? one : many}`);

function renderTabs() {
  document.body.dataset.tab = state.tab;
  for (const tab of $('tabs').children) tab.setAttribute('aria-current', tab.dataset.tab === state.tab ? 'page' : 'false');
}

/** Beat of all that moves with time: rings, countdowns, the strip. */
function startTicking() {
  const calm = matchMedia('(prefers-reduced-motion: reduce)');
  const beat = () => {
    if (!document.hidden && !state.paused && !state.lostSince && state.clock.mode !== 'manual') changed('tick');
    setTimeout(beat, calm.matches ? 1000 : 100);
  };
  beat();
}

onTokenWanted(askToken);
startTree();
startNode();
startSessions();
startServers();
startTimeline();
startLegend();
startLog();
startFaults();
startClock();
startKeys();
on('status servers lost at paused', renderHeader);
on('tab', renderTabs);
on('at', showMoment);
// A server that has come back may not know the moment any more.
on('lost', () => state.at !== null && state.lostSince === null && showMoment());
on('empty tree', watchEmptiness);
$('tabs').addEventListener('click', (event) => event.target.dataset.tab && go({ tab: event.target.dataset.tab }));
addEventListener('hashchange', follow);
addEventListener('popstate', follow);
follow();
renderTabs();
renderHeader();
showTree(present);
startLive(reload, (entry) => {
  if (isBehind()) return;
  present.apply(entry);
  nodeChanged(entry);
  changed('tree');
});
startTicking();
