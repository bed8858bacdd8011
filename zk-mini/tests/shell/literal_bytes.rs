//! Conversations of a client and the server, byte for byte.

use zk_mini::ZkMini;

use crate::raw::{Raw, connect_request, frame};

/// Does a handshake, a create, a getData and a closeSession, with a server whose zxids begin at 0.
async fn converse(mut raw: Raw) {
    raw.send(&connect_request(30_000)).await;
    let greeting = raw.receive().await.unwrap();
    assert_eq!(greeting.len(), 37);
    assert_eq!(greeting[..8], [0, 0, 0, 0, 0, 0, 0x75, 0x30]);
    assert_ne!(greeting[8..16], [0; 8], "a session id");
    assert_eq!(greeting[16..20], [0, 0, 0, 16]);
    assert_ne!(greeting[20..36], [0; 16], "a password");
    assert_eq!(greeting[36], 0);

    // xid 1, create, "/a", "hi", world:anyone with all permissions, persistent.
    raw.write(
        b"\0\0\0\x33\0\0\0\x01\0\0\0\x01\0\0\0\x02/a\0\0\0\x02hi\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone\0\0\0\0",
    )
    .await;
    assert_eq!(raw.receive().await.unwrap(), b"\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02/a");

    // xid 2, getData, "/a", no watch. The stat follows the data; the times in it differ from run to run.
    raw.write(b"\0\0\0\x0f\0\0\0\x02\0\0\0\x04\0\0\0\x02/a\0").await;
    let reply = raw.receive().await.unwrap();
    assert_eq!(reply[..22], *b"\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02hi");
    let (stat, times) = (&reply[22..], &reply[38..54]);
    assert_eq!(stat.len(), 68);
    assert_eq!(stat[..16], *b"\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02");
    assert_eq!(times[..8], times[8..]);
    assert_eq!(stat[32..60], *b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\0");
    assert_eq!(stat[60..], *b"\0\0\0\0\0\0\0\x02");

    // A ping is answered with xid -2.
    raw.write(b"\0\0\0\x08\xff\xff\xff\xfe\0\0\0\x0b").await;
    assert_eq!(raw.receive().await.unwrap(), b"\xff\xff\xff\xfe\0\0\0\0\0\0\0\x02\0\0\0\0");

    // closeSession, and the end of the connection.
    raw.write(b"\0\0\0\x08\0\0\0\x03\xff\xff\xff\xf5").await;
    assert_eq!(raw.receive().await.unwrap(), b"\0\0\0\x03\0\0\0\0\0\0\0\x03\0\0\0\0");
    assert_eq!(raw.receive().await, None);
}

#[tokio::test]
async fn a_conversation_over_tcp() {
    let zk = ZkMini::builder().seed(7).start().await.unwrap();
    converse(Raw::tcp(&zk).await).await;
}

#[tokio::test]
async fn a_conversation_in_memory() {
    let zk = ZkMini::builder().in_memory().seed(7).start().await.unwrap();
    converse(Raw::in_memory(&zk)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_on_a_runtime_with_threads() {
    let zk = ZkMini::builder().seed(7).start().await.unwrap();
    converse(Raw::tcp(&zk).await).await;
    assert!(zk.get("/a").is_some());
}

#[tokio::test]
async fn requests_in_the_segment_of_the_handshake_are_answered_in_order() {
    let zk = ZkMini::start().await.unwrap();
    let mut raw = Raw::tcp(&zk).await;
    let ping = b"\0\0\0\x08\xff\xff\xff\xfe\0\0\0\x0b";
    raw.write(&[&frame(&connect_request(30_000))[..], ping, ping].concat()).await;
    assert_eq!(raw.receive().await.unwrap().len(), 37);
    for _ in 0..2 {
        assert_eq!(raw.reply().await.xid, -2);
    }
}

#[tokio::test]
async fn frames_may_arrive_a_byte_at_a_time() {
    let zk = ZkMini::start().await.unwrap();
    let mut raw = Raw::tcp(&zk).await;
    for byte in frame(&connect_request(30_000)) {
        raw.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.receive().await.unwrap().len(), 37);
}

#[tokio::test]
async fn the_same_seed_and_clock_give_the_same_bytes() {
    let greeting = async |seed| {
        let zk = ZkMini::builder().in_memory().seed(seed).manual_clock().start().await.unwrap();
        Raw::in_memory(&zk).open_session(30_000).await
    };
    assert_eq!(greeting(7).await, greeting(7).await);
    assert_ne!(greeting(7).await, greeting(8).await);
}
