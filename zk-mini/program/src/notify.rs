//! `NOTIFY_SOCKET`: systemd, or another supervisor that speaks its protocol, is told when the server is ready and when it stops.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

const VARIABLE: &str = "NOTIFY_SOCKET";

/// Maximum time that a message waits for room in the queue of a supervisor that is busy.
const PATIENCE: Duration = Duration::from_secs(1);

/// The supervisor, if there is one that wants to be told.
#[derive(Debug)]
pub(crate) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
}

impl Supervisor {
    /// Takes the socket from the environment. A server whose supervisor cannot be told serves nevertheless.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = env::var_os(VARIABLE).filter(|name| !name.is_empty()) else {
            return Self { socket: None };
        };
        let socket = open(&name)
            .inspect_err(|error| tracing::warn!(%error, socket = ?name, "{VARIABLE} cannot be used: no supervisor is told"));
        Self { socket: socket.ok() }
    }

    /// Says that the server serves, and where.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// Says that the server is about to end, and why.
    pub(crate) fn stopping(&self, cause: &str) {
        self.send(&format!("STOPPING=1\nSTATUS=stopping: {cause}\n"));
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, message, "the socket of {VARIABLE} does not take the message");
        }
    }
}

fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = address(name)?;
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, address))
}

/// Returns the address of a name: a path, or `@NAME` for one in the abstract namespace of Linux.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "neither the path of a socket nor, on Linux, @ and the name of one",
        )),
    }
}
