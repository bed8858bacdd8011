//! Connections that live long take no more memory, whatever has gone through them. One test, alone in its process: the memory is
//! that of servers and clients together.

use std::future::ready;

use futures_util::{StreamExt, stream};
use integration_tests::procfs;
use nix::unistd::Pid;
use rpc_server::{Context, Messages, Server, Service, Status};
use zk_client::{Client, CreateMode, Expected, connect_fn};
use zk_mini::ZkMini;

/// Number of repetitions. The shortest answer of the server has 20 bytes, most have more than 80.
const TIMES: usize = 25_000;

/// Repetitions that fill buffers, caches and the history.
const WARM_UP: usize = 5_000;

/// Number of streams that stay open, and length of their arguments.
const STREAMS: usize = 200;
const ARGUMENT: usize = 64 << 10;

/// Growth that is taken for chance, in bytes.
const CHANCE: u64 = 1 << 20;

#[tokio::test]
async fn long_connections_take_no_more_memory() {
    let zk = ZkMini::start().await.unwrap();
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/node", "old", CreateMode::Persistent).await.unwrap();
    takes_no_memory("reads over TCP", async || drop(client.get("/node").await.unwrap())).await;
    takes_no_memory("writes over TCP", async || {
        client.set("/node", "new", Expected::Any).await.unwrap();
    })
    .await;
    takes_no_memory("nodes that come and go", async || {
        client.create("/node/child", "", CreateMode::Ephemeral).await.unwrap();
        client.delete("/node/child", Expected::Any).await.unwrap();
    })
    .await;
    takes_no_memory("watches", async || {
        let (_, _, mut watch) = client.get_and_watch("/node").await.unwrap();
        client.set("/node", "new", Expected::Any).await.unwrap();
        watch.changed().await.unwrap();
    })
    .await;

    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let connector = zk.connector();
    let via = connect_fn(move || ready(connector.connect()));
    let client = Client::builder().via(via).connect().await.unwrap();
    takes_no_memory("reads in memory", async || drop(client.get("/").await.unwrap())).await;

    let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
    let both = |texts: Messages<String>, _: Context| async move { Ok::<_, Status>(texts) };
    // After the first message there is none.
    let watch = |_: String, _: Context| async move {
        Ok::<_, Status>(stream::once(ready(Ok("first".to_owned()))).chain(stream::pending()))
    };
    let service = Service::builder("echo")
        .method("echo", echo)
        .server_stream("watch", watch)
        .bidi_stream("stream", both)
        .build();
    let server = Server::new(service).in_memory();
    let client = rpc_client::Client::in_memory("echo", move || server.connect()).connect().await.unwrap();
    let text = "a".repeat(100);
    takes_no_memory("calls", async || {
        let _: String = client.call("echo", &text).await.unwrap();
    })
    .await;
    let (mut sender, mut answers) = client.bidi_stream::<str, String>("stream").await.unwrap();
    takes_no_memory("messages of a stream", async || {
        sender.send(&text).await.unwrap();
        assert!(answers.next().await.unwrap().is_ok());
    })
    .await;

    let (argument, mut open) = ("a".repeat(ARGUMENT), Vec::new());
    let before = resident();
    for _ in 0..STREAMS {
        let mut messages = client.server_stream::<str, String>("watch", &argument).await.unwrap();
        assert!(messages.next().await.unwrap().is_ok());
        open.push(messages);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < (STREAMS * ARGUMENT / 2) as u64, "open streams keep their arguments: {grown} bytes");
}

/// Does something very often.
///
/// # Panics
/// If this process then has more resident memory.
async fn takes_no_memory(what: &str, mut act: impl AsyncFnMut()) {
    for _ in 0..WARM_UP {
        act().await;
    }
    let before = resident();
    for _ in 0..TIMES {
        act().await;
    }
    let after = resident();
    assert!(after < before + CHANCE, "{what}: {before} bytes have become {after}");
}

fn resident() -> u64 {
    procfs::resident_bytes(Pid::this()).expect("it lives")
}
