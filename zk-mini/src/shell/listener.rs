//! Listening sockets.

use std::collections::BTreeSet;
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
    pub(crate) barrier: AcceptBarrier,
    backlog: i32,
}

#[derive(Debug)]
struct Sockets {
    sockets: Vec<ListenSocket>,
    /// They are closed for good.
    is_closed: bool,
    /// Index of the socket that is polled first. It rotates, so that no socket starves another.
    next: usize,
}

/// Socket at one address.
#[derive(Debug)]
struct ListenSocket {
    /// Address of the socket.
    addr: SocketAddr,
    /// Server that it belongs to.
    server: usize,
    /// It is for TLS only.
    for_tls: bool,
    state: SocketState,
}

#[derive(Debug)]
enum SocketState {
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
    pub(crate) fn is_for_tls(&self, index: usize) -> bool {
        self.lock().sockets.get(index).is_some_and(|socket| socket.for_tls)
    }

    /// Returns the addresses of the sockets. Users are shown the first one.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.lock().sockets.iter().map(|socket| socket.addr).collect()
    }

    /// Returns the first address, and the first one that is for TLS only.
    pub(crate) fn firsts(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let sockets = &self.lock().sockets;
        let first = |for_tls| {
            let mut of_kind = sockets.iter().filter(|socket| socket.for_tls == for_tls);
            of_kind.next().map(|socket| socket.addr)
        };
        (first(false), first(true))
    }

    /// Returns the first address of a server, and its first one that is for TLS only.
    pub(crate) fn firsts_of(&self, server: usize) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let sockets = &self.lock().sockets;
        let first = |for_tls| {
            let mut meant =
                sockets.iter().filter(|socket| socket.server == server && socket.for_tls == for_tls);
            meant.next().map(|socket| socket.addr)
        };
        (first(false), first(true))
    }

    /// Closes the sockets: the port is free when this returns.
    pub(crate) fn close(&self) {
        let mut sockets = self.lock();
        sockets.is_closed = true;
        sockets.sockets.iter_mut().for_each(|socket| socket.state = SocketState::Held(None));
        drop(sockets);
        self.barrier.close();
    }

    /// Refuses connections, and keeps the ports.
    pub(crate) fn take_down(&self) {
        self.lock().take_down(|_| true);
    }

    /// Refuses connections to a server, and keeps its ports.
    pub(crate) fn take_down_server(&self, server: usize) {
        self.lock().take_down(|of| of == server);
    }

    /// Listens again on the same ports, except for servers that stay down. On an error all are down.
    // Not a function that looks at the servers: their state is locked before the sockets, never behind them.
    pub(crate) fn bring_up(&self, runtime: &Runtime, stay_down: &BTreeSet<usize>) -> Result<(), Error> {
        self.bring_up_where(runtime, |server| !stay_down.contains(&server)).inspect_err(|_| self.take_down())
    }

    /// Listens again on the ports of a server. On an error it is down.
    pub(crate) fn bring_up_server(&self, server: usize, runtime: &Runtime) -> Result<(), Error> {
        self.bring_up_where(runtime, |of| of == server).inspect_err(|_| self.take_down_server(server))
    }

    fn bring_up_where(&self, runtime: &Runtime, goes_up: impl Fn(usize) -> bool) -> Result<(), Error> {
        let up = self.lock().bring_up(runtime, self.backlog, goes_up);
        self.barrier.wake();
        up
    }

    /// Lets a server listen at an address instead of its first one, or makes it its first one. A server that is down stays
    /// down, with the new address. On an error nothing has changed, but for a server without any address: it has this one, and
    /// is down.
    pub(crate) fn move_server(
        &self,
        server: usize,
        addr: SocketAddr,
        runtime: &Runtime,
    ) -> Result<(), Error> {
        let mut sockets = self.lock();
        if sockets.is_closed {
            return Ok(());
        }
        let present = sockets.sockets.iter().position(|socket| socket.server == server && !socket.for_tls);
        let bound = runtime.with_drivers(|| bind(addr, true, self.backlog));
        let bound = bound.map_err(|source| Error::Listen { addr, source });
        let (state, addr, result) = match bound {
            Ok((socket, addr)) => (SocketState::Open(socket), addr, Ok(())),
            Err(error) if present.is_some() => return Err(error),
            Err(error) => (SocketState::Held(None), addr, Err(error)),
        };
        match present {
            None => sockets.sockets.push(ListenSocket { addr, server, for_tls: false, state }),
            Some(at) => {
                let was_open = matches!(sockets.sockets[at].state, SocketState::Open(_));
                sockets.sockets[at].addr = addr;
                sockets.sockets[at].state = state;
                if !was_open {
                    sockets.take_down(|of| of == server);
                }
            }
        }
        drop(sockets);
        self.barrier.wake();
        result
    }

    /// Closes the sockets of the servers from this one on, for good. They are the last ones.
    pub(crate) fn forget_servers_from(&self, server: usize) {
        self.lock().sockets.retain(|socket| socket.server < server);
    }

    /// Returns the server of a socket.
    pub(crate) fn server_of(&self, at: usize) -> Option<usize> {
        self.lock().sockets.get(at).map(|socket| socket.server)
    }

    /// Returns the address of a socket.
    pub(crate) fn addr(&self, at: usize) -> Option<SocketAddr> {
        self.lock().sockets.get(at).map(|socket| socket.addr)
    }

    /// Returns the first address of a server, of whatever kind.
    pub(crate) fn addr_of(&self, server: usize) -> Option<SocketAddr> {
        self.lock().sockets.iter().find(|socket| socket.server == server).map(|socket| socket.addr)
    }

    /// Accepts a connection; `None` once the sockets are closed for good.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Accepted>>> {
        self.barrier.accept(cx.waker(), || self.poll_sockets(cx), Poll::is_pending)
    }

    fn poll_sockets(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Accepted>>> {
        let mut sockets = self.lock();
        if sockets.is_closed {
            return Poll::Ready(None);
        }
        let len = sockets.sockets.len();
        for _ in 0..len {
            let at = sockets.next % len;
            sockets.next = at + 1;
            if let SocketState::Open(socket) = &sockets.sockets[at].state
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

impl Sockets {
    fn take_down(&mut self, goes_down: impl Fn(usize) -> bool) {
        let beside_others = self.sockets.len() > 1;
        for socket in self.sockets.iter_mut().filter(|socket| goes_down(socket.server)) {
            if let SocketState::Open(_) = socket.state {
                // The port is free only when the socket is closed.
                socket.state = SocketState::Held(None);
                // A port that somebody took in between is asked for again later.
                socket.state = SocketState::Held(hold(socket.addr, beside_others).ok());
            }
        }
    }

    fn bring_up(
        &mut self,
        runtime: &Runtime,
        backlog: i32,
        goes_up: impl Fn(usize) -> bool,
    ) -> Result<(), Error> {
        if self.is_closed {
            return Ok(());
        }
        let beside_others = self.sockets.len() > 1;
        for socket in self.sockets.iter_mut().filter(|socket| goes_up(socket.server)) {
            let SocketState::Held(held) = &mut socket.state else { continue };
            let (held, addr) = (held.take(), socket.addr);
            let listened = runtime.with_drivers(|| {
                let socket = held.map_or_else(|| hold(addr, beside_others), Ok)?;
                listen(socket, backlog)
            });
            socket.state = SocketState::Open(listened.map_err(|source| Error::Listen { addr, source })?);
        }
        Ok(())
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
    let mut sockets = Vec::new();
    let beside_others = plain.iter().chain(for_tls).map(Vec::len).sum::<usize>() > 1;
    let plain = plain.iter().enumerate().map(|wishes| (wishes, false));
    for ((server, wishes), for_tls) in plain.chain(for_tls.iter().enumerate().map(|wishes| (wishes, true))) {
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
            sockets.push(ListenSocket { addr, server, for_tls, state: SocketState::Open(socket) });
        }
    }
    let sockets = Mutex::new(Sockets { sockets, is_closed: false, next: 0 });
    Ok(Listener { sockets, barrier: AcceptBarrier::default(), backlog })
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
