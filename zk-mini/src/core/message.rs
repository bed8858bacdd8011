//! Inputs and outputs of the core.

use std::net::SocketAddr;
use std::ops::Deref;

use ::core::net::{IpAddr, Ipv4Addr};
use bytes::Bytes;
use zk_wire::{Millis, SessionId, UnixMillis, Zxid};

use crate::core::access::sasl::SaslRefusal;
use crate::core::audit::AuditRecord;
use crate::core::txn::Txn;

/// Time of a clock.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// Monotonic time, for the expiry of sessions.
    pub mono: Millis,
    /// Wall-clock time, for `Stat`.
    pub wall: UnixMillis,
}

/// Id of a connection. The owner of the core chooses it, and never uses it again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnId(
    /// Number of the connection.
    pub u64,
);

/// Peer at the other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Address of the peer, for ACLs of the `ip` scheme.
    pub ip: IpAddr,
    /// Port of the peer; 0 if it is in the same process.
    pub port: u16,
}

impl Peer {
    /// Peer in the same process.
    pub const LOCAL: Self = Self { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 0 };
}

/// Part of a server that can be [frozen](Input::Freeze).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Part {
    /// The whole server. It stalls: time does nothing before the thaw.
    Server,
    /// The listening address of this index: its connections, present and to come.
    Listener(usize),
    /// A session: its present connection, and every later one whose handshake names it.
    Session(SessionId),
    /// One connection.
    Connection(ConnId),
}

/// Input: an event outside of the core.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection was accepted.
    Accepted {
        /// Id of the new connection.
        conn: ConnId,
        /// Peer at its other end.
        peer: Peer,
        /// Index of the listening address; `None` if it came without a socket.
        listener: Option<usize>,
    },
    /// A frame arrived.
    Frame {
        /// Connection that it arrived on.
        conn: ConnId,
        /// Body of the frame, without its length field.
        frame: Bytes,
    },
    /// The peer of a connection has proved by its certificate who it is, as TLS does before the first frame: it has the
    /// identity `x509` then.
    Certified {
        /// Id of the connection.
        conn: ConnId,
        /// Name in the certificate, as RFC 2253 has it.
        subject: String,
    },
    /// Data has arrived that cannot be handled yet, because earlier requests wait for the disk. It counts as a sign
    /// of life of the session.
    Waiting {
        /// Connection that it arrived on.
        conn: ConnId,
    },
    /// A connection was lost, or closed by its peer. There is no output about it any more.
    Closed {
        /// Id of the connection.
        conn: ConnId,
    },
    /// Close a connection. Its session lives on.
    Disconnect {
        /// Id of the connection.
        conn: ConnId,
    },
    /// Let a session expire now, exactly as if its time had run out. Without effect if it is not alive, or the disk is
    /// lost.
    Expire {
        /// Id of the session.
        session: SessionId,
    },
    /// Freeze a part of the server: nothing that its connections send is handled, and nothing is sent to them, not even
    /// that they are closed. Time goes on, so their sessions expire, unless it is the whole server.
    Freeze {
        /// Part to freeze.
        part: Part,
    },
    /// Thaw a part of the server. What has arrived in the meantime is handled, and what waited is sent, in order; then
    /// what is due happens at the next [`Timeout`](Self::Timeout).
    Thaw {
        /// Part to thaw.
        part: Part,
    },
    /// Time has passed. Due at [`Core::poll_deadline`](super::Core::poll_deadline), and harmless at any other time.
    /// Sessions expire by this input and by [`Expire`](Self::Expire) only.
    Timeout,
}

/// Output: an action for the owner of the core. Outputs are performed in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make the transaction durable before any later output is performed. Emitted only if
    /// [`Config::transactions`](super::Config::transactions) is set.
    Persist(Txn),
    /// Let a server of an ensemble listen at an address that a `reconfig` has given it.
    Listen {
        /// Index of the server.
        server: usize,
        /// Address; unspecified if the request has a name, and port 0 if it has no port.
        addr: SocketAddr,
        /// It has just joined, and is stopped: [`start`](super::Core::start_server) it when it listens.
        is_new: bool,
    },
    /// Count an expired session. The core has ended it already.
    Expired {
        /// Id of the session.
        session: SessionId,
    },
    /// Log a note. No other action is needed.
    Note(Note),
    /// Write an audit record. Emitted only if [`Config::audit`](super::Config::audit) is set.
    Audit(Box<AuditRecord>),
    /// Send a frame.
    Send {
        /// Connection to send on.
        conn: ConnId,
        /// Whole frame, with its length field.
        frame: Bytes,
    },
    /// Hand in no more frames of this connection for now. They wait best where a peer notices it; frames that come
    /// nevertheless wait in the core.
    Pause {
        /// Id of the connection.
        conn: ConnId,
    },
    /// Hand in frames of this connection again.
    Resume {
        /// Id of the connection.
        conn: ConnId,
    },
    /// Close the connection after the earlier frames have been written. The core has forgotten it, so no
    /// [`Input::Closed`] is needed.
    Close {
        /// Id of the connection.
        conn: ConnId,
    },
}

/// Frame to send, as [`poll_frame`](super::Core::poll_frame) hands it out.
#[derive(Debug)]
pub enum Frame<'a> {
    /// Short frame, which the core writes over soon: to be copied.
    Short(&'a [u8]),
    /// Long frame, or one that is sent to several connections.
    Shared(Bytes),
}

impl Deref for Frame<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(frame) => frame,
            Self::Shared(frame) => frame,
        }
    }
}

/// Event for the log; see [`Output::Note`]. An expired session has an output of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Note {
    /// A session was opened.
    Opened {
        /// Connection that asked for it.
        conn: ConnId,
        /// Id of the session.
        session: SessionId,
        /// Negotiated timeout.
        timeout: Millis,
    },
    /// A session was resumed on another connection.
    Resumed {
        /// New connection of the session.
        conn: ConnId,
        /// Id of the session.
        session: SessionId,
        /// Negotiated timeout.
        timeout: Millis,
    },
    /// A session was closed by its client.
    Closed {
        /// Connection that the request came on.
        conn: ConnId,
        /// Id of the session.
        session: SessionId,
    },
    /// A client has failed to authenticate with SASL.
    NotAuthenticated {
        /// Connection that it tries on.
        conn: ConnId,
        /// Reason of the failure.
        reason: SaslRefusal,
    },
    /// A connection was refused a session, and is closed.
    Refused {
        /// Id of the connection.
        conn: ConnId,
        /// Reason of the refusal.
        reason: Refusal,
    },
}

impl Note {
    /// Returns the connection that the note is about.
    #[must_use]
    pub fn conn(&self) -> ConnId {
        match self {
            Self::Opened { conn, .. }
            | Self::Resumed { conn, .. }
            | Self::Closed { conn, .. }
            | Self::NotAuthenticated { conn, .. }
            | Self::Refused { conn, .. } => *conn,
        }
    }
}

/// Reason why a connection gets no session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The first frame is not a connect request.
    Unreadable,
    /// The client has seen a later state than the server has.
    SeenMore {
        /// Last transaction that the client has seen.
        seen: Zxid,
        /// Last transaction of the server.
        last: Zxid,
    },
    /// The disk is lost, so no new session can be stored.
    NoNewSessions,
    /// Too many connections have come at a time.
    Throttled,
    /// The ensemble has no quorum, and the client does not ask for read-only service.
    NoQuorum,
    /// The ensemble has no quorum, and this is a session of all its servers.
    NeedsQuorum(SessionId),
    /// The session has ended or never existed.
    NoSuchSession(SessionId),
    /// The password does not belong to the session.
    WrongPassword(SessionId),
}
