//! History: who did what in the server, and why, in a fixed amount of memory.
//!
//! | to | use |
//! | --- | --- |
//! | hear who created, changed and deleted a node, and why | [`Handle::explain`] |
//! | read what happened, filter and print it | [`Handle::history`], [`History`], [`Entry`] |
//! | follow it | [`Handle::watch_history`] |
//! | see the tree as it was | [`Handle::tree_at`] |
//! | check that clients read no more than they need | [`History::reads_per_change`], [`History::woken_per_change`] |
//! | check that nothing is left over | [`Handle::no_leaked_watches`], [`Handle::no_leaked_sessions`], [`Handle::no_ephemerals_of_the_dead`] |
//!
//! ```text
//! /demo/n-0000000001 does not exist
//!   2026-11-28 09:41:07.120  0x12    created by request 3 (create2) of session 0x1000…, client 127.0.0.1:5123: ephemeral, 12 bytes
//!   2026-11-28 09:41:20.000  0x15    deleted by the end of session 0x1000…: expired, last heard 6.2 s before, timeout 6 s, client 127.0.0.1:5123
//! ```
//!
//! # Entries
//! A request is an [`Entry`] with its outcome, a change of a node with its cause; so are watch events, handshakes, ends of
//! connections and sessions, faults that fired, and restarts. A write that succeeds has the entries of its changes, of the
//! events, and then of the request, as its client sees them. Pings have none. Times are of the wall clock, and are printed in
//! UTC.
//!
//! # Memory
//! [`Builder::history`] sets how many requests are kept, and as many other entries: so a client that polls does not push out
//! the changes. A change and its request are one record if nothing else came of the request. A record takes 64 bytes and about as
//! many for its path. Values that were replaced are kept for [`Handle::tree_at`]: short ones in the record of the change, 128
//! bytes on average, large ones beside the records, 256 bytes on average and so for a shorter time. With the ends of connections
//! and sessions this is at most 1 KB an entry, half of it usually: half a megabyte for the 1,000 of the library, 5 MB for the
//! 10,000 of the program. It is asked for as it is used.
//!
//! [`Handle::explain`]: crate::Handle::explain
//! [`Handle::history`]: crate::Handle::history
//! [`Handle::watch_history`]: crate::Handle::watch_history
//! [`Handle::tree_at`]: crate::Handle::tree_at
//! [`Handle::no_leaked_watches`]: crate::Handle::no_leaked_watches
//! [`Handle::no_leaked_sessions`]: crate::Handle::no_leaked_sessions
//! [`Handle::no_ephemerals_of_the_dead`]: crate::Handle::no_ephemerals_of_the_dead
//! [`Builder::history`]: crate::Builder::history

mod cause;
mod entry;
mod explain;
mod latest;
mod leaks;
mod offenders;
mod past;
mod record;
mod replaced;
mod ring;
mod text;
mod undo;
mod view;

use bytes::Bytes;
use zk_wire::{ErrorCode, EventType, Fields, Millis, OpCode, SessionId, UnixMillis, Xid, Zxid};

use crate::core::faults::{FaultId, Hit, HitKind, Then};
use crate::core::message::{ConnId, Note, Part, Peer, Refusal};
use crate::core::requests::call::{Answer, Call, Failure, Reply};
use crate::core::tree::before::Before;

pub(crate) use cause::{Cause, EndReason, SessionEnd, Told};
pub use entry::{Entry, EntryKind};
pub use explain::{ChangeKind, Explanation, NodeChange};
use latest::Latest;
pub use offenders::{Offenders, RequestCounts};
pub(in crate::core) use past::ChangedNodes;
pub(crate) use past::Past;
pub use past::{NotKept, PastNode, PastTree};
use record::{By, Record, What};
pub use replaced::Replacement;
pub(crate) use ring::cut;
use ring::{MOST, Ring};
#[cfg(feature = "server")]
pub(crate) use text::count;
use undo::{Numbers, Undo, whole};
pub use view::{History, Mark, Moment};

/// Bytes per entry for paths: most are shorter; for the values that changes replace; and for values that are long.
const PATHS: usize = 64;
const VALUES: usize = 128;
const LONG_VALUES: usize = 256;

/// Mark of the numbers of writers: no connection has one that high.
const WRITERS: u64 = 1 << 63;

/// Recorder of the history.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Number of requests, and of other entries, that are kept; 0 if nothing is recorded.
    entries: usize,
    next_seq: u64,
    /// Number of the latest change of a node.
    latest_change: u64,
    /// Time of the input that is being handled.
    pub(crate) now: UnixMillis,
    requests: Ring,
    others: Ring,
    /// Peers of connections that are gone.
    departed: Latest<ConnId, Peer>,
    /// Peers for whom direct writes were done, by numbers that no connection has.
    writers: Latest<ConnId, Peer>,
    /// Peer for whom the present direct write is done.
    writer: Option<ConnId>,
    ends: Latest<SessionId, SessionEnd>,
    undo: Undo,
    /// Error of the multi that is being handled: its reply has it inside.
    multi_error: ErrorCode,
    /// Fields that all changes of the present transaction have in common.
    author: Record,
}

impl Recorder {
    pub(crate) fn new(entries: usize, begin_after: Zxid) -> Self {
        let entries = entries.min(MOST);
        Self {
            entries,
            next_seq: 1,
            latest_change: 0,
            now: UnixMillis(0),
            requests: Ring::new(entries, PATHS),
            others: Ring::new(entries, PATHS + VALUES),
            departed: Latest::new(entries),
            writers: Latest::new(entries),
            writer: None,
            ends: Latest::new(entries),
            undo: Undo::new(entries.saturating_mul(LONG_VALUES), begin_after),
            multi_error: ErrorCode::OK,
            author: Record::EMPTY,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.entries > 0
    }

    /// Returns `true` if entries have been pushed out.
    fn is_cut(&self) -> bool {
        self.others.is_cut()
    }

    /// Returns the number of the next entry.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Gives up the earlier states of the tree. `zxid` is the last transaction of the present one.
    pub(crate) fn forget_past(&mut self, zxid: Zxid) {
        self.undo.forget(zxid, self.next_seq);
    }

    /// Records a request and its outcome.
    #[inline]
    pub(crate) fn request(&mut self, call: &Call, zxid: Zxid, body: Fields<'_>, answer: &Answer) {
        if matches!(answer, Ok(Reply::Header | Reply::Body(_))) && self.is_recorded(call, zxid, body) {
            return;
        }
        if call.op != OpCode::PING {
            self.request_alone(call, zxid, body, answer);
        }
    }

    /// Records a request that is no change, or has more than one.
    #[inline(never)]
    fn request_alone(&mut self, call: &Call, zxid: Zxid, body: Fields<'_>, answer: &Answer) {
        let code = match answer {
            Ok(Reply::ErrorAndBody(code, _) | Reply::LastErrorAndBody(code, _))
            | Err(Failure::Code(code) | Failure::LastCode(code)) => Record::code(*code),
            Err(Failure::NotAuthenticated) => Record::code(ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH),
            Ok(_) if call.op == OpCode::MULTI => {
                Record::code(std::mem::replace(&mut self.multi_error, ErrorCode::OK))
            }
            Ok(_) | Err(Failure::Later) => 0,
            Err(Failure::Close | Failure::Unreadable) => Record::CLOSED,
        };
        let (path, watch) = path_and_watch(call.op, body);
        let (seq, time) = (self.take_seq(), self.now);
        self.requests.push_path(path, [], &[], || Record {
            seq,
            zxid,
            time,
            session: call.session,
            conn: call.conn,
            op: Record::short(call.op),
            xid: call.xid,
            extra: u32::from(watch),
            code,
            what: What::Request,
            ..Record::EMPTY
        });
    }

    /// Marks the record of a change as that of its request, too, which has succeeded and is the next entry. Returns `false` if the
    /// latest record is no such change.
    #[inline]
    fn is_recorded(&mut self, call: &Call, zxid: Zxid, body: Fields<'_>) -> bool {
        // The common case for a read.
        if self.latest_change + 1 != self.next_seq {
            return false;
        }
        let is_its_change = |last: &Record| {
            let mut body = body;
            let is_same = (last.zxid, last.conn, last.xid) == (zxid, call.conn, call.xid);
            // The path of a sequential node is longer than that of the request, a path in a multi is not the request's.
            let mut is_its_path = || body.int("path").is_ok_and(|len| len == i32::from(last.path));
            is_same && last.by == By::Request && call.op.begins_with_path() && is_its_path()
        };
        match self.others.last_mut() {
            Some(last) if is_its_change(last) => last.has_request = true,
            _ => return false,
        }
        self.next_seq += 1;
        true
    }

    /// Notes the error that is inside of the reply to a multi.
    pub(crate) fn multi_failed(&mut self, code: ErrorCode) {
        self.multi_error = code;
    }

    /// Records a watch event.
    pub(crate) fn event(&mut self, zxid: Zxid, kind: EventType, path: &str, told: &Told) {
        let record = Record {
            zxid,
            code: i16::try_from(kind.0).unwrap_or(i16::MAX),
            extra: told.count,
            what: What::Event,
            ..self.stamped()
        };
        self.others.push(record, path.as_bytes(), told.bytes());
    }

    /// Records the outcome of a handshake. The end of a session has [its own record](Self::session_ends).
    pub(crate) fn note(&mut self, zxid: Zxid, note: &Note) {
        let (what, session, timeout, why) = match *note {
            Note::Opened { session, timeout, .. } => (What::Opened, session, timeout, String::new()),
            Note::Resumed { session, timeout, .. } => (What::Resumed, session, timeout, String::new()),
            Note::Refused { reason, .. } => {
                let session = match reason {
                    Refusal::NoSuchSession(id) | Refusal::WrongPassword(id) | Refusal::NeedsQuorum(id) => id,
                    Refusal::Unreadable
                    | Refusal::SeenMore { .. }
                    | Refusal::NoNewSessions
                    | Refusal::Throttled
                    | Refusal::NoQuorum => SessionId::NONE,
                };
                (What::Refused, session, Millis(0), text::refusal(reason))
            }
            // The request is recorded, with its code.
            Note::NotAuthenticated { .. } | Note::Closed { .. } => return,
        };
        let extra = u32::try_from(timeout.0).unwrap_or(u32::MAX);
        let record = Record { zxid, session, conn: note.conn(), extra, what, ..self.stamped() };
        self.others.push(record, &[], why.as_bytes());
    }

    /// Names the peer for whom the next direct writes are done; `None` for the program that runs the server.
    pub(crate) fn write_for(&mut self, peer: Option<Peer>) {
        self.writer = peer.filter(|_| self.is_on()).map(|peer| {
            // The next entry is the first that can have it.
            let id = ConnId(WRITERS | self.next_seq);
            self.writers.insert(id, peer);
            id
        });
    }

    /// Records the end of a connection. It is an entry if there was a session.
    pub(crate) fn disconnected(
        &mut self,
        zxid: Zxid,
        conn: ConnId,
        peer: Peer,
        session: Option<SessionId>,
        by_server: bool,
    ) {
        self.departed.insert(conn, peer);
        if let Some(session) = session {
            let what = What::Disconnected;
            let record = Record { zxid, session, conn, code: i16::from(by_server), what, ..self.stamped() };
            self.others.push(record, &[], &[]);
        }
    }

    /// Records the end of a session. Call it before the transaction, which it explains.
    pub(crate) fn session_ends(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        end: SessionEnd,
        ephemerals: usize,
    ) {
        let what = What::Ended;
        let extra = u32::try_from(ephemerals).unwrap_or(u32::MAX);
        let record = Record { zxid, session, extra, what, ..self.stamped() };
        self.ends.insert(session, end);
        self.others.push(record, &[], &[]);
    }

    /// Records that a fault rule fired.
    #[cold]
    pub(crate) fn fault(&mut self, zxid: Zxid, rule: FaultId, hit: &Hit, then: Then) {
        let record = Record {
            zxid,
            session: hit.session.unwrap_or(SessionId::NONE),
            conn: hit.connection.unwrap_or(ConnId(0)),
            op: Record::short(hit.op.unwrap_or(OpCode(0))),
            xid: hit.xid.unwrap_or(Xid(0)),
            code: match hit.kind {
                HitKind::Expiry => Record::EXPIRY,
                _ => hit.event.and_then(|event| i16::try_from(event.0).ok()).unwrap_or(0),
            },
            extra: u32::try_from(rule.0).unwrap_or(u32::MAX),
            what: What::Fault,
            ..self.stamped()
        };
        let path = hit.path.as_deref().unwrap_or_default();
        self.others.push(record, path.as_bytes(), then.to_string().as_bytes());
    }

    /// Records an act on the whole server, in a few words: "restarted", "reset".
    pub(crate) fn server(&mut self, zxid: Zxid, what: &str) {
        if !self.is_on() {
            return;
        }
        let record = Record { zxid, what: What::Server, ..self.stamped() };
        self.others.push(record, &[], what.as_bytes());
    }

    /// Records that a part of the server was frozen or thawed.
    #[cold]
    pub(crate) fn part(&mut self, zxid: Zxid, part: Part, what: &str) {
        if !self.is_on() {
            return;
        }
        let (session, conn, of) = match part {
            Part::Server => (SessionId::NONE, ConnId(0), ""),
            Part::Listener(_) => (SessionId::NONE, ConnId(0), "listener "),
            Part::Session(session) => (session, ConnId(0), ""),
            Part::Connection(conn) => (SessionId::NONE, conn, ""),
        };
        let record = Record { zxid, session, conn, what: What::Server, ..self.stamped() };
        self.others.push(record, &[], format!("{of}{what}").as_bytes());
    }

    /// Begins to record a transaction. Returns `None` if nothing is recorded.
    #[inline]
    pub(crate) fn transaction(
        &mut self,
        zxid: Zxid,
        session: SessionId,
        xid: Xid,
        cause: Cause,
    ) -> Option<&mut Self> {
        if !self.is_on() {
            return None;
        }
        let (by, conn, op) = match cause {
            Cause::Request { conn, op } => (By::Request, conn, op),
            Cause::SessionEnd => (By::SessionEnd, ConnId(0), OpCode::CLOSE_SESSION),
            Cause::Container => (By::Container, ConnId(0), OpCode::DELETE_CONTAINER),
            Cause::TimeToLive => (By::TimeToLive, ConnId(0), OpCode::DELETE),
            Cause::Direct => (By::Direct, self.writer.unwrap_or(ConnId(0)), OpCode(0)),
        };
        let (time, op) = (self.now, Record::short(op));
        self.author = Record { zxid, time, session, conn, xid, op, by, ..self.author };
        Some(self)
    }

    /// Records a change, with the values before it. `version` is the new one.
    #[inline(never)]
    pub(crate) fn changed(&mut self, path: &str, version: i32, before: Before<'_>) {
        let version = version.cast_unsigned();
        match before {
            Before::Created { kind, data_len, pzxid, created_children } => {
                let len = u32::try_from(data_len).unwrap_or(u32::MAX);
                self.change((What::Created, Record::kind(kind), len), path, None, |marks| {
                    Numbers([pzxid.0, whole(created_children, marks)])
                });
            }
            Before::Deleted { node, pzxid } => {
                self.undo.keep_acl(self.next_seq, self.author.zxid, &node.acl);
                self.change((What::Deleted, 0, version), path, node.data.as_ref(), |marks| {
                    Numbers([
                        pzxid.0,
                        node.owner(),
                        node.czxid.0,
                        node.mzxid.0,
                        node.pzxid().0,
                        node.ctime.0,
                        node.mtime.0,
                        whole(node.version.0, node.aversion.0),
                        whole(node.created_children(), marks),
                    ])
                });
            }
            Before::Data { data, version: before, mzxid, mtime } => {
                self.change((What::DataSet, 0, version), path, data, |marks| {
                    Numbers([mzxid.0, mtime.0, whole(before.0, marks)])
                });
            }
            Before::Quietly { data } => {
                self.change((What::SetQuietly, 0, version), path, data, |marks| Numbers([whole(0, marks)]));
            }
            Before::Acl { acl, version: before } => {
                self.undo.keep_acl(self.next_seq, self.author.zxid, acl);
                self.change((What::AclSet, 0, version), path, None, |marks| {
                    Numbers([whole(before.0, marks)])
                });
            }
        }
    }

    /// Records a change with the data before it, and numbers that are made with the marks of the record.
    #[inline(always)]
    fn change<const N: usize>(
        &mut self,
        (what, code, extra): (What, i16, u32),
        path: &str,
        data: Option<&Bytes>,
        numbers: impl FnOnce(i32) -> Numbers<N>,
    ) {
        let seq = self.take_seq();
        if what.is_change() {
            self.latest_change = seq;
        }
        let author = &self.author;
        let (marks, data) = self.undo.keep((seq, author.zxid), path, data);
        let record = || Record { seq, extra, code, what, ..*author };
        self.others.push_path(path.as_bytes(), numbers(marks).bytes(), data, record);
    }

    /// Returns a record with the next number and the time.
    fn stamped(&mut self) -> Record {
        Record { seq: self.take_seq(), time: self.now, ..Record::EMPTY }
    }

    #[inline]
    fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }
}

/// Returns the path of a request as it was sent, and whether it asks for a watch.
fn path_and_watch(op: OpCode, mut body: Fields<'_>) -> (&[u8], bool) {
    if !op.begins_with_path() {
        return (&[], false);
    }
    let Ok(Some(path)) = body.buffer("path") else { return (&[], false) };
    let may_watch =
        matches!(op, OpCode::EXISTS | OpCode::GET_DATA | OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2);
    (path, may_watch && body.boolean("watch").unwrap_or(false))
}
