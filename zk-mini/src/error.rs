//! Errors of starting a server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use zk_wire::Millis;

use crate::storage::StorageError;

/// Reason why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server cannot listen on the address.
    #[error("cannot listen on {addr}: {}", bind_advice(.addr, .source))]
    Listen {
        /// Address that was asked for.
        addr: SocketAddr,
        /// Error of the system.
        source: io::Error,
    },
    /// An address is for TLS, and there is no certificate.
    #[cfg(feature = "tls")]
    #[error("{addr} is for TLS, and the server has no certificate: give it one with tls()")]
    NoCertificate {
        /// Address that was asked for.
        addr: SocketAddr,
    },
    /// There are addresses for TLS of more servers than there are.
    #[cfg(feature = "tls")]
    #[error("there are addresses for TLS of {given} servers, and the number of servers is {servers}")]
    TlsAddresses {
        /// Number of servers.
        servers: usize,
        /// Number of servers with addresses for TLS.
        given: usize,
    },
    /// The system gives no runtime: no thread, or no descriptors.
    #[error(
        "cannot start a runtime: the system has no more threads or descriptors; end a program, or raise the limits"
    )]
    NoRuntime,
    /// The tick is zero, or less than a millisecond.
    #[error("the tick is zero: it must be at least one millisecond")]
    ZeroTick,
    /// [`Builder::auto_advance`](crate::Builder::auto_advance) is set, and tokio's clock is not paused at the start.
    #[error(
        "auto_advance() needs tokio's paused clock: use #[tokio::test(start_paused = true)], or manual_clock() instead"
    )]
    TimeNotPaused,
    /// The system gives no random bytes for a secret.
    #[error("the system gives no random bytes for session passwords: {0}")]
    NoRandomness(#[source] io::Error),
    /// A SASL user has a name that ZooKeeper takes for a Kerberos principal.
    #[error(
        "the SASL user {name:?} has an @ in the name, which ZooKeeper takes for a Kerberos realm: choose another name"
    )]
    SaslUser {
        /// Name of the user.
        name: String,
    },
    /// A scheme that connections must authenticate by is unknown to the server.
    #[error(
        "connections must authenticate by {scheme:?}, which this server does not know: it knows digest and ip, sasl if it \
         has SASL users, and x509 if it has TLS"
    )]
    UnknownScheme {
        /// Name of the scheme.
        scheme: String,
    },
    /// There is a directory for transaction logs, and no data directory; see
    /// [`Builder::data_log_dir`](crate::Builder::data_log_dir).
    #[error(
        "{} is for transaction logs, and without a data directory there are none: set data_dir(), too, or everything is in \
         memory", dir.display()
    )]
    LogDirAlone {
        /// Directory for the logs.
        dir: PathBuf,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A node of the tree that the server is to begin with is refused; see [`Builder::load`](crate::Builder::load).
    #[cfg(feature = "tree-files")]
    #[error("the tree cannot be loaded: {0}")]
    Load(#[from] crate::core::WriteError),
    /// The number of servers is out of bounds; see [`Builder::servers`](crate::Builder::servers).
    #[error("{count} servers: there can be 1 to {max}")]
    ServerCount {
        /// Number that was asked for.
        count: usize,
        /// Maximum number.
        max: usize,
    },
    /// Observers need servers to observe; see [`Builder::observers`](crate::Builder::observers).
    #[error("{observers} observers beside {others} servers: there must be 2 servers or more that vote")]
    Observers {
        /// Number of observers.
        observers: usize,
        /// Number of the other servers.
        others: usize,
    },
    /// There is a quorum address for a server that there is not; see [`Builder::quorum_addr`](crate::Builder::quorum_addr).
    #[error("a quorum address for server {server}: the servers have the numbers 1 to {count}")]
    QuorumAddr {
        /// Number of the server.
        server: usize,
        /// Number of servers.
        count: usize,
    },
    /// There are not enough ports behind that of the first server.
    #[error("{count} servers need as many ports from {first} on: choose a lower one, or 0 for free ports")]
    NoPortsLeft {
        /// Address of the first server.
        first: SocketAddr,
        /// Number of servers.
        count: usize,
    },
    /// The shortest session timeout is longer than the longest.
    #[error(
        "the shortest session timeout ({min}) is longer than the longest ({max}): raise the longest, \
         which is twenty ticks unless set, or lower the shortest"
    )]
    SessionTimeouts {
        /// Shortest timeout: as configured, or two ticks.
        min: Millis,
        /// Longest timeout: as configured, or twenty ticks.
        max: Millis,
    },
}

fn bind_advice(addr: &SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the address is in use; stop the server that has it, or choose another port (0 lets the system choose)"
                .into()
        }
        io::ErrorKind::AddrNotAvailable if addr.is_ipv6() => {
            "this machine does not have the address; one of IPv6 stands in brackets before a port, such as [::1]:2181".into()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".into(),
        io::ErrorKind::PermissionDenied => "permission denied; ports below 1024 are for root".into(),
        _ => error.to_string(),
    }
}
