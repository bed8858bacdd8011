//! Accepting from a listener that several processes may share.

use std::{fs::File, io, net, net::SocketAddr, time::Duration};
use tokio::{
    io::unix::AsyncFd,
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

use crate::clock;

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
            return Ok((TcpStream::from_std(stream)?, peer));
        }
    }

    /// Tells whoever waits that there are no descriptors left, and closes. False if that is not possible.
    pub(crate) fn turn_away(&mut self, tell: impl FnOnce(&net::TcpStream, SocketAddr)) -> bool {
        drop(self.spare.take());
        let accepted = self.listener.get_ref().accept();
        if let Ok((stream, peer)) = &accepted {
            tell(stream, *peer);
        }
        let turned_away = accepted.is_ok();
        drop(accepted);
        self.spare = spare();
        turned_away
    }
}

/// A descriptor of no use.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// The shortest time that the runtime's timer knows; an idle process takes a tenth of it.
const COURTESY: Duration = Duration::from_millis(1);
