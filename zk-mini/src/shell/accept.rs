//! Accepting connections over TCP.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use crate::shell::came::Came;
use crate::shell::connection;
use crate::shell::connections::Refused;
use crate::shell::engine::Engine;
use crate::shell::listener::{Accepted, Listener};
use crate::shell::panics::{PAUSE, surviving};
use crate::shell::turned_away;

/// Number of attempts, good or bad, after a logged failure to accept for which no line is logged: about a minute of
/// failures.
const ATTEMPTS_PER_LINE: u32 = 600;

/// Accepts connections until the sockets are closed, at the latest until it is aborted.
pub(crate) async fn accept(listener: Arc<Listener>, engine: Arc<Engine>) {
    engine.add_accept_barrier(&listener.barrier);
    let mut failures = Failures::default();
    while let Some(accepted) = poll_fn(|cx| listener.poll_accept(cx)).await {
        match accepted {
            Ok(accepted) => {
                failures.should_log(false);
                surviving(|| serve(accepted, &engine));
            }
            // The peer was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // Usually too many open files, which takes time to change.
            Err(error) => {
                if failures.should_log(true) {
                    log!(WARN, %error, addr = ?listener.addrs().first(), "cannot accept; trying again");
                }
                engine.runtime.sleep(PAUSE).await;
            }
        }
    }
}

/// Failures to accept. Few are logged: when descriptors run out, every second attempt may fail.
#[derive(Debug, Default)]
struct Failures {
    /// Number of attempts for which no line is logged.
    quiet: u32,
}

impl Failures {
    /// Counts an attempt. Returns true if it is a failure to log.
    fn should_log(&mut self, failed: bool) -> bool {
        let logged = failed && self.quiet == 0;
        self.quiet = if logged { ATTEMPTS_PER_LINE } else { self.quiet.saturating_sub(1) };
        logged
    }
}

/// Serves a connection, or closes it silently, as ZooKeeper does, if its address or the server has too many. A TLS handshake would be
/// done here, in a task of its own.
fn serve(Accepted { stream, remote, listener }: Accepted, engine: &Arc<Engine>) {
    // Without it a reply waits for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        log!(DEBUG, %error, %remote, "cannot set TCP_NODELAY");
    }
    match engine.admit(Some(remote), Came::ToSocket(listener)) {
        Ok(guard) => {
            log!(DEBUG, %remote, conn = guard.id.0, "connected");
            connection::spawn(stream, guard);
        }
        // HTTP without TLS has no place there either.
        Err(refused @ (Refused::TooMany | Refused::Full))
            if !engine.setup.security(Some(listener)).takes_plain() =>
        {
            engine.reject(remote, refused, Came::ToSocket(listener));
        }
        Err(refused @ (Refused::TooMany | Refused::Full)) => {
            let engine = Arc::clone(engine);
            let accepted = Accepted { stream, remote, listener };
            engine.runtime.clone().spawn(serve_if_http(accepted, engine, refused));
        }
        Err(Refused::Stopped | Refused::Down) => {}
    }
}

/// Serves a connection that is one too many for ZooKeeper's protocol, if it is HTTP; closes it otherwise.
async fn serve_if_http(
    Accepted { stream, remote, listener }: Accepted,
    engine: Arc<Engine>,
    refused: Refused,
) {
    let addr = engine.setup.addr(listener);
    let served = turned_away::serve_if_http(&engine, stream, BytesMut::new(), (Some(remote), addr));
    if served.await.is_err() {
        engine.reject(remote, refused, Came::ToSocket(listener));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_failures_are_logged_even_if_some_attempts_succeed_between_them() {
        let mut failures = Failures::default();
        let lines = |failures: &mut Failures, attempts: u32, succeeds: u32| {
            (0..attempts).filter(|n| failures.should_log(n % succeeds != 1)).count()
        };
        assert_eq!(lines(&mut failures, 6_010, u32::MAX), 10);
        assert_eq!(lines(&mut Failures::default(), 6_010, 2), 10);
        let mut failures = Failures::default();
        assert!(failures.should_log(true) && !failures.should_log(true));
        (0..ATTEMPTS_PER_LINE).for_each(|_| assert!(!failures.should_log(false)));
        assert!(failures.should_log(true), "a failure after a good time is logged at once");
    }
}
