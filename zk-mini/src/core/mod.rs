//! The server without its surroundings: sessions, the tree, watches, and every rule of the protocol.
//!
//! Plain data and methods. Frames, connections and the time go in as [`Input`]s; replies, watch events,
//! transactions and closes come out as [`Output`]s, in the order in which they must be performed. It knows
//! no socket, file, clock, thread or randomness, so a list of inputs is a whole test.
//!
//! After each [`Core::handle`], drain [`Core::poll_output`] until it is `None`, then wait for input until
//! [`Core::poll_deadline`] and hand in [`Input::Timeout`], after all that has arrived until then: nothing ends by itself
//! but by that input. First go containers and nodes with a time to live, then sessions expire; so a container whose last
//! child goes with its session waits for the next check. A session of which something is heard before it is expired goes
//! on, however late that is.
//!
//! A write goes through `prepare`, where every rule that can refuse it is, to a [`Txn`], which `apply`
//! follows without asking; refusals are transactions too, since they take a zxid. Reads do not.

mod access;
mod apply;
mod compat;
mod config;
mod events;
mod figures;
mod image;
mod inspect;
mod message;
mod outputs;
mod peer;
mod prepare;
mod reap;
mod requests;
mod session;
pub(crate) mod size;
mod tree;
mod txn;
mod watch;

pub use access::password::SessionSecret;
pub use compat::Compat;
pub use config::Config;
pub use image::{Image, ImageNode, ImageWalk};
pub use inspect::{ConnectionInfo, NodeInfo, SessionInfo, WatchInfo, WatchKind};
pub use message::{ConnId, Input, Note, Now, Output, Peer, Refusal};
pub use txn::{Change, CreateNode, NodeKind, Txn};

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt};
use zk_wire::{Millis, Perms, SessionId, Xid, Zxid};

use apply::{Applied, apply};
use compat::Rules;
use events::{Audience, FiredEvents};
use figures::Namespaces;
pub(crate) use figures::Totals;
use outputs::Outputs;
use peer::PeerState;
use reap::Reaper;
use requests::listing::Listing;
use session::Sessions;
use tree::Tree;
use watch::Watches;

/// Number of sessions and nodes that end by themselves in one step, about: a millisecond's work.
const STEP: usize = 1_000;

/// The server's state machine.
///
/// ```
/// use bytes::Bytes;
/// use zk_mini::core::{ConnId, Config, Core, Input, Now, Output, Peer};
/// use zk_wire::{ConnectRequest, Encode, SessionId, Zxid};
///
/// let mut core = Core::new(Config::default());
/// let conn = ConnId(1);
/// core.handle(Now::default(), Input::Accepted { conn, peer: Peer::LOCAL });
/// let mut frame = bytes::BytesMut::new();
/// ConnectRequest {
///     protocol_version: 0,
///     last_zxid_seen: Zxid(0),
///     timeout: 10_000,
///     session_id: SessionId::NONE,
///     password: None,
///     read_only: Some(false),
/// }
/// .encode(&mut frame);
/// core.handle(Now::default(), Input::Frame { conn, frame: frame.freeze() });
/// assert!(matches!(core.poll_output(), Some(Output::Persist(txn)) if txn.zxid == Zxid(1)));
/// assert!(matches!(core.poll_output(), Some(Output::Note(_))));
/// assert!(matches!(core.poll_output(), Some(Output::Send { .. })));
/// assert_eq!(core.poll_output(), None);
/// assert_eq!(core.sessions().len(), 1);
/// ```
#[derive(Debug)]
pub struct Core {
    config: Config,
    rules: &'static Rules,
    tree: Tree,
    sessions: Sessions,
    watches: Watches,
    peers: HashMap<ConnId, PeerState>,
    outputs: Outputs,
    last_zxid: Zxid,
    /// Transactions cannot be kept: no write is taken, and no time passes for what would end by itself.
    disk_lost: bool,
    /// The last end of a session whose nodes were not listed.
    unlisted: Zxid,
    /// Numbers after the last zxid that no transaction will have.
    skipped_zxids: i64,
    reaper: Reaper,
    /// What the last transaction did, and what is to be heard of it; kept to use their room again.
    results: Vec<Applied>,
    events: FiredEvents,
    namespaces: Namespaces,
    listing: Listing,
}

impl Core {
    /// A server with nothing but the system nodes.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let rules = config.compat.rules();
        Self {
            rules,
            tree: Tree::new(config.digests, config.seed),
            sessions: Sessions::new(config.tick, config.seed),
            watches: Watches::new(rules.watch_modes_add_up, config.max_watches, config.max_watch_bytes),
            peers: HashMap::new(),
            outputs: Outputs::new(config.max_reply),
            last_zxid: config.begin_after,
            disk_lost: false,
            unlisted: Zxid(0),
            skipped_zxids: 0,
            reaper: Reaper::new(config.container_check_interval),
            results: Vec::new(),
            events: FiredEvents::default(),
            namespaces: Namespaces::default(),
            listing: Listing::default(),
            config,
        }
    }

    /// Takes in what happened at the time `now`, which never goes back; but the monotonic half of that of a timeout may be
    /// an earlier one, up to which all input has been handed in. Frames of connections that are not known, or no more, are
    /// ignored.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.skip_idle_checks(now.mono);
        match input {
            Input::Accepted { conn, peer } => {
                self.peers.insert(conn, PeerState::new(peer));
            }
            Input::Frame { conn, frame } => self.frame(now, conn, frame),
            Input::Waiting { conn } => self.waiting(now, conn),
            Input::Closed { conn } => self.forget(conn),
            Input::Timeout => self.time_passes(now),
        }
    }

    /// The next thing to do.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// Returns when to hand in [`Input::Timeout`] if nothing happens before. A lot that is due is done in steps, a timeout each,
    /// so that others get in between: the deadline stays in the past until all is done.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Millis> {
        let deadline = self.sessions.next_expiry().into_iter().chain(self.next_reap()).min();
        deadline.filter(|_| !self.disk_lost)
    }

    /// Returns whether there is something to [tidy up](Self::tidy_up).
    #[must_use]
    pub fn is_untidy(&self) -> bool {
        self.watches.is_to_clear()
    }

    /// Takes a step at what nobody sees any more, but what takes room: watches of connections that have gone.
    pub fn tidy_up(&mut self) {
        self.watches.clear(STEP);
    }

    /// Goes back to an earlier state, without any output, and takes no writes from then on: they are answered with
    /// [`NOT_READ_ONLY`](zk_wire::ErrorCode::NOT_READ_ONLY), a client that wants to begin or to end a session is
    /// disconnected, and no session expires. No connection is known any longer. The state that is given up comes back, to be
    /// dropped where nobody waits for it.
    pub fn go_back(&mut self, mut earlier: Self) -> Self {
        earlier.sessions.go_on_after(&self.sessions);
        earlier.disk_lost = true;
        std::mem::replace(self, earlier)
    }

    /// Takes writes again. Every session has its full timeout left.
    pub fn accept_writes(&mut self, now: Now) {
        self.disk_lost = false;
        for id in self.sessions.ids() {
            self.sessions.touch(id, now.mono);
        }
    }

    /// Does again what a persisted transaction did, without any output. Sessions get their full timeout from
    /// `now` on. Transactions up to the last known one are skipped.
    pub fn replay(&mut self, now: Now, txn: Txn) {
        if txn.zxid <= self.last_zxid {
            return;
        }
        let zxid = txn.zxid;
        self.results.clear();
        let (tree, sessions) = (&mut self.tree, &mut self.sessions);
        apply(tree, sessions, txn, now.mono, &mut Audience::nobody(), &mut self.results);
        self.last_zxid = zxid;
    }

    /// The shortest and the longest session timeout that a client can get.
    #[must_use]
    pub fn session_timeout_bounds(&self) -> (Millis, Millis) {
        self.config.session_timeout_bounds()
    }

    fn frame(&mut self, now: Now, conn: ConnId, frame: Bytes) {
        match self.peers.get(&conn).map(|peer| peer.session) {
            Some(Some(session)) => self.request(now, conn, session, &frame),
            Some(None) => self.handshake(now, conn, frame),
            None => {}
        }
    }

    /// Something of a connection has arrived that cannot be handled yet.
    fn waiting(&mut self, now: Now, conn: ConnId) {
        if let Some(session) = self.peers.get(&conn).and_then(|peer| peer.session) {
            self.sessions.touch(session, now.mono);
        }
    }

    /// Does what is due, or a step of it. Containers are judged by what was there before anybody expires.
    fn time_passes(&mut self, now: Now) {
        if !self.disk_lost {
            let mut room = STEP;
            self.reap(now, &mut room);
            self.expire(now, &mut room);
        }
    }

    /// Ends the sessions whose time is over, and closes their connections.
    fn expire(&mut self, now: Now, room: &mut usize) {
        while *room > 0
            && let Some(id) = self.sessions.expired(now.mono)
        {
            let conn = self.sessions.get(id).and_then(|session| session.conn);
            *room = room.saturating_sub(1 + self.tree.ephemerals_of(id));
            self.end_session(now, id, Xid(0));
            self.outputs.expired(id);
            if let Some(conn) = conn {
                self.close(conn);
            }
        }
    }

    /// Gives a change the next number, applies it, and puts out the transaction, if it is to be kept, and the events that
    /// it fires: to those who may know. A watch is used up even where its event may not be told. The results stay in
    /// `results` for the reply.
    fn commit(&mut self, now: Now, session: SessionId, xid: Xid, change: Change) {
        let zxid = Zxid(self.last_zxid.next().0.wrapping_add(self.skipped_zxids));
        self.skipped_zxids = 0;
        if matches!(change, Change::CloseSession { ephemerals: None }) {
            self.unlisted = zxid;
        }
        let txn = Txn { zxid, time: now.wall, session, xid, change, digest: None };
        let kept = self.config.transactions.then(|| txn.clone());
        self.results.clear();
        self.events.clear();
        let mut audience = Audience::new(&mut self.watches, &mut self.events, &mut self.namespaces);
        apply(&mut self.tree, &mut self.sessions, txn, now.mono, &mut audience, &mut self.results);
        self.last_zxid = zxid;
        if let Some(txn) = kept {
            self.outputs.persist(Txn { digest: self.tree.digest(), ..txn });
        }
        let shown = if self.rules.events_carry_zxid { zxid } else { Zxid(-1) };
        for (event, told) in self.events.iter() {
            let may_know = |conn: &ConnId| {
                let peer = self.peers.get(conn);
                peer.is_some_and(|peer| {
                    event.acl.check(&peer.requester(&self.config, self.rules), Perms::READ).is_ok()
                })
            };
            self.outputs.event(told.iter().copied().filter(may_know), shown, event.kind, &event.path);
        }
    }

    /// Closes a connection, after what was sent to it. Its session lives on.
    fn close(&mut self, conn: ConnId) {
        if self.peers.contains_key(&conn) {
            self.forget(conn);
            self.outputs.close(conn);
        }
    }

    /// Takes a connection and its watches out of the books.
    fn forget(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.remove(&conn) else { return };
        self.watches.remove_conn(conn);
        let session = peer.session.and_then(|id| self.sessions.get_mut(id));
        if let Some(session) = session.filter(|session| session.conn == Some(conn)) {
            session.conn = None;
        }
    }
}
