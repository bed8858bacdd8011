//! The driver against servers that follow a script, in tokio's paused time.

use std::future::{pending, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use zk_client::{
    Builder, Client, Connect, Connecting, Error, ErrorCode, EventType, Expected, Resolving, SessionState,
    Stream,
};
use zk_wire::{
    ConnectRequest, ConnectResponse, Decode, Encode, GetData, GetDataResponse, KeeperState, OpCode,
    ReplyHeader, RequestHeader, SessionId, Stat, WatchedEvent, Xid, Zxid, decode_all, next_frame,
};

use crate::support::soon;

const SESSION: SessionId = SessionId(0x51);

/// Server's end of one connection.
struct Peer {
    stream: DuplexStream,
    incoming: BytesMut,
}

/// Receives the server's ends of a client's connections.
struct Listener {
    connections: Mutex<mpsc::UnboundedReceiver<DuplexStream>>,
}

/// Address that hangs up at once if it is not up; all others refuse.
const HANGS_UP: &str = "hangs up";

/// Finds the addresses of all names, and connects to the listener at those that are up.
struct Named<R, U> {
    resolve: R,
    is_up: U,
    sender: mpsc::UnboundedSender<DuplexStream>,
}

impl<R, U> Connect for Named<R, U>
where
    R: Fn(&str) -> Resolving<'static> + Send + Sync + 'static,
    U: Fn(&str) -> bool + Send + Sync + 'static,
{
    fn resolve<'a>(&'a self, server: &'a str) -> Resolving<'a> {
        (self.resolve)(server)
    }

    fn connect<'a>(&'a self, _server: &'a str, address: &'a str) -> Connecting<'a> {
        let is_up = (self.is_up)(address);
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(4096);
            if !is_up && address != HANGS_UP || is_up && self.sender.send(theirs).is_err() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}

/// Finds that a name is its only address.
fn found_at_once(server: &str) -> Resolving<'static> {
    found(&[server])
}

fn found(addresses: &[&str]) -> Resolving<'static> {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    Box::pin(ready(Ok(addresses)))
}

fn listen() -> (Builder, Listener) {
    listen_at(found_at_once, |_| true)
}

/// Listens at the addresses that are up.
fn listen_at(
    resolve: impl Fn(&str) -> Resolving<'static> + Send + Sync + 'static,
    is_up: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> (Builder, Listener) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let builder = Client::builder().seed(7).session_timeout(Duration::from_secs(9));
    let builder = builder.via(Named { resolve, is_up, sender });
    (builder, Listener { connections: Mutex::new(receiver) })
}

impl Listener {
    async fn accept(&self) -> Peer {
        let stream = self.connections.lock().await.recv().await.expect("a connection");
        Peer { stream, incoming: BytesMut::new() }
    }

    /// Accepts a connection and answers the handshake.
    async fn attach(&self, session_id: SessionId) -> (Peer, ConnectRequest) {
        self.attach_in_mode(session_id, false).await
    }

    /// Accepts a connection and answers the handshake, as a server in read-only mode or in read-write mode.
    async fn attach_in_mode(&self, session_id: SessionId, is_read_only: bool) -> (Peer, ConnectRequest) {
        let mut peer = self.accept().await;
        let request = decode_all(peer.read().await.expect("a handshake")).unwrap();
        let password = Some(Bytes::from_static(&[7; 16]));
        let timeout = if session_id == SessionId::NONE { 0 } else { 9_000 };
        peer.write(&ConnectResponse {
            protocol_version: 0,
            timeout,
            session_id,
            password,
            read_only: Some(is_read_only),
        })
        .await;
        (peer, request)
    }
}

impl Peer {
    /// Returns the body of the next frame; `None` at the end.
    async fn read(&mut self) -> Option<Bytes> {
        loop {
            if let Some(body) = next_frame(&mut self.incoming, usize::MAX).unwrap() {
                return Some(body);
            }
            if self.stream.read_buf(&mut self.incoming).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn request(&mut self) -> Option<(RequestHeader, Bytes)> {
        let mut body = self.read().await?;
        Some((RequestHeader::decode(&mut body, "header").unwrap(), body))
    }

    async fn write<T: Encode>(&mut self, body: &T) {
        let mut frame = BytesMut::new();
        zk_wire::FrameWriter::new(&mut frame).put(body);
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn answer<T: Encode>(&mut self, xid: Xid, err: ErrorCode, body: &T) {
        let mut bytes = BytesMut::new();
        let mut frame = zk_wire::FrameWriter::new(&mut bytes);
        frame.put(&ReplyHeader { xid, zxid: Zxid(5), err });
        frame.put(body);
        drop(frame);
        // Byte by byte, as a network may deliver it.
        for byte in bytes {
            self.stream.write_all(&[byte]).await.unwrap();
        }
    }
}

async fn connected() -> (Client, Listener, Peer) {
    let (builder, listener) = listen();
    let (client, (peer, _)) = tokio::join!(builder.connect(), listener.attach(SESSION));
    (client.unwrap(), listener, peer)
}

fn data(data: &'static str) -> GetDataResponse {
    GetDataResponse { data: Some(data.into()), stat: Stat::default() }
}

#[tokio::test(start_paused = true)]
async fn the_handshake_is_these_bytes() {
    let (builder, listener) = listen();
    let client = tokio::spawn(builder.connect());
    let mut peer = listener.accept().await;
    #[rustfmt::skip]
    let expected = [
        0, 0, 0, 0,                 // protocol version
        0, 0, 0, 0, 0, 0, 0, 0,     // last zxid seen
        0, 0, 0x23, 0x28,           // timeout: 9000 ms
        0, 0, 0, 0, 0, 0, 0, 0,     // session
        0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // password
        0,                          // not read-only
    ];
    assert_eq!(&peer.read().await.unwrap()[..], expected);
    client.abort();
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_pings_every_third_of_the_timeout() {
    let (client, _listener, mut peer) = connected().await;
    for _ in 0..4 {
        let before = Instant::now();
        let (header, body) = peer.request().await.unwrap();
        assert_eq!((header.xid, header.op, body.len()), (Xid::PING, OpCode::PING, 0));
        let pause = before.elapsed();
        assert!(pause >= Duration::from_millis(2_990) && pause <= Duration::from_millis(3_010), "{pause:?}");
        peer.answer(Xid::PING, ErrorCode::OK, &()).await;
    }
    assert_eq!(client.state(), SessionState::Connected(SESSION));
}

#[tokio::test(start_paused = true)]
async fn the_session_moves_from_a_silent_server_to_the_next_one() {
    let (client, listener, mut silent) = connected().await;
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.set("/a", "x", Expected::Any).await }
    });
    let before = Instant::now();
    let (_peer, request) = listener.attach(SESSION).await;
    assert_eq!(before.elapsed().as_secs(), 6);
    assert_eq!(request.session_id, SESSION);
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_retryable() && error.may_have_been_applied());
    assert_eq!(
        error.to_string(),
        "setData /a: the connection was lost before the answer; it may have been applied"
    );
    while silent.request().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn answers_find_their_calls_and_events_their_watches() {
    let (client, _listener, mut peer) = connected().await;
    let (one, two) = (client.get_and_watch("/1"), client.get("/2"));
    let serve = async {
        for text in ["one", "two"] {
            let (header, body) = peer.request().await.unwrap();
            let request: GetData = decode_all(body).unwrap();
            assert_eq!(request.watch, text == "one");
            peer.answer(header.xid, ErrorCode::OK, &data(text)).await;
        }
    };
    let (one, two, ()) = tokio::join!(one, two, serve);
    let (text, _, mut watch) = one.unwrap();
    assert_eq!((text, two.unwrap().0), ("one".into(), "two".into()));

    let event = WatchedEvent {
        event: EventType::NODE_DELETED,
        state: KeeperState::SYNC_CONNECTED,
        path: "/1".into(),
    };
    let (told, ()) = tokio::join!(watch.changed(), peer.answer(Xid::NOTIFICATION, ErrorCode::OK, &event));
    assert_eq!(told, Ok(event));
}

#[tokio::test(start_paused = true)]
async fn many_calls_leave_in_one_write() {
    let (client, _listener, mut peer) = connected().await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/a").await })
        })
        .collect();
    let mut bytes = vec![0; 64 * 1024];
    let count = peer.stream.read(&mut bytes).await.unwrap();
    assert_eq!(count, 20 * (4 + 8 + 4 + 2 + 1));
    drop(calls);
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_pipe_and_its_answer_pass() {
    let (client, _listener, mut peer) = connected().await;
    let big = vec![7; 100_000];
    let serve = async {
        let (header, body) = peer.request().await.unwrap();
        assert!(body.len() > 100_000);
        peer.answer(header.xid, ErrorCode::OK, &Stat::default()).await;
    };
    let (set, ()) = tokio::join!(client.set("/a", big, Expected::Any), serve);
    set.unwrap();
}

#[tokio::test(start_paused = true)]
async fn invalid_frames_end_the_connection_and_not_the_client() {
    let too_long = [0x7f, 0xff, 0xff, 0xff].as_slice();
    let negative = [0xff; 4].as_slice();
    let cut_off = [0, 0, 0, 2, 1, 2].as_slice();
    let unasked = [0, 0, 0, 16, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].as_slice();
    for nonsense in [too_long, negative, cut_off, unasked] {
        let (client, listener, mut peer) = connected().await;
        peer.stream.write_all(nonsense).await.unwrap();
        assert!(peer.request().await.is_none(), "{nonsense:?}");
        let (mut peer, _) = listener.attach(SESSION).await;
        let serve = async {
            let (header, _) = peer.request().await.unwrap();
            peer.answer(header.xid, ErrorCode::OK, &data("x")).await;
        };
        let (got, ()) = tokio::join!(client.get("/a"), serve);
        assert_eq!(got.unwrap().0, "x");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_wrong_type_fails_only_its_call() {
    let (client, _listener, mut peer) = connected().await;
    let serve = async {
        let (header, _) = peer.request().await.unwrap();
        peer.answer(header.xid, ErrorCode::OK, &7_i32).await;
        let (header, _) = peer.request().await.unwrap();
        peer.answer(header.xid, ErrorCode::OK, &data("x")).await;
    };
    let (wrong, right, ()) = tokio::join!(client.get("/a"), client.get("/a"), serve);
    assert!(matches!(wrong, Err(Error::Protocol { op: "getData", .. })));
    assert_eq!(right.unwrap().0, "x");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_it_was_sent_is_never_sent() {
    let (client, listener, peer) = connected().await;
    drop(peer);
    let mut states = client.states();
    states.wait_for(|state| matches!(state, SessionState::Disconnected(_))).await.unwrap();
    let dropped = tokio::time::timeout(Duration::from_millis(1), client.get("/dropped")).await;
    assert!(dropped.is_err());
    let kept = tokio::spawn(async move { client.get("/kept").await });
    tokio::task::yield_now().await;
    let (mut peer, _) = listener.attach(SESSION).await;
    let (_, body) = peer.request().await.unwrap();
    let request: GetData = decode_all(body).unwrap();
    assert_eq!(request.path, "/kept");
    kept.abort();
}

#[tokio::test(start_paused = true)]
async fn silent_servers_are_named_in_the_error_after_the_connect_timeout() {
    let (builder, listener) = listen();
    let builder = builder.servers("h1,h2").connect_timeout(Duration::from_secs(20));
    let before = Instant::now();
    let connect = tokio::spawn(builder.connect());
    // The servers accept connections and keep them open until the client gives up.
    let mut kept = Vec::new();
    while let Some(stream) = listener.connections.lock().await.recv().await {
        kept.push(stream);
    }
    let message = connect.await.unwrap().unwrap_err().to_string();
    assert!(before.elapsed() < Duration::from_secs(22));
    assert!(message.contains("h1:2181 (no answer to the handshake in time)"), "{message}");
    assert!(message.contains("h2:2181 (no answer to the handshake in time)"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_hang_up_during_the_handshake_mentions_the_limit_of_connections() {
    let (builder, listener) = listen();
    let connect = tokio::spawn(builder.servers("h").connect_timeout(Duration::from_secs(2)).connect());
    while let Some(stream) = listener.connections.lock().await.recv().await {
        let mut peer = Peer { stream, incoming: BytesMut::new() };
        peer.read().await.expect("a handshake");
    }
    let message = connect.await.unwrap().unwrap_err().to_string();
    assert!(message.contains("the server ended the connection during the handshake"), "{message}");
    assert!(message.contains("maxClientCnxns"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_client_closes_the_session() {
    let (client, _listener, mut peer) = connected().await;
    drop(client);
    let (header, _) = peer.request().await.unwrap();
    assert_eq!(header.op, OpCode::CLOSE_SESSION);
    peer.answer(header.xid, ErrorCode::OK, &()).await;
    assert!(peer.request().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_read_only_server_moves_to_the_first_one_that_says_it_takes_writes() {
    const LOCAL: SessionId = SessionId(0x99);
    let (builder, listener) = listen();
    let builder = builder.servers("h1,h2").read_only(true);
    let (client, (mut peer, _)) = tokio::join!(builder.connect(), listener.attach_in_mode(LOCAL, true));
    let client = client.unwrap();
    assert_eq!(client.state(), SessionState::ConnectedReadOnly(LOCAL));
    let serve = async {
        let (header, _) = peer.request().await.unwrap();
        peer.answer(header.xid, ErrorCode::NOT_READ_ONLY, &()).await;
    };
    let (refused, ()) = tokio::join!(client.set("/a", "x", Expected::Any), serve);
    let error = refused.unwrap_err();
    assert!(error.code() == Some(ErrorCode::NOT_READ_ONLY) && error.is_retryable(), "{error}");
    assert!(!error.may_have_been_applied());

    for mode in ["ro", "isro is not executed because it is not in the whitelist.", "rw"] {
        let mut asked = listener.accept().await;
        let mut word = [0; 4];
        asked.stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"isro");
        asked.stream.write_all(mode.as_bytes()).await.unwrap();
    }
    let (_peer, request) = listener.attach(SESSION).await;
    assert_eq!(request.session_id, SessionId::NONE, "the session of a read-only server is its own");
    client.states().wait_for(|state| *state == SessionState::Connected(SESSION)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_read_only_server_asks_for_the_mode_at_each_address_of_a_name() {
    let (builder, listener) = listen_at(|_| found(&["gone", "here"]), |address| address == "here");
    let builder = builder.servers("h").read_only(true);
    let (client, (_peer, _)) =
        tokio::join!(builder.connect(), listener.attach_in_mode(SessionId(0x99), true));
    let client = client.unwrap();
    let mut asked = soon(listener.accept()).await;
    let mut word = [0; 4];
    asked.stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"isro");
    asked.stream.write_all(b"rw").await.unwrap();
    let _live = listener.attach(SESSION).await;
    soon(client.states().wait_for(|state| *state == SessionState::Connected(SESSION))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_moved_is_found_by_a_resolver_that_is_always_slow() {
    const SECOND: Duration = Duration::from_secs(1);
    for (old, lookups) in [
        ("old", [Some(SECOND); 2]),
        ("old", [Some(8 * SECOND); 2]),
        ("old", [None, Some(SECOND)]),
        (HANGS_UP, [Some(SECOND); 2]),
    ] {
        let begun = Arc::new(AtomicUsize::new(0));
        let (counted, known) = (Arc::clone(&begun), Arc::clone(&begun));
        let resolve = move |_: &str| -> Resolving<'static> {
            let Some(later) = counted.fetch_add(1, Ordering::SeqCst).checked_sub(1) else {
                return found(&[old]);
            };
            let lookup = lookups[later];
            Box::pin(async move {
                match lookup {
                    Some(time) => tokio::time::sleep(time).await,
                    None => pending().await,
                }
                found(&["new"]).await
            })
        };
        // The server moves as soon as its name is looked up again.
        let is_up = move |address: &str| address == "new" || known.load(Ordering::SeqCst) == 1;
        let (builder, listener) = listen_at(resolve, is_up);
        let (client, connection) = tokio::join!(builder.servers("h").connect(), listener.attach(SESSION));
        let client = client.unwrap();
        drop(connection);
        let again = tokio::time::timeout(40 * SECOND, listener.accept()).await;
        let _peer = again.unwrap_or_else(|_| panic!("{old}: {lookups:?} is heard"));
        let expected = 1 + lookups.iter().position(Option::is_some).unwrap() + 1;
        assert_eq!(begun.load(Ordering::SeqCst), expected, "one lookup at a time");
        drop(client);
    }
}
