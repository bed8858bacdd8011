//! Limits, and the answers at them, as in ZooKeeper.

use std::time::Duration;

use zk_mini::storage::recover;
use zk_mini::{Builder, Throttle, ZkMini};

use crate::raw::{
    CREATE, MULTI, Raw, connect_request, create, eventually, frame, multi, request, string, within,
};

#[tokio::test]
async fn a_connection_that_asks_for_no_session_is_closed_after_ten_to_twenty_seconds() {
    let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
    let (mut silent, mut late) = (Raw::in_memory(&zk), Raw::in_memory(&zk));
    let mut client = Raw::with_session(&zk, 40_000).await;
    eventually("all are there", || zk.connections().len() == 3).await;
    // Half a handshake does not count.
    silent.write(&[0, 0, 0, 44, 0]).await;
    zk.advance(Duration::from_millis(19_999)).await;
    assert_eq!(zk.connections().len(), 3);
    late.open_session(40_000).await;
    zk.advance(Duration::from_millis(1)).await;
    assert_eq!(within(silent.rest()).await, b"");
    assert_eq!(client.create("/a", 0).await.err, 0);
    assert_eq!(late.create("/b", 0).await.err, 0, "it asked for a session in time");

    let mut next = Raw::in_memory(&zk);
    eventually("it is there", || zk.connections().len() == 3).await;
    zk.advance(Duration::from_secs(10)).await;
    assert_eq!(zk.connections().len(), 3, "the time is rounded up to ten seconds");
    zk.advance(Duration::from_secs(10)).await;
    assert_eq!(next.rest().await, b"");
}

#[tokio::test]
async fn ten_thousand_children_with_long_names_come_in_one_answer() {
    const CHILDREN: usize = 10_000;
    let zk = ZkMini::start().await.unwrap();
    let mut client = Raw::tcp(&zk).await;
    client.open_session(30_000).await;
    let name = |n: usize| format!("{}-{n:05}", "x".repeat(244));
    client.create("/p", 0).await;
    for chunk in (0..CHILDREN).collect::<Vec<_>>().chunks(100) {
        let many = chunk.iter().map(|n| frame(&request(1, 1, &create(&format!("/p/{}", name(*n)), 0))));
        client.write(&many.collect::<Vec<_>>().concat()).await;
        for _ in chunk {
            assert_eq!(client.reply().await.err, 0);
        }
    }
    let reply = client.request(2, 8, &[string("/p"), vec![0]].concat()).await;
    // The reply is longer than jute.maxbuffer, which limits requests.
    assert_eq!((reply.err, reply.body.len()), (0, 4 + CHILDREN * (4 + 250)));
    assert_eq!(reply.body[..4], 10_000_u32.to_be_bytes());
}

#[tokio::test]
async fn a_multi_of_ten_thousand_creates_is_applied_as_one() {
    const OPS: usize = 10_000;
    let zk = ZkMini::start().await.unwrap();
    let mut client = Raw::tcp(&zk).await;
    client.open_session(30_000).await;
    let before = zk.last_zxid().0;
    let header = |op: i32, done: u8| [&op.to_be_bytes()[..], &[done], &[0xff; 4]].concat();
    let mut body: Vec<u8> =
        (0..OPS).flat_map(|n| [header(1, 0), create(&format!("/{n:05}"), 0)].concat()).collect();
    body.extend(header(-1, 1));
    assert!(body.len() < 0xf_ffff, "{}", body.len());
    let reply = client.request(1, 14, &body).await;
    assert_eq!((reply.err, reply.zxid), (0, before + 1));
    // Each create has a header and a path; the end has a header.
    assert_eq!(reply.body.len(), OPS * (9 + 4 + 6) + 9);
    assert_eq!(zk.children("/").unwrap().len(), OPS + 1);
}

#[tokio::test]
async fn the_longest_request_can_be_set() {
    let zk = ZkMini::builder().jute_max_buffer(2_000_000).start().await.unwrap();
    let mut client = Raw::tcp(&zk).await;
    client.open_session(30_000).await;
    client.create("/a", 0).await;
    let set = |length: usize| request(2, 5, &crate::raw::set_data("/a", &vec![7; length]));
    let overhead = set(0).len();
    client.send(&set(2_000_000 - overhead)).await;
    assert_eq!(client.reply().await.err, 0);
    client.write(&frame(&set(2_000_001 - overhead))[..100]).await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(zk.get("/a").unwrap().1.version.0, 1);
}

#[tokio::test]
async fn thousands_of_requests_at_once_are_answered_in_order() {
    let zk = ZkMini::start().await.unwrap();
    let mut client = Raw::tcp(&zk).await;
    client.open_session(30_000).await;
    // More than ZooKeeper's globalOutstandingLimit.
    let many: Vec<u8> =
        (0..3_000).flat_map(|xid| frame(&request(xid, 3, &[string("/"), vec![0]].concat()))).collect();
    client.write(&many).await;
    for xid in 0..3_000 {
        let reply = client.reply().await;
        assert_eq!((reply.xid, reply.err), (xid, 0));
    }
}

/// Returns the body of a create whose ACL is what `auth` stands for.
fn create_own(path: &str) -> Vec<u8> {
    let acl = [&[0, 0, 0, 1, 0, 0, 0, 31][..], &string("auth"), &string("")].concat();
    [string(path), string("x"), acl, vec![0; 4]].concat()
}

/// Adds an identity. Returns the error code.
async fn auth(client: &mut Raw, credentials: &str) -> i32 {
    const AUTH: i32 = 100;
    let body = [&[0; 4][..], &string("digest"), &string(credentials)].concat();
    client.request(-4, AUTH, &body).await.err
}

fn with_many_ids() -> Builder {
    ZkMini::builder().in_memory().max_auth_ids(1_000).max_auth_id_bytes(10 << 20)
}

#[tokio::test]
async fn a_multi_too_long_for_the_log_is_refused_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let zk = with_many_ids().data_dir(dir.path()).start().await.unwrap();
    let mut client = Raw::with_session(&zk, 30_000).await;
    for n in 0..250 {
        assert_eq!(auth(&mut client, &format!("{n}{}:secret", "u".repeat(10_000))).await, 0);
    }
    let creates: Vec<_> = (0..900).map(|n| (CREATE, create_own(&format!("/{n}")))).collect();
    let refused = client.request(1, MULTI, &multi(&creates)).await;
    assert_eq!((refused.err, refused.zxid, refused.body.len()), (-5, 2, 0));
    assert_eq!(client.create("/after", 0).await.err, 0);
    zk.stop().await;
    let left = recover(dir.path(), None).unwrap();
    assert_eq!((left.core.last_zxid().0, left.torn, left.verified), (3, None, Some(true)));
    assert_eq!(left.core.children("/").unwrap(), ["after", "zookeeper"]);
}

#[tokio::test]
async fn transactions_and_lists_over_the_limits_are_read_from_a_directory() {
    const IDS: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let builder = with_many_ids().jute_max_buffer_extra_size(10 << 20).max_acl_entries(1_000);
    let zk = builder.data_dir(dir.path()).start().await.unwrap();
    let mut client = Raw::with_session(&zk, 30_000).await;
    for n in 0..IDS {
        assert_eq!(auth(&mut client, &format!("{n}{}:secret", "u".repeat(1_000))).await, 0);
    }
    let creates: Vec<_> = (0..20).map(|n| (CREATE, create_own(&format!("/{n}")))).collect();
    assert_eq!(client.request(1, MULTI, &multi(&creates)).await.err, 0);
    zk.stop().await;
    // First from the log, then from a snapshot.
    for _ in 0..2 {
        let limited = ZkMini::builder().in_memory().max_acl_entries(10).data_dir(dir.path());
        let zk = limited.start().await.unwrap();
        assert_eq!(zk.children("/").unwrap().len(), 20 + 1);
        let mut client = Raw::with_session(&zk, 30_000).await;
        let get_acl = client.request(1, 6, &string("/7")).await;
        assert_eq!(get_acl.err, -102, "it is not ours");
        zk.stop().await;
        let left = recover(dir.path(), None).unwrap();
        assert_eq!(left.core.node("/7").unwrap().acl.len(), IDS);
    }
}

#[tokio::test]
async fn one_identity_too_many_ends_the_connection() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut client = Raw::with_session(&zk, 30_000).await;
    for n in 0..100 {
        assert_eq!(auth(&mut client, &format!("{n}:secret")).await, 0);
    }
    assert_eq!(auth(&mut client, "one:more").await, -115);
    assert_eq!(within(client.rest()).await, b"");
    assert_eq!(zk.sessions().len(), 1);
}

#[tokio::test]
async fn connections_beyond_the_maximum_of_the_server_are_closed_without_a_word() {
    let zk = ZkMini::builder().max_connections(2).start().await.unwrap();
    let open = async || {
        let mut raw = Raw::tcp(&zk).await;
        raw.open_session(40_000).await;
        raw
    };
    let (first, mut second) = (open().await, open().await);
    assert_eq!(within(Raw::tcp(&zk).await.rest()).await, b"");
    drop(first);
    eventually("its place is free", || zk.connections().len() == 1).await;
    open().await;
    assert_eq!(second.create("/a", 0).await.err, 0);
}

#[tokio::test]
async fn each_server_of_an_ensemble_counts_its_own_connections() {
    for builder in [ZkMini::builder().max_connections(2), ZkMini::builder().max_client_connections(2)] {
        let zk = builder.servers(2).start().await.unwrap();
        let mut open = Vec::new();
        for number in [1, 2] {
            let server = zk.server(number).unwrap();
            for _ in 0..2 {
                let mut raw = Raw::at(server.addr().unwrap()).await;
                raw.open_session(40_000).await;
                open.push(raw);
            }
            assert_eq!(within(Raw::at(server.addr().unwrap()).await.rest()).await, b"", "one too many");
            assert_eq!(server.connections().len(), 2);
        }
        // A place is free where the connection was.
        drop(open.pop());
        let second = zk.server(2).unwrap();
        eventually("its place is free", || second.connections().len() == 1).await;
        Raw::at(second.addr().unwrap()).await.open_session(40_000).await;
        assert_eq!(within(Raw::at(zk.server(1).unwrap().addr().unwrap()).await.rest()).await, b"");
    }
}

#[tokio::test]
async fn the_chance_that_the_throttle_refuses_is_each_servers_own() {
    let throttle = Throttle {
        tokens: 1,
        fill_time: 1_000,
        freeze_time: Some(10),
        drop_increase: 1.0,
        ..Throttle::default()
    };
    let builder = ZkMini::builder().in_memory().servers(2).throttle(throttle).manual_clock();
    let zk = builder.start().await.unwrap();
    let first = zk.server(1).unwrap();
    let connect = || Raw { stream: Box::new(first.connect()) };
    connect().open_session(40_000).await;
    zk.advance(Duration::from_millis(100)).await;
    let mut refused = connect();
    refused.send(&connect_request(40_000)).await;
    assert_eq!(within(refused.rest()).await, b"");
    let chances = [1, 2].map(|number| zk.server(number).unwrap().handle().figures().server.drop_chance);
    assert_eq!(chances, [1.0, 0.0]);
}
