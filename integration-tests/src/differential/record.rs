//! What came back, with all that may differ between two servers (times, session ids, passwords, where zxids and paths
//! begin) replaced by what must not.

use std::fmt;

use zk_wire::{ErrorCode, EventType, KeeperState, SessionId, Stat, Xid};

use super::text::{hex, quoted};

/// What one step brought about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StepRecord {
    /// What each connection received, in order.
    pub received: Vec<(usize, Received)>,
    /// The last transaction of the server.
    pub zxid: ZxidValue,
}

/// One thing that a connection received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Received {
    /// The answer to the first frame.
    Connected {
        /// The fields, read by their kinds.
        body: Vec<FieldValue>,
    },
    /// The answer to a request.
    Reply {
        /// The header's.
        xid: Xid,
        /// The header's.
        zxid: ZxidValue,
        /// The header's.
        err: ErrorCode,
        /// What followed the header.
        body: Vec<FieldValue>,
    },
    /// A watch event.
    Event {
        /// The header's.
        zxid: ZxidValue,
        /// The header's.
        err: ErrorCode,
        /// What happened.
        event: EventType,
        /// The connection's state.
        state: KeeperState,
        /// Where it happened, and what should not be there.
        path: Vec<FieldValue>,
    },
    /// A frame that is too short for what it should be.
    Garbage(Vec<u8>),
    /// The server closed the connection.
    Closed,
    /// No answer.
    Nothing,
    /// The step could not be done: its connection is closed.
    NotConnected,
}

/// A field of a reply.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FieldValue {
    /// An `int`.
    Int(i32),
    /// A zxid.
    Zxid(ZxidValue),
    /// A string or buffer, or null.
    Text(Option<String>),
    /// A buffer that is no text.
    Bytes(Vec<u8>),
    /// A path below the script's parent.
    Path(String),
    /// A session.
    Session(SessionValue),
    /// A password: given, or all zeros.
    Password {
        /// How long it is.
        len: usize,
        /// Whether it says that there is no session.
        is_zero: bool,
    },
    /// A node's `Stat`.
    Stat(Box<StatValue>),
    /// A list.
    List(Vec<Self>),
    /// Fields that belong together.
    Group(Vec<Self>),
    /// The type of a result in a multi.
    Op(i32),
    /// What no kind of field could be read from.
    Rest(Vec<u8>),
}

/// A zxid, relative to the last one before the script.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum ZxidValue {
    /// No transaction: as on the wire.
    Special(i64),
    /// One from before the script.
    #[default]
    Before,
    /// The so-manieth of the script.
    After(i64),
}

/// A session.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SessionValue {
    /// None.
    None,
    /// The so-manieth that the script was given.
    Known(usize),
    /// Another one.
    Unknown,
}

/// A time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TimeValue {
    /// 1970: of nodes that no client made.
    Zero,
    /// As it was created, where it must be: the node was not changed since.
    AsCreated,
    /// Some time.
    Some,
}

/// A `Stat`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "they are the fields of `Stat`")]
pub struct StatValue {
    pub czxid: ZxidValue,
    pub mzxid: ZxidValue,
    pub ctime: TimeValue,
    pub mtime: TimeValue,
    pub versions: [i32; 3],
    pub owner: SessionValue,
    pub data_length: i32,
    pub num_children: i32,
    pub pzxid: ZxidValue,
}

/// How to make values comparable.
pub(crate) struct Normaliser<'a> {
    /// What stands before the script's paths.
    pub(crate) base: &'a str,
    /// The last transaction before the script.
    pub(crate) zxid: i64,
    /// The script's sessions in the order in which it was given them.
    pub(crate) sessions: &'a [SessionId],
}

impl Normaliser<'_> {
    pub(crate) fn number(&self, zxid: i64) -> ZxidValue {
        match zxid {
            ..=0 => ZxidValue::Special(zxid),
            _ if zxid <= self.zxid => ZxidValue::Before,
            _ => ZxidValue::After(zxid - self.zxid),
        }
    }

    pub(crate) fn session(&self, session: SessionId) -> SessionValue {
        match self.sessions.iter().position(|known| *known == session) {
            _ if session == SessionId::NONE => SessionValue::None,
            Some(index) => SessionValue::Known(index),
            None => SessionValue::Unknown,
        }
    }

    pub(crate) fn text(&self, bytes: Option<&[u8]>) -> FieldValue {
        let Some(bytes) = bytes else { return FieldValue::Text(None) };
        match String::from_utf8(bytes.to_vec()) {
            Ok(text) => match text.strip_prefix(self.base) {
                Some(path) => FieldValue::Path(path.into()),
                None => FieldValue::Text(Some(text)),
            },
            Err(error) => FieldValue::Bytes(error.into_bytes()),
        }
    }

    pub(crate) fn stat(&self, stat: &Stat) -> FieldValue {
        let time = |time: i64| if time == 0 { TimeValue::Zero } else { TimeValue::Some };
        let unchanged = stat.mzxid == stat.czxid && stat.mtime == stat.ctime && stat.ctime.0 != 0;
        FieldValue::Stat(Box::new(StatValue {
            czxid: self.number(stat.czxid.0),
            mzxid: self.number(stat.mzxid.0),
            ctime: time(stat.ctime.0),
            mtime: if unchanged { TimeValue::AsCreated } else { time(stat.mtime.0) },
            versions: [stat.version.0, stat.cversion.0, stat.aversion.0],
            owner: self.session(stat.ephemeral_owner),
            data_length: stat.data_length,
            num_children: stat.num_children,
            pzxid: self.number(stat.pzxid.0),
        }))
    }
}

impl fmt::Display for StepRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (conn, received) in &self.received {
            writeln!(f, "    {conn}: {received}")?;
        }
        write!(f, "    zxid {}", self.zxid)
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { body } => write!(f, "connected{}", Fields(body)),
            Self::Reply { xid, zxid, err, body } if *err == ErrorCode::OK => {
                write!(f, "reply {xid} zxid {zxid}{}", Fields(body))
            }
            Self::Reply { xid, zxid, err, body } => {
                write!(f, "reply {xid} zxid {zxid} error {}{}", err.0, Fields(body))
            }
            Self::Event { zxid, err, event, state, path } => {
                write!(f, "event {event} {state} zxid {zxid} error {}{}", err.0, Fields(path))
            }
            Self::Garbage(bytes) => write!(f, "garbage {}", hex(bytes)),
            Self::Closed => f.write_str("closed"),
            Self::Nothing => f.write_str("no answer"),
            Self::NotConnected => f.write_str("not connected"),
        }
    }
}

struct Fields<'a>(&'a [FieldValue]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|value| write!(f, " {value}"))
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "int:{value}"),
            Self::Zxid(value) => write!(f, "zxid:{value}"),
            Self::Text(None) => f.write_str("null"),
            Self::Text(Some(text)) => write!(f, "text:{}", quoted(text)),
            Self::Bytes(bytes) => write!(f, "bytes:{}", hex(bytes)),
            Self::Path(path) => write!(f, "path:{}", quoted(path)),
            Self::Session(session) => write!(f, "session:{session}"),
            Self::Password { len, is_zero: false } => write!(f, "password of {len} bytes"),
            Self::Password { len, is_zero: true } => write!(f, "{len} zero bytes"),
            Self::Stat(stat) => write!(f, "{stat}"),
            Self::List(items) => write!(f, "[{} ]", Fields(items)),
            Self::Group(fields) => write!(f, "({} )", Fields(fields)),
            Self::Op(op) => write!(f, "type:{op}"),
            Self::Rest(bytes) => write!(f, "unread:{}", hex(bytes)),
        }
    }
}

impl fmt::Display for StatValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [version, cversion, aversion] = self.versions;
        write!(
            f,
            "stat(c {} m {} p {}, versions {version} {cversion} {aversion}, owner {}, length {}, children {}, \
             times {:?} {:?})",
            self.czxid,
            self.mzxid,
            self.pzxid,
            self.owner,
            self.data_length,
            self.num_children,
            self.ctime,
            self.mtime
        )
    }
}

impl fmt::Display for ZxidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Special(value) => write!(f, "={value}"),
            Self::Before => f.write_str("before"),
            Self::After(value) => write!(f, "+{value}"),
        }
    }
}

impl fmt::Display for SessionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Known(index) => write!(f, "#{index}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
