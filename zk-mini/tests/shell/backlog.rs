//! A peer that does not read costs bounded memory, and in the end its connection.

use zk_mini::ZkMini;

use crate::raw::{GET_DATA, MULTI_READ, Raw, SET_DATA, eventually, frame, get_data, request, set_data};

const BIG: usize = 1_000_000;

/// Starts a server with a node of a megabyte.
async fn with_a_big_node() -> (ZkMini, Raw) {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 40_000).await;
    raw.create("/big", 0).await;
    assert_eq!(raw.request(2, SET_DATA, &set_data("/big", &vec![7; BIG])).await.err, 0);
    (zk, raw)
}

#[tokio::test]
async fn requests_wait_when_their_replies_are_not_read_and_none_is_lost() {
    let (zk, _writer) = with_a_big_node().await;
    let mut slow = Raw::with_session(&zk, 40_000).await;
    let received = |zk: &ZkMini| zk.connections()[1].received;
    // A hundred megabytes of replies, asked for at once.
    let asked: Vec<u8> =
        (0..100).flat_map(|xid| frame(&request(xid, GET_DATA, &get_data("/big", false)))).collect();
    slow.write(&asked).await;
    eventually("some are handled", || received(&zk) > 1).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(received(&zk) < 30, "{} are handled though nobody reads", received(&zk));
    for xid in 0..100 {
        let reply = slow.reply().await;
        assert_eq!((reply.xid, reply.body.len()), (xid, 4 + BIG + 68));
    }
}

#[tokio::test]
async fn a_peer_that_lets_events_pile_up_is_cut_off_and_no_other() {
    let zk = ZkMini::builder().in_memory().max_backlog(1 << 20).start().await.unwrap();
    let mut busy = Raw::with_session(&zk, 40_000).await;
    let mut deaf = Raw::with_session(&zk, 40_000).await;
    // A persistent recursive watch on "/": an event for every change. The path is long, so that few events suffice.
    deaf.request(1, 106, &[&crate::raw::string("/")[..], &[0, 0, 0, 1]].concat()).await;
    let path = format!("/{}", "x".repeat(10_000));
    busy.create(&path, 0).await;
    for xid in 0..200 {
        assert_eq!(busy.request(xid, SET_DATA, &set_data(&path, b"")).await.err, 0);
    }
    eventually("one connection is left", || zk.connections().len() == 1).await;
    assert_eq!(busy.request(9, GET_DATA, &get_data(&path, false)).await.err, 0);
    assert_eq!(zk.sessions().len(), 2, "its session lives on");
}

/// Returns a request with many reads of "/big".
fn multi_read(xid: i32, reads: usize) -> Vec<u8> {
    let one = [&GET_DATA.to_be_bytes()[..], &[0], &[0xff; 4], &get_data("/big", false)].concat();
    let end = [&[0xff; 4][..], &[1], &[0xff; 4]].concat();
    request(xid, MULTI_READ, &[one.repeat(reads), end].concat())
}

#[tokio::test]
async fn a_small_request_for_gigabytes_gets_an_error_and_disturbs_no_other_client() {
    let (zk, mut other) = with_a_big_node().await;
    let mut greedy = Raw::with_session(&zk, 40_000).await;
    // A request of a megabyte, for a reply of more than forty gigabytes.
    let question = multi_read(1, 1_000_000 / 23);
    assert!(question.len() < 1_000_000);
    greedy.send(&question).await;
    let reply = greedy.reply().await;
    assert_eq!((reply.xid, reply.err, reply.body.len()), (1, -5, 0));
    assert_eq!(other.request(3, GET_DATA, &get_data("/", false)).await.err, 0);
    assert_eq!(greedy.request(2, GET_DATA, &get_data("/", false)).await.err, 0);
}

#[tokio::test]
async fn the_longest_multi_read_fits_beside_unread_replies() {
    let (zk, _writer) = with_a_big_node().await;
    let mut slow = Raw::with_session(&zk, 40_000).await;
    // Sixteen megabytes may wait, then no request is handled. Fifty more fit, sixty do not.
    let mut asked = frame(&request(0, GET_DATA, &get_data("/big", false))).repeat(15);
    asked.extend(frame(&multi_read(1, 50)));
    asked.extend(frame(&multi_read(2, 60)));
    slow.write(&asked).await;
    for _ in 0..15 {
        assert_eq!(slow.reply().await.err, 0);
    }
    let (long, too_long) = (slow.reply().await, slow.reply().await);
    assert_eq!((long.xid, long.err, long.body.len()), (1, 0, 50 * (9 + 4 + BIG + 68) + 9));
    assert_eq!((too_long.xid, too_long.err, too_long.body.len()), (2, -5, 0));
}
