//! What the server refuses before it hurts.

use rpc_wire::Format;
use std::time::Duration;

/// Bounds on what clients can make the server hold, and on its patience.
///
/// A *peer* is an IPv4 address, or a /64 network of IPv6. What handlers hold themselves is theirs to bound. Bounds of a
/// server are those of a process: each worker of a [`crate::Prefork`] has its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time; further ones are refused with RESOURCE_EXHAUSTED, unless one that has been idle for 10 s
    /// can be closed in their place. Default: 10,000, and never more than seven eighths of the descriptors that the
    /// process may have (`ulimit -n`).
    pub connections: usize,
    /// Connections of one peer. Default: none given, three quarters of [`Limits::connections`].
    pub connections_per_peer: Option<usize>,
    /// Unfinished calls per connection; further ones are refused with RESOURCE_EXHAUSTED, not run.
    /// Default: 1,024.
    pub in_flight_per_connection: usize,
    /// Unfinished calls of the whole server, refused alike. Default: 16,384. Calls that compute after their first wait,
    /// or in `spawn_blocking`, all start when they come: with such handlers choose as many as can be done in time.
    pub in_flight: usize,
    /// Unfinished calls of one peer, refused alike. Default: none given, three quarters of [`Limits::in_flight`].
    pub in_flight_per_peer: Option<usize>,
    /// The largest frame body accepted; one over it ends its connection. Default: 4 MiB.
    pub max_frame: usize,
    /// Bytes of arguments, as they came, of the unfinished calls of a connection; a further one is refused with
    /// RESOURCE_EXHAUSTED, not run. Default: 64 MiB.
    pub argument_bytes: usize,
    /// Bytes of replies that may wait for one client to read them, and of one reply. From half of it on the client's
    /// unfinished calls pause while it reads, for three seconds if it does not; a reply for which there is no room
    /// becomes RESOURCE_EXHAUSTED. Default: 32 MiB.
    pub reply_bytes: usize,
    /// Bytes of all connections together: what has been read and not handled, the arguments of unfinished calls, what
    /// has been encoded and not written. Over it, the connection that holds most is closed. Default: 256 MiB.
    pub bytes: usize,
    /// Longest time that a client may take to say hello. Default: 5 s.
    pub hello_timeout: Duration,
    /// Longest time from the first byte of a frame to its last; then its connection is closed. Default: 30 s.
    pub frame_timeout: Duration,
    /// Longest silence of a connection on which nothing runs; then it is closed. A PING ends a silence. Default: 10 min.
    pub idle_timeout: Duration,
    /// Longest time that a client may take to read what is written to it at a time; then its connection is given up.
    /// Default: 30 s.
    pub write_timeout: Duration,
    /// Longest time for running calls to finish once the server has been asked to stop. Default: 10 s.
    pub drain_timeout: Duration,
    /// Longest time that a drained connection waits for its client to close first. Default: 1 s.
    pub linger: Duration,
    /// The payload formats accepted; a client that wants another is refused with FAILED_PRECONDITION. Default: JSON and
    /// postcard.
    pub formats: Vec<Format>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_peer: None,
            in_flight_per_connection: 1_024,
            in_flight: 16_384,
            in_flight_per_peer: None,
            max_frame: rpc_wire::DEFAULT_MAX_FRAME,
            argument_bytes: 64 << 20,
            reply_bytes: 32 << 20,
            bytes: 256 << 20,
            hello_timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            formats: vec![Format::JSON, Format::POSTCARD],
        }
    }
}
