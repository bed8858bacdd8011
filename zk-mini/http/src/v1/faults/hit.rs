//! Hits of rules as JSON.

use serde::Serialize;
use utoipa::ToSchema;
use zk_mini::{Hit, HitKind};
use zk_wire::Utc;

use crate::hex::Hex;

/// Case in which a rule has fired.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HitBody {
    /// Number of the firing, from 1.
    number: u64,
    /// Wall-clock time, by ISO 8601, in UTC.
    time: String,
    /// `request`, `event`, `handshake` or `expiry`.
    kind: &'static str,
    /// Operation of the request.
    op: Option<String>,
    /// Number that the client gave to the request.
    xid: Option<i32>,
    /// Kind of the event.
    event: Option<String>,
    path: Option<String>,
    session: Option<Hex>,
    connection: Option<Hex>,
}

impl From<Hit> for HitBody {
    fn from(hit: Hit) -> Self {
        Self {
            number: hit.number,
            time: format!("{:#}", Utc(hit.at.wall)),
            kind: match hit.kind {
                HitKind::Request => "request",
                HitKind::Event => "event",
                HitKind::Handshake => "handshake",
                HitKind::Expiry => "expiry",
                _ => "other",
            },
            op: hit.op.map(|op| op.to_string()),
            xid: hit.xid.map(|xid| xid.0),
            event: hit.event.map(|event| event.to_string()),
            path: hit.path,
            session: hit.session.map(Hex::from),
            connection: hit.connection.map(Hex::from),
        }
    }
}
