// What has happened, as far as the page remembers it: writes, watch events, the life of sessions, faults. Requests are left out.

/** Number of entries that are remembered. */
const KEPT = 50_000;

/** Kinds of entries, as the timeline shows them. */
const KINDS = {
  transaction: 'write', event: 'event', connect: 'open', close: 'end', expiry: 'end', fault: 'fault', server: 'server',
  disconnect: 'cut',
};

/** The kinds that the server is asked for. Requests would push out all others: it keeps those apart, clients read much. */
export const ASKED_KINDS = Object.keys(KINDS).join(',');

/** Class of an entry: `write`, `event`, `open`, `cut`, `end`, `fault` or `server`. */
export const classOf = (entry) => KINDS[entry.kind] ?? 'server';

class HistoryRing {
  constructor() {
    this.entries = [];
    /** Number of entries that were there before and are forgotten. */
    this.forgotten = 0;
    this.lastSeq = 0;
  }

  /** Adds entries, oldest first. Those that are known already are left out. */
  add(entries) {
    for (const entry of entries) {
      if (entry.seq <= this.lastSeq) continue;
      this.lastSeq = entry.seq;
      entry.ms = Date.parse(entry.time);
      this.entries.push(entry);
    }
    if (this.entries.length > KEPT * 1.2) {
      const extra = this.entries.length - KEPT;
      this.entries.splice(0, extra);
      this.forgotten += extra;
    }
  }

  clear() {
    this.entries = [];
    this.forgotten = 0;
    this.lastSeq = 0;
  }

  /** Index of the first entry that is not before a time. */
  indexAt(ms) {
    return lowerBound(this.entries, (entry) => entry.ms < ms);
  }

  /** Index of the last entry of a transaction or before it; -1 if all are later. */
  indexOfZxid(zxid) {
    const wanted = BigInt(zxid);
    return lowerBound(this.entries, (entry) => BigInt(entry.zxid) <= wanted) - 1;
  }

  /** Last entries about a path, oldest first. */
  about(path, kind, most) {
    const found = [];
    for (let index = this.entries.length - 1; index >= 0 && found.length < most; index -= 1) {
      const entry = this.entries[index];
      if (entry.path === path && entry.kind === kind) found.unshift(entry);
    }
    return found;
  }

  /** True if a session is known to have ended. Its events come sooner than the next list of sessions. */
  hasEnded(session) {
    return this.entries.some((entry) => entry.session === session && classOf(entry) === 'end');
  }

  /** Paths that were deleted lately, the last one first. */
  deletedPaths(most) {
    const paths = new Set();
    for (let index = this.entries.length - 1; index >= 0 && paths.size < most; index -= 1) {
      const { what, kind, path } = this.entries[index];
      if (kind === 'transaction' && what === 'deleted') paths.add(path);
    }
    return [...paths];
  }

  /** Sessions that lived after a transaction: those of now, those that ended later, without those that were opened later. */
  sessionsAt(zxid, present) {
    const living = new Map(present.map((session) => [session.id, { session }]));
    const then = this.indexOfZxid(zxid);
    for (let index = this.entries.length - 1; index > then; index -= 1) {
      const entry = this.entries[index];
      if (classOf(entry) === 'end') living.set(entry.session, { end: entry });
      else if (entry.kind === 'connect' && entry.what === 'opened') living.delete(entry.session);
    }
    return living;
  }
}

function lowerBound(list, isBefore) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(list[middle])) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The one history of the page. */
export const past = new HistoryRing();

/** Entry in words, without its time: what to say when there is room for one line. */
export function inWords(entry) {
  const because = entry.because ? `: ${entry.because}` : '';
  switch (entry.kind) {
    case 'transaction': return `${entry.path} ${entry.because ?? entry.what}`;
    case 'event': return `${entry.what} of ${entry.path}${because}`;
    case 'connect': return `session ${entry.session ?? ''} ${entry.because ?? entry.what}`;
    case 'disconnect': return `session ${entry.session ?? ''}: ${entry.because ?? entry.what}`;
    case 'close':
    case 'expiry': return `session ${entry.session} ${entry.because ?? entry.what}`;
    case 'fault': return `${entry.because ?? 'fault'}: ${entry.what}`;
    default: return `${entry.session ? `session ${entry.session}` : 'the server'}: ${entry.what}`;
  }
}
