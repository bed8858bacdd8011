//! Time moved by hand.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use zk_mini::ZkMini;

use self::futures_now::now_or_never;
use crate::raw::{EPHEMERAL, GET_DATA, PING, Raw, get_data};

const SECOND: Duration = Duration::from_secs(1);

async fn manual() -> ZkMini {
    ZkMini::builder().in_memory().seed(1).manual_clock().start().await.unwrap()
}

#[tokio::test]
async fn a_session_ends_by_the_manual_clock_and_by_no_other() {
    let zk = manual().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    raw.create("/e", EPHEMERAL).await;

    zk.advance(4 * SECOND).await;
    assert!(zk.get("/e").is_some(), "never early");
    zk.advance(2 * SECOND).await;
    assert!(zk.get("/e").is_none(), "at most a tick late");
    assert!(zk.sessions().is_empty());
}

#[tokio::test]
async fn when_advance_returns_events_are_written_and_ended_connections_closed() {
    let zk = manual().await;
    let mut dying = Raw::with_session(&zk, 4_000).await;
    dying.create("/e", EPHEMERAL).await;
    let mut watching = Raw::with_session(&zk, 40_000).await;
    watching.request(1, GET_DATA, &get_data("/e", true)).await;

    zk.advance(6 * SECOND).await;

    // The server gets no time between the return and this look.
    let event = now_or_never(watching.receive()).expect("the event has been written").unwrap();
    assert_eq!(event[..4], [0xff; 4], "a notification");
    assert_eq!(event[16..24], [0, 0, 0, 2, 0, 0, 0, 3], "NodeDeleted, SyncConnected");
    let mut rest = Vec::new();
    assert_eq!(now_or_never(dying.stream.read_to_end(&mut rest)).expect("closed").unwrap(), 0);
    assert_eq!(zk.connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_advance_returns_ended_tcp_connections_are_closed() {
    let zk = ZkMini::builder().manual_clock().start().await.unwrap();
    let mut dying = Raw::tcp(&zk).await;
    dying.open_session(4_000).await;
    zk.advance(6 * SECOND).await;
    assert!(zk.connections().is_empty());
    assert_eq!(dying.receive().await, None);
}

#[tokio::test]
async fn a_clock_at_its_end_still_serves() {
    let zk = manual().await;
    zk.advance(Duration::MAX).await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    raw.create("/e", EPHEMERAL).await;
    let mut asking = Raw::in_memory(&zk);
    asking.write(b"dump").await;
    let answer = String::from_utf8(asking.rest().await).unwrap();
    assert!(answer.contains("\t/e\n") && answer.contains("UTC 292278994:\n"), "{answer}");
}

#[tokio::test]
async fn pings_between_short_moves_keep_a_session() {
    let zk = manual().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    for _ in 0..10 {
        zk.advance(2 * SECOND).await;
        assert_eq!(raw.request(-2, PING, &[]).await.err, 0);
    }
    assert_eq!(zk.sessions().len(), 1);
    zk.advance(20 * SECOND).await;
    assert_eq!(zk.sessions().len(), 0);
}

#[tokio::test]
async fn one_long_move_has_the_effect_of_many_short_ones() {
    let run = async |steps: u32| {
        let zk = manual().await;
        for timeout in [4_000, 8_000, 40_000] {
            let mut raw = Raw::with_session(&zk, timeout).await;
            raw.create(&format!("/{timeout}"), EPHEMERAL).await;
        }
        let mut survivor = Raw::with_session(&zk, 40_000).await;
        for _ in 0..steps {
            zk.advance(14 * SECOND / steps).await;
        }
        survivor.create("/now", 0).await;
        let (_, stat) = zk.get("/now").unwrap();
        (stat.ctime, stat.czxid, zk.children("/"), zk.sessions().len())
    };
    assert_eq!(run(1).await, run(14).await);
}

#[tokio::test]
async fn less_than_a_millisecond_is_not_lost() {
    let zk = manual().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    for _ in 0..4 {
        zk.advance(Duration::from_micros(250)).await;
    }
    raw.create("/now", 0).await;
    assert_eq!(zk.get("/now").unwrap().1.ctime.0, 1_577_836_800_001);
}

#[tokio::test]
async fn a_peer_that_does_not_read_does_not_hold_up_time() {
    let zk = manual().await;
    let mut dying = Raw::with_session(&zk, 4_000).await;
    dying.create("/e", EPHEMERAL).await;
    let mut deaf = Raw::with_session(&zk, 40_000).await;
    // More replies than fit between the two: the rest waits.
    for _ in 0..200 {
        deaf.send(&crate::raw::request(1, 1, &crate::raw::create(&format!("/{:0>1000}", 1), 0))).await;
    }
    deaf.send(&crate::raw::request(2, GET_DATA, &get_data("/e", true))).await;
    crate::raw::within(zk.advance(6 * SECOND)).await;
    assert!(zk.get("/e").is_none());
}

#[tokio::test]
#[should_panic(expected = "manual_clock()")]
async fn a_real_clock_cannot_be_moved() {
    ZkMini::builder().in_memory().start().await.unwrap().advance(SECOND).await;
}

#[tokio::test]
async fn real_time_ends_sessions_too() {
    let zk = ZkMini::builder().in_memory().tick(Duration::from_millis(20)).start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 40).await;
    assert_eq!(raw.receive().await, None);
    assert!(zk.sessions().is_empty());
}

/// Polls a future once.
mod futures_now {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    pub(super) fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }
}
