//! The life of a serving server: it accepts connections, and drains.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use common::TokioClock;
use common::log::quietly;
use nix::libc::{EMFILE, ENFILE};
use nix::sys::resource::{Resource, getrlimit};
#[cfg(feature = "tls")]
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Drained, Server};
use crate::acceptor::{Accept, go_away};
use crate::chance::seed_of;
use crate::clock;
use crate::connection_task::{Accepted, ConnectionTask};
use crate::log::{PeerLines, say_ended, say_refused};
use crate::peers::Peers;
#[cfg(feature = "tls")]
use crate::peers::Seat;
use crate::service::tabulate;
#[cfg(feature = "tls")]
use crate::session::End;
use crate::session::SessionConfig;
use crate::shared::Shared;
use crate::status::{StatusPages, StatusPort};
#[cfg(feature = "tls")]
use crate::tls::{Handshakes, shake_hands};

/// Record of TLS with the fatal alert `internal_error`.
const TLS_ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// Pause after a failure of `accept` that concerns the whole process.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Server {
    /// Accepts and serves connections until `shutdown` completes, and drains.
    pub(super) async fn serve_accepted<A: Accept>(
        mut self,
        mut acceptor: A,
        shutdown: impl Future<Output = ()>,
    ) -> Drained {
        #[cfg(feature = "tls")]
        let handshakes = self.tls.take().map(|tls| Arc::new(Handshakes::new(tls)));
        #[cfg(feature = "tls")]
        let in_tls = handshakes.is_some();
        #[cfg(not(feature = "tls"))]
        let in_tls = false;
        let (methods, handlers) = tabulate(self.all_services());
        let Self {
            health,
            instance,
            limits,
            shared_listener,
            expose_internal_errors,
            retirement,
            open,
            metrics,
            status,
            parent_hook,
            ..
        } = self;
        let clock = TokioClock::start();
        let peers = Arc::new(Peers::new(&limits, descriptors()).with_seed(seed_of(&instance)));
        let lines = Arc::new(PeerLines::new(clock));
        let quota = retirement.as_ref().map(|retirement| Arc::clone(&retirement.quota));
        metrics.set_methods(methods.names());
        let session = Arc::new(SessionConfig { instance, limits, methods, quota, metrics });
        let turns = Arc::new(Semaphore::new(turns()));
        let shared =
            Shared { session, handlers, expose_internal_errors, retirement, parent_hook, turns, clock };
        let shared = Arc::new(shared);
        let pages = StatusPages::new(Arc::clone(&shared), health.clone());
        let _status_port = status.map(|listener| StatusPort::open(listener, Arc::new(pages)));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            open.send_replace(connections.len());
            let reluctant = shared_listener && !connections.is_empty();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = acceptor.accept(reluctant) => match accepted {
                    Ok((stream, peer)) => match peers.seat(peer.ip(), clock.now()) {
                        Ok(seat) => {
                            let (shared, lines) = (Arc::clone(&shared), Arc::clone(&lines));
                            let client = Accepted { peer, identity: None, at: clock::now() };
                            #[cfg(feature = "tls")]
                            if let Some(handshakes) = handshakes.clone() {
                                let serving = serve_in_tls(handshakes, shared, seat, stream, client);
                                connections.spawn(async move { say_ended(serving.await, peer, &lines) });
                                continue;
                            }
                            let mut connection = ConnectionTask::new(shared, seat, stream, client);
                            // The connection is lent to `run`: a future holds what it passes by value twice.
                            connections.spawn(async move { say_ended(connection.run().await, peer, &lines) });
                        }
                        Err(full) => {
                            shared.session.metrics.turned_away.increment();
                            A::refuse(stream, &refusal(in_tls, &full.to_string()));
                            say_refused(peer, &full.to_string(), &lines);
                        }
                    },
                    Err(error) if is_out_of_descriptors(&error) && !peers.make_room(clock.now()) => {
                        let why = "no descriptors left on this server";
                        match acceptor.turn_away(&refusal(in_tls, why)) {
                            Some(peer) => {
                                shared.session.metrics.turned_away.increment();
                                say_refused(peer, why, &lines);
                            }
                            None => pause_after(&error, &lines).await,
                        }
                    }
                    Err(error) => pause_after(&error, &lines).await,
                },
            }
        }
        drop(acceptor);
        health.drain().await;
        peers.drain();
        let all = async {
            while connections.join_next().await.is_some() {
                open.send_replace(connections.len());
            }
        };
        if timeout(shared.session.limits.drain_timeout, all).await.is_err() {
            let connections = connections.len();
            quietly(|| tracing::warn!(connections, "calls did not end in time and were cut"));
        }
        lines.finish();
        let cut = connections.len();
        drop(connections);
        open.send_replace(0);
        Drained { cut }
    }
}

/// Serves a connection after its handshake.
#[cfg(feature = "tls")]
async fn serve_in_tls<S: AsyncRead + AsyncWrite + Unpin>(
    handshakes: Arc<Handshakes>,
    shared: Arc<Shared>,
    seat: Seat,
    stream: S,
    client: Accepted,
) -> End {
    let until = client.at.checked_add(shared.session.limits.hello_timeout);
    let (stream, identity) = match shake_hands(&handshakes, stream, client.peer, &seat, until).await {
        Ok(shaken) => shaken,
        Err(end) => return end,
    };
    drop(handshakes);
    let client = Accepted { identity: identity.map(Box::new), ..client };
    let mut connection = ConnectionTask::new(shared, seat, stream, client);
    connection.run().await
}

/// Returns the bytes that refuse a connection: a GOAWAY with the reason. A client that begins with a handshake of TLS would take
/// that for a server without TLS, and gets the alert for a server that cannot go on.
fn refusal(in_tls: bool, why: &str) -> Vec<u8> {
    if in_tls { TLS_ALERT.to_vec() } else { go_away(why) }
}

/// Pauses after a failure of `accept`, unless it concerns one connection only.
async fn pause_after(error: &io::Error, lines: &PeerLines) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        lines.say(None, || tracing::warn!(%error, "cannot accept connections; trying again"));
        sleep(ACCEPT_PAUSE).await;
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// Returns the number of connections that may run long calls at the same time: one per single-threaded runtime, so that
/// all connections read between two turns. With several threads the others read meanwhile, and a handler may release its
/// thread by `block_in_place`.
fn turns() -> usize {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => 1,
        _ => Semaphore::MAX_PERMITS,
    }
}

/// Returns the number of descriptors that this process may have.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
