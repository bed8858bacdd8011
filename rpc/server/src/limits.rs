//! What the server refuses before it hurts.

use std::time::Duration;

/// Bounds on what clients can make the server hold, and on its patience.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time; further ones are refused with RESOURCE_EXHAUSTED. Default: 10,000.
    pub connections: usize,
    /// Unfinished calls per connection; further ones are refused with RESOURCE_EXHAUSTED, not run.
    /// Default: 1,024.
    pub in_flight_per_connection: usize,
    /// Unfinished calls of the whole server, refused alike. Default: 16,384.
    pub in_flight: usize,
    /// The largest frame body accepted; one over it ends its connection. Default: 4 MiB.
    pub max_frame: usize,
    /// How long a client may take to say hello. Default: 5 s.
    pub hello_timeout: Duration,
    /// How long a client may take to read what is written to it, before its connection is given up.
    /// Default: 30 s.
    pub write_timeout: Duration,
    /// How long running calls may take to finish once the server has been asked to stop. Default: 10 s.
    pub drain_timeout: Duration,
    /// How long a drained connection waits for its client to close first. Default: 1 s.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            in_flight_per_connection: 1_024,
            in_flight: 16_384,
            max_frame: rpc_wire::DEFAULT_MAX_FRAME,
            hello_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(1),
        }
    }
}
