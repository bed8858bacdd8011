//! Words for people: times, spans, peers and reasons.

use std::fmt::{self, Display};

use zk_wire::{Millis, SessionId};

use crate::core::history::cause::{EndReason, SessionEnd};
use crate::core::message::{Peer, Refusal};

/// Span of time, printed as `6 s`, `6.2 s` or `250 ms`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) Millis);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0;
        match (millis / 1_000, millis % 1_000 / 100) {
            (0, _) if millis > 0 => write!(f, "{millis} ms"),
            (seconds, 0) => write!(f, "{seconds} s"),
            (seconds, tenths) => write!(f, "{seconds}.{tenths} s"),
        }
    }
}

/// Peer, printed as `client 127.0.0.1:5123`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client(pub(super) Peer);

impl Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match address(self.0) {
            Some(address) => write!(f, "client {address}"),
            None => f.write_str("client in this process"),
        }
    }
}

/// Returns the address of a peer; `None` if it is in this process.
pub(super) fn address(peer: Peer) -> Option<core::net::SocketAddr> {
    (peer.port != 0).then(|| (peer.ip, peer.port).into())
}

/// Says why a session has ended.
pub(super) fn end(end: &SessionEnd) -> String {
    let SessionEnd { reason, silent, timeout, client, .. } = *end;
    let client = client.map(Client);
    let with_client = client.map(|client| format!(", {client}")).unwrap_or_default();
    let heard = format!("last heard {} before, timeout {}{with_client}", Span(silent), Span(timeout));
    match reason {
        EndReason::Closed => {
            client.map_or_else(|| "closed by its client".into(), |client| format!("closed by its {client}"))
        }
        EndReason::Expired => format!("expired, {heard}"),
        EndReason::Forced => format!("expired by the test, {heard}"),
    }
}

/// Says why a handshake was refused.
pub(super) fn refusal(reason: Refusal) -> String {
    match reason {
        Refusal::Unreadable => "the first frame is not a connect request".into(),
        Refusal::SeenMore { seen, last } => {
            format!("the client has seen transaction {seen}, and the last one here is {last}")
        }
        Refusal::Throttled => "too many connections at a time: the throttle has no tokens".into(),
        Refusal::NoNewSessions => "the disk is lost: no session can be stored".into(),
        Refusal::NoQuorum => "there is no quorum, and the client is not read-only".into(),
        Refusal::NeedsQuorum(id) => format!("there is no quorum, which session {id} needs"),
        Refusal::NoSuchSession(id) => format!("session {id} has ended, or never existed"),
        Refusal::WrongPassword(id) => format!("the password is not that of session {id}"),
    }
}

/// Returns a count with its noun.
pub(crate) fn count(count: impl Into<u64>, noun: &str) -> String {
    let count = count.into();
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Session, printed as `session 0x100…`; nothing for none.
pub(super) fn session(id: SessionId) -> String {
    format!("session {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_people_use() {
        let shown = |millis| Span(Millis(millis)).to_string();
        assert_eq!([0, 250, 6_000, 6_249].map(shown), ["0 s", "250 ms", "6 s", "6.2 s"]);
    }
}
