//! Log lines of a turn. They are gathered under the lock of the state and logged when it is free: a log may be slow.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use common::PeerKey;
use common::log::{LeftOut, LineLimit, Shown};
use tracing::Level;
use zk_wire::{DecodeError, Fields, Millis, OpCode, RequestHeader, SessionId};

use crate::core::{ConnId, Note, Refusal};
use crate::log::is_wanted;
use crate::shell::remote::Remote;

/// Maximum number of lines that one source may cause in a window; further ones are only counted.
const LINES: u32 = 60;

/// Length of a window; it begins with the first line.
const WINDOW: Millis = Millis(60_000);

/// Maximum number of sources with a limit of their own.
const MAX_SOURCES: usize = 1024;

/// Lines that wait for the end of a turn. Most turns have none.
#[derive(Debug)]
pub(crate) struct TurnLog {
    waiting: Vec<Line>,
    limit: LineLimit<Source>,
}

/// A line to log.
#[derive(Debug)]
pub(crate) enum Line {
    /// The core reports something about a connection.
    Note(Remote, Note),
    /// A session has expired.
    Expired(SessionId),
    /// An address has the maximum number of connections; one more was refused.
    TooMany(SocketAddr, i32),
    /// The server has the maximum number of connections; one more was refused.
    Full(SocketAddr, i32),
    /// A connection has not asked for a session in time.
    Sessionless(Remote, ConnId),
    /// A peer does not read, and more bytes wait for it than the limit.
    DoesNotRead { remote: Remote, conn: ConnId, limit: usize },
    /// A peer sent bytes that are not a frame.
    NoFrame { remote: Remote, conn: ConnId, had_session: bool, error: DecodeError },
    /// A TLS handshake failed, or there was none where one is needed.
    NoTls { remote: Remote, conn: ConnId, why: String },
    /// Lines were left out.
    LeftOut(LeftOut<Source>),
    /// A request, as it came in.
    Request(ConnId, Bytes),
    /// A frame as it came in.
    Received { conn: ConnId, frame: Bytes, is_secret: bool },
    /// A frame as it goes out.
    Sent { conn: ConnId, frame: Bytes, is_secret: bool },
}

/// Source of lines, for the limit.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Source {
    /// A client's host.
    Peer(PeerKey),
    /// Sessions that expire, of all clients.
    Expiry,
}

impl Default for TurnLog {
    fn default() -> Self {
        Self { waiting: Vec::new(), limit: LineLimit::new(LINES, WINDOW, MAX_SOURCES) }
    }
}

impl TurnLog {
    /// Adds a line, unless its source has caused too many. At level debug all lines are kept.
    pub(crate) fn push(&mut self, now: Millis, line: Line) {
        if !is_wanted(line.level()) {
            return;
        }
        let admitted = match line.source() {
            Some(source) if !is_wanted(Level::DEBUG) => self.limit.admits(now, source),
            _ => true,
        };
        if admitted {
            self.waiting.push(line);
        }
    }

    /// Adds a frame that came in, if a subscriber wants it.
    pub(crate) fn received(&mut self, conn: ConnId, frame: &[u8], is_handshake: bool) {
        if !is_wanted(Level::DEBUG) {
            return;
        }
        let frame = Bytes::copy_from_slice(frame);
        if !is_handshake {
            self.waiting.push(Line::Request(conn, frame.clone()));
        }
        if is_wanted(Level::TRACE) {
            let header = RequestHeader::read(&mut Fields::new(&frame));
            let is_secret =
                is_handshake || header.is_ok_and(|header| matches!(header.op, OpCode::AUTH | OpCode::SASL));
            self.waiting.push(Line::Received { conn, frame, is_secret });
        }
    }

    /// Adds a frame that goes out. Call it only if the level trace is wanted.
    pub(crate) fn sent(&mut self, conn: ConnId, frame: &[u8], is_handshake: bool) {
        let frame = Bytes::copy_from_slice(frame);
        self.waiting.push(Line::Sent { conn, frame, is_secret: is_handshake });
    }

    /// Returns the time of the next line that no input causes.
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        self.limit.poll_deadline()
    }

    /// Adds the lines that are due.
    pub(crate) fn time_passes(&mut self, now: Millis) {
        self.waiting.extend(self.limit.end_windows(now).into_iter().map(Line::LeftOut));
    }

    /// Takes the lines that wait.
    pub(crate) fn take(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.waiting)
    }
}

impl Line {
    fn level(&self) -> Level {
        match self {
            Self::TooMany(..)
            | Self::Full(..)
            | Self::DoesNotRead { .. }
            | Self::NoFrame { had_session: true, .. }
            | Self::Note(_, Note::NotAuthenticated { .. })
            | Self::LeftOut(_) => Level::WARN,
            Self::Note(..)
            | Self::Expired(_)
            | Self::Sessionless(..)
            | Self::NoFrame { .. }
            | Self::NoTls { .. } => Level::INFO,
            Self::Request(..) => Level::DEBUG,
            Self::Received { .. } | Self::Sent { .. } => Level::TRACE,
        }
    }

    /// Returns the source whose limit the line counts for; `None` for lines without a limit.
    fn source(&self) -> Option<Source> {
        match self {
            Self::Note(remote, _)
            | Self::Sessionless(remote, _)
            | Self::DoesNotRead { remote, .. }
            | Self::NoFrame { remote, .. }
            | Self::NoTls { remote, .. } => Some(Source::Peer(PeerKey::new(remote.peer().ip))),
            Self::TooMany(remote, _) | Self::Full(remote, _) => Some(Source::Peer(PeerKey::new(remote.ip()))),
            Self::Expired(_) => Some(Source::Expiry),
            Self::LeftOut(_) | Self::Request(..) | Self::Received { .. } | Self::Sent { .. } => None,
        }
    }

    /// Logs the line.
    pub(crate) fn log(&self) {
        match self {
            Self::Note(remote, note) => log_note(*remote, note),
            Self::Expired(session) => log!(INFO, %session, "session expired"),
            Self::TooMany(remote, max) => {
                log!(WARN, %remote, max, "connection refused: this address already has the maximum number of connections (maxClientCnxns)");
            }
            Self::Full(remote, max) => {
                log!(WARN, %remote, max, "connection refused: the server already has the maximum number of connections (maxCnxns)");
            }
            Self::Sessionless(remote, conn) => {
                log!(INFO, %remote, conn = conn.0, "connection closed: no session was requested in time");
            }
            Self::DoesNotRead { remote, conn, limit } => {
                log!(WARN, %remote, conn = conn.0, limit, "connection closed: the peer does not read");
            }
            Self::NoFrame { remote, conn, had_session: false, error } => {
                log!(INFO, %remote, conn = conn.0, %error, "handshake refused: the peer is not a ZooKeeper client");
            }
            Self::NoFrame { remote, conn, had_session: true, error } => {
                log!(WARN, %remote, conn = conn.0, %error, "connection closed: invalid request");
            }
            Self::NoTls { remote, conn, why } => {
                log!(INFO, %remote, conn = conn.0, %why, "TLS handshake refused");
            }
            Self::LeftOut(LeftOut { source, lines }) => {
                log!(WARN, source = %ShownSource(*source), lines, "further lines were left out in the last minute");
            }
            Self::Request(conn, frame) => log_request(*conn, frame),
            Self::Received { conn, frame, is_secret } => {
                log!(TRACE, conn = conn.0, len = frame.len(), frame = %ShownFrame(frame, *is_secret), "received");
            }
            Self::Sent { conn, frame, is_secret } => {
                log!(TRACE, conn = conn.0, len = frame.len(), frame = %ShownFrame(frame, *is_secret), "sent");
            }
        }
    }
}

fn log_note(remote: Remote, note: &Note) {
    match note {
        Note::Opened { conn, session, timeout } => {
            log!(INFO, %session, %timeout, %remote, conn = conn.0, "session opened");
        }
        Note::Resumed { conn, session, timeout } => {
            log!(INFO, %session, %timeout, %remote, conn = conn.0, "session resumed");
        }
        Note::Closed { conn, session } => {
            log!(INFO, %session, %remote, conn = conn.0, "session closed by its client");
        }
        Note::NotAuthenticated { conn, reason } => {
            log!(WARN, %remote, conn = conn.0, %reason, "SASL authentication failed");
        }
        Note::Refused { conn, reason } => {
            log!(INFO, %remote, conn = conn.0, reason = %ShownRefusal(reason), "handshake refused");
        }
    }
}

fn log_request(conn: ConnId, frame: &Bytes) {
    let mut fields = Fields::new(frame);
    let Ok(RequestHeader { xid, op }) = RequestHeader::read(&mut fields) else {
        return log!(DEBUG, conn = conn.0, "a request without a header");
    };
    let path = if op.begins_with_path() { fields.buffer("path").ok().flatten() } else { None };
    match path {
        Some(path) => {
            log!(DEBUG, conn = conn.0, xid = xid.0, %op, path = %Shown(path), len = frame.len(), "request");
        }
        None => log!(DEBUG, conn = conn.0, xid = xid.0, %op, len = frame.len(), "request"),
    }
}

struct ShownSource(Option<Source>);

impl fmt::Display for ShownSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Source::Peer(peer)) => peer.fmt(f),
            Some(Source::Expiry) => f.write_str("sessions that expired"),
            None => f.write_str("many addresses"),
        }
    }
}

struct ShownRefusal<'a>(&'a Refusal);

impl fmt::Display for ShownRefusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Refusal::Unreadable => f.write_str("the first frame is not a connect request"),
            Refusal::SeenMore { seen, last } => write!(
                f,
                "the client has seen zxid {seen}, and this server is only at {last}: the client knows another \
                 server, or this one before it lost its state; restart the client"
            ),
            Refusal::Throttled => f.write_str("too many connections at a time (connection_throttle_tokens)"),
            Refusal::NoNewSessions => f.write_str("the disk cannot be written, so there are no new sessions"),
            Refusal::NoQuorum => {
                f.write_str("there is no quorum, and the client does not ask for read-only service")
            }
            Refusal::NeedsQuorum(session) => {
                write!(f, "there is no quorum, and session {session} is not one of this server alone")
            }
            Refusal::NoSuchSession(session) => write!(f, "session {session} has ended or never existed"),
            Refusal::WrongPassword(session) => write!(f, "wrong password for session {session}"),
        }
    }
}

/// A frame as escaped text. `true` hides it.
struct ShownFrame<'a>(&'a Bytes, bool);

impl fmt::Display for ShownFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 { f.write_str("(hidden: it may contain a password)") } else { Shown(self.0).fmt(f) }
    }
}
