//! Connections: their limits, and what is served on them.

mod accept;
mod arriving;
mod at_end;
mod patient;
mod worded;
mod working;

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tower::ServiceExt;
use zk_mini::ServerState;

use crate::app::App;
use crate::error::ApiError;
use crate::guard;
use crate::places::ConnectionPlace;

pub(crate) use accept::accept;
use arriving::Arriving;
pub(crate) use arriving::unread;
pub(crate) use at_end::AtEnd;
use patient::Patient;
use worded::Worded;
use working::Working;

/// Maximum length of the head of a request, and of what is read ahead. The guard's own limits are narrower, and answered in
/// words.
const MAX_HEAD: usize = 128 << 10;

/// Maximum number of headers. The guard's own limit is narrower.
const MAX_HEADERS: usize = 200;

/// Time for the peer to close its side after the last answer. A connection that is closed with unread bytes is reset, and
/// the peer loses the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are read and dropped in that time.
const LINGER_BYTES: u64 = 4 << 20;

/// Headers of all answers that do not have them: nothing is to be kept, guessed at, or embedded in pages of others.
const ALWAYS: [(HeaderName, &str); 3] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Serves a connection until either side closes it, or the server stops.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    app: App,
    router: Router,
) {
    let Some(place) = app.shared.places.take() else { return };
    let (server, at_end) = (app.server.clone(), app.at_end.clone());
    tokio::select! {
        biased;
        // First: a request that comes too late for the place is not begun, so its client may send it again.
        () = place.given_away() => {}
        () = server.ended() => {}
        () = exchange(stream, app, router, &place) => {}
    }
    drop(place);
    drop(server);
    at_end.run().await;
}

/// Answers requests, and closes the connection so that the peer gets the last answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    app: App,
    router: Router,
    place: &Arc<ConnectionPlace>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(app.shared.settings.head_time);
    http.max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let stream =
        TokioIo::new(Worded::new(Patient::new(stream, app.shared.settings.write_time, Arc::clone(place))));
    let service = service_fn(|request| {
        let (app, router, place) = (app.clone(), router.clone(), Arc::clone(place));
        Box::pin(async move { Ok::<_, Infallible>(answer(request, app, router, place).await) })
    });
    let mut connection = http.serve_connection(stream, service);
    // An error means that the peer is gone, too slow, or does not speak HTTP, which hyper has answered.
    let _ = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let mut stream = connection.into_parts().io.into_inner();
    place.wait();
    let close = async {
        if stream.shutdown().await.is_ok() {
            let mut rest = tokio::io::AsyncReadExt::take(stream, LINGER_BYTES);
            let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
        }
    };
    let _ = tokio::time::timeout(LINGER, close).await;
}

/// Returns true if the server of the port was stopped: its connections end with the answer that is due.
fn is_stopped(app: &App) -> bool {
    let of_port = app.server.shown_server().and_then(|number| app.server.server(number).ok());
    of_port.is_some_and(|server| server.info().state == ServerState::Stopped)
}

/// Answers a request: nobody but this function comes between hyper and the routes.
async fn answer(
    request: Request<Incoming>,
    app: App,
    router: Router,
    place: Arc<ConnectionPlace>,
) -> Response {
    place.work();
    app.shared.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let mut answered = match admit(request, &app, &place) {
        Ok(request) => {
            let panicked = || ApiError::internal("a defect of the server: its log has the details");
            or_panic(router.oneshot(request)).await.unwrap_or_else(|| guard::answer(panicked(), &path))
        }
        Err(refusal) => *refusal,
    };
    let headers = answered.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if app.at_end.is_set() || place.is_turned_away() || is_stopped(&app) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answered.map(|body| Body::new(Working::new(body, place)))
}

/// Gives the request its context and limits, if it may ask.
fn admit(
    request: Request<Incoming>,
    app: &App,
    place: &ConnectionPlace,
) -> Result<Request<Body>, Box<Response>> {
    let (mut parts, body) = request.into_parts();
    if place.is_turned_away() {
        let message = "there are too many HTTP connections, and all are busy; close some, or raise the limit \
                       (Settings::max_connections)";
        let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message);
        return Err(Box::new(guard::answer(error, parts.uri.path())));
    }
    guard::check(&parts, app)?;
    let settings = &app.shared.settings;
    parts.extensions.insert(app.clone());
    let body = Arriving::new(body, settings.body_time);
    if bounds_its_body(parts.uri.path()) {
        return Ok(Request::from_parts(parts, Body::new(body)));
    }
    let max = settings.max_body;
    let announced =
        parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(len) = announced.filter(|&len| len > max as u64) {
        let message = format!("the body has {len} bytes; {max} are allowed");
        let error = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message);
        return Err(Box::new(guard::answer(error, parts.uri.path())));
    }
    Ok(Request::from_parts(parts, arriving::bounded(body, max)))
}

/// Returns true for a path that takes data, whose limit depends on what they are.
fn bounds_its_body(path: &str) -> bool {
    // The command of the AdminServer has a short name, too.
    let is_snapshot = matches!(path.rsplit('/').next(), Some("restore" | "rest"));
    is_snapshot || path == "/v1/nodes" || path.starts_with("/v1/nodes/")
}

/// Awaits an answer. Returns `None` if it panics: the log has the message, other requests go on.
async fn or_panic(answer: impl Future<Output = Result<Response, Infallible>>) -> Option<Response> {
    let mut answer = pin!(answer);
    poll_fn(|cx| {
        // A handler shares nothing with others but the server, which a panic outside of it leaves whole.
        match catch_unwind(AssertUnwindSafe(|| Pin::as_mut(&mut answer).poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(response))) => Poll::Ready(Some(response)),
            Ok(Poll::Ready(Err(never))) => match never {},
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use zk_mini::ZkMini;

    use super::*;
    use crate::face::Face;
    use crate::settings::Settings;
    use crate::shared::Shared;

    async fn panic() -> String {
        panic!("a defect")
    }

    fn app(zk: &ZkMini, settings: Settings) -> App {
        App {
            server: (**zk).clone(),
            shared: Arc::new(Shared::new(settings)),
            face: Arc::new(Face::Full),
            peer: None,
            listener: None,
            at_end: AtEnd::default(),
        }
    }

    #[tokio::test]
    async fn a_client_that_is_slow_to_take_its_answer_keeps_its_place() {
        let zk = ZkMini::builder().in_memory().start().await.unwrap();
        let app = app(&zk, Settings::default().max_connections(1));
        let long = "long ".repeat(100_000);
        let body = long.clone();
        let router = Router::new().route("/long", get(|| async { body }));
        let (mut slow, far) = tokio::io::duplex(64);
        tokio::spawn(serve(far, app.clone(), router.clone()));
        let request = b"GET /long HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        slow.write_all(request).await.unwrap();
        let mut first = [0; 200];
        slow.read_exact(&mut first).await.unwrap();

        let (mut next, far) = tokio::io::duplex(4096);
        tokio::spawn(serve(far, app, router));
        next.write_all(request).await.unwrap();
        let mut refused = String::new();
        next.read_to_string(&mut refused).await.unwrap();
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");

        let mut rest = String::new();
        slow.read_to_string(&mut rest).await.unwrap();
        assert!(rest.ends_with(&long[1_000..]));
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_the_connection_goes_on() {
        let zk = ZkMini::builder().in_memory().start().await.unwrap();
        let app = app(&zk, Settings::default());
        let (mut near, far) = tokio::io::duplex(4096);
        let router = Router::new().route("/v1/panic", get(panic)).route("/well", get(|| async { "well" }));
        tokio::spawn(serve(far, app, router));
        near.write_all(b"GET /v1/panic HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        near.write_all(b"GET /well HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answers = String::new();
        let read = near.read_to_string(&mut answers);
        tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
        assert!(
            answers.starts_with("HTTP/1.1 500 ") && answers.contains("{\"error\":{\"code\":\"internal\""),
            "{answers}"
        );
        assert!(answers.ends_with("well"), "{answers}");
    }
}
