//! A service's node in one format, as the tasks behind registrations and subscriptions reach it.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use zk_client::{Acl, Client, Error, ErrorCode, SessionState, Watch};

use crate::codec::Codec;
use crate::instance::{Instance, InstanceError};

/// A service's node in one format, and the client that reaches it.
#[derive(Clone, Debug)]
pub(crate) struct ServiceNode {
    pub(crate) client: Client,
    /// Name of the service, for errors and log lines.
    pub(crate) service: Arc<str>,
    pub(crate) path: Arc<str>,
    pub(crate) codec: Arc<dyn Codec>,
    /// ACL of the nodes that registrations create.
    pub(crate) acl: Arc<[Acl]>,
}

impl ServiceNode {
    /// Reads an instance's node. One that is too large to be registered is no instance: subscribers keep what they read.
    pub(crate) fn decode(&self, name: &str, data: &[u8]) -> Result<Instance, InstanceError> {
        if data.len() > Instance::MAX_BYTES {
            return Err(InstanceError::TooLarge(data.len()));
        }
        // A format of the user's may have a bug, which must not hide the other instances.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.codec.decode(name, data)));
        decoded.unwrap_or_else(|_| Err(InstanceError::Other("the format has panicked".to_owned())))
    }

    /// Returns true if another node may have this name later.
    pub(crate) fn may_come_again(&self, name: &str) -> bool {
        !self.codec.naming(false).is_unique(name)
    }
}

/// Returns the names of a node's children, with a watch that tells when they change; none if the node does not exist.
pub(crate) async fn list(client: &Client, path: &str) -> Result<(Vec<String>, Watch), Error> {
    loop {
        match client.children_and_watch(path).await {
            Ok((names, _, watch)) => return Ok((names, watch)),
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {}
            Err(error) => return Err(error),
        }
        // A watch on the node itself tells of its creation.
        let (stat, watch) = client.exists_and_watch(path).await?;
        if stat.is_none() {
            return Ok((Vec::new(), watch));
        }
    }
}

/// Returns true if a client in this state has a connection; `None` once it is closed.
pub(crate) fn is_connected(state: SessionState) -> Option<bool> {
    match state {
        SessionState::Connected(_) => Some(true),
        SessionState::Disconnected(_) | SessionState::ConnectedReadOnly(_) | SessionState::Connecting => {
            Some(false)
        }
        SessionState::Closed(_) => None,
    }
}

/// Waits until the watch fires or is lost; for ever without a watch.
pub(crate) async fn fired(watch: &mut Option<Watch>) {
    match watch {
        // The next check shows which of both it was.
        Some(watch) => drop(watch.changed().await),
        None => pending().await,
    }
}
