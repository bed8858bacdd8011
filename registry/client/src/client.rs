//! The client's handle and its operations.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use common::Clock;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zk_wire::{
    Acl, ByteString, Create2, Create2Response, Delete, ErrorCode, Exists, Expected, GetAcl, GetChildren2,
    GetData, GetDataResponse, Request, SessionId, SetAcl, SetData, Stat, StatResponse, Sync,
};

use crate::builder::Builder;
use crate::call::{Inner, identity, invalid};
use crate::command::Command;
use crate::create_mode::{CreateMode, CreateRequest};
use crate::error::Error;
use crate::persistent_watch::PersistentWatch;
use crate::session::{CloseResult, WatchKind};
use crate::session_state::{CloseReason, Credentials, SessionState};
use crate::state_follower::SessionStates;
use crate::watch::Watch;

/// Client of a ZooKeeper ensemble. Clones are handles to the same session.
///
/// Without a connection a call waits, up to the call timeout. A call that was sent ends with the server's answer or with the
/// loss of the connection. Dropping a call's future takes the call back if it was not sent yet. After the session has expired
/// the client opens a new one.
///
/// Dropping the last handle closes the session in the background, as long as the runtime lives. If the program ends right
/// afterwards, the session and its ephemeral nodes stay until the session timeout; [`Self::close`] waits.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

/// Handle that does not keep the client open; see [`Client::downgrade`].
#[derive(Clone, Debug)]
pub struct WeakClient {
    inner: Weak<Inner>,
}

/// Result of a create.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Created {
    /// Path of the node, with the counter of a sequential node.
    pub path: String,
    /// `Stat` of the node.
    pub stat: Stat,
}

impl Client {
    /// Connects to one of `servers`, `host:port,host:port/chroot`, with the defaults of [`Client::builder`].
    ///
    /// # Errors
    /// The same as of [`Builder::connect`].
    pub async fn connect(servers: &str) -> Result<Self, Error> {
        Self::builder().servers(servers).connect().await
    }

    /// Configures a client.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Returns a handle that does not keep the client open, for a task that has work only as long as somebody else uses the client.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// let weak = client.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(client);
    /// assert!(weak.upgrade().is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> WeakClient {
        WeakClient { inner: Arc::downgrade(&self.inner) }
    }

    /// Returns a handle whose calls are made in this session alone: once it is over they fail with [`Error::SessionExpired`], and
    /// nothing was done. For a call that is about an ephemeral node: in a later session another client may have its name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// use zk_client::{CreateMode, Error, Expected};
    ///
    /// let node = client.create("/leader", "me", CreateMode::Ephemeral).await?;
    /// let ours = client.in_session(node.stat.ephemeral_owner);
    /// zk.session_of("/leader").expect("it has an owner").expire().await;
    /// zk.create("/leader", "another one").await?;
    /// let late = loop {
    ///     match ours.delete("/leader", Expected::Any).await {
    ///         Err(Error::ConnectionLost { .. }) => continue,
    ///         late => break late,
    ///     }
    /// };
    /// assert!(matches!(late, Err(Error::SessionExpired { .. })));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_session(&self, session: SessionId) -> Self {
        Self::new(Inner { only_in: Some(session), ..Inner::clone(&self.inner) })
    }

    /// Returns the current state of the session.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.inner.shared.state()
    }

    /// Follows the state of the session from now on.
    #[must_use]
    pub fn states(&self) -> SessionStates {
        SessionStates::new(self.inner.shared.states())
    }

    /// Returns the credentials of the current session; `None` while there is none.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        self.inner.shared.credentials()
    }

    /// Returns the timeout of the current session, as the servers have set it; without a session, the one that the client asks
    /// for.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        self.inner.shared.session_timeout().into()
    }

    /// Returns the client's clock, for what is built on the client: it sleeps by this clock, and its tasks
    /// [take part](Clock::attend) in moves of time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.inner.clock.clone()
    }

    /// Starts a task that lives as long as the client can: on the client's runtime, whichever runtime calls, and on its
    /// [clock](Self::clock). The task is cancelled at once if that runtime has ended.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.inner.runtime.spawn(self.clock().attend(task))
    }

    /// Returns the servers, each as `host:port`, in the order of the list.
    #[must_use]
    pub fn servers(&self) -> &[String] {
        &self.inner.servers
    }

    /// Returns the node of the servers that this client sees as `/`; empty for their root.
    #[must_use]
    pub fn chroot(&self) -> &str {
        self.inner.chroot.as_str()
    }

    /// Creates a node that is open to all clients. A sequential node gets its parent's counter appended, ten digits.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `NODE_EXISTS` and `NO_NODE` (no parent).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// use zk_client::CreateMode;
    ///
    /// let node = client.create("/worker-", "up", CreateMode::EphemeralSequential).await?;
    /// assert_eq!(node.path, "/worker-0000000000");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        mode: CreateMode,
    ) -> Result<Created, Error> {
        self.create_with_acl(path, data, mode, &[Acl::open()]).await
    }

    /// Creates a node with an ACL.
    ///
    /// # Errors
    /// The same as of [`Self::create`], and `INVALID_ACL`.
    pub async fn create_with_acl(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        mode: CreateMode,
        acl: &[Acl],
    ) -> Result<Created, Error> {
        let full = self.inner.chroot.apply_for_create(path, mode.is_sequential());
        let full = full.map_err(|source| invalid::<Create2>(path, source))?;
        let Create2Response { path, stat } =
            self.create_full(path, mode.request(full, data.into(), acl)).await?;
        Ok(Created { path: self.inner.chroot.strip(&path).to_owned(), stat })
    }

    /// Deletes a node without children.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `NO_NODE`, `BAD_VERSION` and `NOT_EMPTY`.
    pub async fn delete(&self, path: &str, version: Expected) -> Result<(), Error> {
        let full = self.full::<Delete>(path)?;
        self.call(path, Delete { path: full, version }).await
    }

    /// Returns the node's `Stat`; `None` if the node does not exist.
    ///
    /// # Errors
    /// [`Error`], but not if the node does not exist.
    pub async fn exists(&self, path: &str) -> Result<Option<Stat>, Error> {
        existing(self.inner.read::<Exists>(path).await)
    }

    /// Returns the same as [`Self::exists`], and sets a watch for the node's creation, deletion or next change of data.
    ///
    /// # Errors
    /// The same as of [`Self::exists`].
    pub async fn exists_and_watch(&self, path: &str) -> Result<(Option<Stat>, Watch), Error> {
        let full = self.full::<Exists>(path)?;
        let request = Exists { path: full.clone(), watch: true };
        let (reply, watch) = self.inner.call_and_watch(path, &request, WatchKind::Exist, full).await?;
        Ok((existing(reply)?, watch))
    }

    /// Returns the node's data and `Stat`. Null data reads as empty.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `NO_NODE`.
    pub async fn get(&self, path: &str) -> Result<(Bytes, Stat), Error> {
        self.inner.read::<GetData>(path).await.map(data_and_stat)
    }

    /// Reads many nodes, as [`Self::get`] does; the results are in the order of the paths. Sends up to 128 requests at a time.
    /// An error of one node does not affect the others. For a few small nodes [`Self::reads`] needs one request.
    pub async fn get_all(&self, paths: &[String]) -> Vec<Result<(Bytes, Stat), Error>> {
        const UNDER_WAY: usize = 128;
        let mut paths = paths.iter();
        let mut answers = Vec::with_capacity(paths.len());
        let mut under_way = VecDeque::with_capacity(UNDER_WAY);
        loop {
            let next = paths.by_ref().take(UNDER_WAY - under_way.len());
            under_way.extend(next.map(|path| (path, self.inner.begin_read::<GetData>(path))));
            let Some((path, begun)) = under_way.pop_front() else { return answers };
            answers.push(match begun {
                Ok(call) => call.wait::<GetData>(path).await.map(data_and_stat),
                Err(error) => Err(error),
            });
        }
    }

    /// Returns the same as [`Self::get`], and sets a watch for the node's deletion or next change of data.
    ///
    /// # Errors
    /// The same as of [`Self::get`]; then no watch is set.
    pub async fn get_and_watch(&self, path: &str) -> Result<(Bytes, Stat, Watch), Error> {
        let full = self.full::<GetData>(path)?;
        let request = GetData { path: full.clone(), watch: true };
        let (reply, watch) = self.inner.call_and_watch(path, &request, WatchKind::Data, full).await?;
        let reply = reply?;
        Ok((reply.data.unwrap_or_default(), reply.stat, watch))
    }

    /// Sets the node's data.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `NO_NODE` and `BAD_VERSION`.
    pub async fn set(&self, path: &str, data: impl Into<Bytes>, version: Expected) -> Result<Stat, Error> {
        let full = self.full::<SetData>(path)?;
        let request = SetData { path: Some(full), data: Some(data.into()), version };
        Ok(self.call(path, request).await?.stat)
    }

    /// Returns the names of the node's children, in no order, and the node's `Stat`.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `NO_NODE`.
    pub async fn children(&self, path: &str) -> Result<(Vec<String>, Stat), Error> {
        let reply = self.inner.read::<GetChildren2>(path).await?;
        Ok((names(reply.children), reply.stat))
    }

    /// Returns the same as [`Self::children`], and sets a watch for the node's deletion and for the next creation or deletion
    /// of a child.
    ///
    /// # Errors
    /// The same as of [`Self::children`]; then no watch is set.
    pub async fn children_and_watch(&self, path: &str) -> Result<(Vec<String>, Stat, Watch), Error> {
        let full = self.full::<GetChildren2>(path)?;
        let request = GetChildren2 { path: full.clone(), watch: true };
        let (reply, watch) = self.inner.call_and_watch(path, &request, WatchKind::Child, full).await?;
        let reply = reply?;
        Ok((names(reply.children), reply.stat, watch))
    }

    /// Watches a node until the handle is dropped: its creation, deletion and changes of data, and the creation and deletion
    /// of its children. The node need not exist. Needs a server of version 3.6 or later.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `UNIMPLEMENTED` (older servers).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// use zk_client::{CreateMode, EventType, Expected, WatchUpdate};
    ///
    /// let mut watch = client.watch_persistent("/config").await?;
    /// client.create("/config", "a", CreateMode::Persistent).await?;
    /// client.set("/config", "b", Expected::Any).await?;
    /// for expected in [EventType::NODE_CREATED, EventType::NODE_DATA_CHANGED] {
    ///     let Some(WatchUpdate::Changed(event)) = watch.next().await else { panic!("the connection is fine") };
    ///     assert_eq!((event.event, &*event.path), (expected, "/config"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn watch_persistent(&self, path: &str) -> Result<PersistentWatch, Error> {
        self.inner().add_watch(path, WatchKind::Persistent).await
    }

    /// Watches a node and all nodes below it until the handle is dropped: every creation, deletion and change of data. A new
    /// or deleted child has its own event, so there is none for its parent. Needs a server of version 3.6 or later.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `UNIMPLEMENTED` (older servers).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let zk = zk_mini::ZkMini::start().await?;
    /// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
    /// use zk_client::{EventType, WatchUpdate};
    ///
    /// let mut watch = client.watch_recursive("/app").await?;
    /// client.ensure_path("/app/db/host").await?;
    /// for expected in ["/app", "/app/db", "/app/db/host"] {
    ///     let Some(WatchUpdate::Changed(event)) = watch.next().await else { panic!("the connection is fine") };
    ///     assert_eq!((event.event, &*event.path), (EventType::NODE_CREATED, expected));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn watch_recursive(&self, path: &str) -> Result<PersistentWatch, Error> {
        self.inner().add_watch(path, WatchKind::Recursive).await
    }

    /// Waits until the connected server has caught up with its leader. A later read then sees every write that was answered
    /// before this call.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sync(&self, path: &str) -> Result<(), Error> {
        let full = self.full::<Sync>(path)?;
        self.call(path, Sync { path: Some(full) }).await.map(|_| ())
    }

    /// Returns the node's ACL and `Stat`.
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `NO_NODE` and `NO_AUTH`.
    pub async fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat), Error> {
        let full = self.full::<GetAcl>(path)?;
        let reply = self.call(path, GetAcl { path: full }).await?;
        Ok((reply.acl, reply.stat))
    }

    /// Sets the node's ACL; `version` is the expected version of the ACL (`aversion`).
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `NO_NODE`, `NO_AUTH`, `BAD_VERSION` and `INVALID_ACL`.
    pub async fn set_acl(&self, path: &str, acl: &[Acl], version: Expected) -> Result<Stat, Error> {
        let full = self.full::<SetAcl>(path)?;
        let request = SetAcl { path: Some(full), acl: Some(acl.to_vec()), version };
        Ok(self.call(path, request).await?.stat)
    }

    /// Adds an identity, for example scheme `digest` with `user:password`. The client gives it again on every later
    /// connection. One that is known before connecting goes to [`Builder::auth`].
    ///
    /// # Errors
    /// [`Error`]; of the server's codes mostly `AUTH_FAILED` (the identity is refused; the server then closes the connection).
    pub async fn add_auth(&self, scheme: &str, auth: impl Into<Bytes>) -> Result<(), Error> {
        self.call(scheme, identity(scheme, auth.into())).await
    }

    /// Ends the session and closes every handle: the ephemeral nodes go at once. Earlier calls get their answers, later ones
    /// fail. Closing again is no error.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`] if no server confirmed it within the session timeout; [`Error::Closed`] if the client's runtime
    /// has ended before. The session then ends by its timeout.
    pub async fn close(&self) -> Result<(), Error> {
        self.close_within(self.inner.session_timeout).await
    }

    /// Ends the session like [`Self::close`], but gives up after `limit`.
    ///
    /// # Errors
    /// The same as of [`Self::close`], with this limit.
    pub async fn close_within(&self, limit: Duration) -> Result<(), Error> {
        let (op, path) = ("closeSession", "/".to_owned());
        let (done, outcome) = oneshot::channel();
        // A closed channel drops `done`, and `outcome` fails.
        let sent = self.inner.commands.send(Command::Close { within: limit, done });
        match outcome.await {
            Ok(CloseResult::Unknown { sent }) => Err(Error::ConnectionLost { op, path, sent }),
            Ok(CloseResult::Closed | CloseResult::AlreadyGone) => Ok(()),
            Err(_) => match self.state() {
                SessionState::Closed(CloseReason::RuntimeEnded) => Err(Error::Closed { op, path, sent }),
                _ => Ok(()),
            },
        }
    }

    /// Creates a node of the server's tree; `path` names it in an error.
    pub(crate) async fn create_full(
        &self,
        path: &str,
        request: CreateRequest,
    ) -> Result<Create2Response, Error> {
        match request {
            CreateRequest::Plain(request) => self.call(path, request).await,
            CreateRequest::Container(request) => self.call(path, request).await,
            CreateRequest::Ttl(request) => self.call(path, request).await,
        }
    }

    pub(crate) fn full<R: Request>(&self, path: &str) -> Result<ByteString, Error> {
        self.inner.chroot.apply(path).map_err(|source| invalid::<R>(path, source))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) async fn call<R: Request>(&self, path: &str, request: R) -> Result<R::Response, Error> {
        self.inner.call(path, &request).await
    }
}

impl WeakClient {
    /// Returns a handle that keeps the client open; `None` if the last clone of the one that was downgraded has been dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<Client> {
        self.inner.upgrade().map(|inner| Client { inner })
    }
}

fn existing(reply: Result<StatResponse, Error>) -> Result<Option<Stat>, Error> {
    match reply {
        Ok(StatResponse { stat }) => Ok(Some(stat)),
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(None),
        Err(error) => Err(error),
    }
}

fn data_and_stat(reply: GetDataResponse) -> (Bytes, Stat) {
    (reply.data.unwrap_or_default(), reply.stat)
}

pub(crate) fn names(children: Vec<ByteString>) -> Vec<String> {
    children.into_iter().map(String::from).collect()
}
