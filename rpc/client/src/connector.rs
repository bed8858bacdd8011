//! The transport of a link: TCP, or a stream of the caller's choice. No other file names it.

use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use registry::{Connecting, Stream};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;

/// Idle time after which the kernel probes a connection.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Time after which the next address of a name is tried beside those before.
const STEP: Duration = Duration::from_millis(250);

/// Opens connections to instances; see [`ClientBuilder::via`](crate::ClientBuilder::via).
pub trait Connect: Send + Sync + 'static {
    /// Opens a connection to `addr`, `host:port` as the instance is registered. Dropping the future gives up.
    fn connect<'a>(&'a self, addr: &'a str) -> Connecting<'a>;
}

/// Connects over TCP: to the first address of a name that answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpConnect;

impl Connect for TcpConnect {
    fn connect<'a>(&'a self, addr: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let stream = race(lookup_host(addr).await?, TcpStream::connect).await?;
            stream.set_nodelay(true)?;
            SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// Connects to one address after the other, without waiting for one that is slow, and returns the first connection.
async fn race<T, F: Future<Output = io::Result<T>>>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut addresses = addresses.into_iter().peekable();
    let (mut attempts, mut failure) = (Vec::new(), None);
    loop {
        match addresses.next() {
            Some(address) => attempts.push(Box::pin(connect(address))),
            None if attempts.is_empty() => {
                let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                return Err(failure.unwrap_or_else(none));
            }
            None => {}
        }
        let has_more = addresses.peek().is_some();
        let next = async move { if has_more { sleep(STEP).await } else { pending().await } };
        tokio::select! {
            biased;
            ended = poll_fn(|cx| poll_any(&mut attempts, cx)) => match ended {
                Ok(connected) => return Ok(connected),
                Err(error) => failure = Some(error),
            },
            () = next => {}
        }
    }
}

/// Completes when one of several attempts ends, which is removed.
fn poll_any<T, F: Future<Output = T>>(attempts: &mut Vec<Pin<Box<F>>>, cx: &mut Context<'_>) -> Poll<T> {
    for at in 0..attempts.len() {
        if let Poll::Ready(ended) = attempts[at].as_mut().poll(cx) {
            drop(attempts.swap_remove(at));
            return Poll::Ready(ended);
        }
    }
    Poll::Pending
}

/// Makes a [`Connect`] of a closure that opens a stream to an address.
pub fn connect_fn<F, Fut, S>(open: F) -> impl Connect
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: Stream + 'static,
{
    ConnectFn(open)
}

struct ConnectFn<F>(F);

impl<F, Fut, S> Connect for ConnectFn<F>
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: Stream + 'static,
{
    fn connect<'a>(&'a self, addr: &'a str) -> Connecting<'a> {
        let opening = (self.0)(addr.to_owned());
        Box::pin(async move { Ok(Box::new(opening.await?) as Box<dyn Stream>) })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::Instant;

    use super::*;

    fn addresses(ports: impl IntoIterator<Item = u16>) -> Vec<SocketAddr> {
        ports.into_iter().map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect()
    }

    /// Connects to port 9, is refused by others up to 4, and waits for the rest.
    async fn connect(address: SocketAddr) -> io::Result<u16> {
        match address.port() {
            9 => Ok(9),
            0..=4 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => pending().await,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_holds_up_the_next_one_for_a_step() {
        for (ports, steps) in [(vec![9], 0), (vec![1, 2, 9], 0), (vec![7, 1, 9], 1), (vec![7, 8, 9], 2)] {
            let begun = Instant::now();
            assert_eq!(race(addresses(ports), connect).await.unwrap(), 9);
            assert_eq!(begun.elapsed(), Duration::from_millis(250 * steps));
        }
    }

    #[tokio::test]
    async fn a_name_whose_addresses_all_refuse_is_refused() {
        let error = race(addresses([1, 2]), connect).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = race(addresses([]), connect).await.unwrap_err();
        assert_eq!(error.to_string(), "the name has no address");
    }
}
