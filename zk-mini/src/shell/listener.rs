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
    /// Server of each socket, in the same order.
    servers: Vec<usize>,
    /// Number of addresses before those that are for TLS only.
    plain: usize,
    pub(crate) barrier: AcceptBarrier,
    backlog: i32,
}

#[derive(Debug)]
struct Sockets {
    sockets: Vec<ListenSocket>,
    /// Index of the socket that is polled first. It rotates, so that no socket starves another.
    next: usize,
}

/// Socket at one address.
#[derive(Debug)]
enum ListenSocket {
    Open(TcpListener),
    /// The server is down: the socket keeps the port, if it could be had, and does not listen.
    Held(Option<Socket>),
}

impl Listener {
    /// Listens on all addresses of each server, first on the ordinary ones, then on those for TLS only. Those of one kind of one
    /// server with port 0 get the same port.
    pub(crate) fn bind(
        plain: &[Vec<SocketAddr>],
        for_tls: &[Vec<SocketAddr>],
        backlog: i32,
    ) -> Result<Self, Error> {
        let wishes = || plain.iter().chain(for_tls).flatten();
        let mut tries = 0;
        loop {
            tries += 1;
            match bind_all(plain, for_tls, backlog) {
                Err(Error::Listen { addr, source })
                    if source.kind() == io::ErrorKind::AddrInUse
                        && tries < TRIES
                        && wishes().any(|wish| wish.port() == 0)
                        && !wishes().any(|wish| *wish == addr) => {}
                bound => return bound,
            }
        }
    }

    /// Returns true if the address of this index is for TLS only.
    #[cfg(feature = "tls")]
    pub(crate) fn is_for_tls(&self, index: usize) -> bool {
        index >= self.plain
    }

    /// Returns the first address, and the first one that is for TLS only.
    pub(crate) fn firsts(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let (plain, for_tls) = self.addrs.split_at(self.plain);
        (plain.first().copied(), for_tls.first().copied())
    }

    /// Closes the sockets: the port is free when this returns.
    pub(crate) fn close(&self) {
        self.lock().sockets.clear();
        self.barrier.close();
    }

    /// Refuses connections, and keeps the ports.
    pub(crate) fn take_down(&self) {
        (0..self.addrs.len()).for_each(|at| self.take_down_at(at));
    }

    /// Refuses connections to a server, and keeps its ports.
    pub(crate) fn take_down_server(&self, server: usize) {
        self.of(server).for_each(|at| self.take_down_at(at));
    }

    fn take_down_at(&self, at: usize) {
        // There are none if they were closed for good.
        if let Some(socket @ ListenSocket::Open(_)) = self.lock().sockets.get_mut(at) {
            // The port is free only when the socket is closed.
            *socket = ListenSocket::Held(None);
            // A port that somebody took in between is asked for again later.
            *socket = ListenSocket::Held(hold(self.addrs[at], self.addrs.len() > 1).ok());
        }
    }

    /// Listens again on the same ports, except for servers that stay down. On an error all are down.
    pub(crate) fn bring_up(
        &self,
        runtime: &Runtime,
        stays_down: impl Fn(usize) -> bool,
    ) -> Result<(), Error> {
        let mut all = (0..self.addrs.len()).filter(|at| !stays_down(self.servers[*at]));
        all.try_for_each(|at| self.bring_up_at(at, runtime)).inspect_err(|_| self.take_down())
    }

    /// Listens again on the ports of a server. On an error it is down.
    pub(crate) fn bring_up_server(&self, server: usize, runtime: &Runtime) -> Result<(), Error> {
        let listened = self.of(server).try_for_each(|at| self.bring_up_at(at, runtime));
        listened.inspect_err(|_| self.take_down_server(server))
    }

    /// Returns the server of a socket.
    pub(crate) fn server_of(&self, at: usize) -> Option<usize> {
        self.servers.get(at).copied()
    }

    /// Returns the first address of a server.
    pub(crate) fn addr_of(&self, server: usize) -> Option<SocketAddr> {
        self.of(server).next().and_then(|at| self.addrs.get(at)).copied()
    }

    /// Returns the first address of a server that is for TLS only.
    #[cfg(feature = "tls")]
    pub(crate) fn tls_addr_of(&self, server: usize) -> Option<SocketAddr> {
        self.of(server).find(|at| self.is_for_tls(*at)).and_then(|at| self.addrs.get(at)).copied()
    }

    /// Returns the sockets of a server.
    fn of(&self, server: usize) -> impl Iterator<Item = usize> {
        (0..self.servers.len()).filter(move |at| self.servers[*at] == server)
    }

    fn bring_up_at(&self, at: usize, runtime: &Runtime) -> Result<(), Error> {
        let mut sockets = self.lock();
        let Some(ListenSocket::Held(held)) = sockets.sockets.get_mut(at) else { return Ok(()) };
        let (held, addr) = (held.take(), self.addrs[at]);
        let listened = runtime.with_drivers(|| {
            let socket = held.map_or_else(|| hold(addr, self.addrs.len() > 1), Ok)?;
            listen(socket, self.backlog)
        });
        let open = listened.map_err(|source| Error::Listen { addr, source })?;
        sockets.sockets[at] = ListenSocket::Open(open);
        drop(sockets);
        self.barrier.wake();
        Ok(())
    }

    /// Accepts a connection; `None` once the sockets are closed for good.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Accepted>>> {
        self.barrier.accept(cx.waker(), || self.poll_sockets(cx), Poll::is_pending)
    }

    fn poll_sockets(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Accepted>>> {
        let mut sockets = self.lock();
        let len = sockets.sockets.len();
        if len == 0 {
            return Poll::Ready(None);
        }
        for _ in 0..len {
            let at = sockets.next % len;
            sockets.next = at + 1;
            if let ListenSocket::Open(socket) = &sockets.sockets[at]
                && let Poll::Ready(accepted) = socket.poll_accept(cx)
            {
                let of_address = |(stream, remote)| Accepted { stream, remote, listener: at };
                return Poll::Ready(Some(accepted.map(of_address)));
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

fn bind_all(plain: &[Vec<SocketAddr>], for_tls: &[Vec<SocketAddr>], backlog: i32) -> Result<Listener, Error> {
    let (mut sockets, mut addrs, mut of) = (Vec::new(), Vec::new(), Vec::new());
    let beside_others = plain.iter().chain(for_tls).map(Vec::len).sum::<usize>() > 1;
    for (server, wishes) in plain.iter().enumerate().chain(for_tls.iter().enumerate()) {
        let mut shared = 0;
        for wish in wishes {
            let mut addr = *wish;
            if addr.port() == 0 {
                addr.set_port(shared);
            }
            let bound = bind(addr, beside_others, backlog);
            let (socket, addr) = bound.map_err(|source| Error::Listen { addr, source })?;
            if shared == 0 {
                shared = addr.port();
            }
            sockets.push(ListenSocket::Open(socket));
            addrs.push(addr);
            of.push(server);
        }
    }
    let sockets = Mutex::new(Sockets { sockets, next: 0 });
    let plain = plain.iter().map(Vec::len).sum();
    Ok(Listener { sockets, addrs, servers: of, plain, barrier: AcceptBarrier::default(), backlog })
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
