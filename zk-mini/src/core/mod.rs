//! Core of the server: sessions, the tree, watches, and every rule of the protocol, without I/O.
//!
//! Frames, connections and time go in as [`Input`]s. Replies, watch events, transactions and closes come out as
//! [`Output`]s, to be performed in order. The core knows no socket, file, clock, thread or randomness, so a list of
//! inputs is a whole test.
//!
//! After each [`Core::handle`], drain [`Core::poll_output`] until it is `None`. Then wait for input until
//! [`Core::poll_deadline`], and pass [`Input::Timeout`] after all input that arrived before it. Sessions and nodes
//! expire only by that input: containers and nodes with a time to live first, then sessions, so a container whose
//! last child goes with its session waits for the next check. A sign of life before that input keeps a session,
//! however late it is.
//!
//! A write goes through `prepare`, which holds every rule that can refuse it, to a [`Txn`], which `apply` applies
//! without any check. A refused write is a transaction, too, because it takes a zxid. Reads take none.

mod access;
mod apply;
mod audit;
mod commit;
mod compat;
mod config;
mod direct;
mod emptied;
mod ensemble;
mod events;
mod expiry;
pub(crate) mod faults;
mod figures;
mod freeze;
mod gates;
mod held;
pub mod history;
mod image;
mod inspect;
mod lane;
mod lifecycle;
mod link;
mod message;
mod outputs;
mod peers;
mod prepare;
mod reap;
mod requests;
mod session;
pub(crate) mod size;
mod subtree;
mod throttle;
mod tree;
mod txn;
mod watch;

pub use access::credentials::{AccessError, Credentials};
pub use access::password::SessionSecret;
pub use access::sasl::{SaslRefusal, SaslUsers};
pub use audit::{AuditOperation, AuditRecord};
pub use compat::Compat;
pub use config::Config;
pub use direct::{NewNode, WriteError, Written};
pub use emptied::Emptied;
pub use ensemble::{
    EnsembleFigures, Lag, LeaderFigures, Membership, Mode, ProposalSizes, QuorumAddr, QuorumAddrError, Role,
    ServerInfo, ServerSetup, ServerState, Unable,
};
pub(crate) use ensemble::{MAX_SERVERS, MIN_VOTERS};
pub use faults::{CaseKind, Condition, FaultId, FaultInfo, FaultState, Hit, HitKind};
pub use faults::{Glob, GlobError, On, Rule, RuleError, Then};
pub use image::{Image, ImageNode, ImageWalk, Restoration};
pub use inspect::{NodeInfo, PeerInfo, SessionInfo, WatchInfo, WatchKind};
pub use message::{ConnId, Frame, Input, Note, Now, Output, Part, Peer, Refusal};
pub use subtree::{NoSubtree, Reach, Subtree, SubtreeNode};
pub use throttle::{Throttle, ThrottleWeights};
pub use tree::SYSTEM_NODES;
pub use txn::{Change, CreateNode, NodeKind, Txn};

use bytes::Bytes;
use zk_wire::{ByteString, Millis, Zxid};

use apply::Applied;
use compat::Rules;
use ensemble::Ensemble;
use events::FiredEvents;
use faults::Faults;
use figures::Namespaces;
pub use figures::{Totals, WatchersTold};
use gates::Gates;
use held::HeldSessions;
use history::Recorder;
pub use history::Replacement;
use outputs::Outputs;
use peers::{PeerState, Peers};
pub(crate) use reap::NextDeletion;
use reap::Reaper;
use requests::listing::Listing;
use session::Sessions;
use throttle::Bucket;
use tree::Tree;
pub(crate) use tree::name_set::NameSet;
use watch::Watches;

/// Maximum number of sessions and nodes that expire in one step, about a millisecond of work.
const STEP: usize = 1_000;

/// State machine of a server.
///
/// ```
/// use bytes::BytesMut;
/// use zk_mini::core::{Config, ConnId, Core, Input, Now, Output, Peer};
/// use zk_wire::{ConnectRequest, Encode, SessionId, Zxid};
///
/// let (mut core, now, conn) = (Core::new(Config::default()), Now::default(), ConnId(1));
/// core.handle(now, Input::Accepted { conn, peer: Peer::LOCAL, listener: None });
///
/// // The first frame of a connection opens a session.
/// let mut frame = BytesMut::new();
/// ConnectRequest {
///     protocol_version: 0,
///     last_zxid_seen: Zxid(0),
///     timeout: 10_000,
///     session_id: SessionId::NONE,
///     password: None,
///     read_only: Some(false),
/// }
/// .encode(&mut frame);
/// core.handle(now, Input::Frame { conn, frame: frame.freeze() });
///
/// // Its transaction comes before the answer: the client must not see what a crash could lose.
/// assert!(matches!(core.poll_output(), Some(Output::Persist(txn)) if txn.zxid == Zxid(1)));
/// assert!(matches!(core.poll_output(), Some(Output::Note(_))));
/// assert!(matches!(core.poll_output(), Some(Output::Send { .. })));
/// assert_eq!(core.poll_output(), None);
/// assert_eq!(core.sessions().len(), 1);
///
/// // Without a sign of life the session expires at the deadline, and its connection is closed.
/// let later = Now { mono: core.poll_deadline().unwrap_or_default(), ..now };
/// core.handle(later, Input::Timeout);
/// let outputs: Vec<Output> = std::iter::from_fn(|| core.poll_output()).collect();
/// assert!(matches!(outputs[..], [Output::Persist(_), Output::Expired { .. }, Output::Close { .. }]));
/// ```
#[derive(Debug)]
pub struct Core {
    config: Config,
    rules: &'static Rules,
    tree: Tree,
    sessions: Sessions,
    watches: Watches,
    peers: Peers,
    outputs: Outputs,
    last_zxid: Zxid,
    /// The disk is lost: writes are refused and nothing expires.
    disk_lost: bool,
    /// The server is down: nothing expires.
    is_down: bool,
    /// Zxid of the last exchange of the whole state. Watches set relative to an earlier one have missed it.
    replaced: Zxid,
    /// Last end of a session whose nodes were not listed.
    unlisted: Zxid,
    /// Number of zxids to skip before the next transaction.
    skipped_zxids: i64,
    reaper: Reaper,
    /// Results and events of the last transaction, and its emptied list of changes, kept to reuse their memory.
    results: Vec<Applied>,
    changes: Vec<Change>,
    events: FiredEvents,
    namespaces: Namespaces,
    listing: Listing,
    faults: Faults,
    pub(crate) history: Recorder,
    held: HeldSessions,
    throttle: Bucket,
    /// Path of the node of the last create, for its audit record.
    created: Option<ByteString>,
    /// Client of HTTP for whom direct writes are done.
    writer: Option<Peer>,
    /// The servers, if there are several.
    ensemble: Option<Box<Ensemble>>,
}

impl Core {
    /// Creates a server with only the system's nodes.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let rules = config.compat.rules();
        Self {
            rules,
            tree: Tree::new(config.digests, config.seed),
            sessions: Sessions::new(config.tick, config.seed),
            watches: Watches::new(rules.watch_modes_add_up, config.max_watches, config.max_watch_bytes),
            peers: Peers::default(),
            outputs: Outputs::new(config.max_reply, Gates::new(config.max_held)),
            last_zxid: config.begin_after,
            disk_lost: false,
            is_down: false,
            replaced: Zxid(0),
            unlisted: Zxid(0),
            skipped_zxids: 0,
            reaper: Reaper::new(config.container_check_interval),
            results: Vec::new(),
            changes: Vec::new(),
            events: FiredEvents::default(),
            namespaces: Namespaces::default(),
            listing: Listing::default(),
            faults: Faults::default(),
            history: Recorder::new(config.history, config.begin_after),
            held: HeldSessions::default(),
            throttle: Bucket::new(config.throttle, config.seed, 0),
            created: None,
            writer: None,
            ensemble: None,
            config,
        }
    }

    /// Handles an input at the time `now`, which never goes back. Exception: a timeout may have an earlier monotonic
    /// time, if all input up to it has been handled. Frames of unknown or closed connections are ignored.
    #[expect(clippy::needless_pass_by_value, reason = "an input is used up; a frame is not moved out of it")]
    pub fn handle(&mut self, now: Now, input: Input) {
        self.begin(now);
        match input {
            Input::Accepted { conn, peer, listener } => {
                self.peers.insert(conn, PeerState::new(peer, listener));
                self.accepted_frozen(conn, listener);
            }
            Input::Certified { conn, ref subject } => self.certified(conn, subject),
            Input::Frame { conn, ref frame } => return self.handle_frame(now, conn, frame),
            Input::Waiting { conn } => self.waiting(now, conn),
            Input::Closed { conn } => self.lost(conn),
            Input::Disconnect { conn } => self.close(conn),
            Input::Expire { session } => self.expire_now(now, session),
            Input::Freeze { part } => self.freeze(part),
            Input::Thaw { part } => self.thaw(now, part),
            Input::Timeout => self.time_passes(now),
        }
        self.end(now);
    }

    /// Handles a frame that a connection has sent, as [`handle`](Self::handle) handles an [`Input::Frame`]. It is only borrowed:
    /// what is kept of it is copied.
    pub fn handle_frame(&mut self, now: Now, conn: ConnId, frame: &[u8]) {
        self.begin(now);
        if self.outputs.gates.is_empty() || !self.outputs.gates.hold_frame(conn, frame) {
            self.arrived(now, conn, frame, false);
        }
        self.end(now);
    }

    /// Brings the servers of an ensemble up to date, as far as their lag allows: to be called after every change.
    #[inline]
    pub fn replicate(&mut self, now: Now) {
        if self.ensemble.is_some() {
            self.settle_servers(now);
        }
    }

    /// Brings everything that depends on the time alone up to date.
    pub(crate) fn begin(&mut self, now: Now) {
        self.history.now = now.wall;
        self.skip_idle_checks(now.mono);
        self.outputs.gates.set_now(now.mono);
    }

    /// Does what follows every input.
    #[inline]
    fn end(&mut self, now: Now) {
        if self.outputs.gates.has_effects() {
            self.perform_effects();
        }
        self.replicate(now);
    }

    /// Returns the next output; `None` if all are taken.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// Returns the next output if it is a frame: the same as [`poll_output`](Self::poll_output), with less work for short frames,
    /// which are most of all outputs.
    #[must_use]
    pub fn poll_frame(&mut self) -> Option<(ConnId, Frame<'_>)> {
        self.outputs.pop_frame()
    }

    /// Returns the time at which [`Input::Timeout`] is due. Many expiries are done in steps, one per timeout, so that
    /// other inputs get their turn; the deadline stays in the past until all are done.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Millis> {
        if self.is_stalled() {
            return None;
        }
        self.deadline_beside_checks().into_iter().chain(self.next_reap()).min()
    }

    /// Returns the next deadline of all but the checks of [`reap`](Self::reap), most of which find nothing.
    fn deadline_beside_checks(&self) -> Option<Millis> {
        let ends = self.sessions.next_expiry().into_iter().chain(self.held.next_end()).min();
        let ends = ends.filter(|_| !self.is_still());
        let own = ends.into_iter().chain(self.outputs.gates.next_due()).min();
        if self.ensemble.is_none() {
            return own;
        }
        [own, self.next_replication(), self.next_local_expiry()].into_iter().flatten().min()
    }

    /// Returns `true` if there is work for [`tidy_up`](Self::tidy_up).
    #[must_use]
    pub fn is_untidy(&self) -> bool {
        self.watches.is_to_clear() || self.has_leaving() || self.has_untidy_server()
    }

    /// Clears away in a step what is no longer visible: watches of closed connections, and nodes of sessions with very many
    /// of them. Drain the outputs afterwards. Returns large tables that have become empty, so that the caller can drop them
    /// outside of locks.
    pub fn tidy_up(&mut self) -> Emptied {
        let mut emptied = Emptied::default();
        self.watches.clear(STEP, &mut emptied);
        self.leave_on(&mut { STEP });
        self.tidy_up_servers(STEP, &mut emptied);
        emptied
    }

    /// Goes back to an earlier state after the disk is lost, without any output. Returns the present state, so that the
    /// caller can drop it outside of locks. From then on writes are answered with
    /// [`NOT_READ_ONLY`](zk_wire::ErrorCode::NOT_READ_ONLY), clients that open or close a session are disconnected,
    /// and no session expires. All connections are forgotten.
    pub fn go_back(&mut self, mut earlier: Self) -> Self {
        // Clients know ids that the earlier state has not given yet.
        earlier.sessions.go_on_after(&self.sessions);
        earlier.outputs.gates = self.outputs.gates.without_connections();
        (earlier.is_down, earlier.replaced) = (self.is_down, self.replaced);
        earlier.disk_lost = true;
        earlier.faults = std::mem::take(&mut self.faults);
        earlier.continue_history_of(self, Replacement::DiskLost);
        earlier.held = std::mem::take(&mut self.held);
        earlier.held.go_on_in(&mut earlier.sessions);
        earlier.ensemble = self.ensemble.take();
        if earlier.ensemble.is_some() {
            // An election outlives the disk: clients know its epoch.
            earlier.last_zxid = earlier.last_zxid.max(ensemble::first_of_epoch(self.last_zxid));
        }
        let former = std::mem::replace(self, earlier);
        self.refresh_servers();
        former
    }

    /// Accepts writes again. Every session gets its full timeout.
    pub fn accept_writes(&mut self, now: Now) {
        self.disk_lost = false;
        if self.ensemble.is_some() {
            // Elections meanwhile stand in no log.
            self.mark_zxid(now);
        }
        for id in self.sessions.ids() {
            self.sessions.touch(id, now.mono);
        }
    }

    /// Returns the minimum and maximum session timeout that a client can get.
    #[must_use]
    pub fn session_timeout_bounds(&self) -> (Millis, Millis) {
        self.config.session_timeout_bounds()
    }

    /// Handles a frame that has passed the gate of its connection. Fault rules are not asked about one that they have
    /// delayed.
    // From here to the reply, what every request passes is compiled into `handle_frame`, where nothing is instrumented, and into
    // `passed`: each call on the way costs 2 % of a getData.
    #[inline(always)]
    fn arrived(&mut self, now: Now, conn: ConnId, frame: &[u8], is_delayed: bool) {
        match self.peers.get(conn).map(PeerState::session) {
            Some(Some(session)) => self.request(now, conn, session, frame, is_delayed),
            Some(None) => self.first_frame(now, conn, frame, is_delayed),
            None => {}
        }
    }

    /// Handles a frame of a connection without a session.
    #[inline(never)]
    fn first_frame(&mut self, now: Now, conn: ConnId, frame: &[u8], is_delayed: bool) {
        let frame = Bytes::copy_from_slice(frame);
        if !self.is_muted(conn) && !self.names_frozen_session(conn, &frame, is_delayed) {
            self.handshake(now, conn, frame, is_delayed);
        }
    }

    /// Takes data that has arrived, and cannot be handled yet, as a sign of life.
    fn waiting(&mut self, now: Now, conn: ConnId) {
        if self.outputs.gates.holds_input(conn) {
            return;
        }
        if let Some(session) = self.peers.session_of(conn) {
            self.touch(now, conn, session);
        }
    }

    /// Does due work, at most one step of it. What has arrived by now is handled before anything expires. Containers
    /// are checked before sessions expire.
    fn time_passes(&mut self, now: Now) {
        if self.is_stalled() {
            return;
        }
        // One budget for all, so that a step has a bounded duration.
        let mut room = STEP;
        self.let_pass(now, &mut room);
        self.expire_local(now, &mut room);
        if !self.is_still() {
            self.reap(now, &mut room);
            self.end_holds(now, &mut room);
            self.expire(now, &mut room);
        }
    }

    /// Notes an event for the log and the history.
    fn note(&mut self, note: Note) {
        if self.history.is_on() {
            self.history.note(self.last_zxid, &note);
        }
        self.outputs.note(note);
    }

    /// Closes a connection after the frames sent to it. Its session lives on.
    fn close(&mut self, conn: ConnId) {
        if self.peers.contains(conn) {
            // What a leader closes ends at its server, in order.
            if !self.outputs.is_diverted() {
                self.end_connection(conn, true);
            }
            self.outputs.close(conn);
        }
    }

    /// Removes a connection that has ended, and its watches.
    fn end_connection(&mut self, conn: ConnId, by_server: bool) {
        if let Some(peer) = self.peers.get(conn).filter(|_| self.history.is_on()) {
            self.history.disconnected(self.last_zxid, conn, peer.address, peer.session(), by_server);
        }
        self.forget(conn);
    }

    /// Removes a connection and its watches.
    fn forget(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.remove(conn) else { return };
        self.end_watches(conn, peer.listener);
        let session = peer.session().and_then(|id| self.sessions.get_mut(id));
        // The session may have moved to another connection.
        if let Some(session) = session.filter(|session| session.conn == Some(conn)) {
            session.conn = None;
        }
        if !self.outputs.gates.is_empty() {
            let ended = peer.session().filter(|id| !self.is_alive(*id));
            // Those of this connection go by `depart`: its gate must stay, for the close that comes next.
            if let Some(session) = ended {
                self.outputs.gates.give_up_departed(session);
            }
            self.outputs.gates.depart(conn, peer, ended.is_some());
        }
    }
}
