//! The handshake: bounded in time, and in number for each peer, so that those who do not finish it hold up nobody else. All
//! together are bounded by the limit on connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use common::tls::identity;
use common::{Identity, PeerKey};
use rpc_wire::Status;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::peers::Seat;
use crate::session::End;

/// Maximum number of handshakes of one peer at a time; more wait for their turn.
const HANDSHAKES_OF_PEER: usize = 64;

/// Handshakes of a server.
#[derive(Debug)]
pub(crate) struct Handshakes {
    tls: Tls,
    peers: Mutex<HashMap<PeerKey, Arc<Semaphore>>>,
}

impl Handshakes {
    pub(crate) fn new(tls: Tls) -> Self {
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
    let accept = async { TlsAcceptor::from(handshakes.tls.current()).accept(stream).await };
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
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return End::Lost;
    };
    let of_client = |why: &str| Status::unauthenticated(format!("the client's certificate {why}"));
    End::Refused(match tls {
        Error::NoCertificatesPresented => Status::unauthenticated("the client has no certificate"),
        Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => of_client("has expired"),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                of_client("is not valid yet")
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                of_client("was issued by none of the authorities in client_ca")
            }
            other => of_client(&format!("is refused: {other}")),
        },
        Error::AlertReceived(alert) => Status::unauthenticated(match alert {
            AlertDescription::UnknownCA => {
                "the client does not know the CA of this server's certificate".to_owned()
            }
            AlertDescription::CertificateExpired => {
                "the client says that this server's certificate has expired".to_owned()
            }
            alert => format!("the client refuses this server's certificate: {alert:?}"),
        }),
        // Port scans, and clients without TLS.
        other => Status::invalid_argument(format!("no TLS handshake of this protocol: {other}")),
    })
}
