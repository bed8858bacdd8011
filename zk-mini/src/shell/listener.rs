//! Listening sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::error::Error;
use crate::shell::accept_barrier::AcceptBarrier;
use crate::shell::runtime::Runtime;
use crate::sys;

/// Maximum number of connections that wait to be accepted, unless it is set. The system has a limit of its own.
const BACKLOG: i32 = 4096;

/// Maximum number of attempts to find a port that is free on every address.
const TRIES: usize = 64;

/// Listening sockets. They can be closed at once, while their task waits.
#[derive(Debug)]
pub(crate) struct Listener {
    sockets: Mutex<Sockets>,
    /// Addresses of the sockets. Users are shown the first one.
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) barrier: AcceptBarrier,
    backlog: i32,
}

#[derive(Debug)]
struct Sockets {
    open: Vec<TcpListener>,
    /// Index of the socket that is polled first. It rotates, so that no socket starves another.
    next: usize,
    /// The server is down: these sockets keep the ports, and do not listen.
    held: Option<Vec<Socket>>,
}

impl Listener {
    /// Listens on all of these addresses. Those with port 0 get the same port.
    pub(crate) fn bind(addrs: &[SocketAddr], backlog: i32) -> Result<Self, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            match bind_all(addrs, backlog) {
                Err(Error::Listen { addr, source })
                    if source.kind() == io::ErrorKind::AddrInUse
                        && tries < TRIES
                        && addrs.iter().any(|wish| wish.port() == 0)
                        && !addrs.contains(&addr) => {}
                bound => return bound,
            }
        }
    }

    /// Closes the sockets: the port is free when this returns.
    pub(crate) fn close(&self) {
        let mut sockets = self.lock();
        sockets.open.clear();
        sockets.held = None;
        drop(sockets);
        self.barrier.close();
    }

    /// Refuses connections, and keeps the ports.
    pub(crate) fn take_down(&self) {
        let mut sockets = self.lock();
        // They were closed for good, or are down already.
        if sockets.open.is_empty() {
            return;
        }
        sockets.open.clear();
        // A port that somebody took in between is asked for again later.
        let held = self.addrs.iter().filter_map(|addr| hold(*addr, self.addrs.len() > 1).ok());
        sockets.held = Some(held.collect());
    }

    /// Listens again on the same ports.
    pub(crate) fn bring_up(&self, runtime: &Runtime) -> Result<(), Error> {
        let mut sockets = self.lock();
        let Some(held) = sockets.held.take() else { return Ok(()) };
        let listened = self.listen_again(held, runtime);
        match listened {
            Ok(open) => {
                sockets.open = open;
                drop(sockets);
                self.barrier.wake();
                Ok(())
            }
            Err(error) => {
                sockets.held = Some(Vec::new());
                Err(error)
            }
        }
    }

    fn listen_again(&self, mut held: Vec<Socket>, runtime: &Runtime) -> Result<Vec<TcpListener>, Error> {
        let is_at =
            |socket: &Socket, addr| socket.local_addr().is_ok_and(|held| held.as_socket() == Some(addr));
        let mut again = |addr: SocketAddr| {
            let socket = match held.iter().position(|socket| is_at(socket, addr)) {
                Some(at) => held.swap_remove(at),
                None => hold(addr, self.addrs.len() > 1)?,
            };
            listen(socket, self.backlog)
        };
        let mut again =
            |addr: &SocketAddr| again(*addr).map_err(|source| Error::Listen { addr: *addr, source });
        runtime.with_drivers(|| self.addrs.iter().map(&mut again).collect())
    }

    /// Accepts a connection; `None` once the sockets are closed for good.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Accepted>>> {
        self.barrier.accept(cx.waker(), || self.poll_sockets(cx), Poll::is_pending)
    }

    fn poll_sockets(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Accepted>>> {
        let mut sockets = self.lock();
        let len = sockets.open.len();
        if len == 0 {
            return if sockets.held.is_some() { Poll::Pending } else { Poll::Ready(None) };
        }
        for _ in 0..len {
            let socket = sockets.next % len;
            sockets.next = socket + 1;
            if let Poll::Ready(accepted) = sockets.open[socket].poll_accept(cx) {
                let at = |(stream, remote)| Accepted { stream, remote, listener: socket };
                return Poll::Ready(Some(accepted.map(at)));
            }
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepted connection.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) remote: SocketAddr,
    /// Index of the listening address.
    pub(crate) listener: usize,
}

fn bind_all(wishes: &[SocketAddr], backlog: i32) -> Result<Listener, Error> {
    let mut open: Vec<TcpListener> = Vec::new();
    let mut addrs: Vec<SocketAddr> = Vec::new();
    for wish in wishes {
        let mut addr = *wish;
        if addr.port() == 0 {
            addr.set_port(addrs.first().map_or(0, SocketAddr::port));
        }
        let bound = bind(addr, wishes.len() > 1, backlog);
        let (socket, addr) = bound.map_err(|source| Error::Listen { addr, source })?;
        open.push(socket);
        addrs.push(addr);
    }
    let sockets = Mutex::new(Sockets { open, next: 0, held: None });
    Ok(Listener { sockets, addrs, barrier: AcceptBarrier::default(), backlog })
}

/// Binds a socket, and listens.
fn bind(addr: SocketAddr, beside_others: bool, backlog: i32) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = listen(hold(addr, beside_others)?, backlog)?;
    let addr = socket.local_addr()?;
    Ok((socket, addr))
}

fn listen(socket: Socket, backlog: i32) -> io::Result<TcpListener> {
    socket.listen(if backlog > 0 { backlog } else { BACKLOG })?;
    TcpListener::from_std(socket.into())
}

/// Binds a socket, which keeps the port. An IPv6 socket `beside_others` leaves IPv4 to them.
fn hold(addr: SocketAddr, beside_others: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    sys::allow_restart(&socket)?;
    if addr.is_ipv6() && beside_others {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}
