//! Entries of the history, as people and programs read them.

use core::net::SocketAddr;
use std::borrow::Cow;
use std::fmt;

use common::log::Shown;
use zk_wire::{ByteString, ErrorCode, OpCode, SessionId, UnixMillis, Utc, Xid, Zxid};

use crate::core::Core;
use crate::core::history::record::{By, Record, What};
use crate::core::history::text::{self, Client};
use crate::core::message::{ConnId, Peer};

/// Entry of the history: something that happened in the server.
///
/// It is printed on one line: `2026-11-28 09:41:07.120  0x1f  session 0x1000…, client 127.0.0.1:5123, request 7: create
/// /a: node already exists`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Number of the entry. Each entry takes the next one, so a gap shows that entries are no longer kept.
    pub seq: u64,
    /// Transaction that the entry is about, or the last one before it.
    pub zxid: Zxid,
    /// Wall-clock time.
    pub time: UnixMillis,
    /// Class of the entry.
    pub kind: EntryKind,
    /// Session that it is about: the one that asked, that was told, or that has ended.
    pub session: Option<SessionId>,
    /// Connection that it is about.
    pub conn: Option<ConnId>,
    /// Address of the client, if it came over a socket and is still known.
    pub client: Option<SocketAddr>,
    /// Operation of the request, also of one that caused a change.
    pub op: Option<OpCode>,
    /// Number that the client gave to the request.
    pub xid: Option<Xid>,
    /// Path that was asked for or changed. A path of more than 1,024 bytes has `…` in its middle.
    pub path: Option<ByteString>,
    /// Event in a word or two: the operation of a request; `created`, `changed`, `deleted`; `opened`, `resumed`,
    /// `refused`, `expired`, `closed`, `disconnected`; the type of a watch event; what a fault or the server did.
    pub what: Cow<'static, str>,
    /// Reason, or further circumstances, as a sentence.
    pub because: Option<String>,
    /// Error that a request was answered with.
    pub error: Option<ErrorCode>,
    /// `true` if a request asked for a watch.
    pub watch: bool,
    /// Connections that were told of a watch event; at most the first sixteen.
    pub told: Vec<ConnId>,
    /// Number of connections that were told of a watch event.
    pub told_count: u32,
    pub(super) peer: Option<Peer>,
}

/// Class of an [`Entry`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum EntryKind {
    /// Request, with its outcome. Pings are left out.
    Request,
    /// Change of a node by a transaction. A transaction with several changes has an entry for each.
    Transaction,
    /// Watch event.
    Event,
    /// Handshake: a session was opened, resumed or refused.
    Connect,
    /// End of a connection that had a session.
    Disconnect,
    /// End of a session by its client.
    Close,
    /// End of a session that was not heard of, or that was made to expire.
    Expiry,
    /// Fault rule that fired.
    Fault,
    /// Act on the server, such as a restart, or the freezing of a part of it.
    Server,
}

impl EntryKind {
    /// All classes.
    pub const ALL: &'static [Self] = &[
        Self::Request,
        Self::Transaction,
        Self::Event,
        Self::Connect,
        Self::Disconnect,
        Self::Close,
        Self::Expiry,
        Self::Fault,
        Self::Server,
    ];

    /// Returns the class with this name.
    ///
    /// ```
    /// use zk_mini::history::EntryKind;
    ///
    /// assert_eq!(EntryKind::named("expiry"), Some(EntryKind::Expiry));
    /// assert!(EntryKind::ALL.iter().all(|kind| EntryKind::named(kind.name()) == Some(*kind)));
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Returns the name of the class, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Transaction => "transaction",
            Self::Event => "event",
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Close => "close",
            Self::Expiry => "expiry",
            Self::Fault => "fault",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Entry {
    /// Returns `true` if the entry is a request that only reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.kind == EntryKind::Request
            && self.op.is_some_and(|op| {
                matches!(
                    op,
                    OpCode::EXISTS
                        | OpCode::GET_DATA
                        | OpCode::GET_CHILDREN
                        | OpCode::GET_CHILDREN2
                        | OpCode::GET_ACL
                        | OpCode::GET_ALL_CHILDREN_NUMBER
                        | OpCode::GET_EPHEMERALS
                        | OpCode::MULTI_READ
                )
            })
    }

    /// Returns `true` if the entry belongs to what explains a failure: a change, a session, an event, a fault, an act on the server, or
    /// a request that got an error or no answer. Requests that went well are left out: what they have changed has entries of its own.
    #[must_use]
    pub fn is_of_story(&self) -> bool {
        self.kind != EntryKind::Request || self.because.is_some()
    }

    /// Returns `session 0x…, client 127.0.0.1:5123`, as far as it is known.
    pub(super) fn author(&self) -> String {
        let session = self.session.map(text::session);
        let client = self.peer.map(|peer| Client(peer).to_string());
        let parts: Vec<_> = session.into_iter().chain(client).collect();
        if parts.is_empty() { "no session".into() } else { parts.join(", ") }
    }

    fn path_text(&self) -> String {
        self.path.as_deref().map(|path| format!(" {}", Shown::text(path))).unwrap_or_default()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<6}  ", Utc(self.time), self.zxid.to_string())?;
        let (what, path, author) = (&self.what, self.path_text(), self.author());
        let because = self.because.as_deref();
        match self.kind {
            EntryKind::Request => {
                let watch = if self.watch { ", with a watch" } else { "" };
                let xid = self.xid.map_or(0, |xid| xid.0);
                write!(f, "{author}, request {xid}: {what}{path}{watch}: {}", because.unwrap_or("done"))
            }
            EntryKind::Transaction => write!(f, "{} {}", path.trim_start(), because.unwrap_or(what)),
            EntryKind::Event => {
                write!(f, "event {what}{path}")?;
                because.map_or(Ok(()), |because| write!(f, ": {because}"))
            }
            EntryKind::Connect | EntryKind::Disconnect => write!(f, "{author}: {}", because.unwrap_or(what)),
            // The reason names the client.
            EntryKind::Close | EntryKind::Expiry => {
                let session = self.session.map(text::session).unwrap_or_default();
                write!(f, "{session}: {}", because.unwrap_or(what))
            }
            EntryKind::Fault => {
                let rule = because.unwrap_or("a fault");
                write!(f, "{rule}: {what} ({author}")?;
                match self.xid {
                    Some(xid) => write!(f, ", request {xid})"),
                    None => write!(f, ")"),
                }
            }
            EntryKind::Server => match (self.session, self.conn) {
                (Some(session), _) => write!(f, "{}: {what}", text::session(session)),
                (None, Some(conn)) => write!(f, "connection {}: {what}", conn.0),
                (None, None) => write!(f, "the server: {what}"),
            },
        }
    }
}

impl Core {
    /// Returns an entry for a record.
    pub(super) fn entry(&self, record: &Record, text: &[u8]) -> Entry {
        let (path, tail) = text.split_at(usize::from(record.path).min(text.len()));
        let path = (!path.is_empty()).then(|| ByteString::from(String::from_utf8_lossy(path).into_owned()));
        let tail = || String::from_utf8_lossy(tail).into_owned();
        let conn = Some(record.conn).filter(|conn| conn.0 != 0);
        let end = self.history.ends.get(record.session);
        let is_end = record.what == What::Ended || record.by == By::SessionEnd;
        let peer = match end {
            Some(end) if is_end => end.client,
            _ => conn.and_then(|conn| self.peer_of(conn)),
        };
        let mut entry = Entry {
            seq: record.seq,
            zxid: record.zxid,
            time: record.time,
            kind: EntryKind::Server,
            session: Some(record.session).filter(|session| *session != SessionId::NONE),
            conn,
            client: peer.and_then(text::address),
            op: Some(record.operation()).filter(|op| op.0 != 0),
            xid: None,
            path,
            what: Cow::Borrowed(""),
            because: None,
            error: None,
            watch: false,
            told: Vec::new(),
            told_count: 0,
            peer,
        };
        match record.what {
            What::Request => {
                entry.kind = EntryKind::Request;
                entry.xid = Some(record.xid);
                let op = record.operation();
                entry.what = op.name().map_or_else(|| op.to_string().into(), Cow::Borrowed);
                entry.watch = record.extra != 0;
                if record.code == Record::CLOSED {
                    entry.because = Some("the connection was closed without an answer".into());
                } else if record.code != 0 {
                    entry.error = Some(record.error());
                    entry.because = Some(record.error().to_string());
                }
            }
            What::Created | What::DataSet | What::AclSet | What::Deleted => {
                entry.kind = EntryKind::Transaction;
                entry.xid = (record.by == By::Request).then_some(record.xid);
                // Who writes without a session has no ZooKeeper connection.
                entry.conn = entry.conn.filter(|_| record.by != By::Direct);
                entry.what = match record.what {
                    What::Created => "created",
                    What::Deleted => "deleted",
                    _ => "changed",
                }
                .into();
                entry.because = Some(self.sentence(record, &entry, tail));
            }
            What::Opened | What::Resumed => {
                entry.kind = EntryKind::Connect;
                let timeout = text::Span(zk_wire::Millis(record.extra.into()));
                entry.what = if record.what == What::Opened { "opened" } else { "resumed" }.into();
                entry.because = Some(format!("{}, timeout {timeout}", entry.what));
            }
            What::Refused => {
                entry.kind = EntryKind::Connect;
                entry.what = "refused".into();
                entry.because = Some(format!("refused: {}", tail()));
            }
            What::Ended => {
                let closed = end.is_some_and(|end| end.reason == super::EndReason::Closed);
                entry.kind = if closed { EntryKind::Close } else { EntryKind::Expiry };
                entry.what = if closed { "closed" } else { "expired" }.into();
                let reason = end.map_or_else(|| "ended".into(), text::end);
                let nodes = text::count(record.extra, "ephemeral node");
                entry.because = Some(format!("{reason}; it had {nodes}"));
            }
            What::Disconnected => {
                entry.kind = EntryKind::Disconnect;
                entry.what = "disconnected".into();
                let by =
                    if record.code != 0 { "closed by the server" } else { "lost, or closed by the client" };
                entry.because = Some(format!("connection {} {by}", record.conn.0));
            }
            What::Event => {
                entry.kind = EntryKind::Event;
                entry.what = record.event().to_string().into();
                let (listed, _) = text[usize::from(record.path).min(text.len())..].as_chunks::<8>();
                entry.told = listed.iter().map(|conn| ConnId(u64::from_be_bytes(*conn))).collect();
                entry.told_count = record.extra;
                entry.because = Some(self.told(&entry));
            }
            What::Fault => {
                entry.kind = EntryKind::Fault;
                entry.xid = Some(record.xid).filter(|_| entry.op.is_some());
                entry.what = tail().into();
                let hit = match (record.code, entry.op) {
                    (Record::EXPIRY, _) => "expiry".into(),
                    (0, Some(op)) => op.to_string(),
                    (0, None) => "handshake".into(),
                    _ => record.event().to_string(),
                };
                entry.because = Some(format!("fault {} at {hit}{}", record.extra, entry.path_text()));
            }
            // Those set quietly are no entries.
            What::Server | What::SetQuietly => entry.what = tail().into(),
        }
        entry
    }

    /// Says how a change came about.
    fn sentence(&self, record: &Record, entry: &Entry, tail: impl FnOnce() -> String) -> String {
        let (what, xid, session) = (&entry.what, record.xid, text::session(record.session));
        let by = match record.by {
            By::Request => {
                let client = entry.peer.map(|peer| format!(", {}", Client(peer))).unwrap_or_default();
                format!("by request {xid} ({}) of {session}{client}", record.operation())
            }
            By::SessionEnd => {
                let reason = self.history.ends.get(record.session);
                let held =
                    reason.map(|end| record.time.0 - end.at.0).and_then(|held| u64::try_from(held).ok());
                let held = held.filter(|held| *held > 0).map(|held| text::Span(zk_wire::Millis(held)));
                let held = held.map(|held| format!("; a fault held it for {held}")).unwrap_or_default();
                let reason = reason.map(|end| format!(": {}", text::end(end))).unwrap_or_default();
                format!("by the end of {session}{reason}{held}")
            }
            By::Container => "by the server: a container whose last child is gone".into(),
            By::TimeToLive => "by the server: its time to live is over".into(),
            By::Direct if record.conn != ConnId(0) => {
                let client = entry.peer.map_or_else(|| "a client".into(), |peer| Client(peer).to_string());
                format!("over HTTP by {client}, without a session")
            }
            By::Direct => "directly, without a session, by the program that runs the server".into(),
            By::Server => tail(),
        };
        match record.what {
            What::Created => {
                let kind = ["persistent", "ephemeral", "container", "with a time to live"];
                let kind = usize::try_from(record.code).ok().and_then(|code| kind.get(code)).unwrap_or(&"");
                format!("{what} {by}: {kind}, {}", text::count(record.extra, "byte"))
            }
            What::DataSet => format!("{what} {by}: data, now version {}", record.extra.cast_signed()),
            What::AclSet => format!("{what} {by}: ACL, now version {}", record.extra.cast_signed()),
            _ => format!("{what} {by}"),
        }
    }

    /// Says who was told of an event.
    fn told(&self, entry: &Entry) -> String {
        let listed: Vec<_> = entry.told.iter().map(|conn| self.connection_text(*conn)).collect();
        let more = entry.told_count as usize - listed.len().min(entry.told_count as usize);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("told to {}{more}", listed.join(", "))
    }

    fn connection_text(&self, conn: ConnId) -> String {
        match self.peers.session_of(conn) {
            Some(session) => format!("session {session}"),
            None => format!("connection {}", conn.0),
        }
    }

    /// Returns the peer of a connection, also of one that has gone.
    fn peer_of(&self, conn: ConnId) -> Option<Peer> {
        let present = self.peers.get(conn).map(|peer| peer.address);
        let gone = || self.history.departed.get(conn).or_else(|| self.history.writers.get(conn));
        present.or_else(|| gone().copied())
    }
}
