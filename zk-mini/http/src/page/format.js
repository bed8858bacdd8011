// Numbers, times and names as people read them.

/** Session id or zxid in short: `0x1000…0002`. */
export function shortId(id) {
  return id.length > 12 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id;
}

/** Span of time: `250 ms`, `4.1 s`, `2 min 5 s`. */
export function span(ms) {
  if (ms < 0) ms = 0;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(ms % 1000 === 0 || ms >= 60_000 ? 0 : 1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 120) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/** Time that is left, always with one decimal, so that it does not jump about: `4.1 s`. */
export function countdown(ms) {
  return ms < 120_000 ? `${(Math.max(0, ms) / 1000).toFixed(1)} s` : span(ms);
}

/** Time of day: `12:04:07.310`. */
export function clockTime(ms) {
  const time = new Date(ms);
  const two = (number) => String(number).padStart(2, '0');
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}

/** Time of day; with its date, unless that is today. */
export function time(ms) {
  const day = new Date(ms).toLocaleDateString('sv');
  return day === new Date().toLocaleDateString('sv') ? clockTime(ms) : `${day} ${clockTime(ms)}`;
}

/** Size: `34 B`, `2.5 KB`. */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1 << 20) return `${trim(bytes / 1024)} KB`;
  return `${trim(bytes / (1 << 20))} MB`;
}

const trim = (number) => number.toFixed(number < 10 ? 1 : 0).replace(/\.0$/, '');

/** Count with its noun: `1 node`, `12,345 nodes`, `2 matches`. */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`;
}

/** Name that cannot play tricks: control characters and those that turn the direction of writing are shown as `\u{202e}`. */
export function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}

/** Path of the node above; `null` for the root. */
export function parentOf(path) {
  if (path === '/') return null;
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** Path of a child. */
export function childOf(path, name) {
  return path === '/' ? `/${name}` : `${path}/${name}`;
}
