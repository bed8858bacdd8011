// Builders for elements. Text becomes text nodes and nothing else, so what clients store in nodes can never become markup.

const SVG = 'http://www.w3.org/2000/svg';

/** Builds an element: `h('button', { class: 'quiet', onclick: act }, 'Delete')`. Empty properties and children are left out. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Builds an element of a drawing. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Returns the element of the page with this id. */
export const $ = (id) => document.getElementById(id);

/** Sets a text, if it is another one. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const shown = new WeakMap();

/** Rebuilds what is in an element, but only if `key` has changed since: so focus, selection and scrolling survive. */
export function show(element, key, build) {
  const text = JSON.stringify(key);
  if (shown.get(element) === text) return;
  shown.set(element, text);
  element.replaceChildren(...[build()].flat(Infinity).filter(Boolean));
}

/** Button that acts at once. */
export function button(label, act, properties) {
  return h('button', { type: 'button', onclick: act, ...properties }, label);
}

/** Button for what cannot be undone: the first click asks, a second one within five seconds acts. */
export function askingButton(label, question, act, properties) {
  let timer;
  const element = button(label, () => {
    if (element.classList.contains('asking')) {
      settle();
      act();
      return;
    }
    element.classList.add('asking');
    setText(element, typeof question === 'function' ? question() : question);
    timer = setTimeout(settle, 5000);
  }, properties);
  const settle = () => {
    clearTimeout(timer);
    element.classList.remove('asking');
    setText(element, label);
  };
  element.addEventListener('blur', settle);
  return element;
}
