//! Connections: their limits, and what is served on them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use zk_mini::Handle;

use crate::app::App;

/// Time for the head of a request to arrive.
const HEAD: Duration = Duration::from_secs(10);

/// Maximum length of the head of a request.
const MAX_HEAD: usize = 64 << 10;

/// Time between two attempts to accept, after one has failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves a connection until either side closes it, or the server stops.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    app: App,
    router: Router,
) {
    let server = app.server.clone();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(app.clone());
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HEAD);
    tokio::select! {
        // The peer is gone, or does not speak HTTP: nobody is left to be told.
        _ = http.serve_connection(TokioIo::new(stream), service) => {}
        () = server.ended() => {}
    }
}

/// Accepts connections until the server stops, and gives each to `serve`.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    server: Handle,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Without it a small answer may wait for the acknowledgement of the one before.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream, peer));
                }
                // Usually too many open files, which takes time to change.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = server.ended() => {}
    }
}
