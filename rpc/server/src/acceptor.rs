//! Ways to accept connections: a listener that several processes may share. The only file that names TCP streams.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::net::{self, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use common::log::quietly;
use rpc_wire::{CallId, Code, DEFAULT_MAX_FRAME, Frame, GoAway};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::clock;

/// Head start of idle processes: the shortest time of the runtime's timer. They need a tenth of it.
const COURTESY: Duration = Duration::from_millis(1);

/// Silence of a connection after which the system probes the client's host.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Accepts the connections of a server.
pub(crate) trait Accept {
    /// Connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Accepts the next connection; with `reluctant`, after idle processes had a chance. Cancel-safe.
    fn accept(
        &mut self,
        reluctant: bool,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Refuses a waiting connection by these bytes although no descriptors are left. Returns its address; `None` if none waits.
    fn turn_away(&mut self, refusal: &[u8]) -> Option<SocketAddr>;

    /// Sends these bytes, if the connection takes them at once, and closes it.
    fn refuse(stream: Self::Stream, refusal: &[u8]);
}

/// Listener that can wait between readiness and `accept`.
///
/// Among the processes of one listener, a busy one is awake and would accept first: it would get every connection, and get
/// busier.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: AsyncFd<net::TcpListener>,
    /// Time until which other processes may accept first. Kept until no connection waits, so that each waits once.
    courtesy: Option<Instant>,
    /// Descriptor to release when no others are left, so that a waiting client can be told.
    spare: Option<File>,
}

impl Acceptor {
    #[expect(deprecated, reason = "sound for a type that owns its descriptor; the new constructor is unsafe")]
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { listener: AsyncFd::new(listener.into_std()?)?, courtesy: None, spare: spare() })
    }
}

impl Accept for Acceptor {
    type Stream = TcpStream;

    async fn accept(&mut self, reluctant: bool) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let mut ready = self.listener.readable().await?;
            if reluctant {
                sleep_until(*self.courtesy.get_or_insert_with(|| clock::now() + COURTESY)).await;
            }
            // The error means that no connection waits any more.
            let Ok(accepted) = ready.try_io(|listener| listener.get_ref().accept()) else {
                self.courtesy = None;
                continue;
            };
            let (stream, peer) = accepted?;
            stream.set_nonblocking(true)?;
            self.spare = self.spare.take().or_else(spare);
            let stream = TcpStream::from_std(stream)?;
            if let Err(error) = prepare(&stream) {
                quietly(|| tracing::debug!(%peer, %error, "socket options"));
            }
            return Ok((stream, peer));
        }
    }

    fn turn_away(&mut self, refusal: &[u8]) -> Option<SocketAddr> {
        drop(self.spare.take());
        let accepted = self.listener.get_ref().accept();
        let turned_away = accepted.ok().map(|(stream, peer)| {
            send(&stream, refusal);
            peer
        });
        self.spare = spare();
        turned_away
    }

    fn refuse(stream: TcpStream, refusal: &[u8]) {
        send(&stream, refusal);
    }
}

/// First listener of a server, which several processes may share, and those of TCP that are this process's alone.
#[derive(Debug)]
pub(crate) struct Acceptors<A> {
    first: A,
    own: Vec<Acceptor>,
    /// Number of the listener that is asked first, so that none keeps the others waiting.
    turn: usize,
}

/// Accepts connections of another transport, beside which there may be some of TCP.
#[derive(Debug)]
pub(crate) struct Mixed<A>(pub(crate) A);

/// Connection of a server that [`Mixed`] is for.
#[derive(Debug)]
pub(crate) enum MixedStream<S> {
    /// Connection of the other transport.
    Other(S),
    /// Connection of TCP.
    Tcp(TcpStream),
}

impl Acceptors<Acceptor> {
    pub(crate) fn of_tcp(first: TcpListener, own: Vec<TcpListener>) -> io::Result<Self> {
        Self::new(Acceptor::new(first)?, own)
    }
}

impl<A> Acceptors<A> {
    pub(crate) fn new(first: A, own: Vec<TcpListener>) -> io::Result<Self> {
        let own = own.into_iter().map(Acceptor::new).collect::<io::Result<_>>()?;
        Ok(Self { first, own, turn: 0 })
    }
}

impl<A> Accept for Acceptors<A>
where
    A: Accept + Send,
    A::Stream: From<TcpStream>,
{
    type Stream = A::Stream;

    async fn accept(&mut self, reluctant: bool) -> io::Result<(A::Stream, SocketAddr)> {
        if self.own.is_empty() {
            return self.first.accept(reluctant).await;
        }
        let mut waits: Vec<Accepting<'_, A::Stream>> = Vec::with_capacity(1 + self.own.len());
        waits.push(Box::pin(self.first.accept(reluctant)));
        for own in &mut self.own {
            waits.push(Box::pin(async move {
                // Nobody else accepts there.
                let (stream, peer) = own.accept(false).await?;
                Ok((stream.into(), peer))
            }));
        }
        let first = self.turn % waits.len();
        self.turn = self.turn.wrapping_add(1);
        waits.rotate_left(first);
        poll_fn(|cx| {
            let accepted = waits.iter_mut().find_map(|wait| match wait.as_mut().poll(cx) {
                Poll::Ready(accepted) => Some(accepted),
                Poll::Pending => None,
            });
            accepted.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn turn_away(&mut self, refusal: &[u8]) -> Option<SocketAddr> {
        let own = &mut self.own;
        self.first.turn_away(refusal).or_else(|| own.iter_mut().find_map(|own| own.turn_away(refusal)))
    }

    fn refuse(stream: A::Stream, refusal: &[u8]) {
        A::refuse(stream, refusal);
    }
}

/// Wait for the next connection of one of several listeners.
type Accepting<'a, S> = Pin<Box<dyn Future<Output = io::Result<(S, SocketAddr)>> + Send + 'a>>;

impl<A: Accept + Send> Accept for Mixed<A> {
    type Stream = MixedStream<A::Stream>;

    async fn accept(&mut self, reluctant: bool) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, peer) = self.0.accept(reluctant).await?;
        Ok((MixedStream::Other(stream), peer))
    }

    fn turn_away(&mut self, refusal: &[u8]) -> Option<SocketAddr> {
        self.0.turn_away(refusal)
    }

    fn refuse(stream: Self::Stream, refusal: &[u8]) {
        match stream {
            MixedStream::Other(stream) => A::refuse(stream, refusal),
            MixedStream::Tcp(stream) => Acceptor::refuse(stream, refusal),
        }
    }
}

impl<S> From<TcpStream> for MixedStream<S> {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MixedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MixedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Other(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Other(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Other(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Sends bytes, if the socket takes them at once.
fn send<'a>(stream: impl Into<SockRef<'a>>, bytes: &[u8]) {
    let _ = stream.into().send(bytes);
}

/// Returns the frame that refuses a connection; empty for a reason that no frame can hold.
pub(crate) fn go_away(why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let frame = Frame::GoAway(GoAway { last: CallId(0), code: Code::RESOURCE_EXHAUSTED, message: why });
    let encoded = frame.encode(&mut out, DEFAULT_MAX_FRAME);
    encoded.map(|_| out).unwrap_or_default()
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Frees the connections of hosts that have vanished; idle ones stay.
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

/// Opens a descriptor to hold in reserve.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
