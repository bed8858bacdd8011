//! Incidents of a day.

use std::fmt;
use std::time::Duration;

/// Incident of a [`Day`](super::Day).
///
/// Sessions are counted from 0, in the order of their ids, among those that are alive at that moment; with `n` of them,
/// number `n` is number 0 again. Without any, nothing happens. A fault waits for its request, connection or expiry until
/// the end of the day, and happens once. Of several that wait for the same, the first one happens first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Incident {
    /// Time passes.
    Wait(Duration),
    /// A session expires.
    Expire(usize),
    /// A session loses its connection.
    Disconnect(usize),
    /// The connections of a session freeze, until a [`Thaw`](Self::Thaw) or the end of the day.
    Freeze(usize),
    /// The whole server freezes, until a [`Thaw`](Self::Thaw) or the end of the day. No session expires meanwhile.
    FreezeServer,
    /// Everything that is frozen goes on.
    Thaw,
    /// The server starts again. All connections break; data and sessions stay.
    Restart,
    /// The next write is lost with its connection before the server applies it.
    LoseWrite,
    /// The next write is applied, and its reply is lost with the connection.
    LoseReply,
    /// The next request arrives late. Requests behind it on the same connection wait, too.
    DelayRequest(Duration),
    /// The reply to the next request is sent late.
    DelayReply(Duration),
    /// The next connection is refused.
    RefuseConnection,
    /// The next client that comes back to its session hears that it has expired. The session lives on, without a client.
    RefuseSession,
    /// The ephemeral nodes of the next session that expires stay for a time.
    HoldEphemerals(Duration),
}

/// The incident in a sentence.
impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(time) => write!(f, "{time:?} pass"),
            Self::Expire(n) => write!(f, "session {n} expires"),
            Self::Disconnect(n) => write!(f, "session {n} loses its connection"),
            Self::Freeze(n) => write!(f, "session {n} freezes"),
            Self::FreezeServer => write!(f, "the server freezes"),
            Self::Thaw => write!(f, "everything frozen goes on"),
            Self::Restart => write!(f, "the server starts again"),
            Self::LoseWrite => write!(f, "the next write will be lost"),
            Self::LoseReply => write!(f, "the reply to the next write will be lost"),
            Self::DelayRequest(time) => write!(f, "the next request will arrive {time:?} late"),
            Self::DelayReply(time) => write!(f, "the next reply will be sent {time:?} late"),
            Self::RefuseConnection => write!(f, "the next connection will be refused"),
            Self::RefuseSession => write!(f, "the next session that comes back will be refused"),
            Self::HoldEphemerals(time) => {
                write!(f, "the nodes of the next session that expires will stay for {time:?}")
            }
        }
    }
}
