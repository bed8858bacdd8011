//! Records: entries as they are stored, all of one size.

use zk_wire::{ErrorCode, EventType, OpCode, SessionId, UnixMillis, Xid, Zxid};

use crate::core::message::ConnId;
use crate::core::txn::NodeKind;

/// Event of the server, as it is stored. Its text is kept apart: a path, and behind it further bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) seq: u64,
    /// Transaction that it is, or the last one before it.
    pub(super) zxid: Zxid,
    pub(super) time: UnixMillis,
    /// Session that it is about; [`SessionId::NONE`] without one.
    pub(super) session: SessionId,
    /// Connection that it is about; 0 without one.
    pub(super) conn: ConnId,
    /// Place of the text.
    pub(super) text: u32,
    pub(super) xid: Xid,
    /// Number that depends on `what`: a length, a version, a count.
    pub(super) extra: u32,
    /// Bytes of the path.
    pub(super) path: u16,
    /// Bytes behind the path.
    pub(super) tail: u16,
    /// Small number that depends on `what`: an error code, an event type, a kind of node.
    pub(super) code: i16,
    /// Operation: [`operation`](Self::operation).
    pub(super) op: i16,
    pub(super) what: What,
    pub(super) by: By,
    /// The request of the change has succeeded, and is the next entry: this is the record of both.
    pub(super) has_request: bool,
}

impl Record {
    /// Record without anything that depends on `what`.
    pub(super) const EMPTY: Self = Self {
        seq: 0,
        zxid: Zxid(0),
        time: UnixMillis(0),
        session: SessionId::NONE,
        conn: ConnId(0),
        text: 0,
        op: 0,
        xid: Xid(0),
        extra: 0,
        path: 0,
        tail: 0,
        code: 0,
        what: What::Server,
        by: By::Request,
        has_request: false,
    };

    /// Code of a request whose connection was closed instead of an answer.
    pub(super) const CLOSED: i16 = i16::MIN;

    /// Code of a fault that fired at an expiry: no event has it.
    pub(super) const EXPIRY: i16 = i16::MIN;

    /// Returns the code of a creation: the kind of the node.
    pub(super) fn kind(kind: NodeKind) -> i16 {
        match kind {
            NodeKind::Persistent => 0,
            NodeKind::Ephemeral(_) => 1,
            NodeKind::Container => 2,
            NodeKind::Ttl(_) => 3,
        }
    }

    /// Returns an error code as it is stored. No known one is cut.
    pub(super) fn code(code: ErrorCode) -> i16 {
        i16::try_from(code.0).unwrap_or(i16::MAX)
    }

    /// Returns an op code as it is stored. No known one is cut.
    pub(super) fn short(op: OpCode) -> i16 {
        i16::try_from(op.0).unwrap_or(i16::MIN)
    }

    /// Returns the record of the request if this one is of both.
    pub(super) fn request(&self) -> Option<Self> {
        let request =
            Self { seq: self.seq + 1, extra: 0, code: 0, what: What::Request, has_request: false, ..*self };
        self.has_request.then_some(request)
    }

    pub(super) fn operation(&self) -> OpCode {
        OpCode(self.op.into())
    }

    pub(super) fn error(&self) -> ErrorCode {
        ErrorCode(self.code.into())
    }

    pub(super) fn event(&self) -> EventType {
        EventType(self.code.into())
    }
}

/// Meaning of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    /// Request and its outcome (`code`). `extra` is 1 if it asked for a watch, or the number of operations of a multi.
    Request,
    /// Node created: `code` is its kind, `extra` the bytes of its data.
    Created,
    /// Data set: `extra` is the version.
    DataSet,
    /// Counts of a quota set, without a transaction of their own: no entry, only a value to put back.
    SetQuietly,
    /// ACL set: `extra` is its version.
    AclSet,
    /// Node deleted.
    Deleted,
    /// Session opened: `extra` is the timeout.
    Opened,
    /// Session resumed: `extra` is the timeout.
    Resumed,
    /// Handshake refused: the tail says why.
    Refused,
    /// Session ended; the reason is kept apart. `extra` is the number of its ephemeral nodes.
    Ended,
    /// Connection gone: `code` is 1 if the server closed it.
    Disconnected,
    /// Watch event (`code`), told to `extra` connections. The tail has the first of them.
    Event,
    /// Rule number `extra` fired, at a request or an event (`code`): the tail says what it did.
    Fault,
    /// Act on the whole server: the tail says which.
    Server,
}

impl What {
    /// Returns `true` for a change of a node.
    pub(super) fn is_change(self) -> bool {
        matches!(self, Self::Created | Self::DataSet | Self::AclSet | Self::Deleted)
    }
}

/// Author of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum By {
    /// Request of a client.
    Request,
    /// End of the session.
    SessionEnd,
    /// Server, which deletes containers without children.
    Container,
    /// Server, which deletes nodes whose time to live is over.
    TimeToLive,
    /// Program that runs the server.
    Direct,
    /// Act on the whole server: the tail says which.
    Server,
}
