//! A service's node in one format, as the tasks behind registrations and subscriptions reach it.

use std::future::pending;
use std::sync::Arc;

use zk_client::{Client, Watch};

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
}

impl ServiceNode {
    /// Reads an instance's node. One that is too large to be registered is no instance: subscribers keep what they read.
    pub(crate) fn decode(&self, name: &str, data: &[u8]) -> Result<Instance, InstanceError> {
        if data.len() > Instance::MAX_BYTES {
            return Err(InstanceError::TooLarge(data.len()));
        }
        self.codec.decode(name, data)
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
