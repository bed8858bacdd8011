//! Sessions: their state, and everything that can happen to them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use zk_wire::SessionId;

use crate::core::{ConnId, Core, Input, Now, Part};
use crate::handle::Handle;
use crate::handle::session_info::{SeenSession, SessionInfo};
use crate::handle::wait::TimedOut;
use crate::shell::state::ServerState;

/// Session of a running server: a handle to it, which does not keep it alive.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zk_client::{Client, CreateMode};
/// use zk_mini::ZkMini;
///
/// let zk = ZkMini::start().await?;
/// let client = Client::connect(&zk.connect_string()).await?;
/// client.create("/leader", "me", CreateMode::Ephemeral).await?;
///
/// let session = zk.session_of("/leader").ok_or("no leader")?;
/// assert_eq!(session.info().ok_or("gone")?.ephemerals, ["/leader"]);
/// session.expire().await; // now, on the server
/// assert!(zk.get("/leader").is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    handle: Handle,
    id: SessionId,
}

/// Sessions of a running server that were alive when it was made. What it does happens to all of them at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zk_client::Client;
/// use zk_mini::ZkMini;
///
/// let zk = ZkMini::start().await?;
/// let (_a, _b) = (Client::connect(&zk.connect_string()).await?, Client::connect(&zk.connect_string()).await?);
///
/// let idle = zk.sessions_where(|session| session.ephemerals.is_empty());
/// assert_eq!(idle.len(), 2);
/// assert_eq!(idle.expire().await, 2);
/// assert!(zk.all_sessions().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SessionSet {
    handle: Handle,
    ids: Vec<SessionId>,
}

/// Address of a client: that of its host, or of its socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAddr {
    /// Any port of this address.
    Ip(IpAddr),
    /// This socket.
    Socket(SocketAddr),
}

/// Sessions.
impl Handle {
    /// Returns the sessions that are alive, sorted by id.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let sessions = zk.sessions();
    /// assert_eq!(sessions.len(), 1);
    /// assert!(sessions[0].client.is_some_and(|client| client.ip().is_loopback()));
    /// assert!(sessions[0].expires_in >= sessions[0].timeout / 2);
    /// println!("{}", sessions[0]);
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let seen: Vec<_> = self.engine.look(|state| {
            let ids = state.core.session_ids();
            ids.into_iter().filter_map(|id| SeenSession::of(state, id)).collect()
        });
        seen.into_iter().map(SeenSession::info).collect()
    }

    /// Returns the session of this id, if it is alive.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<Session> {
        let is_alive = self.engine.look(|state| state.core.is_alive_anywhere(id));
        is_alive.then(|| self.session_handle(id))
    }

    /// Returns the session that owns the ephemeral node at `path`.
    #[must_use]
    pub fn session_of(&self, path: &str) -> Option<Session> {
        self.engine.look(|state| state.core.owner_of(path)).map(|id| self.session_handle(id))
    }

    /// Returns the sessions whose present connection comes from a host (an [`IpAddr`]) or from a socket (a
    /// [`SocketAddr`]).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::net::{IpAddr, Ipv4Addr};
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let from_here = zk.sessions_from(IpAddr::from(Ipv4Addr::LOCALHOST));
    /// assert_eq!(from_here.disconnect().await, 1);
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sessions_from(&self, client: impl Into<ClientAddr>) -> SessionSet {
        let wanted = client.into();
        self.sessions_where(|session| session.client.is_some_and(|client| wanted.contains(client)))
    }

    /// Returns the sessions for which `condition` holds.
    #[must_use]
    pub fn sessions_where(&self, mut condition: impl FnMut(&SessionInfo) -> bool) -> SessionSet {
        let mut sessions = self.sessions();
        sessions.retain(|session| condition(session));
        SessionSet { handle: self.clone(), ids: sessions.into_iter().map(|session| session.id).collect() }
    }

    /// Returns all sessions that are alive.
    #[must_use]
    pub fn all_sessions(&self) -> SessionSet {
        SessionSet { handle: self.clone(), ids: self.engine.look(|state| state.core.session_ids()) }
    }

    /// Thaws a session, also one that has ended meanwhile: its client, which waits at the handshake, hears of that now.
    /// Returns false if it is not frozen itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let session = zk.session(zk.sessions()[0].id).ok_or("not alive")?;
    /// session.freeze();
    /// session.expire().await;
    /// assert!(zk.session(session.id()).is_none());
    /// assert!(zk.thaw_session(session.id()).await);
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn thaw_session(&self, id: SessionId) -> bool {
        let part = Part::Session(id);
        let is_frozen = self.engine.look(|state| state.core.is_part_frozen(part));
        self.thaw_parts(&[part]).await;
        is_frozen
    }

    fn session_handle(&self, id: SessionId) -> Session {
        Session { handle: self.clone(), id }
    }

    /// Lets the sessions expire, and returns those that this ended.
    async fn expire_all(&self, ids: &[SessionId]) -> Vec<SessionId> {
        let expire = |core: &mut Core, now| {
            let is_expired = |id: &SessionId| {
                let was_alive = core.is_alive_anywhere(*id);
                core.handle(now, Input::Expire { session: *id });
                was_alive && !core.is_alive_anywhere(*id)
            };
            ids.iter().copied().filter(is_expired).collect()
        };
        self.act(expire).await.unwrap_or_default()
    }

    async fn disconnect_all(&self, ids: &[SessionId]) -> usize {
        let disconnect = |core: &mut Core, now| {
            let conns: Vec<_> = ids.iter().filter_map(|id| core.conn_of(*id)).collect();
            for conn in &conns {
                core.handle(now, Input::Disconnect { conn: *conn });
            }
            conns.len()
        };
        self.act(disconnect).await.unwrap_or_default()
    }

    /// Does something to the core, and waits until everything that it caused has happened. Returns `None` if the server has
    /// stopped, or its disk failed before.
    pub(super) async fn act<T>(&self, act: impl FnOnce(&mut Core, Now) -> T) -> Option<T> {
        match self.engine.change(act) {
            Some((result, performing)) if self.engine.performed(performing).await => Some(result),
            _ => None,
        }
    }
}

impl Session {
    /// Returns the id of the session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Returns the state of the session; `None` if it is not alive any more.
    #[must_use]
    pub fn info(&self) -> Option<SessionInfo> {
        self.handle.engine.look(|state| SeenSession::of(state, self.id)).map(SeenSession::info)
    }

    /// Lets the session expire now, exactly as if its time had run out: its ephemeral nodes go in one transaction,
    /// watches fire, its connection is closed, and its client is refused when it comes back. Returns true if this
    /// ended it.
    ///
    /// When this returns, everything has happened: watch events are in the connections (as far as their peers take
    /// them), the connection is closed unless it is frozen, and the end of the session is durable if the server has a
    /// data directory. While the disk is lost, no session expires.
    pub async fn expire(&self) -> bool {
        !self.handle.expire_all(&[self.id]).await.is_empty()
    }

    /// Closes the connection of the session, which lives on: its client may come back. When this returns, the
    /// connection is closed, unless it is frozen. Returns false if the session had none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let session = zk.session(zk.sessions()[0].id).ok_or("not alive")?;
    /// assert!(session.disconnect().await);
    /// session.until_connected(Duration::from_secs(5)).await?; // the client has come back
    /// # Ok(())
    /// # }
    /// ```
    pub async fn disconnect(&self) -> bool {
        self.handle.disconnect_all(&[self.id]).await > 0
    }

    /// Freezes the session: nothing that its client sends is handled, and nothing is sent to it, on the present
    /// connection and on later ones. To the client the server looks stalled. Unless it is [thawed](Self::thaw) in time,
    /// the session expires, and its client hears of that after the thaw.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use zk_client::{Client, CreateMode};
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::builder().manual_clock().start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// client.create("/leader", "me", CreateMode::Ephemeral).await?;
    /// let session = zk.session_of("/leader").ok_or("no leader")?;
    ///
    /// session.freeze();
    /// zk.advance(Duration::from_secs(60)).await;
    /// assert!(zk.get("/leader").is_none(), "its session has expired");
    /// session.thaw().await; // now its client hears of it
    /// # Ok(())
    /// # }
    /// ```
    pub fn freeze(&self) {
        self.handle.freeze_part(Part::Session(self.id));
    }

    /// Thaws the session. When this returns, what its client has sent meanwhile has been handled, and what waited for
    /// it has been sent. Without effect if the session is not frozen itself.
    pub async fn thaw(&self) {
        self.handle.thaw_session(self.id).await;
    }

    /// Waits until the session is not alive any more: it has expired, or its client has closed it. Which of both is in the
    /// [history](crate::history).
    ///
    /// # Errors
    /// [`TimedOut`] if it is alive at the end of the limit, which is in real time.
    pub async fn until_expired(&self, limit: Duration) -> Result<(), TimedOut> {
        self.handle.wait_for(|zk| zk.session(self.id).is_none(), limit).await
    }

    /// Waits until the session has a connection.
    ///
    /// # Errors
    /// [`TimedOut`] if it has none at the end of the limit, which is in real time.
    pub async fn until_connected(&self, limit: Duration) -> Result<(), TimedOut> {
        self.handle.wait_for(|_| self.conn().is_some(), limit).await
    }

    /// Waits until the session has no connection.
    ///
    /// # Errors
    /// [`TimedOut`] if it has one at the end of the limit, which is in real time.
    pub async fn until_disconnected(&self, limit: Duration) -> Result<(), TimedOut> {
        self.handle.wait_for(|_| self.conn().is_none(), limit).await
    }

    /// Waits until the session has at least `count` watches.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let client = Client::connect(&zk.connect_string()).await?;
    /// let session = zk.session(zk.sessions()[0].id).ok_or("not alive")?;
    /// let subscriber = client.clone(); // the session lives as long as a client of it
    /// let watching = tokio::spawn(async move { subscriber.children_and_watch("/").await });
    /// session.until_watches(1, Duration::from_secs(5)).await?;
    /// # drop(watching.await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TimedOut`] if it has fewer at the end of the limit, which is in real time.
    pub async fn until_watches(&self, count: usize, limit: Duration) -> Result<(), TimedOut> {
        let watches = |state: &ServerState| {
            state.core.conn_of(self.id).map_or(0, |conn| state.core.watch_count_of(conn))
        };
        self.handle.wait_for(|zk| zk.engine.look(watches) >= count, limit).await
    }

    fn conn(&self) -> Option<ConnId> {
        self.handle.engine.look(|state| state.core.conn_of(self.id))
    }
}

impl SessionSet {
    /// Returns the ids of the sessions, sorted.
    #[must_use]
    pub fn ids(&self) -> &[SessionId] {
        &self.ids
    }

    /// Returns the number of sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns true if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the sessions one by one.
    pub fn iter(&self) -> impl Iterator<Item = Session> {
        self.ids.iter().map(|id| self.handle.session_handle(*id))
    }

    /// Lets all of them expire now; see [`Session::expire`]. Returns the number of those that this ended.
    pub async fn expire(&self) -> usize {
        self.expire_each().await.len()
    }

    /// Lets all of them expire now; see [`Session::expire`]. Returns those that this ended, sorted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use zk_client::Client;
    /// use zk_mini::ZkMini;
    ///
    /// let zk = ZkMini::start().await?;
    /// let _client = Client::connect(&zk.connect_string()).await?;
    /// let all = zk.all_sessions();
    /// assert_eq!(all.expire_each().await, all.ids());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn expire_each(&self) -> Vec<SessionId> {
        self.handle.expire_all(&self.ids).await
    }

    /// Closes their connections; see [`Session::disconnect`]. Returns the number of those.
    pub async fn disconnect(&self) -> usize {
        self.handle.disconnect_all(&self.ids).await
    }

    /// Freezes all of them; see [`Session::freeze`].
    pub fn freeze(&self) {
        self.handle.freeze_parts(&self.parts());
    }

    /// Thaws all of them; see [`Session::thaw`].
    pub async fn thaw(&self) {
        self.handle.thaw_parts(&self.parts()).await;
    }

    fn parts(&self) -> Vec<Part> {
        self.ids.iter().map(|id| Part::Session(*id)).collect()
    }
}

impl ClientAddr {
    fn contains(self, client: SocketAddr) -> bool {
        match self {
            Self::Ip(ip) => client.ip() == ip,
            Self::Socket(socket) => client == socket,
        }
    }
}

impl From<IpAddr> for ClientAddr {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl From<SocketAddr> for ClientAddr {
    fn from(socket: SocketAddr) -> Self {
        Self::Socket(socket)
    }
}
