//! Client of the playground: what it sends, as frames.

use bytes::{Bytes, BytesMut};
use zk_mini::core::ConnId;
use zk_wire::{ConnectRequest, Encode, Millis, Ping, Request, RequestHeader, SessionId, Xid, Zxid};

/// State of a client's session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Life {
    /// The session is alive.
    Open,
    /// The server has ended the session.
    Expired,
    /// The client has closed the session.
    Closed,
}

impl Life {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Expired => "expired",
            Self::Closed => "closed",
        }
    }
}

/// Client with one session and one connection.
#[derive(Debug)]
pub(crate) struct Client {
    /// Number that the reader sees; also that of the connection.
    pub(crate) number: u64,
    pub(crate) session: SessionId,
    pub(crate) timeout: Millis,
    pub(crate) life: Life,
    /// Time of the next ping; `None` if the client is silent.
    pub(crate) next_ping: Option<Millis>,
    last_xid: i32,
}

impl Client {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            session: SessionId::NONE,
            timeout: Millis(0),
            life: Life::Open,
            next_ping: None,
            last_xid: 0,
        }
    }

    pub(crate) fn conn(&self) -> ConnId {
        ConnId(self.number)
    }

    /// Returns the time between two pings, as clients choose it: a third of the timeout.
    pub(crate) fn ping_interval(&self) -> Millis {
        Millis((self.timeout.0 / 3).max(1))
    }

    /// Returns the frame of a request, with its number.
    pub(crate) fn request<R: Request>(&mut self, request: &R) -> Bytes {
        self.last_xid = self.last_xid.wrapping_add(1);
        frame(Xid(self.last_xid), request)
    }
}

/// Returns the first frame of a connection, which opens a session.
pub(crate) fn connect(timeout: i32) -> Bytes {
    let mut out = BytesMut::new();
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid(0),
        timeout,
        session_id: SessionId::NONE,
        password: None,
        read_only: Some(false),
    }
    .encode(&mut out);
    out.freeze()
}

/// Returns the frame of a ping.
pub(crate) fn ping() -> Bytes {
    frame(Xid::PING, &Ping {})
}

fn frame<R: Request>(xid: Xid, request: &R) -> Bytes {
    let mut out = BytesMut::new();
    RequestHeader { xid, op: R::OP }.encode(&mut out);
    request.encode(&mut out);
    out.freeze()
}
