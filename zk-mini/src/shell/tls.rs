//! TLS of connections: the handshake comes before the first byte of any other protocol, and gives the client's identity.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;

use common::tls::{RefusedClient, refused_client, subject};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::core::Input;
use crate::shell::engine::{ConnectionGuard, Engine};
use crate::shell::http::HttpStream;
use crate::shell::outbox::Close;
use crate::shell::remote::Remote;
use crate::shell::turn_log::Line;

/// Performs the handshake, and tells the core who the client is. `None` if it fails, or if the server closes the connection
/// meanwhile: one that takes too long has not asked for a session in time. Until then it counts as any other connection.
pub(crate) async fn shake_hands(
    stream: HttpStream,
    guard: &ConnectionGuard,
) -> Option<TlsStream<HttpStream>> {
    let setup = guard.engine.setup.tls.as_ref()?;
    let mut handshake = pin!(TlsAcceptor::from(setup.tls.config(None)).accept(stream));
    let mut waiters = Vec::new();
    let shaken = poll_fn(|cx| {
        loop {
            if guard.outbox.before_reading(&mut waiters).1 != Close::No {
                return Poll::Ready(None);
            }
            if let Poll::Ready(shaken) = handshake.as_mut().poll(cx) {
                return Poll::Ready(Some(shaken));
            }
            // All that has arrived is handled.
            waiters.clear();
            if guard.outbox.wait(cx.waker(), true, Close::No, None) {
                return Poll::Pending;
            }
        }
    });
    match shaken.await? {
        Ok(stream) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            if let Some(subject) = certificate.and_then(subject) {
                let conn = guard.id;
                guard.engine.turn(|state, turn| {
                    state.handle(Input::Certified { conn, subject }, turn);
                });
            }
            Some(stream)
        }
        Err(error) => {
            guard.engine.log_refused(guard, &error);
            None
        }
    }
}

impl Engine {
    /// Logs why a handshake failed; nothing if the connection was lost.
    fn log_refused(&self, guard: &ConnectionGuard, error: &io::Error) {
        let Some(RefusedClient::Unauthenticated(why) | RefusedClient::NoHandshake(why)) =
            refused_client(error)
        else {
            return;
        };
        let line = Line::NoTls { remote: Remote(guard.remote), conn: guard.id, why };
        self.turn(|state, turn| state.log.push(turn.now.mono, line));
    }
}
