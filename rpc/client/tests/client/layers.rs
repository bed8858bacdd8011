//! Layers of tower, unchanged, on both sides.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use futures_util::future::Either;
use futures_util::stream;
use rpc_client::layer::{MethodKind, Request as ClientRequest};
use rpc_client::{Client, ClientBuilder, Code, Error};
use rpc_server::layer::{Request, Response};
use rpc_server::{Context, Messages, Server, Service, Status};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::util::MapRequestLayer;
use tower::{BoxError, Service as TowerService};

use crate::servers::PATIENCE;

/// Returns a service whose `wait` ends with a permit.
fn service(permits: Arc<Semaphore>) -> Service {
    let wait = move |(): (), _: Context| {
        let permits = Arc::clone(&permits);
        async move {
            permits.acquire().await.unwrap().forget();
            Ok::<_, Status>("done")
        }
    };
    let who = |(): (), context: Context| async move {
        let token = context.metadata().get("token").map(str::to_owned);
        let user = context.extension::<User>().map(|user| user.0.clone());
        Ok::<_, Status>((token, user))
    };
    let count = |to: u32, _: Context| async move { Ok::<_, Status>(stream::iter((1..=to).map(Ok))) };
    let tokens = |mut names: Messages<String>, context: Context| async move {
        let token = context.metadata().get("token").map(str::to_owned);
        let mut seen = Vec::new();
        while let Some(name) = names.next().await {
            seen.push(name?);
        }
        Ok::<_, Status>((token, seen))
    };
    let echo = |names: Messages<String>, context: Context| async move {
        context.metadata().get("token").map(|_| names).ok_or_else(|| Status::unauthenticated("no token"))
    };
    let service = Service::builder("test").method("wait", wait).method("who", who);
    service.server_stream("count", count).client_stream("tokens", tokens).bidi_stream("echo", echo).build()
}

/// Returns no permits.
fn permits() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

struct User(String);

async fn serve(service: Service) -> ClientBuilder {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(Server::new(service).serve(listener, std::future::pending()));
    Client::direct("test", [addr]).max_retries(0).wait_for_instance(PATIENCE)
}

/// Returns the errors of two calls, one of which waited for too long and kept the other out.
fn late_and_shed((one, other): (Result<String, Error>, Result<String, Error>)) -> (Error, Error) {
    let (one, other) = (one.unwrap_err(), other.unwrap_err());
    if one.code() == Code::RESOURCE_EXHAUSTED { (other, one) } else { (one, other) }
}

/// Layer that lets nobody in but those with a token.
#[derive(Clone)]
struct Gate<S>(S);

impl<S> TowerService<Request> for Gate<S>
where
    S: TowerService<Request, Response = Response, Error = Status>,
{
    type Response = Response;
    type Error = BoxError;
    type Future = Either<
        futures_util::future::MapErr<S::Future, fn(Status) -> BoxError>,
        Ready<Result<Response, BoxError>>,
    >;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match request.context().metadata().get("token") {
            Some("boom") => Either::Right(ready(Err("the database of users is at 10.1.2.3".into()))),
            Some(token) => {
                request.context().insert_extension(User(format!("user of {token}")));
                Either::Left(futures_util::TryFutureExt::map_err(self.0.call(request), Into::into))
            }
            None => Either::Right(ready(Err(Status::unauthenticated("no token").into()))),
        }
    }
}

#[tokio::test]
async fn a_layer_refuses_a_call_before_its_handler_and_hands_over_what_it_knows() {
    let gate = tower::layer::layer_fn(Gate);
    let client = serve(service(permits()).layer(gate)).await.connect().await.unwrap();
    let who = |token: &'static str| {
        client.call::<_, (Option<String>, Option<String>)>("who", &()).metadata("token", token)
    };
    let (token, user) = who("a").await.unwrap();
    assert_eq!((token.as_deref(), user.as_deref()), (Some("a"), Some("user of a")));

    let refused = client.call::<_, ()>("who", &()).await.unwrap_err();
    assert_eq!((refused.code(), refused.may_have_been_applied()), (Code::UNAUTHENTICATED, false));
    assert!(refused.to_string().contains("no token"), "{refused}");

    let failed = who("boom").await.unwrap_err();
    assert_eq!((failed.code(), failed.may_have_been_applied()), (Code::INTERNAL, false));
    assert!(!failed.to_string().contains("10.1.2.3"), "{failed}");
}

#[tokio::test]
async fn towers_timeout_and_load_shed_on_a_server_have_their_codes() {
    let permits = permits();
    let limited = service(Arc::clone(&permits)).layer(GlobalConcurrencyLimitLayer::new(1));
    let limited = limited.layer(LoadShedLayer::new()).layer(TimeoutLayer::new(Duration::from_secs(2)));
    let client = serve(limited).await.connect().await.unwrap();
    let wait = || client.call::<_, String>("wait", &()).into_future();
    let (late, shed) = late_and_shed(tokio::join!(wait(), wait()));
    assert_eq!((late.code(), late.may_have_been_applied()), (Code::DEADLINE_EXCEEDED, true), "{late}");
    assert_eq!((shed.code(), shed.may_have_been_applied()), (Code::RESOURCE_EXHAUSTED, false), "{shed}");
    permits.add_permits(1);
    assert_eq!(wait().await.unwrap(), "done");
}

#[tokio::test]
async fn a_stream_passes_through_layers() {
    let layered = service(permits()).layer(TimeoutLayer::new(PATIENCE)).layer(tower::layer::layer_fn(Gate));
    let client = serve(layered).await.connect().await.unwrap();
    let opened = client.server_stream::<_, u32>("count", &3).metadata("token", "a").await;
    let mut messages = opened.unwrap();
    let mut seen = Vec::new();
    while let Some(message) = messages.next().await {
        seen.push(message.unwrap());
    }
    assert_eq!(seen, [1, 2, 3]);
    let mut refused = client.server_stream::<_, u32>("count", &3).await.unwrap();
    let error = refused.next().await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.may_have_been_applied()), (Code::UNAUTHENTICATED, false), "{error}");
}

#[tokio::test]
async fn towers_layers_work_around_the_calls_of_a_client() {
    let permits = permits();
    let token = |mut request: ClientRequest| {
        request.metadata.insert("token", "from a layer").unwrap();
        request
    };
    let (tell, mut told) = mpsc::unbounded_channel();
    let tell = move |request: ClientRequest| {
        tell.send(request.method.clone()).unwrap();
        request
    };
    let client = serve(service(Arc::clone(&permits))).await;
    let client = client
        .layer(MapRequestLayer::new(token))
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .layer(LoadShedLayer::new())
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .layer(MapRequestLayer::new(tell))
        .connect()
        .await
        .unwrap();
    let reply = client.call::<_, (Option<String>, Option<String>)>("who", &()).with_reply().await.unwrap();
    assert_eq!(reply.value.0.as_deref(), Some("from a layer"));
    assert_eq!(told.recv().await.as_deref(), Some("who"));

    let wait = || client.call::<_, String>("wait", &()).into_future();
    let (late, shed) = late_and_shed(tokio::join!(wait(), wait()));
    assert!(matches!(late, Error::Deadline { sent: true, .. }), "{late}");
    assert_eq!((shed.code(), shed.may_have_been_applied()), (Code::RESOURCE_EXHAUSTED, false), "{shed}");
    let stats = client.stats();
    assert_eq!((stats.ok, stats.failed), (1, 2));
}

#[tokio::test]
async fn layers_of_a_client_see_the_opening_of_each_kind_of_stream() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let token = move |mut request: ClientRequest| {
        tell.send((request.method.clone(), request.kind, request.payload.clone(), request.deadline)).unwrap();
        request.metadata.insert("token", "from a layer").unwrap();
        request
    };
    let gate = tower::layer::layer_fn(Gate);
    let client = serve(service(permits()).layer(gate)).await.layer(MapRequestLayer::new(token));
    let client = client.connect().await.unwrap();

    let mut counted = client.server_stream::<_, u32>("count", &2).await.unwrap();
    assert_eq!(counted.next().await.unwrap().unwrap(), 1);
    let mut upload = client.client_stream("tokens").deadline(PATIENCE).await.unwrap();
    upload.send("one").await.unwrap();
    let seen: (Option<String>, Vec<String>) = upload.finish().await.unwrap();
    assert_eq!(seen, (Some("from a layer".to_owned()), vec!["one".to_owned()]));
    let (mut sender, mut echoed) = client.bidi_stream::<str, String>("echo").await.unwrap();
    sender.send("two").await.unwrap();
    assert_eq!(echoed.next().await.unwrap().unwrap(), "two");

    let count = ("count".to_owned(), MethodKind::ServerStream, "2".into(), Duration::MAX);
    assert_eq!(told.recv().await, Some(count));
    let tokens = ("tokens".to_owned(), MethodKind::ClientStream, "".into(), PATIENCE);
    assert_eq!(told.recv().await, Some(tokens));
    let echo = ("echo".to_owned(), MethodKind::BidiStream, "".into(), Duration::MAX);
    assert_eq!(told.recv().await, Some(echo));
}

#[tokio::test]
async fn a_layer_of_a_client_refuses_a_stream_before_anything_is_sent() {
    let closed = Arc::new(Semaphore::new(0));
    let client = serve(service(permits())).await;
    let client = client.layer(GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&closed)));
    let client = client.layer(LoadShedLayer::new()).connect().await.unwrap();
    let refused = client.server_stream::<_, u32>("count", &3).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.may_have_been_applied()),
        (Code::RESOURCE_EXHAUSTED, false),
        "{refused}"
    );
    assert_eq!(client.stats().streams, 0);
    // A stream that is open has no place of the limit any more.
    closed.add_permits(1);
    let mut first = client.server_stream::<_, u32>("count", &1).await.unwrap();
    let mut second = client.server_stream::<_, u32>("count", &2).await.unwrap();
    assert_eq!(first.next().await.unwrap().unwrap(), 1);
    assert_eq!(second.next().await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_a_client_shortens_the_life_of_a_stream() {
    let server = Server::new(service(permits())).in_memory();
    let client = Client::in_memory("test", move || server.connect());
    let hurry = |mut request: ClientRequest| {
        request.deadline = request.deadline.min(Duration::from_millis(50));
        request.metadata.insert("token", "any").unwrap();
        request
    };
    let client = client.layer(MapRequestLayer::new(hurry)).connect().await.unwrap();
    let begun = Instant::now();
    let (_sender, mut echoed) = client.bidi_stream::<str, String>("echo").await.unwrap();
    let late = echoed.next().await.unwrap().unwrap_err();
    assert!(matches!(late, Error::Deadline { sent: true, .. }), "{late}");
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_layer_holds_up_ends_with_its_deadline() {
    let server = Server::new(service(permits())).in_memory();
    let client = Client::in_memory("test", move || server.connect());
    let client = client.layer(GlobalConcurrencyLimitLayer::new(1)).connect().await.unwrap();
    let wait = |time| client.call::<_, String>("wait", &()).deadline(time).into_future();
    let begun = Instant::now();
    let (time, longer) = (Duration::from_millis(100), Duration::from_millis(150));
    // The first has the place of all, the second never gets it, and the third has what is left of its time.
    let (first, second, third) = tokio::join!(wait(time), wait(time / 2), wait(longer));
    assert!(matches!(first, Err(Error::Deadline { sent: true, .. })), "{first:?}");
    assert!(matches!(second, Err(Error::Deadline { sent: false, .. })), "{second:?}");
    assert!(matches!(third, Err(Error::Deadline { sent: true, .. })), "{third:?}");
    assert!(begun.elapsed() < time * 2, "{:?}", begun.elapsed());
}
