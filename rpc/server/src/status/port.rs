//! The listener of a status port, with its clients.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rpc_metrics::http::{Request, parse};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::select;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::StatusPages;

/// Maximum number of clients at a time; further ones wait.
const MAX_CLIENTS: usize = 16;

/// Time that a client has, from its connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause after a failure of `accept`.
const REST: Duration = Duration::from_millis(50);

/// A status port. Dropping it closes the port.
pub(crate) struct StatusPort(AbortHandle);

impl StatusPort {
    /// Answers on the listener from now on.
    pub(crate) fn open(listener: TcpListener, pages: Arc<StatusPages>) -> Self {
        Self(tokio::spawn(serve(listener, pages)).abort_handle())
    }
}

impl Drop for StatusPort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(listener: TcpListener, pages: Arc<StatusPages>) -> Infallible {
    let mut clients = JoinSet::new();
    loop {
        select! {
            biased;
            Some(_) = clients.join_next() => {}
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                Ok((stream, _)) => {
                    let pages = Arc::clone(&pages);
                    // Whoever leaves in the middle, or does not read, has no answer.
                    clients.spawn(async move { drop(timeout(PATIENCE, exchange(stream, &pages)).await) });
                }
                Err(_) => sleep(REST).await,
            },
        }
    }
}

/// Reads one request and answers it.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, pages: &StatusPages) -> io::Result<()> {
    let mut input = Vec::new();
    let answer = loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        match parse(&input) {
            Request::Incomplete => {}
            Request::Get { path, head } => break pages.answer(path).encode(head),
            Request::Bad(answer) => break answer.encode(false),
        }
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await
}
