//! State of a session at one moment.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use zk_wire::SessionId;

use crate::core::{ConnId, NameSet};
use crate::shell::state::ServerState;

/// Session at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Id of the session.
    pub id: SessionId,
    /// Timeout that its client has got.
    pub timeout: Duration,
    /// Address of its client; `None` if the session has no connection, or one without a socket.
    pub client: Option<SocketAddr>,
    /// Connection of the session; `None` if it has none.
    pub conn: Option<ConnId>,
    /// Time since the last sign of life.
    pub heard: Duration,
    /// Time until the session expires without a sign of life; zero if that is overdue.
    pub expires_in: Duration,
    /// Paths of its ephemeral nodes, sorted.
    pub ephemerals: Vec<String>,
    /// Number of its watches.
    pub watches: usize,
    /// True if nothing that it sends is handled, and nothing is sent to it: the session, its connection, its listener or
    /// the server is frozen.
    pub frozen: bool,
}

/// Session as it is copied while the server waits.
pub(super) struct SeenSession {
    /// Its state, without ephemeral nodes.
    info: SessionInfo,
    ephemerals: NameSet,
}

impl SeenSession {
    /// Copies the state of a session, if it is alive.
    pub(super) fn of(state: &ServerState, id: SessionId) -> Option<Self> {
        let (core, now) = (&state.core, state.clock.now().mono);
        let session = core.any_session(id)?;
        let conn = core.conn_of(id);
        let info = SessionInfo {
            id,
            timeout: session.current_timeout.into(),
            client: conn.and_then(|conn| state.connections.remote(conn).0),
            conn,
            heard: now.since(session.heard).into(),
            expires_in: session.expires.since(now).into(),
            ephemerals: Vec::new(),
            watches: conn.map_or(0, |conn| core.watch_count_of(conn)),
            frozen: core.is_session_frozen(id),
        };
        Some(Self { info, ephemerals: core.ephemeral_set(id) })
    }

    /// Lists the ephemeral nodes, of which there may be many.
    pub(super) fn info(self) -> SessionInfo {
        SessionInfo { ephemerals: self.ephemerals.iter().map(str::to_owned).collect(), ..self.info }
    }
}

impl fmt::Display for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}: ", self.id)?;
        match (self.client, self.conn) {
            (Some(client), _) => write!(f, "client {client}")?,
            (None, Some(_)) => f.write_str("client in this process")?,
            (None, None) => f.write_str("not connected")?,
        }
        let (heard, expires, timeout) = (self.heard, self.expires_in, self.timeout);
        write!(f, ", heard {heard:?} ago, expires in {expires:?}, timeout {timeout:?}")?;
        write!(f, ", {} ephemerals, {} watches", self.ephemerals.len(), self.watches)?;
        if self.frozen { f.write_str(", frozen") } else { Ok(()) }
    }
}
