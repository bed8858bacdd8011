//! Accepting from a listener that several processes may share.

use std::fs::File;
use std::io;
use std::net::{self, SocketAddr};
use std::time::Duration;

use rpc_wire::{CallId, Code, DEFAULT_MAX_FRAME, Frame, GoAway};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::clock;
use crate::log::say;

/// The shortest time that the runtime's timer knows; an idle process takes a tenth of it.
const COURTESY: Duration = Duration::from_millis(1);

/// Silence of the network after which the system asks whether the client's host is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A listener whose waiting and accepting are two steps, so that one can be late for the second.
///
/// Of the processes that wait on one listener, the busy one is awake and would always come first: it would
/// get every connection, and get busier.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: AsyncFd<net::TcpListener>,
    /// Until when others may go first; kept until nobody waits any more, so that whoever does waits once.
    courtesy: Option<Instant>,
    /// A descriptor to give back when there are no others, so that whoever waits can be told.
    spare: Option<File>,
}

impl Acceptor {
    #[expect(deprecated, reason = "sound for a type that owns its descriptor; the new constructor is unsafe")]
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { listener: AsyncFd::new(listener.into_std()?)?, courtesy: None, spare: spare() })
    }

    /// The next connection. `reluctant`: let others, who are idle, go first. Cancel-safe.
    pub(crate) async fn accept(&mut self, reluctant: bool) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let mut ready = self.listener.readable().await?;
            if reluctant {
                sleep_until(*self.courtesy.get_or_insert_with(|| clock::now() + COURTESY)).await;
            }
            // An error here only says that nobody waits any more.
            let Ok(accepted) = ready.try_io(|listener| listener.get_ref().accept()) else {
                self.courtesy = None;
                continue;
            };
            let (stream, peer) = accepted?;
            stream.set_nonblocking(true)?;
            self.spare = self.spare.take().or_else(spare);
            let stream = TcpStream::from_std(stream)?;
            if let Err(error) = prepare(&stream) {
                say(|| tracing::debug!(%peer, %error, "socket options"));
            }
            return Ok((stream, peer));
        }
    }

    /// Accepts a connection although no descriptors are left, says why it is refused, and closes it. `None` if none waits.
    pub(crate) fn turn_away(&mut self, why: &str) -> Option<SocketAddr> {
        drop(self.spare.take());
        let accepted = self.listener.get_ref().accept();
        let turned_away = accepted.ok().map(|(stream, peer)| {
            refuse(&stream, why);
            peer
        });
        self.spare = spare();
        turned_away
    }
}

/// Says why a connection is refused, if the socket takes it at once.
pub(crate) fn refuse<'a>(stream: impl Into<SockRef<'a>>, why: &str) {
    let mut out = Vec::new();
    let go_away = Frame::GoAway(GoAway { last: CallId(0), code: Code::RESOURCE_EXHAUSTED, message: why });
    if go_away.encode(&mut out, DEFAULT_MAX_FRAME).is_ok() {
        let _ = stream.into().send(&out);
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A host that vanished without a word does not keep its connection for ever; an idle one is left alone.
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

/// A descriptor of no use.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
