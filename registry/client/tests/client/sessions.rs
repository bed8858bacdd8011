//! Sessions that lose their connection, expire and end, against zk-mini in memory.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::support::{Cable, client_of, server, soon, until};
use zk_client::{
    Acl, Builder, Client, CloseReason, CreateMode, Credentials, Error, ErrorCode, EventType, Expected,
    SessionEnd, SessionState, WatchLost, close_session_via,
};
use zk_mini::{On, Then, ZkMini};

async fn ephemeral(client: &Client, path: &str) {
    client.create(path, "", CreateMode::Ephemeral).await.unwrap();
}

#[tokio::test]
async fn a_session_survives_its_connection_with_nodes_and_watches() {
    let zk = server().await;
    let cable = Cable::new(&zk);
    let client = Client::builder().via(cable.clone()).connect().await.unwrap();
    let other = client_of(&zk).connect().await.unwrap();
    ephemeral(&client, "/mine").await;
    let (_, _, mut changed) = client.get_and_watch("/mine").await.unwrap();
    let (_, mut created) = client.exists_and_watch("/later").await.unwrap();
    let (_, _, mut untouched) = client.children_and_watch("/mine").await.unwrap();
    let id = client.credentials().unwrap().id;

    cable.unplug();
    until(&client, |state| *state == SessionState::Disconnected(id)).await;
    other.set("/mine", "changed while away", Expected::Any).await.unwrap();
    cable.plug();
    until(&client, |state| *state == SessionState::Connected(id)).await;
    assert_eq!(soon(changed.changed()).await.unwrap().event, EventType::NODE_DATA_CHANGED);

    ephemeral(&other, "/later").await;
    assert_eq!(soon(created.changed()).await.unwrap().event, EventType::NODE_CREATED);
    assert!(client.exists("/mine").await.unwrap().is_some());
    client.delete("/mine", Expected::Any).await.unwrap();
    assert_eq!(soon(untouched.changed()).await.unwrap().event, EventType::NODE_DELETED);
}

#[tokio::test]
async fn an_expired_session_is_followed_by_a_new_one() {
    let zk = server().await;
    let cable = Cable::new(&zk);
    let client = Client::builder().via(cable.clone()).connect().await.unwrap();
    ephemeral(&client, "/mine").await;
    let (_, _, mut watch) = client.get_and_watch("/mine").await.unwrap();
    let old = client.credentials().unwrap();

    cable.unplug();
    until(&client, |state| matches!(state, SessionState::Disconnected(_))).await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.get("/mine").await }
    });
    zk.advance(Duration::from_secs(60)).await;
    assert!(zk.get("/mine").is_none());
    cable.plug();

    let state =
        until(&client, |state| !matches!(state, SessionState::Disconnected(_) | SessionState::Connecting))
            .await;
    let new = client.credentials().unwrap();
    assert_eq!(state, SessionState::Connected(new.id));
    assert_ne!(new.id, old.id);
    assert_eq!(soon(watch.changed()).await, Err(WatchLost::SessionExpired));
    // The call may be made before or after the end of the old session: it fails either way.
    let error = soon(waiting).await.unwrap().unwrap_err();
    assert!(error.is_retryable() || error.code().is_some(), "{error}");
    ephemeral(&client, "/mine").await;
}

#[tokio::test]
async fn a_call_without_a_connection_fails_after_the_call_timeout() {
    let zk = server().await;
    let cable = Cable::new(&zk);
    let builder = Client::builder().via(cable.clone()).call_timeout(Duration::from_millis(50));
    let client = builder.connect().await.unwrap();
    cable.unplug();
    until(&client, |state| matches!(state, SessionState::Disconnected(_))).await;
    let error = soon(client.get("/")).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost { sent: false, .. }));
    assert!(error.is_retryable() && !error.may_have_been_applied());
    assert_eq!(error.to_string(), "getData /: no connection to a server in time; it was not sent");
}

#[tokio::test]
async fn closing_ends_the_session_and_every_handle() {
    let zk = server().await;
    let client = client_of(&zk).connect().await.unwrap();
    ephemeral(&client, "/mine").await;
    let (_, _, mut watch) = client.get_and_watch("/mine").await.unwrap();
    let twin = client.clone();
    client.close().await.unwrap();
    assert!(zk.get("/mine").is_none());
    assert_eq!(twin.state(), SessionState::Closed(CloseReason::Requested));
    assert_eq!(twin.credentials(), None);
    // The node went with the session, and the event came before the answer.
    assert_eq!(soon(watch.changed()).await.unwrap().event, EventType::NODE_DELETED);
    assert!(matches!(twin.get("/").await, Err(Error::Closed { .. })));
    twin.close().await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_session() {
    let zk = server().await;
    let client = client_of(&zk).connect().await.unwrap();
    ephemeral(&client, "/mine").await;
    let mut states = client.states();
    let (_, _, watch) = client.get_and_watch("/mine").await.unwrap();
    let twin = client.clone();
    drop(client);
    assert!(twin.exists("/mine").await.unwrap().is_some());
    drop(twin);
    soon(states.wait_for(|state| matches!(state, SessionState::Closed(_)))).await.unwrap();
    assert!(zk.get("/mine").is_none());
    drop(watch);
}

#[tokio::test]
async fn the_session_of_another_process_can_be_closed() {
    let zk = server().await;
    let cable = Cable::new(&zk);
    let client = Client::builder().via(cable.clone()).connect().await.unwrap();
    ephemeral(&client, "/mine").await;
    let credentials = client.credentials().unwrap();
    cable.unplug();

    let helper = Cable::new(&zk);
    let timeout = Duration::from_secs(5);
    let wrong = Credentials { password: vec![0; 16].into(), ..credentials.clone() };
    let close = |credentials| close_session_via(helper.clone(), "any:1", credentials, timeout);
    assert_eq!(close(wrong).await.unwrap(), SessionEnd::AlreadyGone);
    assert!(zk.get("/mine").is_some());
    assert_eq!(close(credentials.clone()).await.unwrap(), SessionEnd::Closed);
    assert!(zk.get("/mine").is_none());
    assert_eq!(close(credentials).await.unwrap(), SessionEnd::AlreadyGone);

    // The owner of the session learns of it when it reconnects.
    let old = client.credentials().map(|credentials| credentials.id);
    cable.plug();
    let state =
        until(&client, |state| matches!(state, SessionState::Connected(id) if Some(*id) != old)).await;
    assert!(matches!(state, SessionState::Connected(_)));
}

#[tokio::test]
async fn a_session_is_closed_where_servers_ask_who_closes_it() {
    let by_sasl = ZkMini::builder().in_memory().sasl_user("bob", "secret").require_auth(["sasl"]);
    let by_digest = ZkMini::builder().in_memory().require_auth(["digest"]);
    let bob: fn(Builder, &str) -> Builder = |client, password| client.sasl("bob", password);
    let me: fn(Builder, &str) -> Builder = |client, password| client.auth("digest", format!("me:{password}"));
    for (zk, known) in [(by_sasl, bob), (by_digest, me)] {
        let zk = zk.start().await.unwrap();
        let cable = Cable::new(&zk);
        let of = |cable: &Cable| Client::builder().servers("any:1").via(cable.clone());
        let worker = known(of(&cable), "secret").connect().await.unwrap();
        ephemeral(&worker, "/mine").await;
        let credentials = worker.credentials().unwrap();
        cable.unplug();
        let helper = Cable::new(&zk);
        let client = || of(&helper);
        let close = |closer: Builder, within| closer.close_session(credentials.clone(), within);

        // Nobody may close it. The server closes the connection instead of its session, again and again.
        let nobody = close(client(), Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(nobody, Error::Unreachable { .. }), "{nobody}");
        assert!(zk.get("/mine").is_some());
        let long = Duration::from_secs(60);
        assert_eq!(soon(close(known(client(), "secret"), long)).await.unwrap(), SessionEnd::Closed);
        assert!(zk.get("/mine").is_none());
        assert_eq!(soon(close(known(client(), "secret"), long)).await.unwrap(), SessionEnd::AlreadyGone);
    }
}

#[tokio::test]
async fn closing_a_session_ends_with_the_first_refusal_of_who_closes_it() {
    let zk = ZkMini::builder().in_memory().sasl_user("bob", "secret").start().await.unwrap();
    let worker = client_of(&zk).connect().await.unwrap();
    ephemeral(&worker, "/mine").await;
    let (credentials, long) = (worker.credentials().unwrap(), Duration::from_secs(3_600));
    let wrong = client_of(&zk).sasl("bob", "guess").close_session(credentials.clone(), long);
    let refused = soon(wrong).await.unwrap_err();
    assert!(matches!(&refused, Error::Login { user, .. } if user == "bob"), "{refused}");
    let unknown = client_of(&zk).auth("kerberos", "me").close_session(credentials, long);
    let refused = soon(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::AUTH_FAILED), "{refused}");
    assert!(zk.get("/mine").is_some());
}

#[tokio::test]
async fn identities_survive_the_connection() {
    let zk = server().await;
    let cable = Cable::new(&zk);
    let configured =
        Client::builder().via(cable.clone()).auth("digest", "me:secret").connect().await.unwrap();
    let added = Client::builder().via(cable.clone()).connect().await.unwrap();
    added.add_auth("digest", "me:secret").await.unwrap();
    added.create_with_acl("/p", "x", CreateMode::Persistent, &[Acl::creator_only()]).await.unwrap();
    cable.unplug();
    for client in [&configured, &added] {
        until(client, |state| matches!(state, SessionState::Disconnected(_))).await;
    }
    cable.plug();
    for client in [configured, added] {
        assert_eq!(client.get("/p").await.unwrap().0, "x");
    }
}

#[tokio::test]
async fn the_error_names_the_servers_of_the_list() {
    let zk = server().await;
    let cable = Cable::new(&zk);
    cable.unplug();
    let builder =
        Client::builder().servers("h1,h2:3000/x").via(cable).connect_timeout(Duration::from_millis(300));
    let message = soon(builder.connect()).await.unwrap_err().to_string();
    for part in ["h1:2181 (the cable is unplugged)", "h2:3000 (the cable is unplugged)", "300ms", "check"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_client_whose_runtime_has_ended_is_closed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (client, zk) = runtime.block_on(async {
        let zk = server().await;
        (client_of(&zk).connect().await.unwrap(), zk)
    });
    drop(runtime);
    assert_eq!(client.state(), SessionState::Closed(CloseReason::RuntimeEnded));
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(matches!(other.block_on(client.get("/")), Err(Error::Closed { .. })));
    assert!(
        matches!(other.block_on(client.close()), Err(Error::Closed { .. })),
        "the session was not closed"
    );
    drop(zk);
}

#[test]
fn a_write_whose_runtime_ends_before_the_answer_says_that_it_may_have_been_applied() {
    let of_client =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let zk = other.block_on(server());
    let client = of_client.block_on(client_of(&zk).connect()).unwrap();
    let _late = zk.fault(On::create("/a"), Then::apply_and_delay_reply(Duration::from_secs(3600)));
    let writer = client.clone();
    let write = other.spawn(async move { writer.create("/a", "", CreateMode::Persistent).await });
    other.block_on(zk.wait_for(|zk| zk.get("/a").is_some(), Duration::from_secs(20))).unwrap();
    of_client.shutdown_background();
    let error = other.block_on(write).unwrap().unwrap_err();
    assert!(matches!(error, Error::Closed { sent: true, .. }) && error.may_have_been_applied(), "{error}");
    let later = other.block_on(client.get("/a")).unwrap_err();
    assert!(matches!(later, Error::Closed { sent: false, .. }) && !later.may_have_been_applied(), "{later}");
}

/// Asks for a node when it is woken.
struct Asking {
    client: Client,
    is_closed: Mutex<Option<bool>>,
}

impl Wake for Asking {
    fn wake(self: Arc<Self>) {
        let answer = pin!(self.client.get("/a")).poll(&mut Context::from_waker(Waker::noop()));
        let is_closed = matches!(answer, Poll::Ready(Err(Error::Closed { sent: false, .. })));
        *self.is_closed.lock().unwrap() = Some(is_closed);
    }
}

#[test]
fn a_caller_that_hears_of_the_end_of_the_runtime_finds_the_client_closed() {
    let of_client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let zk = other.block_on(server());
    let client = of_client.block_on(client_of(&zk).connect()).unwrap();
    let _late = zk.fault(On::create("/a"), Then::apply_and_delay_reply(Duration::from_secs(3600)));
    let asking = Arc::new(Asking { client: client.clone(), is_closed: Mutex::new(None) });
    let mut write = pin!(client.create("/a", "", CreateMode::Persistent));
    let waker = Waker::from(Arc::clone(&asking));
    assert!(write.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    of_client.block_on(zk.wait_for(|zk| zk.get("/a").is_some(), Duration::from_secs(20))).unwrap();
    drop(of_client);
    assert_eq!(*asking.is_closed.lock().unwrap(), Some(true));
}

#[tokio::test]
async fn a_client_that_connects_in_the_background_serves_its_calls_once_the_server_is_there() {
    let zk = server().await;
    let cable = Cable::new(&zk);
    cable.unplug();
    let client = soon(Client::builder().via(cable.clone()).connect_in_background()).await.unwrap();
    assert_eq!(client.state(), SessionState::Connecting);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.exists("/").await }
    });
    cable.plug();
    assert!(soon(waiting).await.unwrap().unwrap().is_some());
    assert!(matches!(client.state(), SessionState::Connected(_)));
}

#[tokio::test]
async fn a_reconnect_with_many_watches_sets_them_again_in_requests_of_a_bounded_size() {
    const WATCHES: usize = 10_000;
    let zk = server().await;
    let cable = Cable::new(&zk);
    let client = Client::builder().via(cable.clone()).connect().await.unwrap();
    let other = client_of(&zk).connect().await.unwrap();
    let path = |n: usize| format!("/services/of-a-long-name/{n:06}");
    let mut watches = Vec::new();
    for first in (0..WATCHES).step_by(500) {
        let setting = (first..first + 500).map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.exists_and_watch(&path(n)).await.unwrap().1 })
        });
        for watch in setting.collect::<Vec<_>>() {
            watches.push(watch.await.unwrap());
        }
    }
    cable.unplug();
    until(&client, |state| matches!(state, SessionState::Disconnected(_))).await;
    other.ensure_path(&path(0)).await.unwrap();
    let from = zk.next_seq();
    cable.plug();
    until(&client, |state| matches!(state, SessionState::Connected(_))).await;
    // The answer comes after those of all watches.
    client.sync("/").await.unwrap();
    let texts = zk.history_from(from, 1_000).into_iter().map(|entry| entry.to_string());
    let requests = texts.filter(|text| text.contains("setWatches")).count();
    assert!((3..=5).contains(&requests), "{requests} requests");
    let own = client.credentials().unwrap().id;
    let set = zk.watches().into_iter().filter(|watch| watch.session == Some(own)).count();
    assert_eq!(set, WATCHES - 1, "all but the one that was told");
    assert_eq!(soon(watches[0].changed()).await.unwrap().event, EventType::NODE_CREATED);
    other.create(&path(WATCHES - 1), "", CreateMode::Persistent).await.unwrap();
    assert_eq!(soon(watches[WATCHES - 1].changed()).await.unwrap().event, EventType::NODE_CREATED);
}
