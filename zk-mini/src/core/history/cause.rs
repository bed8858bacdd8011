//! Causes: the reasons why something happened, as those who cause it know them.

use zk_wire::{Millis, OpCode, UnixMillis};

use crate::core::message::{ConnId, Peer};
use crate::core::requests::call::Call;

/// Cause of a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    /// Request of a client.
    Request { conn: ConnId, op: OpCode },
    /// End of the session, whose reason was recorded before.
    SessionEnd,
    /// Container without children.
    Container,
    /// Time to live that is over.
    TimeToLive,
    /// Program that runs the server.
    Direct,
}

impl From<&Call> for Cause {
    fn from(call: &Call) -> Self {
        Self::Request { conn: call.conn, op: call.op }
    }
}

/// End of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SessionEnd {
    pub(crate) reason: EndReason,
    /// Time since the last sign of life.
    pub(crate) silent: Millis,
    pub(crate) timeout: Millis,
    /// Wall-clock time of the end.
    pub(crate) at: UnixMillis,
    /// Peer of its last connection, if it had one since the start of the server.
    pub(crate) client: Option<Peer>,
}

/// Reason why a session ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EndReason {
    /// Its client closed it.
    Closed,
    /// Its time ran out.
    Expired,
    /// The program that runs the server let it expire.
    Forced,
}

/// Connections that were told of an event: their number, and the first of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) count: u32,
    conns: [[u8; 8]; Self::LISTED],
}

impl Told {
    /// Maximum number of connections that are listed.
    pub(crate) const LISTED: usize = 16;

    /// Returns a list of one connection.
    pub(crate) fn one(conn: ConnId) -> Self {
        let mut told = Self::default();
        told.add(conn);
        told
    }

    /// Counts a connection, and lists it if there is room.
    pub(crate) fn add(&mut self, conn: ConnId) {
        if let Some(place) = self.conns.get_mut(self.count as usize) {
            *place = conn.0.to_be_bytes();
        }
        self.count += 1;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.conns[..(self.count as usize).min(Self::LISTED)].as_flattened()
    }
}
