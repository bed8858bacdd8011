//! What goes into the core, and what comes out.

use ::core::net::{IpAddr, Ipv4Addr};
use bytes::Bytes;
use zk_wire::{Millis, SessionId, UnixMillis, Zxid};

use crate::core::txn::Txn;

/// What a clock shows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// Time that never jumps: sessions expire by it.
    pub mono: Millis,
    /// Time as people read it: `Stat` shows it.
    pub wall: UnixMillis,
}

/// A connection, by the number that its owner gave it. Never given twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnId(
    /// The number.
    pub u64,
);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The address that ACLs of the `ip` scheme are matched with.
    pub ip: IpAddr,
}

impl Peer {
    /// A peer in the same process.
    pub const LOCAL: Self = Self { ip: IpAddr::V4(Ipv4Addr::LOCALHOST) };
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection was accepted.
    Accepted {
        /// The connection.
        conn: ConnId,
        /// Its other end.
        peer: Peer,
    },
    /// A frame arrived.
    Frame {
        /// On this connection.
        conn: ConnId,
        /// Its body, without the length.
        frame: Bytes,
    },
    /// Something has arrived that can be handed in later only, since what came before waits for the disk. It counts as a
    /// sign of life.
    Waiting {
        /// On this connection.
        conn: ConnId,
    },
    /// A connection is lost, or was closed by its other end.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// Time has passed: due after [`Core::poll_deadline`](super::Core::poll_deadline), harmless at any time. Sessions expire
    /// by nothing else.
    Timeout,
}

/// What has to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make the transaction durable before any later output is performed. Only if
    /// [`Config::transactions`](super::Config::transactions) says so.
    Persist(Txn),
    /// A session has ended because it was not heard of in time: nothing to do, but to be counted.
    Expired {
        /// The session.
        session: SessionId,
    },
    /// Something has happened that is worth a line in a log: nothing to do.
    Note(Note),
    /// Send a frame.
    Send {
        /// On this connection.
        conn: ConnId,
        /// The whole frame, with its length.
        frame: Bytes,
    },
    /// Close the connection, when what was sent before has been written. Nothing of it is expected any more,
    /// not even [`Input::Closed`].
    Close {
        /// The connection.
        conn: ConnId,
    },
}

/// Something worth a line in a log; see [`Output::Note`]. That a session has expired is an output of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Note {
    /// A session has begun.
    Opened {
        /// The connection that asked for it.
        conn: ConnId,
        /// The session.
        session: SessionId,
        /// Its negotiated timeout.
        timeout: Millis,
    },
    /// A session goes on, on another connection.
    Resumed {
        /// The connection that it goes on with.
        conn: ConnId,
        /// The session.
        session: SessionId,
        /// Its negotiated timeout.
        timeout: Millis,
    },
    /// A session was closed by its client.
    Closed {
        /// The connection that it was closed on.
        conn: ConnId,
        /// The session.
        session: SessionId,
    },
    /// A connection got no session, and is closed.
    Refused {
        /// The connection.
        conn: ConnId,
        /// Reason.
        reason: Refusal,
    },
}

impl Note {
    /// The connection that it is about.
    #[must_use]
    pub fn conn(&self) -> ConnId {
        match self {
            Self::Opened { conn, .. }
            | Self::Resumed { conn, .. }
            | Self::Closed { conn, .. }
            | Self::Refused { conn, .. } => *conn,
        }
    }
}

/// Reason why a connection gets no session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Its first frame is no connect request.
    Unreadable,
    /// It has seen a later state than there is.
    SeenMore {
        /// The last transaction that it has seen.
        seen: Zxid,
        /// The last one that there is.
        last: Zxid,
    },
    /// Nothing may change for now, and a new session would.
    NoNewSessions,
    /// The session that it names has ended, or never was.
    NoSuchSession(SessionId),
    /// The session that it names is somebody else's.
    WrongPassword(SessionId),
}
