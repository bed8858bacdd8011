// List of which only the rows in sight exist. All rows have the height that the style sheet gives to `--row` of the list.

import { h } from './dom.js';

/** Rows that are kept above and below those in sight. */
const MARGIN = 8;

export class VirtualList {
  /**
   * `scroller` scrolls; `keyOf(row)` names a row; `build()` makes an element, and `update(element, row, index)` writes a row
   * into it.
   */
  constructor(scroller, { keyOf, build, update, role }) {
    Object.assign(this, { scroller, keyOf, build, update, rows: [], elements: new Map(), spare: [] });
    this.space = h('div', { class: 'space', role });
    scroller.append(this.space);
    scroller.addEventListener('scroll', () => this.plan(), { passive: true });
    new ResizeObserver(() => this.plan()).observe(scroller);
    this.measure();
  }

  measure() {
    this.height = parseFloat(getComputedStyle(this.scroller).getPropertyValue('--row')) || 24;
  }

  /** Sets all rows. */
  set(rows) {
    this.rows = rows;
    this.space.style.height = `${rows.length * this.height}px`;
    this.render();
  }

  plan() {
    if (this.isPlanned) return;
    this.isPlanned = true;
    requestAnimationFrame(() => {
      this.isPlanned = false;
      this.measure();
      this.set(this.rows);
    });
  }

  /** Rows in sight. */
  range() {
    const first = Math.floor((this.scroller.scrollTop - this.space.offsetTop) / this.height) - MARGIN;
    const last = first + Math.ceil(this.scroller.clientHeight / this.height) + 2 * MARGIN;
    return [Math.max(0, first), Math.min(this.rows.length, last)];
  }

  render() {
    const [first, last] = this.range();
    const wanted = new Map();
    for (let index = first; index < last; index += 1) wanted.set(this.keyOf(this.rows[index]), index);
    for (const [key, element] of this.elements) {
      if (wanted.has(key)) continue;
      this.elements.delete(key);
      element.remove();
      this.spare.push(element);
    }
    let before = this.space.firstChild;
    for (const [key, index] of wanted) {
      let element = this.elements.get(key);
      if (!element) {
        element = this.spare.pop() ?? this.build();
        this.elements.set(key, element);
      }
      // In the order of the rows: screen readers and the tab key follow the document.
      if (element === before) before = before.nextSibling;
      else this.space.insertBefore(element, before);
      const top = `${index * this.height}px`;
      if (element.style.top !== top) element.style.top = top;
      this.update(element, this.rows[index], index);
    }
    this.spare.length = Math.min(this.spare.length, 50);
  }

  /** Scrolls, if need be, until a row is in sight. */
  reveal(index) {
    const top = this.space.offsetTop + index * this.height;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop + this.space.offsetTop) this.scroller.scrollTop = top - this.space.offsetTop;
    else if (top + this.height > scrollTop + clientHeight) this.scroller.scrollTop = top + this.height - clientHeight;
  }

  get pageSize() {
    return Math.max(1, Math.floor(this.scroller.clientHeight / this.height) - 1);
  }
}
