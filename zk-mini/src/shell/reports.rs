//! Reports of a turn. They are gathered under the lock and logged when the lock is free: a log may be slow.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use tracing::Level;
use zk_wire::{Decode, DecodeError, Millis, OpCode, RequestHeader, SessionId};

use crate::core::{ConnId, Note, Refusal};
use crate::shell::connections::peer;
use crate::shell::line_limit::{LeftOut, LineLimit, Source};
use crate::shell::log::{Shown, is_wanted};

/// Reports that wait for the end of a turn. Most turns have none.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    waiting: Vec<Report>,
    limit: LineLimit,
}

/// Something to be logged.
#[derive(Debug)]
pub(crate) enum Report {
    /// The core has something to tell about a connection.
    Note(Remote, Note),
    /// A session has expired.
    Expired(SessionId),
    /// A peer has as many connections as it may.
    TooMany(SocketAddr, i32),
    /// A connection has not asked for a session in time.
    Sessionless(Remote, ConnId),
    /// A peer does not read what it is sent.
    DoesNotRead(Remote, ConnId, usize),
    /// A peer sends what is no frame. `true` if it had a session.
    NoFrame(Remote, ConnId, bool, DecodeError),
    /// Lines were left out.
    LeftOut(LeftOut),
    /// A request, as it came in.
    Request(ConnId, Bytes),
    /// A frame as it came in. `true` if it may hold a secret.
    Received(ConnId, Bytes, bool),
    /// A frame as it goes out. `true` if it may hold a secret.
    Sent(ConnId, Bytes, bool),
}

/// The other end of a connection, as it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote(pub(crate) Option<SocketAddr>);

impl Reports {
    /// Adds a report, unless its source has caused too many lines: with `debug`, none is left out.
    pub(crate) fn push(&mut self, now: Millis, report: Report) {
        if !is_wanted(report.level()) {
            return;
        }
        let admitted = match report.source() {
            Some(source) if !is_wanted(Level::DEBUG) => self.limit.admits(now, source),
            _ => true,
        };
        if admitted {
            self.waiting.push(report);
        }
    }

    /// Adds a frame that came in, if anybody wants to know.
    pub(crate) fn received(&mut self, conn: ConnId, frame: &Bytes, is_handshake: bool) {
        if !is_wanted(Level::DEBUG) {
            return;
        }
        if !is_handshake {
            self.waiting.push(Report::Request(conn, frame.clone()));
        }
        if is_wanted(Level::TRACE) {
            let op = frame.get(4..8).and_then(|op| Some(OpCode(i32::from_be_bytes(op.try_into().ok()?))));
            let is_secret = is_handshake || matches!(op, Some(OpCode::AUTH | OpCode::SASL));
            self.waiting.push(Report::Received(conn, frame.clone(), is_secret));
        }
    }

    /// Adds a frame that goes out; only for those who listen at the level trace.
    pub(crate) fn sent(&mut self, conn: ConnId, frame: &Bytes, is_handshake: bool) {
        self.waiting.push(Report::Sent(conn, frame.clone(), is_handshake));
    }

    /// Returns when time alone makes a report.
    pub(crate) fn poll_deadline(&self) -> Option<Millis> {
        self.limit.poll_deadline()
    }

    /// Adds what time alone makes.
    pub(crate) fn time_passes(&mut self, now: Millis) {
        let mut left_out = Vec::new();
        self.limit.end_windows(now, &mut left_out);
        self.waiting.extend(left_out.into_iter().map(Report::LeftOut));
    }

    /// Takes what waits.
    pub(crate) fn take(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.waiting)
    }
}

impl Report {
    /// Returns how much has to be wanted for it to be logged.
    fn level(&self) -> Level {
        match self {
            Self::TooMany(..) | Self::DoesNotRead(..) | Self::NoFrame(_, _, true, _) | Self::LeftOut(_) => {
                Level::WARN
            }
            Self::Note(..) | Self::Expired(_) | Self::Sessionless(..) | Self::NoFrame(..) => Level::INFO,
            Self::Request(..) => Level::DEBUG,
            Self::Received(..) | Self::Sent(..) => Level::TRACE,
        }
    }

    /// Returns whose lines are limited by it; `None` for what nobody causes, and for what is asked for.
    fn source(&self) -> Option<Source> {
        match self {
            Self::Note(Remote(remote), _)
            | Self::Sessionless(Remote(remote), _)
            | Self::DoesNotRead(Remote(remote), ..)
            | Self::NoFrame(Remote(remote), ..) => Some(Source::of(peer(*remote).ip)),
            Self::TooMany(remote, _) => Some(Source::of(remote.ip())),
            Self::Expired(_) => Some(Source::Expiry),
            Self::LeftOut(_) | Self::Request(..) | Self::Received(..) | Self::Sent(..) => None,
        }
    }

    /// Logs it.
    pub(crate) fn log(&self) {
        match self {
            Self::Note(remote, note) => log_note(*remote, note),
            Self::Expired(session) => log!(INFO, %session, "session expired"),
            Self::TooMany(remote, max) => {
                log!(WARN, %remote, max, "connection refused: its address has as many as it may (maxClientCnxns)");
            }
            Self::Sessionless(remote, conn) => {
                log!(INFO, %remote, conn = conn.0, "connection closed: it does not ask for a session");
            }
            Self::DoesNotRead(remote, conn, limit) => {
                log!(WARN, %remote, conn = conn.0, limit, "connection closed: the peer does not read");
            }
            Self::NoFrame(remote, conn, false, error) => {
                log!(INFO, %remote, conn = conn.0, %error, "handshake refused: this is no ZooKeeper client");
            }
            Self::NoFrame(remote, conn, true, error) => {
                log!(WARN, %remote, conn = conn.0, %error, "connection closed: what it sends is no request");
            }
            Self::LeftOut(LeftOut { source, lines }) => {
                log!(WARN, source = %ShownSource(*source), lines, "more lines were left out in the last minute");
            }
            Self::Request(conn, frame) => log_request(*conn, frame),
            Self::Received(conn, frame, is_secret) => {
                log!(TRACE, conn = conn.0, len = frame.len(), frame = %Frame(frame, *is_secret), "received");
            }
            Self::Sent(conn, frame, is_secret) => {
                log!(TRACE, conn = conn.0, len = frame.len(), frame = %Frame(frame, *is_secret), "sent");
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
        Note::Refused { conn, reason } => {
            log!(INFO, %remote, conn = conn.0, reason = %ShownRefusal(reason), "handshake refused");
        }
    }
}

fn log_request(conn: ConnId, frame: &Bytes) {
    let mut body = frame.clone();
    let Ok(RequestHeader { xid, op }) = RequestHeader::decode(&mut body, "RequestHeader") else {
        return log!(DEBUG, conn = conn.0, "a request without a header");
    };
    match path_of(op, &body) {
        Some(path) => {
            log!(DEBUG, conn = conn.0, xid = xid.0, %op, path = %Shown(path), len = frame.len(), "request");
        }
        None => log!(DEBUG, conn = conn.0, xid = xid.0, %op, len = frame.len(), "request"),
    }
}

/// Returns the path that a request begins with, if it is of those that do.
fn path_of(op: OpCode, body: &[u8]) -> Option<&[u8]> {
    match op {
        OpCode::PING
        | OpCode::MULTI
        | OpCode::MULTI_READ
        | OpCode::AUTH
        | OpCode::SASL
        | OpCode::SET_WATCHES
        | OpCode::SET_WATCHES2
        | OpCode::RECONFIG
        | OpCode::WHO_AM_I
        | OpCode::CREATE_SESSION
        | OpCode::CLOSE_SESSION => return None,
        _ => {}
    }
    let (len, rest) = body.split_first_chunk()?;
    rest.get(..usize::try_from(i32::from_be_bytes(*len)).ok()?)
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(addr) => addr.fmt(f),
            None => f.write_str("this process"),
        }
    }
}

struct ShownSource(Source);

impl fmt::Display for ShownSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Source::V4(ip) => ip.fmt(f),
            Source::V6(ip) => write!(f, "{ip}/64"),
            Source::Expiry => f.write_str("sessions that expired"),
            Source::Others => f.write_str("many addresses"),
        }
    }
}

struct ShownRefusal<'a>(&'a Refusal);

impl fmt::Display for ShownRefusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Refusal::Unreadable => f.write_str("its first frame is no connect request"),
            Refusal::SeenMore { seen, last } => write!(
                f,
                "it has seen zxid {seen}, and this server is at {last} only: the client knows another server, or \
                 this one before it lost its state; the client has to be started anew"
            ),
            Refusal::NoNewSessions => f.write_str("the disk cannot be written, so there are no new sessions"),
            Refusal::NoSuchSession(session) => write!(f, "session {session} has ended, or never was"),
            Refusal::WrongPassword(session) => write!(f, "wrong password for session {session}"),
        }
    }
}

/// A frame; its bytes as text, as far as they are.
struct Frame<'a>(&'a Bytes, bool);

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 { f.write_str("(not shown: it may hold a password)") } else { Shown(self.0).fmt(f) }
    }
}
