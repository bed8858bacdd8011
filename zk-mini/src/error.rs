//! What can keep a server from starting.

use std::io;
use std::net::SocketAddr;

use zk_wire::Millis;

use crate::storage::StorageError;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {}", bind_advice(.source))]
    Listen {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system does not give what a runtime takes: a thread, a few descriptors.
    #[error(
        "no runtime to serve on: the system gives no more threads or descriptors; end something, or raise the limits"
    )]
    NoRuntime,
    /// The tick is zero, or less than a millisecond.
    #[error("the tick is zero: it has to be one millisecond or more")]
    ZeroTick,
    /// The system gives no random bytes to make a secret of.
    #[error("the system gives no random bytes for session passwords: {0}")]
    NoRandomness(#[source] io::Error),
    /// The data directory cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bounds of the session timeout leave nothing between them.
    #[error(
        "the shortest session timeout ({min}) is longer than the longest ({max}): raise the longest, \
         which is twenty ticks unless set, or lower the shortest"
    )]
    SessionTimeouts {
        /// The shortest, as configured or two ticks.
        min: Millis,
        /// The longest, as configured or twenty ticks.
        max: Millis,
    },
}

fn bind_advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the address is in use; stop the server that has it, or choose another port (0 lets the system choose)"
                .into()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".into(),
        io::ErrorKind::PermissionDenied => "permission denied; ports below 1024 are for root".into(),
        _ => error.to_string(),
    }
}
