// The tree on the left: a list of the open nodes, as ARIA's tree pattern wants it.

import { $, h, setText } from './dom.js';
import { count, parentOf, size, visible } from './format.js';
import { go } from './route.js';
import { changed, on, state } from './state.js';
import { VirtualList } from './virtual-list.js';

/** Milliseconds between two looks through a filtered tree, while it changes. */
const FILTER_EVERY = 250;
/** Milliseconds between two rounds of asking for the stat of rows in sight. */
const REFRESH_EVERY = 500;

const expanded = new Set(['/']);
export const isExpanded = (path) => expanded.has(path);

let model;
let list;
let rows = [];
let active = '/';
let filter = '';
/** True if the tree is filtered, which needs all of it. */
export const isFiltered = () => filter !== '';
let shownRevision = -1;
let shownFilter = '';
let filteredAt = 0;
let timer;
let nextId = 0;

/** Puts the view on the page. */
export function startTree() {
  const scroller = $('tree');
  list = new VirtualList(scroller, { keyOf: (row) => row.node.path, build: buildRow, update: updateRow, role: 'none' });
  scroller.addEventListener('keydown', keyDown);
  scroller.addEventListener('click', click);
  const field = $('filter');
  field.addEventListener('input', () => setFilter(field.value.trim()));
  field.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'Enter') {
      scroller.focus();
      event.preventDefault();
    } else if (event.key === 'Escape') {
      field.value = '';
      setFilter('');
      scroller.focus();
      event.stopPropagation();
    }
  });
  on('tree at', render);
  on('watches', () => inSight().forEach((node) => (node.isStale = true)));
  on('path', reveal);
  setInterval(refreshSight, REFRESH_EVERY);
}

/** Sets the tree to show: the present one, or one of the past. */
export function showTree(next) {
  model = next;
  shownRevision = -1;
  if (filter) model.loadAll();
  changed('tree');
  reveal();
}

function setFilter(text) {
  filter = text;
  shownRevision = -1;
  if (filter) model.loadAll();
  changed('tree');
}

function render() {
  if (!model) return;
  const left = model.sweep();
  clearTimeout(timer);
  if (left < Infinity) timer = setTimeout(() => changed('tree'), left);
  if (model.revision !== shownRevision) {
    shownRevision = model.revision;
    if (filter) filterRows();
    else rows = model.rows();
    if (!filter) setText($('tree-count'), '');
  }
  if (filter && performance.now() < filteredAt + FILTER_EVERY) setTimeout(() => changed('tree'), FILTER_EVERY);
  list.set(rows);
  const here = list.elements.get(active);
  if (here) $('tree').setAttribute('aria-activedescendant', here.id);
  else $('tree').removeAttribute('aria-activedescendant');
}

function filterRows() {
  if (performance.now() < filteredAt + FILTER_EVERY && shownFilter === filter) {
    shownRevision = -1;
    return;
  }
  filteredAt = performance.now();
  shownFilter = filter;
  const result = model.rowsWith(filter);
  rows = result.rows;
  const found = count(result.found, 'match', 'matches');
  $('tree-count').classList.toggle('of-part', model.isTooLarge);
  setText($('tree-count'), model.isTooLarge ? `${found} in what is open: the tree is too large to search whole` : found);
}

function buildRow() {
  nextId += 1;
  return h('div', { class: 'row', role: 'treeitem', id: `row-${nextId}` },
    h('span', { class: 'twist', 'aria-hidden': 'true' }), h('bdi', { class: 'name' }), h('span', { class: 'facts' }));
}

function updateRow(element, row) {
  const { node, level, position, siblings } = row;
  const hasChildren = node.childCount > 0;
  const isOpen = hasChildren && (row.isOpen ?? isExpanded(node.path));
  const [twist, name, facts] = element.children;
  element.row = row;
  element.className = `row ${node.kind}${node.goneAt ? ' gone' : ''}${isNew(node) ? ' new' : ''}`
    + `${node.path.startsWith('/zookeeper') ? ' system' : ''}${node.path === active ? ' active' : ''}`;
  element.style.setProperty('--level', level - 1);
  set(element, 'aria-level', level);
  set(element, 'aria-posinset', position);
  set(element, 'aria-setsize', siblings);
  set(element, 'aria-selected', node.path === state.path);
  if (hasChildren) set(element, 'aria-expanded', isOpen);
  else element.removeAttribute('aria-expanded');
  setText(twist, hasChildren ? (isOpen ? '▾' : '▸') : node.kind === 'ephemeral' ? '◌' : '');
  setText(name, node.path === '/' ? '/' : visible(node.name));
  const watches = state.at ? 0 : node.watches;
  const parts = [];
  if (hasChildren) parts.push(node.childCount.toLocaleString('en'));
  else if (node.stat?.dataLength) parts.push(size(node.stat.dataLength));
  if (watches) parts.push(`◉ ${watches}`);
  setText(facts, parts.join(' · '));
  facts.title = watches ? count(watches, 'watch', 'watches') : '';
}

function set(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

const isNew = (node) => node.bornAt && performance.now() - node.bornAt < 1200;

function click(event) {
  const element = event.target.closest('.row');
  if (!element) return;
  const { node } = element.row;
  if (event.target.classList.contains('twist') && node.childCount) toggle(node, !isExpanded(node.path));
  else choose(node);
}

/** Opens a node in the middle; a second time it opens or closes what is below. */
function choose(node) {
  active = node.path;
  if (state.path === node.path && state.from === null && node.childCount) toggle(node, !isExpanded(node.path));
  else if (node.childCount) expanded.add(node.path);
  model.revision += 1;
  go({ path: node.path, from: null, tab: 'node' });
  changed('tree');
}

function toggle(node, isOpen) {
  if (isOpen) expanded.add(node.path);
  else expanded.delete(node.path);
  model.touch();
}

function keyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = Math.max(0, rows.findIndex((row) => row.node.path === active));
  const node = rows[at]?.node;
  if (!node) return;
  const move = (index) => activate(Math.min(rows.length - 1, Math.max(0, index)));
  const actions = {
    ArrowDown: () => move(at + 1),
    ArrowUp: () => move(at - 1),
    PageDown: () => move(at + list.pageSize),
    PageUp: () => move(at - list.pageSize),
    Home: () => move(0),
    End: () => move(rows.length - 1),
    ArrowRight: () => {
      if (node.childCount && !isExpanded(node.path) && !filter) toggle(node, true);
      else if (node.childCount) move(at + 1);
    },
    ArrowLeft: () => {
      if (isExpanded(node.path) && node.childCount && !filter) toggle(node, false);
      else move(rows.findIndex((row) => row.node === node.parent));
    },
    Enter: () => choose(node),
    ' ': () => choose(node),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

function activate(index) {
  active = rows[index].node.path;
  list.reveal(index);
  changed('tree');
}

/** Opens the nodes above the chosen one, and scrolls to it. */
async function reveal() {
  const path = state.path;
  active = path;
  for (let above = parentOf(path); above !== null; above = parentOf(above)) expanded.add(above);
  if (!model) return;
  model.touch();
  const names = path.split('/').filter(Boolean);
  let above = '/';
  for (const name of ['', ...names.slice(0, -1)]) {
    if (name) above = above === '/' ? `/${name}` : `${above}/${name}`;
    const node = model.find(above);
    if (!node) return;
    if (!node.children) await model.load(above).catch(() => {});
  }
  if (state.path !== path) return;
  rows = filter ? rows : model.rows();
  const index = rows.findIndex((row) => row.node.path === path);
  if (index >= 0) {
    list.set(rows);
    list.reveal(index);
    changed('tree');
  }
}

/** Nodes whose rows are in sight. */
function inSight() {
  const [first, last] = list.range();
  return rows.slice(first, last).map((row) => row.node);
}

let isRefreshing = false;
/** Asks for the stat of the nodes in sight that have changed. */
async function refreshSight() {
  if (!model || isRefreshing || state.lostSince || document.hidden) return;
  const stale = inSight().filter((node) => node.isStale && !node.goneAt);
  if (!stale.length) return;
  isRefreshing = true;
  try {
    for (let index = 0; index < stale.length; index += 4) {
      await Promise.all(stale.slice(index, index + 4).map((node) => model.load(node.path, 0)));
    }
  } catch {
    // The stream tells whether the server is lost.
  }
  isRefreshing = false;
}
