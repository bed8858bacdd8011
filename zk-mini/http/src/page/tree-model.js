// The nodes that the page knows: loaded level by level, kept current by the changes that the server tells of.

import { childOf, parentOf } from './format.js';

/** Milliseconds that a deleted node stays in sight, fading. */
const FADING = 1400;
/** Number of nodes that may fade at once. */
const MAX_FADING = 30;
/** Number of levels that are more than a tree has. */
const ALL_LEVELS = 10_000;

class Node {
  constructor(name, path, parent) {
    Object.assign(this, { name, path, parent, kind: 'persistent', stat: null, watches: 0 });
    /** Children by name; `null` if they are not loaded. */
    this.children = null;
    this.sorted = null;
    /** True if the stat is older than the node. */
    this.isStale = true;
    this.goneAt = 0;
    this.bornAt = 0;
  }

  get childCount() {
    return this.children ? this.children.size : this.stat?.numChildren ?? 0;
  }

  /** Children, sorted by name. */
  list() {
    this.sorted ??= [...this.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return this.sorted;
  }
}

export class TreeModel {
  /** `fetchTree(path, depth)` asks the server; `isExpanded(path)` says what is open; `onChange()` hears of news. */
  constructor(fetchTree, isExpanded, onChange) {
    Object.assign(this, { fetchTree, isExpanded, onChange });
    this.root = new Node('', '/', null);
    /** Changes that came while something was loading: they may be newer than what comes. */
    this.loading = new Map();
    this.fading = new Set();
    /** True if the whole tree is more than the server sends at once. */
    this.isTooLarge = false;
    this.revision = 0;
  }

  find(path) {
    let node = this.root;
    for (const name of path.split('/')) {
      if (name) node = node?.children?.get(name);
    }
    return node ?? null;
  }

  touch() {
    this.revision += 1;
    this.onChange();
  }

  /** Loads a node with levels below it. Returns `false` if there is no such node. */
  async load(path, depth = 1) {
    const other = this.loading.get(path);
    if (other && other.depth >= depth) return other.promise;
    if (other) return this.loadAfter(other, path, depth);
    const changes = [];
    const promise = this.fetchTree(path, depth).then(
      (tree) => {
        const node = tree && this.find(path);
        if (node) this.take(node, tree, depth);
        this.loading.delete(path);
        for (const change of changes) this.apply(change);
        this.touch();
        return tree !== null;
      },
      (error) => {
        this.loading.delete(path);
        throw error;
      },
    );
    this.loading.set(path, { promise, changes, depth });
    return promise;
  }

  /** Loads when another request, if there is one, has its answer. */
  async loadAfter(other, path, depth) {
    await other?.promise.catch(() => {});
    return this.load(path, depth);
  }

  /** Loads the whole tree, unless it is there. */
  loadAll() {
    if (this.isComplete) return;
    this.isComplete = true;
    this.loadAfter(this.loading.get('/'), '/', ALL_LEVELS).then(() => (this.isTooLarge = false), (error) => {
      this.isComplete = false;
      this.isTooLarge = error.status === 400;
      this.reloadOpen();
      this.touch();
    });
  }

  /** Loads again what is open, or the whole tree: anything may have changed. What is shown stays until the answer is there. */
  reload(isWhole) {
    this.isComplete = false;
    if (isWhole) this.loadAll();
    else this.reloadOpen();
    this.touch();
  }

  reloadOpen() {
    const walk = (node) => {
      if (!node.children && node !== this.root) return;
      if (!this.isExpanded(node.path)) {
        node.children = null;
        return;
      }
      // An answer that is under way may be too old.
      this.loadAfter(this.loading.get(node.path), node.path, 1).catch(() => {});
      for (const child of node.children?.values() ?? []) walk(child);
    };
    walk(this.root);
  }

  take(node, tree, depth) {
    node.kind = tree.kind;
    node.stat = tree.stat;
    node.watches = tree.watches;
    node.isStale = false;
    if (depth < 1) return;
    const children = new Map();
    for (const child of tree.children) {
      const known = node.children?.get(child.name) ?? new Node(child.name, childOf(node.path, child.name), node);
      known.goneAt = 0;
      this.fading.delete(known);
      children.set(child.name, known);
      this.take(known, child, depth - 1);
      // The levels end here; a leaf is known to have no children.
      if (depth === 1 && !known.children && child.stat.numChildren === 0) known.children = new Map();
    }
    node.children = children;
    node.sorted = null;
  }

  /** Takes over a change: an entry of the history. */
  apply(entry) {
    const { path, what } = entry;
    for (const { changes } of this.loading.values()) changes.push(entry);
    if (what === 'changed') {
      const node = this.find(path);
      if (node) node.isStale = true;
      return;
    }
    const parent = this.find(parentOf(path) ?? '/');
    if (!parent || path === '/') return;
    parent.isStale = true;
    if (!parent.children) return;
    const name = path.slice(path.lastIndexOf('/') + 1);
    const known = parent.children.get(name);
    if (what === 'created') this.add(parent, name, path, known);
    else if (known) this.drop(parent, known);
  }

  add(parent, name, path, known) {
    if (known && !known.goneAt) {
      known.isStale = true;
      return;
    }
    this.fading.delete(known);
    const node = new Node(name, path, parent);
    node.children = new Map();
    node.bornAt = performance.now();
    parent.children.set(name, node);
    parent.sorted = null;
    this.revision += 1;
  }

  drop(parent, node) {
    this.revision += 1;
    if (this.fading.size < MAX_FADING && this.isExpanded(parent.path)) {
      node.goneAt = performance.now();
      this.fading.add(node);
      return;
    }
    parent.children.delete(node.name);
    parent.sorted = null;
  }

  /** Removes what has faded. Returns the time until there is more to do. */
  sweep() {
    const now = performance.now();
    let next = Infinity;
    for (const node of this.fading) {
      const left = node.goneAt + FADING - now;
      if (left > 0) {
        next = Math.min(next, left);
        continue;
      }
      this.fading.delete(node);
      if (node.parent.children?.get(node.name) === node) node.parent.children.delete(node.name);
      node.parent.sorted = null;
      this.revision += 1;
    }
    return next;
  }

  /** Rows of the open part of the tree: `{ node, level, position, siblings }`. */
  rows() {
    const rows = [];
    const walk = (node, level, position, siblings) => {
      rows.push({ node, level, position, siblings });
      if (!this.isExpanded(node.path) || node.goneAt) return;
      if (!node.children) {
        this.load(node.path).catch(() => {});
        return;
      }
      const children = node.list();
      for (let index = 0; index < children.length; index += 1) walk(children[index], level + 1, index + 1, children.length);
    };
    walk(this.root, 1, 1, 1);
    return rows;
  }

  /** Rows of the nodes whose path has a text in it, with those above them. */
  rowsWith(text) {
    const rows = [];
    const wanted = text.toLowerCase();
    let found = 0;
    const walk = (node, level, position, siblings) => {
      const at = rows.length;
      rows.push({ node, level, position, siblings, isOpen: true });
      const children = node.children ? node.list() : [];
      for (let index = 0; index < children.length; index += 1) walk(children[index], level + 1, index + 1, children.length);
      const matches = node.path.toLowerCase().includes(wanted);
      if (matches) found += 1;
      else if (rows.length === at + 1) rows.pop();
      rows[at]?.node === node && (rows[at].isOpen = rows.length > at + 1);
    };
    walk(this.root, 1, 1, 1);
    return { rows, found };
  }
}
