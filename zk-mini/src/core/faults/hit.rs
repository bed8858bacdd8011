//! Records of rules: what they have hit.

use std::fmt;

use zk_wire::{EventType, OpCode, SessionId, Xid};

use crate::core::faults::case::{Case, What};
use crate::core::faults::rule::Rule;
use crate::core::history::cut;
use crate::core::message::{ConnId, Now};

/// Number of a rule, given by the server when the rule is added; never given twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FaultId(
    /// The number.
    pub u64,
);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Rule of a server, and its counts at the time of the call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FaultInfo {
    /// Number of the rule.
    pub id: FaultId,
    /// The rule.
    pub rule: Rule,
    /// Number of cases that the rule was shown and is about.
    pub matched: u64,
    /// Number of times that it has fired.
    pub fired: u64,
    /// State of the rule.
    pub state: FaultState,
}

/// State of a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FaultState {
    /// It can fire.
    Active,
    /// It stays without effect: its condition allows no further case.
    UsedUp,
    /// It was removed, and its guard still holds the record.
    Removed,
}

/// Case in which a rule has fired.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zk_client::{Client, CreateMode};
/// use zk_mini::{On, Then, ZkMini};
///
/// let zk = ZkMini::start().await?;
/// let lost = zk.fault(On::create("/a").nth(1), Then::apply_and_lose_reply());
/// let client = Client::connect(&zk.connect_string()).await?;
/// assert!(client.create("/a", "", CreateMode::Persistent).await.is_err(), "the reply is lost");
/// let hit = lost.until_fired().await?;
/// assert_eq!((hit.path.as_deref(), hit.session), (Some("/a"), Some(zk.sessions()[0].id)));
/// assert!(hit.to_string().starts_with("create2 of /a, request "), "{hit}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// Number of the firing, from 1.
    pub number: u64,
    /// Time of the server's clock.
    pub at: Now,
    /// Kind of case.
    pub kind: HitKind,
    /// Operation of the request.
    pub op: Option<OpCode>,
    /// Number that the client gave to the request.
    pub xid: Option<Xid>,
    /// Kind of the event.
    pub event: Option<EventType>,
    /// Path that matched; the first one if the rule asks for none. A path of more than 1,024 bytes has `…` in its middle.
    pub path: Option<String>,
    /// Session that sent the request, was to get the event, was named by the handshake, or expired.
    pub session: Option<SessionId>,
    /// Connection that was hit.
    pub connection: Option<ConnId>,
}

/// Kind of case in which a rule has fired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HitKind {
    /// A request, with [`Hit::op`] and [`Hit::xid`].
    Request,
    /// A watch event, with [`Hit::event`].
    Event,
    /// A handshake.
    Handshake,
    /// The expiry of a session.
    Expiry,
}

/// Returns a path as the record keeps it: a hundred long ones would be a hundred megabytes.
fn kept(path: &str) -> String {
    String::from_utf8_lossy(&cut(path.as_bytes())).into_owned()
}

impl Hit {
    pub(super) fn new(number: u64, case: &Case<'_>, path: Option<&str>) -> Self {
        let (kind, op, xid, event) = match case.what {
            What::Request { xid, request } => (HitKind::Request, Some(request.op), Some(xid), None),
            What::Event { kind, .. } => (HitKind::Event, None, None, Some(kind)),
            What::Handshake => (HitKind::Handshake, None, None, None),
            What::Expiry => (HitKind::Expiry, None, None, None),
        };
        let (at, session, connection) = (case.now, case.session, case.conn);
        Self { number, at, kind, op, xid, event, path: path.map(kept), session, connection }
    }
}

/// The case in a few words.
impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.op, self.event) {
            (Some(op), _) => write!(f, "{op}")?,
            (None, Some(event)) => write!(f, "event {event}")?,
            (None, None) if self.kind == HitKind::Expiry => f.write_str("expiry")?,
            (None, None) => f.write_str("handshake")?,
        }
        if let Some(path) = &self.path {
            write!(f, " of {path}")?;
        }
        if let Some(xid) = self.xid {
            write!(f, ", request {xid}")?;
        }
        if let Some(session) = self.session {
            write!(f, ", session {session}")?;
        }
        match self.connection {
            Some(ConnId(connection)) => write!(f, ", connection {connection}"),
            None => Ok(()),
        }
    }
}
