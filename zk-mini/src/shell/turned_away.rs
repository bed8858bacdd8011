//! Connections that ZooKeeper's protocol has no place for: one too many for their address, or closed before they have
//! said anything. They may be HTTP, which is answered whatever the server does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use crate::shell::engine::Engine;
use crate::shell::http::{HttpConnection, HttpStream, Stream};
use crate::shell::opening::Opening;

/// Time for such a connection to send its first bytes.
const FIRST_BYTES: Duration = Duration::from_secs(2);

/// Maximum number of such connections, of all servers of the process, whose first bytes are awaited.
const MAX_AWAITED: usize = 64;

/// A place among the connections whose first bytes are awaited. Dropping it frees it.
struct AwaitedPlace;

static PLACES_TAKEN: AtomicUsize = AtomicUsize::new(0);

impl AwaitedPlace {
    /// Takes a place; `None` if there is none.
    fn take() -> Option<Self> {
        // Made first: it is given back if it is one too many.
        let place = Self;
        (PLACES_TAKEN.fetch_add(1, Ordering::Relaxed) < MAX_AWAITED).then_some(place)
    }
}

impl Drop for AwaitedPlace {
    fn drop(&mut self) {
        PLACES_TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a connection if it is HTTP, and if the server does not stop before that is known. `first` are the bytes that have
/// been read already.
///
/// # Errors
/// The stream, if it is not.
pub(crate) async fn serve_if_http<S: Stream>(
    engine: &Arc<Engine>,
    mut stream: S,
    mut first: BytesMut,
    (peer, listener): (Option<SocketAddr>, Option<SocketAddr>),
) -> Result<(), S> {
    if engine.setup.http.is_some()
        && let Some(_place) = AwaitedPlace::take()
    {
        let read = async {
            while first.len() < Opening::LEN && stream.read_buf(&mut first).await.is_ok_and(|read| read > 0) {
            }
        };
        tokio::select! {
            // One that is silent for longer is closed.
            _ = engine.runtime.timeout(FIRST_BYTES, read) => {}
            () = engine.ended() => return Err(stream),
        }
    }
    if engine.setup.http.is_none() || !first.first_chunk().is_some_and(Opening::is_http) {
        return Err(stream);
    }
    engine.hand_over(HttpConnection { stream: HttpStream::new(first, stream), peer, listener });
    Ok(())
}
