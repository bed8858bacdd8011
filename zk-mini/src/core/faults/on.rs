//! Conditions of rules.

use std::fmt;
use std::net::SocketAddr;

use zk_wire::{EventType, OpCode, SessionId};

use crate::core::faults::error::RuleError;
use crate::core::message::ConnId;

/// Condition of a [`Rule`](super::Rule): something that the server is about to do, and the cases of it that count.
///
/// Paths are compared as clients send them, complete and before a sequential node gets its number. In a glob `*` stands
/// for any characters within one name, and `/a/**` for every path below `/a`, not `/a` itself; all other characters
/// stand for themselves.
///
/// The narrowing methods can be combined in any order, and all of them must hold. Then the rule counts the case, and
/// [`nth`](Self::nth), [`every`](Self::every), [`probability`](Self::probability) and [`times`](Self::times) decide,
/// in this order, if it fires.
///
/// ```
/// use zk_mini::On;
///
/// let third_lock = On::create("/locks/*/lock-*").nth(3);
/// assert_eq!(third_lock.to_string(), "create of /locks/*/lock-*, the 3rd");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct On {
    pub(super) kind: CaseKind,
    pub(super) path: Option<String>,
    pub(super) session: Option<SessionId>,
    pub(super) connection: Option<ConnId>,
    pub(super) listener: Option<SocketAddr>,
    pub(super) nth: Option<u64>,
    pub(super) every: Option<u64>,
    pub(super) times: Option<u64>,
    pub(super) probability: Option<(f64, u64)>,
}

/// Kind of case that a condition is about.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CaseKind {
    /// A request of one of these operations; see [`On::ops`].
    Request(Vec<OpCode>),
    /// Any request; without a path any but a ping.
    AnyRequest,
    /// A watch event of this kind, or of any.
    Event(Option<EventType>),
    /// A handshake.
    Connect,
    /// A handshake that names a session.
    Reattach,
    /// A session whose time has run out.
    Expiry,
}

/// Condition as data, for programs that show rules or store them; see [`On::condition`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Condition {
    /// Kind of case.
    pub kind: CaseKind,
    /// Glob of the paths; `None` for every path.
    pub path: Option<String>,
    /// Session; `None` for every session.
    pub session: Option<SessionId>,
    /// Connection; `None` for every connection.
    pub connection: Option<ConnId>,
    /// Listening address; `None` for every one.
    pub listener: Option<SocketAddr>,
    /// Number of the first case that counts; see [`On::nth`].
    pub nth: Option<u64>,
    /// Distance of the cases that count; see [`On::every`].
    pub every: Option<u64>,
    /// Maximum number of times; see [`On::times`].
    pub times: Option<u64>,
    /// Probability from 0 to 1, and the seed of its decisions; see [`On::probability`].
    pub probability: Option<(f64, u64)>,
}

macro_rules! of_a_path {
    ($($(#[$doc:meta])* $method:ident, $op:ident, $name:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// ```
        #[doc = concat!("use zk_mini::On;\n\nassert_eq!(On::", stringify!($method), "(\"/a/*\").to_string(), \"", $name, " of /a/*\");")]
        /// ```
        #[must_use]
        pub fn $method(glob: impl Into<String>) -> Self {
            Self::op(OpCode::$op).path(glob)
        }
    )*};
}

impl On {
    of_a_path! {
        /// Requests that create a node, of any kind: `create`, `create2`, `createContainer` and `createTTL`.
        create, CREATE, "create";
        /// Requests that delete a node.
        delete, DELETE, "delete";
        /// Requests that set a node's data.
        set_data, SET_DATA, "setData";
        /// Requests that read a node's data.
        get_data, GET_DATA, "getData";
        /// Requests that ask for a node that may not exist.
        exists, EXISTS, "exists";
        /// Requests that list a node's children: `getChildren` and `getChildren2`.
        get_children, GET_CHILDREN, "getChildren";
        /// Requests that read a node's ACL.
        get_acl, GET_ACL, "getACL";
        /// Requests that set a node's ACL.
        set_acl, SET_ACL, "setACL";
        /// Multis with a check of a node's version.
        check, CHECK, "check";
        /// Requests to sync.
        sync, SYNC, "sync";
        /// Requests that add a persistent watch.
        add_watch, ADD_WATCH, "addWatch";
        /// Requests that remove watches.
        remove_watches, REMOVE_WATCHES, "removeWatches";
    }

    /// Multis, with any operations.
    ///
    /// ```
    /// use zk_mini::On;
    ///
    /// assert_eq!(On::multi().path("/accounts/*").to_string(), "multi of /accounts/*");
    /// ```
    #[must_use]
    pub fn multi() -> Self {
        Self::op(OpCode::MULTI)
    }

    /// All requests but pings; with a [`path`](Self::path), all that have one. Handshakes are not among them, see
    /// [`connect`](Self::connect).
    ///
    /// ```
    /// use zk_mini::On;
    ///
    /// assert_eq!(On::any().every(10).to_string(), "any request, each 10th");
    /// ```
    #[must_use]
    pub fn any() -> Self {
        Self::at(CaseKind::AnyRequest)
    }

    /// Requests of an operation. `create` stands for every create, `getChildren` for `getChildren2` and `setWatches` for
    /// `setWatches2`, too. A multi or multiRead matches by the operations in it as well, and is hit as a whole.
    /// `createSession` also is a handshake that asks for a new session.
    ///
    /// ```
    /// use zk_mini::On;
    /// use zk_wire::OpCode;
    ///
    /// assert_eq!(On::op(OpCode::CLOSE_SESSION).to_string(), "closeSession");
    /// ```
    #[must_use]
    pub fn op(op: OpCode) -> Self {
        Self::ops(&[op])
    }

    /// Requests of any of several operations; see [`op`](Self::op).
    ///
    /// ```
    /// use zk_mini::On;
    /// use zk_wire::OpCode;
    ///
    /// let writes = On::ops(&[OpCode::SET_DATA, OpCode::DELETE]).path("/config/**");
    /// assert_eq!(writes.to_string(), "setData or delete of /config/**");
    /// ```
    #[must_use]
    pub fn ops(ops: &[OpCode]) -> Self {
        Self::at(CaseKind::Request(ops.to_vec()))
    }

    /// Requests of the operation with ZooKeeper's name for it, such as `getChildren2`; `*` is [`any`](Self::any).
    ///
    /// # Errors
    /// [`RuleError::NoSuchOperation`], with all names.
    ///
    /// ```
    /// use zk_mini::On;
    ///
    /// assert_eq!(On::op_named("getData")?, On::op(zk_wire::OpCode::GET_DATA));
    /// assert!(On::op_named("get").unwrap_err().to_string().contains("getData"));
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    pub fn op_named(name: &str) -> Result<Self, RuleError> {
        match OpCode::named(name) {
            _ if name == "*" => Ok(Self::any()),
            Some(op) => Ok(Self::op(op)),
            None => Err(RuleError::NoSuchOperation(name.into())),
        }
    }

    /// Watch events of a kind at a path, one case for each connection that is to be told, before it is sent. The watch
    /// is used up already. Events that `setWatches` finds missed count, too.
    ///
    /// ```
    /// use zk_mini::On;
    /// use zk_wire::EventType;
    ///
    /// let gone = On::event(EventType::NODE_DELETED, "/leader");
    /// assert_eq!(gone.to_string(), "event NodeDeleted at /leader");
    /// ```
    #[must_use]
    pub fn event(kind: EventType, glob: impl Into<String>) -> Self {
        Self::at(CaseKind::Event(Some(kind))).path(glob)
    }

    /// Watch events of the kind with ZooKeeper's name for it, such as `NodeDeleted`; `*` is
    /// [`any_event`](Self::any_event).
    ///
    /// # Errors
    /// [`RuleError::NoSuchEventName`], with all names.
    ///
    /// ```
    /// use zk_mini::On;
    /// use zk_wire::EventType;
    ///
    /// assert_eq!(On::event_named("NodeDeleted", "/a")?, On::event(EventType::NODE_DELETED, "/a"));
    /// assert!(On::event_named("nodeDeleted", "/a").is_err());
    /// # Ok::<(), zk_mini::RuleError>(())
    /// ```
    pub fn event_named(name: &str, glob: impl Into<String>) -> Result<Self, RuleError> {
        match EventType::named(name) {
            _ if name == "*" => Ok(Self::any_event(glob)),
            Some(kind) => Ok(Self::event(kind, glob)),
            None => Err(RuleError::NoSuchEventName(name.into())),
        }
    }

    /// Watch events of any kind at a path; see [`event`](Self::event).
    ///
    /// ```
    /// use zk_mini::On;
    ///
    /// assert_eq!(On::any_event("/a/**").to_string(), "any event at /a/**");
    /// ```
    #[must_use]
    pub fn any_event(glob: impl Into<String>) -> Self {
        Self::at(CaseKind::Event(None)).path(glob)
    }

    /// Handshakes: the first frame of every connection that speaks ZooKeeper's protocol.
    ///
    /// ```
    /// use zk_mini::On;
    ///
    /// assert_eq!(On::connect().times(2).to_string(), "connect, at most 2 times");
    /// ```
    #[must_use]
    pub fn connect() -> Self {
        Self::at(CaseKind::Connect)
    }

    /// Handshakes that name a session, to resume it.
    ///
    /// ```
    /// use zk_mini::On;
    /// use zk_wire::SessionId;
    ///
    /// assert_eq!(On::reattach().session(SessionId(0x7)).to_string(), "re-attach of session 0x7");
    /// ```
    #[must_use]
    pub fn reattach() -> Self {
        Self::at(CaseKind::Reattach)
    }

    /// Expiries: sessions whose time has run out, or which a test expires.
    ///
    /// ```
    /// use zk_mini::On;
    ///
    /// assert_eq!(On::expiry().nth(1).to_string(), "expiry, the 1st");
    /// ```
    #[must_use]
    pub fn expiry() -> Self {
        Self::at(CaseKind::Expiry)
    }

    /// Cases of a kind, at every path: [`any_event`](Self::any_event) and the like without a path.
    ///
    /// ```
    /// use zk_mini::{CaseKind, On};
    ///
    /// let created = CaseKind::Event(Some(zk_wire::EventType::NODE_CREATED));
    /// assert_eq!(On::of(created).to_string(), "event NodeCreated");
    /// ```
    #[must_use]
    pub fn of(kind: CaseKind) -> Self {
        Self::at(kind)
    }

    /// Returns the condition as data.
    ///
    /// ```
    /// use zk_mini::{CaseKind, On};
    /// use zk_wire::OpCode;
    ///
    /// let condition = On::create("/a").nth(2).condition();
    /// assert_eq!(condition.kind, CaseKind::Request(vec![OpCode::CREATE]));
    /// assert_eq!((condition.path.as_deref(), condition.nth, condition.every), (Some("/a"), Some(2), None));
    /// ```
    #[must_use]
    pub fn condition(&self) -> Condition {
        let Self { kind, path, session, connection, listener, nth, every, times, probability } = self.clone();
        Condition { kind, path, session, connection, listener, nth, every, times, probability }
    }

    /// Returns the listening address in the condition.
    pub(crate) fn listening_address(&self) -> Option<SocketAddr> {
        self.listener
    }

    fn at(kind: CaseKind) -> Self {
        Self {
            kind,
            path: None,
            session: None,
            connection: None,
            listener: None,
            nth: None,
            every: None,
            times: None,
            probability: None,
        }
    }

    /// Requests or events at these paths only. A request with several paths matches by any of them.
    #[must_use]
    pub fn path(self, glob: impl Into<String>) -> Self {
        Self { path: Some(glob.into()), ..self }
    }

    /// Cases of this session only: its requests, events for it, handshakes that name it, its expiry.
    #[must_use]
    pub fn session(self, id: SessionId) -> Self {
        Self { session: Some(id), ..self }
    }

    /// Cases on this connection only.
    #[must_use]
    pub fn connection(self, id: ConnId) -> Self {
        Self { connection: Some(id), ..self }
    }

    /// Cases on connections to this listening address only.
    #[must_use]
    pub fn listener(self, addr: SocketAddr) -> Self {
        Self { listener: Some(addr), ..self }
    }

    /// The nth case only, counted from 1 when the rule is added; with [`every`](Self::every) the nth and then every so
    /// many.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { nth: Some(n), ..self }
    }

    /// Every nth case.
    #[must_use]
    pub fn every(self, n: u64) -> Self {
        Self { every: Some(n), ..self }
    }

    /// At most so many times. Later cases pass by, to the rules that were added after this one.
    #[must_use]
    pub fn times(self, n: u64) -> Self {
        Self { times: Some(n), ..self }
    }

    /// With this probability, from 0 to 1. The same seed gives the same decisions for the same cases.
    #[must_use]
    pub fn probability(self, p: f64, seed: u64) -> Self {
        Self { probability: Some((p, seed)), ..self }
    }
}

/// The condition in a few words.
impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match (&self.path, &self.kind) {
            (Some(path), CaseKind::Event(_)) => write!(f, " at {path}")?,
            (Some(path), _) => write!(f, " of {path}")?,
            (None, _) => {}
        }
        if let Some(session) = self.session {
            write!(f, " of session {session}")?;
        }
        if let Some(ConnId(connection)) = self.connection {
            write!(f, " on connection {connection}")?;
        }
        if let Some(listener) = self.listener {
            write!(f, " at listener {listener}")?;
        }
        match (self.nth, self.every) {
            (Some(nth), Some(every)) => write!(f, ", the {} and each {} after", Nth(nth), Nth(every))?,
            (Some(nth), None) => write!(f, ", the {}", Nth(nth))?,
            (None, Some(every)) => write!(f, ", each {}", Nth(every))?,
            (None, None) => {}
        }
        if let Some((p, seed)) = self.probability {
            write!(f, ", with probability {p} (seed {seed})")?;
        }
        match self.times {
            Some(1) => f.write_str(", once"),
            Some(times) => write!(f, ", at most {times} times"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for CaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(ops) => {
                for (n, op) in ops.iter().enumerate() {
                    write!(f, "{}{op}", if n == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
            Self::AnyRequest => f.write_str("any request"),
            Self::Event(Some(kind)) => write!(f, "event {kind}"),
            Self::Event(None) => f.write_str("any event"),
            Self::Connect => f.write_str("connect"),
            Self::Reattach => f.write_str("re-attach"),
            Self::Expiry => f.write_str("expiry"),
        }
    }
}

/// Ordinal number: 1st, 2nd.
struct Nth(u64);

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match (self.0 % 10, self.0 % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        write!(f, "{}{ending}", self.0)
    }
}
