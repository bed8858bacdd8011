//! The TLS handshake: bounded in time, and in number for each peer, so that those who do not finish it hold up nobody else. All
//! together are bounded by the limit on connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use common::tls::{RPC, RefusedClient, ServerTls, identity, refused_client};
use common::{Identity, PeerKey};
use rpc_wire::Status;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::peers::Seat;
use crate::session::End;

/// Maximum number of handshakes of one peer at a time; more wait for their turn.
const HANDSHAKES_OF_PEER: usize = 64;

/// Handshakes of a server.
#[derive(Debug)]
pub(crate) struct Handshakes {
    tls: ServerTls,
    peers: Mutex<HashMap<PeerKey, Arc<Semaphore>>>,
}

impl Handshakes {
    pub(crate) fn new(tls: ServerTls) -> Self {
        Self { tls, peers: Mutex::default() }
    }

    /// Runs a future when it is its turn.
    async fn in_turn<T>(&self, peer: SocketAddr, handshake: impl Future<Output = T>) -> T {
        let key = PeerKey::new(peer.ip());
        let turns = Arc::clone(
            self.peers().entry(key).or_insert_with(|| Arc::new(Semaphore::new(HANDSHAKES_OF_PEER))),
        );
        let leaving = Leaving { handshakes: self, key, turns };
        // A semaphore that is never closed.
        let _turn = leaving.turns.acquire().await;
        handshake.await
    }

    fn peers(&self) -> std::sync::MutexGuard<'_, HashMap<PeerKey, Arc<Semaphore>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handshake of a peer. Dropping the last one forgets the peer.
struct Leaving<'a> {
    handshakes: &'a Handshakes,
    key: PeerKey,
    turns: Arc<Semaphore>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut peers = self.handshakes.peers();
        // One is the table's.
        if Arc::strong_count(&self.turns) <= 2 {
            peers.remove(&self.key);
        }
    }
}

/// Performs the TLS handshake of an accepted connection, before `until`. Returns it with the identity of the client, if that
/// has a certificate.
///
/// # Errors
/// The handshake did not succeed, or the connection has to close.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    handshakes: &Handshakes,
    stream: S,
    peer: SocketAddr,
    seat: &Seat,
    until: Option<Instant>,
) -> Result<(TlsStream<S>, Option<Identity>), End> {
    let accept = async { TlsAcceptor::from(handshakes.tls.config(Some(RPC))).accept(stream).await };
    let in_time = async {
        match until {
            Some(until) => timeout_at(until, handshakes.in_turn(peer, accept)).await,
            None => Ok(handshakes.in_turn(peer, accept).await),
        }
    };
    let shaken = tokio::select! {
        biased;
        end = told_to_end(seat) => return Err(end),
        shaken = in_time => shaken,
    };
    let stream = shaken
        .map_err(|_| End::Refused(Status::deadline_exceeded("no TLS handshake in time")))?
        .map_err(|error| failed(&error))?;
    let certificates = stream.get_ref().1.peer_certificates();
    let identity = certificates.and_then(<[_]>::first).map(identity);
    Ok((stream, identity))
}

/// Waits until the connection has to close, for others or for a drain.
async fn told_to_end(seat: &Seat) -> End {
    loop {
        let woken = seat.woken();
        if seat.evicted() {
            return End::Evicted;
        }
        if seat.is_draining() {
            return End::Drained;
        }
        woken.await;
    }
}

/// Says in words why a handshake failed.
fn failed(error: &io::Error) -> End {
    match refused_client(error) {
        None => End::Lost,
        Some(RefusedClient::Unauthenticated(why)) => End::Refused(Status::unauthenticated(why)),
        Some(RefusedClient::NoHandshake(why)) => End::Refused(Status::invalid_argument(why)),
    }
}
