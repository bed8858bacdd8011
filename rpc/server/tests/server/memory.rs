//! Bounds on what clients can make the server hold: bytes, connections, calls.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use rpc_server::{Code, Format};
use rpc_wire::{CallId, Frame, Request};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::peer::{Answer, PATIENCE, RawClient, Running, limits, ok, peak_memory, refused};

const MIB: usize = 1 << 20;
const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test]
async fn replies_for_a_client_that_does_not_read_are_bounded() {
    let before = peak_memory();
    let mut server = Running::start(limits(|limits| {
        limits.reply_bytes = 8 * MIB;
        limits.write_timeout = Duration::from_secs(3);
    }))
    .await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.request(1, "wait", &());
    for id in 2..=1_000 {
        client.request(id, if id % 2 == 0 { "fill" } else { "fill_later" }, &1_000_000);
    }
    client.send().await;
    for event in ["started", "dropped"] {
        server.sees(event).await;
    }
    let taken = (peak_memory() - before) / MIB;
    assert!(taken < 100, "{taken} MiB");
}

#[tokio::test]
async fn a_client_that_reads_gets_every_reply_of_a_large_batch() {
    let server = Running::start(limits(|limits| limits.reply_bytes = 2 * MIB)).await;
    let mut client = RawClient::greeted(server.addr, Format::POSTCARD).await;
    for id in 1..=200 {
        client.request(id, "fill_later", &100_000);
    }
    client.send().await;
    for _ in 1..=200 {
        assert!(matches!(client.answer().await, Answer::Ok(_, payload) if payload.len() > 100_000));
    }
}

#[tokio::test]
async fn arguments_of_running_calls_are_bounded_and_finished_calls_make_room() {
    let mut server = Running::start(limits(|limits| limits.argument_bytes = 100_000)).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    let blanks = |len: usize| [b"null", &vec![b' '; len - 4][..]].concat();
    let wait = |client: &mut RawClient, id, len| {
        let payload = blanks(len);
        let id = CallId(id);
        client.push(&Frame::Request(Request { method: "wait", payload: &payload, ..Request::new(id) }));
    };
    wait(&mut client, 1, 60_000);
    wait(&mut client, 2, 60_000);
    client.send().await;
    assert_eq!(client.answer().await, refused(2, Code::RESOURCE_EXHAUSTED));
    server.sees("started").await;
    client.push(&Frame::Cancel(CallId(1)));
    client.send().await;
    server.sees("dropped").await;
    wait(&mut client, 3, 200_000);
    client.send().await;
    server.sees("started").await;
}

#[tokio::test]
async fn unread_pongs_do_not_pile_up() {
    let before = peak_memory();
    let server = Running::start(limits(|limits| limits.write_timeout = Duration::from_millis(500))).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    for number in 0..10_000 {
        client.push(&Frame::Ping(number));
    }
    let pings = client.out.clone();
    let sent = client.send_for_ever(&pings).await / MIB;
    let taken = (peak_memory() - before) / MIB;
    assert!(sent < 100 && taken < 30, "{sent} MiB sent, {taken} MiB held");
}

#[tokio::test]
async fn incomplete_frames_are_bounded_in_sum_and_in_time() {
    let before = peak_memory();
    let server = Running::start(limits(|limits| {
        limits.bytes = 32 * MIB;
        limits.frame_timeout = Duration::from_secs(2);
    }))
    .await;
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = RawClient::greeted(server.addr, Format::JSON).await;
        client.out.extend((4_u32 << 20).to_be_bytes());
        client.out.resize(4_000_000, 0);
        // The server may close the connection meanwhile.
        let _ = client.try_send().await;
        client.out = Vec::new();
        clients.push(client);
    }
    for client in &mut clients {
        match client.answer().await {
            Answer::Closed => {}
            Answer::GoAway(_, code) => assert!(matches!(code, Code::DEADLINE_EXCEEDED | Code::UNAVAILABLE)),
            other => panic!("{other:?}"),
        }
    }
    let taken = (peak_memory() - before) / MIB;
    assert!(taken < 130, "{taken} MiB");
    let mut other = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(other.call(1, "echo", &"calm").await, ok(1, b"\"calm\""));
}

#[tokio::test]
async fn an_announced_length_takes_no_memory() {
    let before = peak_memory();
    let server = Running::start(limits(|limits| limits.max_frame = 1 << 30)).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = RawClient::greeted(server.addr, Format::JSON).await;
        client.out.extend((1_u32 << 30).to_be_bytes());
        client.send().await;
        clients.push(client);
    }
    let mut other = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(other.call(1, "echo", &"calm").await, ok(1, b"\"calm\""));
    let taken = (peak_memory() - before) / MIB;
    assert!(taken < 30, "{taken} MiB");
}

#[tokio::test]
async fn a_frame_that_arrives_byte_by_byte_has_to_be_complete_in_time() {
    let server = Running::start(limits(|limits| limits.frame_timeout = Duration::from_millis(100))).await;
    let mut client = RawClient::greeted(server.addr, Format::JSON).await;
    client.out.extend(1_000_u32.to_be_bytes());
    client.send().await;
    let goodbye = timeout(PATIENCE, async {
        loop {
            // Sends a byte every 20 ms until the server answers.
            if let Ok(answer) = timeout(Duration::from_millis(20), client.answer()).await {
                break answer;
            }
            client.out.push(0);
            let _ = client.try_send().await;
        }
    });
    assert_eq!(goodbye.await.unwrap(), Answer::GoAway(CallId(0), Code::DEADLINE_EXCEEDED));
}

#[tokio::test]
async fn an_idle_connection_is_closed_but_not_while_a_call_runs() {
    let server = Running::start(limits(|limits| limits.idle_timeout = Duration::from_millis(100))).await;
    let mut busy = RawClient::greeted(server.addr, Format::JSON).await;
    busy.request(1, "wait", &Some(1_000));
    busy.send().await;
    let mut idle = RawClient::greeted(server.addr, Format::JSON).await;
    assert_eq!(idle.answer().await, Answer::GoAway(CallId(0), Code::UNAVAILABLE));
    assert_eq!(idle.answer().await, Answer::Closed);
    assert_eq!(busy.answer().await, ok(1, b"\"waited\""));
    assert_eq!(busy.answer().await, Answer::GoAway(CallId(1), Code::UNAVAILABLE));
}

#[tokio::test]
async fn one_peer_cannot_take_all_connections() {
    let server = Running::start(limits(|limits| limits.connections = 8)).await;
    let mut taken = Vec::new();
    for _ in 0..6 {
        taken.push(RawClient::greeted(server.addr, Format::JSON).await);
    }
    let mut seventh = RawClient::connect(server.addr).await;
    assert_eq!(seventh.answer().await, Answer::GoAway(CallId(0), Code::RESOURCE_EXHAUSTED));
    let mut other = RawClient::connect_from(OTHER_HOST, server.addr).await;
    assert_eq!(other.greet().await, Answer::Hello("me".into()));
}

#[tokio::test]
async fn one_peer_cannot_take_all_calls() {
    let mut server = Running::start(limits(|limits| limits.in_flight = 4)).await;
    let mut greedy = RawClient::greeted(server.addr, Format::JSON).await;
    let mut again = RawClient::greeted(server.addr, Format::JSON).await;
    for id in 1..=3 {
        greedy.request(id, "wait", &());
    }
    greedy.send().await;
    for _ in 1..=3 {
        server.sees("started").await;
    }
    assert_eq!(again.call(1, "echo", &"one too many").await, refused(1, Code::RESOURCE_EXHAUSTED));
    let mut other = RawClient::connect_from(OTHER_HOST, server.addr).await;
    assert_eq!(other.greet().await, Answer::Hello("me".into()));
    assert_eq!(other.call(1, "echo", &"room").await, ok(1, b"\"room\""));
}

/// Starts a service of one worker with few descriptors.
async fn with_few_descriptors() -> (Child, SocketAddr) {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n 64; exec {} 1", env!("CARGO_BIN_EXE_rpc-server-fixture"));
    command.args(["-c", &script]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut fixture = command.spawn().unwrap();
    let mut lines = BufReader::new(fixture.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    (fixture, line.strip_prefix("ready ").unwrap().parse().unwrap())
}

#[tokio::test]
async fn clients_are_refused_without_descriptors_and_accepted_again_with_them() {
    let (_fixture, addr) = with_few_descriptors().await;
    let mut client = RawClient::connect(addr).await;
    assert!(matches!(client.greet().await, Answer::Hello(_)));
    client.request(1, "fixture/exhaust", &());
    client.push(&Frame::Ping(1));
    client.send().await;
    assert_eq!(client.answer().await, Answer::Pong(1));
    for _ in 0..20 {
        let mut other = RawClient::connect(addr).await;
        assert_eq!(other.answer().await, Answer::GoAway(CallId(0), Code::RESOURCE_EXHAUSTED));
    }
    assert!(matches!(client.call(2, "fixture/slot", &()).await, Answer::Ok(CallId(2), _)));
    client.push(&Frame::Cancel(CallId(1)));
    client.push(&Frame::Ping(2));
    client.send().await;
    assert_eq!(client.answer().await, Answer::Pong(2));
    let welcome =
        async { while !matches!(RawClient::connect(addr).await.greet().await, Answer::Hello(_)) {} };
    timeout(PATIENCE, welcome).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_opens_more_connections_than_there_are_descriptors_does_not_keep_others_out() {
    let (_fixture, addr) = with_few_descriptors().await;
    let mut greedy = Vec::new();
    for _ in 0..100 {
        let mut client = RawClient::connect(addr).await;
        client.hello(1, Format::JSON, "");
        // A refused connection may be closed already.
        let _ = client.try_send().await;
        greedy.push(client);
    }
    let mut refused = 0;
    for client in &mut greedy {
        match client.answer().await {
            Answer::Hello(_) => {}
            Answer::GoAway(_, Code::RESOURCE_EXHAUSTED) | Answer::Closed => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!((10..100).contains(&refused), "{refused}");
    let mut other = RawClient::connect_from(OTHER_HOST, addr).await;
    assert!(matches!(other.greet().await, Answer::Hello(_)));
    assert!(matches!(other.call(1, "fixture/slot", &()).await, Answer::Ok(_, _)));
}
