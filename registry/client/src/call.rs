//! Calls: encode, hand over to the driver, wait, decode.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::Clock;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use zk_wire::path::PathError;
use zk_wire::{
    AddWatch, Auth, ByteString, Encode, ErrorCode, Exists, GetChildren2, GetData, Request, SessionId,
    decode_all,
};

use crate::chroot::Chroot;
use crate::command::{CallReply, Caller, Command, NewCall, Notify, Shared};
use crate::error::Error;
use crate::feed::feed;
use crate::intake::{Commands, TooLong};
use crate::persistent_watch::PersistentWatch;
use crate::session::{CallFailure, CallId, WatchKey, WatchKind};
use crate::watch::Watch;

/// Bytes before a request's body. A path in a setWatches2 stands behind 36 (header, zxid, five lengths of lists), and must
/// fit there too.
const HEADER: usize = 8;
const HEADER_WITH_WATCH: usize = 36;

/// Request whose body is a path, and true to set a watch.
pub(crate) trait Read: Request {}

impl Read for Exists {}
impl Read for GetChildren2 {}
impl Read for GetData {}

/// State shared by all handles of a client.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    pub(crate) commands: Commands,
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
    /// The only session in which these handles call, if it is not any.
    pub(crate) only_in: Option<SessionId>,
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
        self.start::<R>(path, |body| request.encode(body), None)?.wait::<R>(path).await
    }

    /// Makes a read that sets no watch.
    pub(crate) async fn read<R: Read>(&self, path: &str) -> Result<R::Response, Error> {
        self.begin_read::<R>(path)?.wait::<R>(path).await
    }

    /// Sends a read that sets no watch: the first half of [`Self::read`].
    pub(crate) fn begin_read<R: Read>(&self, path: &str) -> Result<PendingCall<'_>, Error> {
        let full = self.chroot.full(path).map_err(|source| invalid::<R>(path, source))?;
        let encode = |body: &mut BytesMut| {
            full.encode(body);
            false.encode(body);
        };
        self.start::<R>(path, encode, None)
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
        let (notify, outcome) = oneshot::channel();
        let watch = Some(((kind, full), Notify::Once(notify)));
        let call = self.start::<R>(path, |body| request.encode(body), watch)?;
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
        let (sender, updates) = feed();
        let watch = Some(((kind, full), Notify::Each(sender)));
        let call = self.start::<AddWatch>(path, |body| request.encode(body), watch)?;
        let watch = PersistentWatch::new(call.id, updates, self.commands.downgrade());
        call.wait::<AddWatch>(path).await?;
        Ok(watch)
    }

    fn start<R: Request>(
        &self,
        path: &str,
        encode: impl FnOnce(&mut BytesMut),
        watch: Option<(WatchKey, Notify)>,
    ) -> Result<PendingCall<'_>, Error> {
        let header = if watch.is_some() { HEADER_WITH_WATCH } else { HEADER };
        let limit = self.max_request.saturating_sub(header);
        let (watch, notify) = watch.unzip();
        let (reply, receiver) = oneshot::channel();
        let caller = Caller { reply, notify };
        let call = NewCall { op: R::OP, session: self.only_in, watch, wait: self.call_timeout, caller };
        match self.commands.call(call, encode, limit) {
            // Without a driver the call was dropped, which it sees as `Closed`.
            Ok((id, is_taken)) => Ok(PendingCall { id, reply: receiver, done: false, is_taken, inner: self }),
            Err(TooLong { len }) => {
                let (size, limit) = (len + header, self.max_request);
                Err(Error::TooLarge { op: op_name::<R>(), path: path.to_owned(), size, limit })
            }
        }
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
            self.inner.commands.send(Command::Forget(self.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_have_the_layout_that_is_written_for_them() {
        fn written(request: &impl Request) -> BytesMut {
            let mut body = BytesMut::new();
            request.encode(&mut body);
            body
        }
        let (path, watch) = (ByteString::from("/a"), false);
        let mut expected = BytesMut::new();
        Chroot::default().full("/a").unwrap().encode(&mut expected);
        watch.encode(&mut expected);
        assert_eq!(written(&Exists { path: path.clone(), watch }), expected);
        assert_eq!(written(&GetChildren2 { path: path.clone(), watch }), expected);
        assert_eq!(written(&GetData { path, watch }), expected);
    }
}
