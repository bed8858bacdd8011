/// <reference lib="esnext.disposable" />

/** Session: the path of an ephemeral node of it, its id as `"0x…"`, as a bigint, or as the 8 bytes that clients have. */
export type Session = string | bigint | Uint8Array;

export interface StartOptions {
  /** Path of the program. Otherwise it is `ZK_MINI`, the one of the package for this platform, or `zk-mini` on the PATH. */
  program?: string;
  /** Sessions as short as 100 ms. A client that asks for 10 s gets 10 s all the same. */
  fast?: boolean;
  /** File with the nodes to begin with, YAML or JSON. */
  load?: string;
  /** Directory for snapshots and logs. Without it everything is in memory. */
  dataDir?: string;
  /** Release line of ZooKeeper to behave like; "3.9" if not given. */
  compat?: "3.8" | "3.9";
  /** Length of a tick, the unit of session timeouts; 2000 if not given. */
  tickMs?: number;
  /** Minimum session timeout; 2 ticks if not given. */
  minSessionTimeoutMs?: number;
  /** Maximum session timeout; 20 ticks if not given. */
  maxSessionTimeoutMs?: number;
  /** Number of servers: more than one are an ensemble, simulated in one process, to be broken by `server`. */
  servers?: number;
  /** Further arguments of `zk-mini serve`; of these the last of the same name counts, and an option of this object before them. */
  args?: readonly string[];
  /** Time that the start may take; 20,000 if not given. */
  startTimeoutMs?: number;
}

export interface AttachOptions {
  /**
   * Addresses for ZooKeeper clients. Without them they are those of all servers of an ensemble, and for a single server that of its
   * HTTP, which may have a port of its own.
   */
  hosts?: string;
  /** Token of a server that was started with `--http-token-file`. */
  token?: string;
}

/** A running server. Answers of methods that change something come when it has happened: a test need not wait. */
export class ZkMini {
  private constructor();

  /** Starts a server on a free port of 127.0.0.1. It ends with `stop()`, and with this process, however that ends. */
  static start(options?: StartOptions): Promise<ZkMini>;
  /** Returns a server that runs already: at a URL, or the one of `zk-mini exec`. `stop()` leaves it alone. */
  static attach(url?: string, options?: AttachOptions): Promise<ZkMini>;

  /** Address for ZooKeeper clients, HOST:PORT; several, with commas, if the server listens on several. */
  readonly hosts: string;
  readonly host: string;
  readonly port: number;
  /** URL of the server's HTTP, and of its page. */
  readonly http: string;
  /** Process id of the server; undefined after `attach`. */
  readonly pid: number | undefined;
  /** End of what the server wrote to standard error. */
  readonly log: string;

  /** Stops the server. */
  stop(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
  /** Removes all nodes and sessions; with `all` also all rules of faults, and everything runs again by a real clock. */
  reset(options?: { all?: boolean }): Promise<Status>;
  /** Restarts the server: connections break, nodes and sessions stay; `loseUnsynced`: as after a loss of power. */
  restart(options?: { loseUnsynced?: boolean }): Promise<Status>;
  status(): Promise<Status>;

  /** Servers of an ensemble, in order; none of a single server. */
  servers(): Promise<ServerInfo[]>;
  /** One server of an ensemble, counted from 1: to be stopped, cut off, frozen, and more. */
  server(number: number): Server;
  /**
   * Loses the quorum of an ensemble: all connections are closed, and only clients that ask for read-only service are served. A single
   * server has none to lose: an error.
   */
  loseQuorum(): Promise<void>;
  /** Gets the quorum back, if more than half of the servers take part. */
  regainQuorum(): Promise<void>;

  /** Ends a session as if it had been silent for its timeout. Returns its id. */
  expire(session: Session): Promise<string>;
  /** Ends all sessions. Returns their ids. */
  expireAll(): Promise<string[]>;
  /** Closes the connection of a session, which lives on. Returns the id of the session. */
  disconnect(session: Session): Promise<string>;
  /** Stalls the server, as in a long garbage collection. */
  freeze(): Promise<unknown>;
  /** Stops hearing a session. It can expire meanwhile. */
  freeze(session: Session): Promise<string>;
  /** Lets the server go on. */
  thaw(): Promise<unknown>;
  /** Hears a session again. */
  thaw(session: Session): Promise<string>;
  sessions(): Promise<SessionInfo[]>;
  connections(): Promise<ConnectionInfo[]>;
  /**
   * Watches of all clients, or those on paths that fit, such as `/members/*`, sorted by path. `limit` keeps the first so many; without it
   * more than 10,000 are an error.
   */
  watches(path?: string, options?: { limit?: number }): Promise<WatchInfo[]>;

  /** Adds a rule: when something goes wrong, and what goes wrong then. */
  fault(when: When, then: Then): Promise<Fault>;
  faults(): Promise<Fault[]>;
  clearFaults(): Promise<void>;

  /** Returns the clock, after setting its mode if one is given. */
  clock(mode?: "real" | "manual"): Promise<Clock>;
  /** Moves the clock by milliseconds, and does all that is due on the way. A real clock is made manual first. */
  advance(ms: number): Promise<Clock>;
  /** The same, by a number of ticks of the server. */
  advanceTicks(ticks: number): Promise<Clock>;
  /** The same, to the time at which the next thing happens by itself, such as an expiry. */
  advanceToNextDeadline(): Promise<Clock>;
  /** Moves the time of day alone, by milliseconds, back if negative, as an administrator or NTP does. Sessions do not notice. */
  jumpWallClock(ms: number): Promise<Clock>;

  /** Returns a node, and all below it or as deep as `depth` says. With `zxid`: as it was after that transaction. */
  tree(path?: string, options?: { depth?: number; zxid?: string }): Promise<Node>;
  /** Returns the data of a node: text, bytes if they are no UTF-8, or null if it has none. */
  get(path: string): Promise<string | Uint8Array | null>;
  /** Returns the names of the children of a node. */
  children(path: string): Promise<string[]>;
  exists(path: string): Promise<boolean>;
  /** Sets the data of a node; makes the node, and its parents, if need be. Returns its path. */
  put(path: string, data?: string | Uint8Array, options?: { sequential?: boolean; ephemeralOwner?: Session }): Promise<string>;
  /** Deletes a node; with `recursive`, all below it, too. Returns how many were deleted. */
  delete(path: string, options?: { recursive?: boolean }): Promise<number>;

  /** Says who created, changed and deleted a node, and why: text to print. */
  explain(path: string): Promise<string>;
  /** Returns what has happened, the oldest first. */
  history(filter?: HistoryFilter): Promise<Entry[]>;
  /** Returns the same as text, a line for each entry. Without a filter: the last 40, of requests only those that failed (`story`). */
  historyText(filter?: HistoryFilter): Promise<string>;

  /** Returns the whole tree, in the format of Apache ZooKeeper. */
  snapshot(): Promise<Uint8Array>;
  /** Returns the whole tree as YAML, to read and to edit. */
  snapshotText(): Promise<string>;
  /** Replaces the whole tree: by bytes of `snapshot()`, or by text, YAML or JSON. */
  restore(snapshot: string | Uint8Array): Promise<void>;

  /** Makes any call of the HTTP API. Returns its answer: a value if it is JSON, a Buffer if it is bytes, else text. */
  call(method: string, path: string, body?: unknown, type?: string): Promise<any>;
}

/** One server of an ensemble, to be broken and mended. What is done to it stays until it is undone. */
export class Server {
  private constructor();

  /** Number of the server, from 1. */
  readonly number: number;

  /** What it is now. */
  info(): Promise<ServerInfo>;
  /** Stops it: its port refuses, and its connections are closed. If it leads, another server does. */
  stop(): Promise<ServerInfo>;
  /** Starts it on the same port, with everything that has happened meanwhile. */
  start(): Promise<ServerInfo>;
  /** Stops it, and starts it. */
  restart(): Promise<ServerInfo>;
  /** Cuts it off from the others: its connections are closed, and new ones get no answer. */
  partition(): Promise<ServerInfo>;
  /** Lets it reach the others again. */
  heal(): Promise<ServerInfo>;
  /** Lets its clients hear nothing of it; it stays a part of the ensemble. */
  freeze(): Promise<ServerInfo>;
  /** Lets it go on. */
  thaw(): Promise<ServerInfo>;
  /** Lets it lead, in a new epoch: all connections of all servers are closed. */
  lead(): Promise<ServerInfo>;
  /** Lets it be behind the leader, so that its clients read the past. */
  lag(lag: { transactions: number } | { ms: number }): Promise<ServerInfo>;
  /** Lets it not be behind any more. */
  noLag(): Promise<ServerInfo>;
}

/** Server of an ensemble, as it was when it was asked for. */
export interface ServerInfo {
  /** From 1. */
  number: number;
  address: string;
  /** `"looking"` if it knows no leader. */
  role: "leader" | "follower" | "observer" | "looking";
  /** `"read-only"` if there is no quorum. */
  state: "running" | "read-only" | "frozen" | "partitioned" | "stopped";
  lastZxid: string;
  lag: { transactions?: number; ms?: number; none?: boolean };
  /** Number of transactions that it has not applied yet. */
  behind: number;
}

/** A rule of faults in the server. */
export class Fault {
  private constructor();

  readonly id: string;
  /** The rule in words. */
  readonly text: string;
  /** Returns how often the rule did something. */
  fired(): Promise<number>;
  /** Returns what it did something to. */
  hits(): Promise<Hit[]>;
  /** Removes the rule; one that is removed already stays so. */
  remove(): Promise<void>;
}

/** Cases that a rule fits: one of `op`, `event`, `connect`, `reattach` and `expiry`, narrowed by the other fields. */
export interface When {
  /** Requests: `"create"`, `"getData"`, … or `"*"`. */
  op?: string | string[];
  event?: "NodeCreated" | "NodeDeleted" | "NodeDataChanged" | "NodeChildrenChanged" | "*";
  /** Handshakes of clients. */
  connect?: true;
  /** Handshakes of clients that come back with a session. */
  reattach?: true;
  /** Expiries of sessions. */
  expiry?: true;
  /** `*` stands for any characters in one name, `/services/**` for everything below `/services`. */
  path?: string;
  session?: Session;
  connection?: string;
  listener?: string;
  /** The nth case alone. */
  nth?: number;
  /** Each nth case. */
  every?: number;
  /** At most so many cases. */
  times?: number;
  probability?: number;
  seed?: number;
}

/** Effect of a rule: one of these. */
export interface Then {
  /** The client gets this error, a name of `KeeperException.Code`, and nothing is done. */
  fail?: string;
  /** It happens later. */
  delay_ms?: number;
  /** It happens at once, and the reply comes later. */
  delay_reply_ms?: number;
  /** The connection breaks: nothing was done, or it was done and the reply is lost. */
  drop?: "before_apply" | "after_apply";
  /** No reply comes, and the connection stays. */
  silent?: "before_apply" | "after_apply";
  slow?: { latency_ms?: number; bytes_per_second?: number };
  /** The client does not hear of the event. */
  drop_event?: true;
  refuse?: true;
  /** The nodes of the session stay for so long after it has ended. */
  hold_ephemerals_ms?: number;
}

export interface Hit {
  number: number;
  time: string;
  kind: string;
  op: string | null;
  event: string | null;
  path: string | null;
  session: string | null;
  connection: string | null;
  xid: number | null;
}

export interface Status {
  api: number;
  version: string;
  compat: string;
  last_zxid: string;
  nodes: number;
  sessions: number;
  connections: number;
  watches: number;
  clock: "real" | "manual";
  servers: number;
  frozen: boolean;
  down: boolean;
  read_only: boolean;
}

export interface SessionInfo {
  id: string;
  timeout_ms: number;
  connected: boolean;
  client: string | null;
  last_heard_ms: number;
  expires_in_ms: number;
  ephemerals: string[];
  watches: number;
  connection: string | null;
  frozen: boolean;
}

export interface ConnectionInfo {
  id: string;
  client: string | null;
  session: string | null;
  since_ms: number;
  frozen: boolean;
  received: number;
  sent: number;
}

export interface WatchInfo {
  path: string;
  kind: "data" | "children" | "persistent" | "recursive";
  session: string | null;
  connection: string;
}

export interface Clock {
  mode: "real" | "manual";
  now: string;
  now_ms: number;
  monotonic_ms: number;
  tick_ms: number;
  next_deadline_ms: number | null;
  advanced_ms?: number;
}

export interface Node {
  path: string;
  name: string;
  data: string | null;
  encoding: "utf8" | "base64" | "null";
  kind: string;
  watches: number;
  stat: Stat;
  children: Node[];
}

export interface Stat {
  czxid: string;
  mzxid: string;
  ctime: number;
  mtime: number;
  version: number;
  cversion: number;
  aversion: number;
  ephemeralOwner: string;
  dataLength: number;
  numChildren: number;
  pzxid: string;
}

export interface HistoryFilter {
  /** Paths, such as `/a/**`. */
  path?: string;
  session?: Session;
  /** Kinds of entries, with commas: request, transaction, event, connect, disconnect, close, expiry, fault, server. */
  kind?: string;
  /** What came after this zxid. */
  since?: string;
  /** What came behind the entry with this number. */
  sinceSeq?: number;
  /** What came before the entry with this number. */
  beforeSeq?: number;
  /** The last so many; with `since` or `sinceSeq` the first of them. */
  limit?: number;
  /** Without requests that went well: what they have changed has entries of its own. */
  story?: boolean;
}

export interface Entry {
  seq: number;
  zxid: string;
  time: string;
  kind: string;
  session: string | null;
  path: string | null;
  what: string;
  because: string | null;
  client: string | null;
  connection: string | null;
  xid: number | null;
  error: string | null;
}

/** Base of all errors of this package. */
export class ZkMiniError extends Error {}

/** The program was not found, or the server did not start. */
export class StartError extends ZkMiniError {
  private constructor();

  /** End of what the server wrote to standard error. */
  readonly log: string;
}

/** The server refused a call, or did not answer. */
export class ServerError extends ZkMiniError {
  private constructor();

  /** Status of HTTP; 0 if the server did not answer. */
  readonly status: number;
  /** `"not_found"`, `"conflict"`, `"bad_request"`, …; `"unreachable"` if the server did not answer. */
  readonly code: string;
}
