//! Limits that protect a server from its clients.

use std::time::Duration;

use rpc_wire::{Budget, Format};

/// Bounds on the memory, connections and calls that clients can take, and on idle times.
///
/// A *peer* is an IPv4 address or a /64 network of IPv6. The limits hold for one process: each worker of a
/// [`Prefork`](crate::Prefork) has its own. Memory that handlers allocate is not counted.
///
/// ```
/// use std::time::Duration;
///
/// use rpc_server::Limits;
///
/// let mut limits = Limits::default();
/// limits.in_flight = 100;
/// limits.drain_timeout = Duration::from_secs(30);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum number of connections. Further ones are refused with RESOURCE_EXHAUSTED, over TLS with the alert
    /// `internal_error`, unless a connection that has been idle for 10 s can be closed in their place. Default: 10,000, and at most seven eighths of the descriptors that the
    /// process may have (`ulimit -n`).
    pub connections: usize,
    /// Maximum number of connections of one peer. Default: `None`, three quarters of [`Limits::connections`].
    pub connections_per_peer: Option<usize>,
    /// Maximum number of unfinished calls of a connection. Further ones are refused with RESOURCE_EXHAUSTED and do not run.
    /// Default: 1,024.
    pub in_flight_per_connection: usize,
    /// Maximum number of unfinished calls of the server. Further ones are refused with RESOURCE_EXHAUSTED and do not run.
    /// Default: 16,384.
    ///
    /// Handlers that compute after their first `await`, or in `spawn_blocking`, all start on arrival. With such handlers
    /// choose as many calls as can be done in time, or let the server find out: [`Limits::adaptive`].
    pub in_flight: usize,
    /// The limit on unfinished unary calls of the server follows its capacity, up to [`Limits::in_flight`]. It compares how long
    /// calls take with how long they take when few run, and settles at about one and a half times what the server works on at
    /// once. It begins at 20, and grows within a second. For handlers whose calls take about the same time. Streams are held to
    /// [`Limits::in_flight`] only. Default: false.
    pub adaptive: bool,
    /// Maximum number of unfinished calls of one peer. Further ones are refused with RESOURCE_EXHAUSTED and do not run.
    /// Default: `None`, three quarters of [`Limits::in_flight`], and of the limit that is in force with [`Limits::adaptive`].
    pub in_flight_per_peer: Option<usize>,
    /// Maximum number of calls that wait while [`Limits::in_flight`], [`Limits::adaptive`] or [`Limits::in_flight_per_peer`]
    /// lets no more run; one peer may have three quarters of it. They start in the order in which they came, and their
    /// arguments count for [`Limits::argument_bytes`]. For bursts: under an overload that lasts, a queue is always full and
    /// makes calls late. Default: 0, calls over a limit are refused at once.
    pub queue: usize,
    /// Maximum time for which a call waits, and less if too little of its time would be left to run it. Then it is refused
    /// with RESOURCE_EXHAUSTED and does not run. Default: 100 ms.
    pub queue_timeout: Duration,
    /// Maximum length of a frame's body from a client. A longer one ends its connection. Default: 4 MiB.
    pub max_frame: usize,
    /// Maximum number of bytes of arguments, encoded, and metadata of the unfinished calls of a connection. Further calls are
    /// refused with RESOURCE_EXHAUSTED and do not run. Default: 64 MiB.
    pub argument_bytes: usize,
    /// Maximum number of reply bytes that wait for one client, and of one reply or message of a stream. A reply that finds no room becomes
    /// RESOURCE_EXHAUSTED. Above half of the limit, the client's unfinished calls pause: while the client reads, or for
    /// 3 s if it does not. Default: 32 MiB.
    pub reply_bytes: usize,
    /// Number of bytes of messages that the client of a stream may send before the handler takes any. The more, the faster is a
    /// stream over a long distance: with 100 ms there and back, 256 KiB allow 2.6 MB/s. Default: 256 KiB.
    pub stream_window: u32,
    /// The same of all streams of a connection together. Default: 4 MiB.
    pub connection_window: u32,
    /// Maximum number of bytes of all connections together: received and not handled, arguments and metadata of
    /// unfinished calls, replies not written. Above it, the connection that holds most is closed. Default: 256 MiB.
    pub bytes: usize,
    /// Maximum number of those bytes of all connections of one peer. Above it, the peer's connection that holds most is closed, and
    /// nobody else's. Default: `None`, three quarters of [`Limits::bytes`].
    pub bytes_per_peer: Option<usize>,
    /// Maximum time from the connection to the client's hello. Default: 5 s.
    pub hello_timeout: Duration,
    /// Maximum time from the first byte of a frame to its last; then the connection is closed. Default: 30 s.
    pub frame_timeout: Duration,
    /// Age at which a connection has to end, or up to a tenth later by chance, so that clients connect anew and find instances
    /// that have been added behind a load balancer. Its client is told, its unfinished calls and streams run to their ends,
    /// however long they take, and no call is lost; only who watches `rpc.health` is asked to watch again elsewhere.
    /// Default: `None`, no connection is too old.
    pub connection_age: Option<Duration>,
    /// Maximum time of silence on a connection without running calls; then it is closed. A PING ends a silence.
    /// Default: 10 min.
    pub idle_timeout: Duration,
    /// Maximum time for a client to read a batch of replies, which are those that wait when the server writes; then its
    /// connection is closed. To read a part of the batch does not extend the time. Default: 30 s.
    pub write_timeout: Duration,
    /// Maximum time for running calls to finish after the server has been asked to stop. Default: 10 s.
    pub drain_timeout: Duration,
    /// Maximum time that a drained connection waits for its client to close first. Default: 1 s.
    pub linger: Duration,
    /// Payload formats that are accepted. Clients with another format are refused with FAILED_PRECONDITION. Default: JSON
    /// and postcard.
    pub formats: Vec<Format>,
}

impl Limits {
    /// Returns the bytes that a client may send ahead.
    pub(crate) fn budget(&self) -> Budget {
        // A window of nothing would never open.
        Budget {
            stream: self.stream_window.max(1),
            connection: self.connection_window.max(1),
            calls: u32::try_from(self.argument_bytes).unwrap_or(u32::MAX),
        }
    }
}

/// Returns the default share of one peer: three quarters.
pub(crate) fn most_of(all: usize) -> usize {
    all - all / 4
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_peer: None,
            in_flight_per_connection: 1_024,
            in_flight: 16_384,
            adaptive: false,
            in_flight_per_peer: None,
            queue: 0,
            queue_timeout: Duration::from_millis(100),
            max_frame: rpc_wire::DEFAULT_MAX_FRAME,
            argument_bytes: 64 << 20,
            reply_bytes: 32 << 20,
            stream_window: 256 << 10,
            connection_window: 4 << 20,
            bytes: 256 << 20,
            bytes_per_peer: None,
            hello_timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(30),
            connection_age: None,
            idle_timeout: Duration::from_secs(600),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            formats: vec![Format::JSON, Format::POSTCARD],
        }
    }
}
