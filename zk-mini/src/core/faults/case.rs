//! Cases that are shown to the rules.

use zk_wire::{EventType, SessionId, Xid};

use crate::core::faults::request::RequestInfo;
use crate::core::message::{ConnId, Now};

/// Case that is shown to the rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) now: Now,
    pub(crate) what: What<'a>,
    pub(crate) session: Option<SessionId>,
    pub(crate) conn: Option<ConnId>,
    /// Index of the listening address of the connection.
    pub(crate) listener: Option<usize>,
}

/// Kind of case.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What<'a> {
    Request {
        xid: Xid,
        request: &'a RequestInfo<'a>,
    },
    Event {
        kind: EventType,
        path: &'a str,
    },
    /// A handshake. The case's session is the one that it names.
    Handshake,
    /// A session whose time has run out.
    Expiry,
}
