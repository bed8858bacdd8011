//! Listeners that a parent binds once and its workers share.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::{env, io};

use common::log::quietly;
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{Error, explain_errno};
use crate::process;

/// Longest wait for an address in use.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause between two attempts at an address in use.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Number of connections that may wait while workers start; the system caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// Maximum number of listeners that are passed; descriptors after them could not overflow.
const MAX_PASSED: i32 = 1024;

/// Binds a TCP listener for workers to share.
///
/// Call it before [`Prefork::run`](crate::Prefork::run) and move the listener into the worker function. Children inherit
/// it, and each connection goes to the worker that accepts first. `accept` does not block, so an async runtime can take
/// the listener as it is (`tokio::net::TcpListener::from_std`). The address may be bound again right after a restart.
///
/// With port 0 the system chooses a free port. For a name with several addresses, the first one that this machine has is
/// bound.
///
/// If the address is in use, it waits for up to 5 seconds: after a parent was killed, its workers hold the port until they
/// have exited. A worker that closes its listener as soon as it is asked to stop releases the port sooner.
///
/// # Errors
/// [`Error::Bind`] names the address and the reason, for example that another process has the port.
///
/// ```
/// let listener = rpc_prefork::bind("127.0.0.1:0").unwrap();
/// assert_ne!(listener.local_addr().unwrap().port(), 0);
/// ```
pub fn bind(addr: impl ToSocketAddrs + std::fmt::Debug) -> Result<TcpListener, Error> {
    bind_within(&addr, PATIENCE)
}

fn bind_within(
    addr: &(impl ToSocketAddrs + std::fmt::Debug),
    patience: Duration,
) -> Result<TcpListener, Error> {
    let name = format!("{addr:?}").replace('"', "");
    let mut waited = Duration::ZERO;
    loop {
        match bind_first(addr) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && waited < patience => {
                if waited.is_zero() {
                    quietly(|| {
                        tracing::warn!(
                            "{name} is in use, perhaps by workers that are stopping; waiting up to {patience:?}"
                        );
                    });
                }
                std::thread::sleep(LOOK_AGAIN);
                waited += LOOK_AGAIN;
            }
            bound => return bound.map_err(|source| Error::Bind { addr: name, source }),
        }
    }
}

/// Binds the first address that this machine has. An address in use ends the search: another address of the same name
/// would not be the same service.
fn bind_first(addr: &impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name resolves to no address");
    for candidate in addr.to_socket_addrs()? {
        match bind_one(candidate) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => last = error,
            decided => return decided,
        }
    }
    Err(last)
}

/// Takes the TCP listeners that systemd has bound for this process (socket activation), or that the old program has
/// [handed over](crate::Prefork::hand_over). Workers can share them like those of [`bind`].
///
/// Returns an empty list if there are none, and on every call after the first.
///
/// # Errors
/// [`Error::Passed`]: a descriptor that was passed is not open or is not a TCP listener.
pub fn passed_by_systemd() -> Result<Vec<TcpListener>, Error> {
    let var = |key| env::var(key).ok().and_then(|value| value.parse::<i32>().ok());
    // A different pid: the variables are inherited from the process that they were meant for.
    if var("LISTEN_PID") != i32::try_from(std::process::id()).ok() {
        return Ok(Vec::new());
    }
    let count = var("LISTEN_FDS").unwrap_or(0).clamp(0, MAX_PASSED);
    let passed =
        process::take_passed(count).map_err(|errno| Error::Passed { problem: explain_errno(errno) })?;
    passed.into_iter().map(check).collect()
}

fn check(fd: OwnedFd) -> Result<TcpListener, Error> {
    let failed = |e: io::Error| Error::Passed { problem: e.to_string() };
    let socket = Socket::from(fd);
    let is_tcp = matches!(socket.domain().map_err(failed)?, Domain::IPV4 | Domain::IPV6)
        && socket.r#type().map_err(failed)? == Type::STREAM;
    if !is_tcp || !socket.is_listener().map_err(failed)? {
        return Err(Error::Passed {
            problem: "it is not a TCP listener; see ListenStream= in systemd.socket(5)".into(),
        });
    }
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket.into())
}

fn bind_one(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_taken_port_is_an_error_that_names_the_address_and_the_remedy() {
        let first = bind("127.0.0.1:0").unwrap();
        let addr = first.local_addr().unwrap().to_string();
        let message = bind_within(&addr.as_str(), Duration::ZERO).unwrap_err().to_string();
        assert!(message.starts_with(&format!("cannot listen on {addr}: the address is in use")), "{message}");
    }

    #[test]
    fn a_port_that_becomes_free_in_time_is_bound() {
        let first = bind("127.0.0.1:0").unwrap();
        let addr = first.local_addr().unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| bind_within(&addr, Duration::from_secs(600)));
            assert!(bind_within(&addr, Duration::from_millis(100)).is_err(), "it is still taken");
            drop(first);
            assert_eq!(second.join().unwrap().unwrap().local_addr().unwrap(), addr);
        });
    }

    #[test]
    fn a_name_whose_first_address_is_taken_is_not_bound_to_another() {
        let first = bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let addrs = [("127.0.0.1", port), ("127.0.0.2", port)]
            .map(|(ip, port)| SocketAddr::new(ip.parse().unwrap(), port));
        assert!(bind_within(&&addrs[..], Duration::ZERO).is_err());
        // No machine has the first one.
        let addrs = ["192.0.2.1:0", "127.0.0.1:0"].map(|addr| addr.parse::<SocketAddr>().unwrap());
        assert!(bind_within(&&addrs[..], Duration::ZERO).unwrap().local_addr().unwrap().ip().is_loopback());
    }

    #[test]
    fn a_name_without_a_port_is_an_error_and_not_a_panic() {
        assert!(matches!(bind("localhost"), Err(Error::Bind { .. })));
    }

    #[test]
    fn accept_does_not_block() {
        let listener = bind("127.0.0.1:0").unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
