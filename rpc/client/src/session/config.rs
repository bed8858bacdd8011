//! Parameters of sessions.

use common::Millis;
use rpc_wire::{Budget, Format};

/// Parameters of all sessions of a client.
#[derive(Clone, Debug)]
pub struct Config {
    /// Service that the server must be; empty for any.
    pub service: String,
    /// Payload format.
    pub format: Format,
    /// Maximum length of a frame's body from the server.
    pub max_frame: usize,
    /// Silence after which the server is asked whether it is alive; after the same time again, counted from when the transport has
    /// taken the question, the session ends. Each may be up to a quarter longer.
    pub keepalive: Millis,
    /// Maximum number of bytes that wait for a server that does not read; one request alone may be longer.
    pub max_queued: usize,
    /// Bytes of messages and replies that a server may send ahead.
    pub budget: Budget,
}

#[cfg(test)]
impl Config {
    /// Parameters for tests.
    pub(crate) fn for_tests() -> Self {
        Self {
            service: "test".into(),
            format: Format::JSON,
            max_frame: 1 << 20,
            keepalive: Millis(3_000),
            max_queued: 1 << 20,
            budget: Budget::default(),
        }
    }
}
