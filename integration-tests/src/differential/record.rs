//! Answers of a server. Values that may differ between two servers (times, session ids, passwords, the first zxid, the parent
//! path) are replaced by values that must not differ.

use std::fmt;

use zk_wire::{ErrorCode, EventType, KeeperState, SessionId, Stat, Xid};

use super::text::{hex, quoted};
use super::times::Times;

/// Effects of one step.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StepRecord {
    /// Frames and events by connection, in order.
    pub received: Vec<(usize, Received)>,
    /// Last transaction of the server.
    pub zxid: ZxidValue,
}

/// Frame or event that a connection received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Received {
    /// The answer to the first frame.
    Connected {
        /// Decoded fields.
        body: Vec<FieldValue>,
    },
    /// The answer to a request.
    Reply {
        /// Number of the request, in the header.
        xid: Xid,
        /// Transaction, in the header.
        zxid: ZxidValue,
        /// Error, in the header.
        err: ErrorCode,
        /// Fields after the header.
        body: Vec<FieldValue>,
    },
    /// A watch event.
    Event {
        /// Transaction, in the header.
        zxid: ZxidValue,
        /// Error, in the header.
        err: ErrorCode,
        /// Type of the event.
        event: EventType,
        /// State of the connection.
        state: KeeperState,
        /// Path of the node, and surplus bytes.
        path: Vec<FieldValue>,
    },
    /// A frame that is too short for its kind.
    Garbage(Vec<u8>),
    /// The server closed the connection.
    Closed,
    /// No answer.
    Nothing,
    /// The connection of the step was closed before.
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
    /// A buffer that is not UTF-8.
    Bytes(Vec<u8>),
    /// A path below the script's parent.
    Path(String),
    /// A session.
    Session(SessionValue),
    /// A password: given, or all zeros.
    Password {
        /// Length in bytes.
        len: usize,
        /// True for all zeros, which mean no session.
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
    /// Bytes that could not be decoded.
    Rest(Vec<u8>),
}

/// A zxid, relative to the last one before the script.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum ZxidValue {
    /// No transaction: as on the wire.
    Special(i64),
    /// A transaction from before the script.
    #[default]
    Before,
    /// The transaction of this number in the script.
    After(i64),
}

/// A session.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SessionValue {
    /// No session.
    None,
    /// The session of this number among those of the script.
    Known(usize),
    /// Another session.
    Unknown,
}

/// A time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TimeValue {
    /// 1970: nodes of the server itself have it.
    Zero,
    /// The time of creation, for a node that was not changed since.
    AsCreated,
    /// Another time, which fits those of other transactions.
    Some,
    /// A time that belongs to another transaction.
    Odd,
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

/// Makes values comparable.
pub(crate) struct Normaliser<'a> {
    /// Parent of the script's paths.
    pub(crate) base: &'a str,
    /// Last transaction before the script.
    pub(crate) zxid: i64,
    /// Sessions of the script, in the order of their creation.
    pub(crate) sessions: &'a [SessionId],
    /// Times of the transactions that the server has told of.
    pub(crate) times: &'a Times,
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

    fn time(&self, zxid: i64, time: i64) -> TimeValue {
        match time {
            0 => TimeValue::Zero,
            // Nodes of the server itself have no transaction.
            _ if zxid <= 0 || self.times.fits(zxid, time) => TimeValue::Some,
            _ => TimeValue::Odd,
        }
    }

    pub(crate) fn stat(&self, stat: &Stat) -> FieldValue {
        let ctime = self.time(stat.czxid.0, stat.ctime.0);
        let unchanged = stat.mzxid == stat.czxid && stat.mtime == stat.ctime && stat.ctime.0 != 0;
        let mtime = if unchanged { TimeValue::AsCreated } else { self.time(stat.mzxid.0, stat.mtime.0) };
        FieldValue::Stat(Box::new(StatValue {
            czxid: self.number(stat.czxid.0),
            mzxid: self.number(stat.mzxid.0),
            ctime,
            mtime,
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
