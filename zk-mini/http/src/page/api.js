// Calls to the server: the contract of `/v1`. A token, if one is wanted, is asked for once and kept for this tab only.

const KEY = 'zk-mini token';
/** What no header can hold. A token with such a character is wrong: the request goes without it, and is refused. */
const UNSENDABLE = /[^\t\x20-\xff]/;
let askForToken = async () => null;

/** Error that the server answered with. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Sets the function that asks the user for a token. */
export function onTokenWanted(ask) {
  askForToken = ask;
}

/** Sends a request, with the token if there is one. A refused token is asked for again. */
export async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEY);
    const headers = { ...options.headers };
    if (token && !UNSENDABLE.test(token)) headers.Authorization = `Bearer ${token}`;
    const response = await fetch(path, { ...options, headers, cache: 'no-store', redirect: 'error' });
    if (response.ok) return response;
    if (response.status === 401) {
      if (sessionStorage.getItem(KEY) === token) await renewToken(Boolean(token));
      continue;
    }
    throw await errorOf(response);
  }
}

let renewal = null;
/** Asks the user for a token; once, however many calls want it. */
function renewToken(wasWrong) {
  renewal ??= askForToken(wasWrong).then((token) => {
    sessionStorage.setItem(KEY, token);
    renewal = null;
  });
  return renewal;
}

async function errorOf(response) {
  const text = await response.text();
  try {
    const { code, message } = JSON.parse(text).error;
    return new ApiError(response.status, code, message);
  } catch {
    return new ApiError(response.status, 'HTTP', text || `the server answered with status ${response.status}`);
  }
}

const get = async (path, query) => (await request(withQuery(path, query))).json();

async function send(method, path, body) {
  const json = body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const text = await (await request(path, { method, ...json })).text();
  return text ? JSON.parse(text) : null;
}

function withQuery(path, query) {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== false);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

const nodePath = (path) => `/v1/nodes${path.split('/').map(encodeURIComponent).join('/')}`;

export const api = {
  status: () => get('/v1/status'),
  /** Node with its data, `null` if there is none; as it was after a transaction, if `zxid` is given. */
  node: (path, zxid) => get('/v1/tree', { path, depth: 0, zxid, optional: 'true' }),
  /** Node with `depth` levels below it, without data. */
  tree: (path, depth, zxid) => get('/v1/tree', { path, depth, zxid, data: 'false', optional: 'true' }),
  sessions: () => get('/v1/sessions'),
  explain: (path) => get('/v1/explain', { path }),
  history: (query) => get('/v1/history', query),
  watches: (query) => get('/v1/watches', query),
  diff: (from, to) => get('/v1/diff', { from, to }),
  put: async (path, data, query) =>
    (await request(withQuery(nodePath(path), query), {
      method: 'PUT', body: data, headers: { 'Content-Type': 'application/octet-stream' },
    })).json(),
  remove: (path, recursive) => send('DELETE', withQuery(nodePath(path), { recursive })),
  session: (id, action) => send('POST', `/v1/sessions/${id}/${action}`),
  thaw: () => send('POST', '/v1/thaw'),
  clock: () => get('/v1/clock'),
  setClock: (change) => send('POST', '/v1/clock', change),
  servers: () => get('/v1/servers'),
  /** Does something to a server of an ensemble. */
  server: (number, action, body) => send('POST', `/v1/servers/${number}/${action}`, body),
  quorum: (lost) => send('POST', '/v1/quorum', { lost }),
  faults: () => get('/v1/faults'),
  addFault: (rule) => send('POST', '/v1/faults', rule),
  removeFault: (id) => send('DELETE', `/v1/faults/${encodeURIComponent(id)}`),
  removeFaults: () => send('DELETE', '/v1/faults'),
};
