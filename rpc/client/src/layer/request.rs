//! Calls as layers see them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use common::Millis;
use rpc_wire::Metadata;
use tokio::time::Instant;

use crate::attempts::Answered;

/// A call on its way to an instance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Name of the method.
    pub method: String,
    /// Names and values beside the argument.
    pub metadata: Metadata,
    /// Argument, encoded.
    pub payload: Bytes,
    /// Time to wait for the result, from the beginning of the call on: the time in the layers counts. A layer may shorten it.
    pub deadline: Duration,
    /// True if running the call twice does no harm.
    pub idempotent: bool,
    pub(crate) key: Option<u64>,
    pub(crate) patience: Option<Millis>,
    pub(crate) hedge: Option<Duration>,
    /// Beginning of the call.
    pub(crate) begun: Instant,
    /// The call has left the layers, and may have been sent.
    pub(crate) left: Arc<AtomicBool>,
}

/// Answer of an instance on its way to the caller.
#[derive(Debug)]
pub struct Response(pub(crate) Answered);

impl Response {
    /// Returns the result, encoded.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.0.answer.payload
    }

    /// Returns the names and values that the handler has set beside the result.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.answer.metadata
    }

    /// Returns the identity of the process that has answered.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.0.link.instance
    }
}
