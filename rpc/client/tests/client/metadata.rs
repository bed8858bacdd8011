//! Metadata from the caller to the handler and back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc_client::{Client, Error, RetryAfter};
use rpc_server::{Context, Server, Service, ServiceBuilder, Status};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::servers::PATIENCE;

/// Starts a server with a service, and a client of it.
async fn client_of(service: ServiceBuilder) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let server = Server::new(service.build()).instance("me");
    tokio::spawn(server.serve(listener, std::future::pending()));
    Client::direct("test", [addr]).connect().await.unwrap()
}

#[tokio::test]
async fn metadata_reach_the_handler_and_come_back_beside_the_result() {
    // Two ends of a handler: at its first poll, and on a task of its own.
    let greet = |wait: bool, context: Context| async move {
        if wait {
            sleep(Duration::from_millis(1)).await;
        }
        let users = context.metadata().iter().filter(|(name, _)| *name == "user");
        context.set_reply_metadata("seen", users.count().to_string())?;
        Ok::<_, Status>(context.metadata().get("user").unwrap_or("nobody").to_owned())
    };
    let client = client_of(Service::builder("test").method("greet", greet)).await;
    for wait in [false, true, false] {
        let call = client.call::<_, String>("greet", &wait).metadata("user", "ann").metadata("user", [0xff]);
        let reply = call.with_reply().await.unwrap();
        assert_eq!((reply.value.as_str(), reply.metadata.get("seen")), ("ann", Some("2")));
        assert_eq!(reply.instance, "me");
        let without = client.call::<_, String>("greet", &wait).with_reply().await.unwrap();
        assert_eq!((without.value.as_str(), without.metadata.get("seen")), ("nobody", Some("0")));
    }
}

#[tokio::test]
async fn a_name_that_is_not_for_callers_is_an_error_of_the_argument() {
    let client = client_of(Service::builder("test")).await;
    for (name, reason) in
        [("User", "cannot have the name"), ("rpc.key", "not for callers"), ("tracestate", "not for")]
    {
        let error = client.call::<_, ()>("any", &()).metadata(name, "").await.unwrap_err();
        assert!(matches!(&error, Error::Argument { reason: why, .. } if why.contains(reason)), "{error}");
    }
}

#[tokio::test]
async fn a_handler_that_sets_metadata_without_bounds_gets_an_error_to_pass_on() {
    let flood = |(): (), context: Context| async move {
        loop {
            context.set_reply_metadata("x", [0; 1_000])?;
        }
        #[expect(unreachable_code, reason = "the type of the handler")]
        Ok::<_, Status>(())
    };
    let client = client_of(Service::builder("test").method("flood", flood)).await;
    let error = client.call::<_, ()>("flood", &()).await.unwrap_err();
    assert!(error.to_string().contains("65535"), "{error}");
}

#[tokio::test]
async fn details_of_a_failure_arrive() {
    let fail =
        |(): (), _: Context| async { Err::<(), _>(Status::aborted("later").with_details(&("retry", 5))) };
    let client = client_of(Service::builder("test").method("fail", fail)).await;
    let Err(Error::Status { status, .. }) = client.call::<_, ()>("fail", &()).await else {
        panic!("a status")
    };
    assert_eq!(status.details::<(String, u32)>(), Some(("retry".to_owned(), 5)));
}

/// Starts a server whose method `work` is refused once with a status, and returns a client of it.
async fn refusing_once(status: Status) -> Client {
    let refusal = Arc::new(Mutex::new(Some(status)));
    let work = move |(): (), _: Context| {
        let refusal = refusal.lock().unwrap().take();
        async move { refusal.map_or(Ok(7), Err) }
    };
    let server = Server::new(Service::builder("test").method("work", work).build()).in_memory();
    Client::in_memory("test", move || server.connect()).connect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_comes_again_when_the_server_wants_it() {
    let time = Duration::from_millis(700);
    for status in [Status::resource_exhausted("busy"), Status::unavailable("busy")] {
        let client = refusing_once(status.with_retry_after(time)).await;
        let begun = Instant::now();
        assert_eq!(client.call::<_, u32>("work", &()).idempotent().await.unwrap(), 7);
        assert!((time..2 * time).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_come_again_in_time_ends_at_once_and_says_when_it_could() {
    let time = Duration::from_secs(7);
    let client =
        refusing_once(Status::unavailable("busy").with_metadata("queue", "9").with_retry_after(time)).await;
    let begun = Instant::now();
    let call = client.call::<_, u32>("work", &()).idempotent().deadline(time / 2);
    let error = call.await.unwrap_err();
    assert!(begun.elapsed() < time, "{:?}", begun.elapsed());
    assert_eq!(error.metadata().and_then(|metadata| metadata.get("queue")), Some("9"));
    let Error::Status { status, .. } = error else { panic!("{error}") };
    assert_eq!(status.retry_after(), Some(RetryAfter::Time(time)));

    let client = refusing_once(Status::unavailable("broken").without_retry()).await;
    client.call::<_, u32>("work", &()).idempotent().await.unwrap_err();
    assert_eq!(client.stats().retried, 0);
}

#[tokio::test]
async fn work_that_a_handler_has_spawned_learns_that_its_call_is_over() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let spawn = move |hang: bool, context: Context| {
        let tell = tell.clone();
        async move {
            let early = context.cancelled();
            tokio::spawn(async move {
                early.await;
                // A context that asks only now.
                context.cancelled().await;
                tell.send(()).unwrap();
            });
            if hang {
                std::future::pending::<()>().await;
            }
            Ok::<_, Status>(())
        }
    };
    let client = client_of(Service::builder("test").method("spawn", spawn)).await;
    client.call::<_, ()>("spawn", &false).await.unwrap();
    timeout(PATIENCE, told.recv()).await.unwrap().unwrap();

    let late = client.call::<_, ()>("spawn", &true).deadline(Duration::from_millis(20)).await;
    assert!(matches!(late, Err(Error::Deadline { .. })), "{late:?}");
    timeout(PATIENCE, told.recv()).await.unwrap().unwrap();

    let gone = timeout(Duration::from_millis(20), client.call::<_, ()>("spawn", &true).into_future()).await;
    assert!(gone.is_err());
    timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
}
