//! The page over HTTP: its files, the stage as events, and requests to it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use super::guard;

/// The browser runs nothing but the page's own files, and asks nobody but this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/// Look of zk-mini's page.
const LOOK: &str = include_str!("../../../../zk-mini/http/src/page/page.css");
const ICON: &str = include_str!("../../../../zk-mini/http/src/page/icon.svg");

/// Wish of a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wish {
    /// SIGKILL for the worker with this process id.
    KillWorker(u32),
    AddServer,
    /// SIGTERM for the server with this number.
    StopServer(u32),
}

/// Wish, and the way back for its answer.
#[derive(Debug)]
pub(super) struct WishRequest {
    pub(super) wish: Wish,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Answer to a wish; a refusal has the reason.
pub(super) type Answer = Result<(), (StatusCode, String)>;

/// Page of a stage.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) addr: SocketAddr,
    pub(super) requests: mpsc::Sender<WishRequest>,
    /// The stage as JSON.
    pub(super) shown: watch::Receiver<Arc<str>>,
}

impl Page {
    /// Serves the page for ever.
    pub(super) async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let page = Arc::new(self);
        let router = Router::new()
            .route("/", get(|| async { file("text/html", include_str!("page/index.html")) }))
            .route("/look.css", get(|| async { file("text/css", LOOK) }))
            .route("/demo.css", get(|| async { file("text/css", include_str!("page/demo.css")) }))
            .route("/demo.js", get(|| async { file("text/javascript", include_str!("page/demo.js")) }))
            .route("/icon.svg", get(|| async { file("image/svg+xml", ICON) }))
            .route("/stage", get(stage))
            .route("/events", get(events))
            .route("/workers/{pid}/kill", post(kill_worker))
            .route("/servers", post(add_server))
            .route("/servers/{number}/stop", post(stop_server))
            .layer(from_fn_with_state(Arc::clone(&page), guarded))
            .with_state(page);
        axum::serve(listener, router).await
    }

    async fn ask(&self, wish: Wish) -> Response {
        let (answer, answered) = oneshot::channel();
        let is_sent = self.requests.send(WishRequest { wish, answer }).await.is_ok();
        match answered.await {
            Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
            Ok(Err((status, why))) => (status, why + "\n").into_response(),
            Err(_) => {
                let why = if is_sent {
                    "the demonstration has ended meanwhile\n"
                } else {
                    "the demonstration ends\n"
                };
                (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
            }
        }
    }
}

async fn guarded(State(page): State<Arc<Page>>, request: Request, next: Next) -> Response {
    let mut response = match guard::check(request.method(), request.headers(), page.addr) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => (status, why + "\n").into_response(),
    };
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text).into_response()
}

async fn stage(State(page): State<Arc<Page>>) -> Response {
    let shown = page.shown.borrow().to_string();
    ([(CONTENT_TYPE, "application/json")], shown).into_response()
}

/// The stage now, and again after each change; a reader that is slow misses those between.
async fn events(State(page): State<Arc<Page>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut shown = page.shown.clone();
    shown.mark_changed();
    let stream = unfold(shown, |mut shown| async {
        shown.changed().await.ok()?;
        let event = Event::default().data(&**shown.borrow_and_update());
        Some((Ok(event), shown))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

async fn kill_worker(State(page): State<Arc<Page>>, Path(pid): Path<u32>) -> Response {
    page.ask(Wish::KillWorker(pid)).await
}

async fn add_server(State(page): State<Arc<Page>>) -> Response {
    page.ask(Wish::AddServer).await
}

async fn stop_server(State(page): State<Arc<Page>>, Path(number): Path<u32>) -> Response {
    page.ask(Wish::StopServer(number)).await
}
