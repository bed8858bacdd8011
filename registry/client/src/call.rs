//! Calls: encode, hand over to the driver, wait, decode.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::Clock;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use zk_wire::path::PathError;
use zk_wire::{AddWatch, Auth, ByteString, ErrorCode, Request, decode_all};

use crate::chroot::Chroot;
use crate::command::{CallReply, Command, Notify, Shared};
use crate::error::Error;
use crate::feed::feed;
use crate::persistent_watch::PersistentWatch;
use crate::session::{CallFailure, CallId, Outgoing, WatchKind};
use crate::watch::Watch;

/// Bytes before a request's body. A path in a setWatches2 stands behind 36 (header, zxid, five lengths of lists), and must
/// fit there too.
const HEADER: usize = 8;
const HEADER_WITH_WATCH: usize = 36;

/// State shared by all handles of a client.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    /// Runtime of the driver.
    pub(crate) runtime: Handle,
    pub(crate) servers: Vec<String>,
    pub(crate) chroot: Chroot,
    pub(crate) session_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) max_request: usize,
    pub(crate) max_pending: usize,
    pub(crate) next_call: AtomicU64,
}

/// Returns ZooKeeper's name of a request's operation.
pub(crate) fn op_name<R: Request>() -> &'static str {
    R::OP.name().unwrap_or("request")
}

pub(crate) fn invalid<R: Request>(path: &str, source: PathError) -> Error {
    Error::InvalidPath { op: op_name::<R>(), path: path.to_owned(), source }
}

/// Returns the packet that adds an identity to a connection.
pub(crate) fn identity(scheme: &str, auth: Bytes) -> Auth {
    Auth { auth_type: 0, scheme: Some(scheme.into()), auth: Some(auth) }
}

impl Inner {
    /// Sends a request and decodes its answer; `path` names the node in an error.
    pub(crate) async fn call<R: Request>(&self, path: &str, request: &R) -> Result<R::Response, Error> {
        self.begin(path, request)?.wait::<R>(path).await
    }

    /// Sends a request: the first half of [`Self::call`].
    pub(crate) fn begin<R: Request>(&self, path: &str, request: &R) -> Result<PendingCall<'_>, Error> {
        let request = Outgoing { op: R::OP, body: self.encode(path, request, HEADER)?, watch: None };
        Ok(self.start(request, None))
    }

    /// Sends a request that sets a one-shot watch. The outer error means that no watch is set. exists sets its watch also
    /// when the node does not exist: then there is a watch beside the error.
    pub(crate) async fn call_and_watch<R: Request>(
        &self,
        path: &str,
        request: &R,
        kind: WatchKind,
        full: ByteString,
    ) -> Result<(Result<R::Response, Error>, Watch), Error> {
        let body = self.encode(path, request, HEADER_WITH_WATCH)?;
        let (notify, outcome) = oneshot::channel();
        let request = Outgoing { op: R::OP, body, watch: Some((kind, full)) };
        let call = self.start(request, Some(Notify::Once(notify)));
        let watch = Watch::new(call.id, outcome, self.commands.downgrade());
        match call.wait::<R>(path).await {
            Err(error) if kind != WatchKind::Exist || error.code() != Some(ErrorCode::NO_NODE) => Err(error),
            reply => Ok((reply, watch)),
        }
    }

    /// Sets a persistent watch.
    pub(crate) async fn add_watch(&self, path: &str, kind: WatchKind) -> Result<PersistentWatch, Error> {
        let full = self.chroot.apply(path).map_err(|source| invalid::<AddWatch>(path, source))?;
        let request = AddWatch { path: full.clone(), mode: i32::from(kind == WatchKind::Recursive) };
        let body = self.encode(path, &request, HEADER_WITH_WATCH)?;
        let (sender, updates) = feed();
        let request = Outgoing { op: AddWatch::OP, body, watch: Some((kind, full)) };
        let call = self.start(request, Some(Notify::Each(sender)));
        let watch = PersistentWatch::new(call.id, updates, self.commands.downgrade());
        call.wait::<AddWatch>(path).await?;
        Ok(watch)
    }

    fn encode<R: Request>(&self, path: &str, request: &R, header: usize) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        let (size, limit) = (body.len() + header, self.max_request);
        if size > limit {
            return Err(Error::TooLarge { op: op_name::<R>(), path: path.to_owned(), size, limit });
        }
        Ok(body.freeze())
    }

    fn start(&self, request: Outgoing, notify: Option<Notify>) -> PendingCall<'_> {
        // Relaxed: only the number itself matters.
        let id = CallId(self.next_call.fetch_add(1, Ordering::Relaxed));
        let (reply, receiver) = oneshot::channel();
        // A closed channel drops `reply`, which the call sees as `Closed`.
        let call = Command::Call { id, request, wait: self.call_timeout, reply, notify };
        let is_taken = self.commands.send(call).is_ok();
        PendingCall { id, reply: receiver, done: false, is_taken, inner: self }
    }
}

/// A call that the driver has. Dropping it takes the call back if it was not sent yet.
pub(crate) struct PendingCall<'a> {
    id: CallId,
    reply: oneshot::Receiver<CallReply>,
    done: bool,
    /// True if the driver lived when it was given the call.
    is_taken: bool,
    inner: &'a Inner,
}

impl PendingCall<'_> {
    /// Waits for the answer: the second half of [`Inner::call`].
    pub(crate) async fn wait<R: Request>(mut self, path: &str) -> Result<R::Response, Error> {
        let reply = (&mut self.reply).await;
        self.done = true;
        // The runtime has ended, perhaps between the request and its answer.
        let Ok(reply) = reply else {
            return Err(Error::Closed { op: op_name::<R>(), path: path.to_owned(), sent: self.is_taken });
        };
        let failure = match reply {
            Ok(body) => match decode_all(body) {
                Ok(response) => return Ok(response),
                Err(source) => {
                    return Err(Error::Protocol { op: op_name::<R>(), path: path.to_owned(), source });
                }
            },
            Err(failure) => failure,
        };
        let (op, path) = (op_name::<R>(), path.to_owned());
        Err(match failure {
            CallFailure::Server(code) => Error::Server { op, path, code },
            CallFailure::ConnectionLost { sent } => Error::ConnectionLost { op, path, sent },
            CallFailure::SessionExpired => Error::SessionExpired { op, path },
            CallFailure::Closed => Error::Closed { op, path, sent: false },
            CallFailure::Overloaded => Error::Overloaded { op, path, limit: self.inner.max_pending },
        })
    }
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        if !self.done {
            // A closed channel: the call is over anyway.
            let _ = self.inner.commands.send(Command::Forget(self.id));
        }
    }
}
