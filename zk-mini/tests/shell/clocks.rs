//! Clocks that are held, released, moved to the next deadline, and that jump.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use zk_mini::{ClockRuns, Error, Jump, On, Then, ZkMini};
use zk_wire::{ErrorCode, UnixMillis};

use crate::raw::{CREATE, EPHEMERAL, GET_DATA, PING, Raw, connect_request, frame};

const SECOND: Duration = Duration::from_secs(1);
const MANUAL_START: i64 = 1_577_836_800_000;

async fn manual() -> ZkMini {
    ZkMini::builder().in_memory().seed(1).manual_clock().extended_types(true).start().await.unwrap()
}

/// Creates a node of ZooKeeper's op code `create2` and its like, with flags.
fn create_body(path: &str, flags: i32, ttl: Option<i64>) -> Vec<u8> {
    let mut body = crate::raw::create(path, flags);
    body.extend(ttl.into_iter().flat_map(i64::to_be_bytes));
    body
}

const CREATE_CONTAINER: i32 = 19;
const CREATE_TTL: i32 = 21;

async fn container(raw: &mut Raw, path: &str) {
    assert_eq!(raw.request(1, CREATE_CONTAINER, &create_body(path, 4, None)).await.err, 0);
}

async fn with_ttl(raw: &mut Raw, path: &str, ttl: i64) {
    assert_eq!(raw.request(1, CREATE_TTL, &create_body(path, 5, Some(ttl))).await.err, 0);
}

#[tokio::test]
async fn a_clock_that_runs_can_be_held_and_released() {
    for listens in [false, true] {
        let builder = ZkMini::builder();
        let zk = if listens { builder } else { builder.in_memory() }.start().await.unwrap();
        assert_eq!(zk.try_advance(SECOND).await, Err(ClockRuns));
        assert_eq!(zk.try_advance_to_next_deadline().await, Err(ClockRuns));
        let started = zk.now();
        zk.hold_clock().await;
        let held = zk.now();
        assert!(zk.is_clock_held() && held.mono >= started.mono && held.wall >= started.wall);
        assert!(held.wall.0 > MANUAL_START + 86_400_000, "the wall clock goes on from the present time");

        let mut raw = Raw::with_session(&zk, 4_000).await;
        raw.create("/e", EPHEMERAL).await;
        assert_eq!(zk.get("/e").unwrap().1.ctime, held.wall);
        zk.advance(100 * SECOND).await;
        assert!(zk.get("/e").is_none());
        let moved = zk.now();
        assert_eq!(moved.mono.0, held.mono.0 + 100_000);
        assert_eq!(moved.wall.0, held.wall.0 + 100_000);

        zk.release_clock();
        let released = zk.now();
        assert!(!zk.is_clock_held() && released.mono >= moved.mono && released.wall >= moved.wall);
        assert!(released.mono.0 - moved.mono.0 < 20_000, "it runs on from the time that it showed");
    }
}

#[tokio::test]
async fn sessions_expire_by_a_manual_clock_that_was_released() {
    let zk =
        ZkMini::builder().in_memory().manual_clock().tick(Duration::from_millis(20)).start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 40).await;
    zk.release_clock();
    assert_eq!(raw.receive().await, None);
    assert!(zk.sessions().is_empty());
    let mut later = Raw::with_session(&zk, 40).await;
    assert_eq!(later.receive().await, None, "also those that begin later");
}

#[tokio::test]
async fn holding_a_clock_ends_the_sessions_that_are_due_and_silent() {
    let zk = ZkMini::builder().in_memory().tick(Duration::from_millis(200)).start().await.unwrap();
    let _silent = Raw::with_session(&zk, 400).await;
    let mut pinging = Raw::with_session(&zk, 400).await;
    // The timer gets no time meanwhile.
    let began = zk.now().mono;
    while zk.now().mono.0 < began.0 + 600 {
        std::thread::yield_now();
    }
    pinging.send(&crate::raw::request(-2, PING, &[])).await;
    zk.hold_clock().await;
    assert_eq!(zk.sessions().len(), 1, "its ping had arrived before");
    assert_eq!(pinging.reply().await.err, 0);
}

#[tokio::test]
async fn holding_twice_and_releasing_twice_change_nothing() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    zk.release_clock();
    assert!(!zk.is_clock_held());
    zk.hold_clock().await;
    let held = zk.now();
    zk.hold_clock().await;
    assert_eq!(zk.now(), held);
    zk.release_clock();
    zk.release_clock();
    assert!(!zk.is_clock_held());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn many_hands_on_a_clock_move_it_forwards_only() {
    let zk = ZkMini::builder().tick(Duration::from_millis(10)).start().await.unwrap();
    let hands = (0..6_u64).map(|hand| {
        let zk = (*zk).clone();
        tokio::spawn(async move {
            for step in 0..60 {
                let before = zk.now().mono;
                match (hand + step) % 4 {
                    0 => zk.hold_clock().await,
                    1 => zk.release_clock(),
                    2 => {
                        let _ = zk.try_advance(Duration::from_millis(step)).await;
                    }
                    _ => {
                        let _ = zk.try_advance_to_next_deadline().await;
                    }
                }
                assert!(zk.now().mono >= before);
                // It makes deadlines: for its session, and before that for asking for one.
                let mut stream = zk.connect();
                let _ = stream.write_all(&frame(&connect_request(40))).await;
            }
        })
    });
    for hand in hands.collect::<Vec<_>>() {
        hand.await.unwrap();
    }
    zk.release_clock();
    let mut raw = Raw::tcp(&zk).await;
    raw.open_session(40).await;
    assert_eq!(raw.receive().await, None, "time goes on by itself");
}

#[tokio::test]
async fn a_jump_of_the_wall_clock_is_seen_in_nodes_and_not_by_sessions() {
    let zk = manual().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let hour = Duration::from_secs(3_600);
    for (jump, ctime) in [
        (Jump::Forward(hour), MANUAL_START + 3_600_000),
        (Jump::Back(2 * hour), MANUAL_START - 3_600_000),
        (Jump::Forward(Duration::MAX), i64::MAX),
        (Jump::Back(Duration::MAX), 0),
        (Jump::Back(Duration::MAX), -i64::MAX),
        (Jump::Back(Duration::MAX), i64::MIN),
    ] {
        zk.jump_wall_clock(jump);
        zk.advance(Duration::ZERO).await;
        let path = format!("/{ctime}");
        raw.create(&path, EPHEMERAL).await;
        assert_eq!(zk.get(&path).unwrap().1.ctime, UnixMillis(ctime), "{jump:?}");
    }
    assert_eq!(zk.sessions().len(), 1);
    let mut asking = Raw::in_memory(&zk);
    asking.write(b"dump").await;
    assert!(!asking.rest().await.is_empty(), "such a time can be printed");
    assert_eq!(zk.advance_to_next_deadline().await, Some(6 * SECOND));
    assert!(zk.sessions().is_empty(), "the session expires when it would have");
}

#[tokio::test]
async fn a_jump_of_a_clock_that_runs_leaves_its_sessions_alone() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let before = zk.now();
    zk.jump_wall_clock(Jump::Forward(Duration::from_secs(3_600)));
    let after = zk.now();
    assert!((3_600_000..3_620_000).contains(&(after.wall.0 - before.wall.0)));
    assert!(after.mono.0 - before.mono.0 < 20_000);
    assert_eq!(raw.request(-2, PING, &[]).await.err, 0);
}

#[tokio::test]
async fn the_wall_clock_decides_when_a_time_to_live_is_over() {
    let zk = manual().await;
    let mut raw = Raw::with_session(&zk, 40_000).await;
    with_ttl(&mut raw, "/ttl", 3_600_000).await;
    let close = raw.request(9, -11, &[]).await;
    assert_eq!(close.err, 0);
    zk.jump_wall_clock(Jump::Forward(Duration::from_secs(3_600)));
    zk.advance(59 * SECOND).await;
    assert!(zk.get("/ttl").is_some(), "there was no check yet");
    zk.advance(SECOND).await;
    assert!(zk.get("/ttl").is_none());
}

#[tokio::test]
async fn the_next_deadline_is_that_of_the_next_thing_that_happens() {
    let zk = manual().await;
    assert_eq!(zk.advance_to_next_deadline().await, None, "nothing will ever happen");
    let mut raw = Raw::with_session(&zk, 40_000).await;
    container(&mut raw, "/never-used").await;
    with_ttl(&mut raw, "/short", 150_000).await;
    container(&mut raw, "/used").await;
    raw.create("/used/e", EPHEMERAL).await;
    let silent = zk.connect();
    zk.advance(Duration::from_micros(500)).await;

    let micros = Duration::from_micros;
    assert_eq!(zk.advance_to_next_deadline().await, Some(micros(19_999_500)), "no session was asked for");
    assert_eq!(zk.connections().len(), 1);
    assert_eq!(zk.advance_to_next_deadline().await, Some(22 * SECOND), "the session expires");
    assert!(zk.get("/used/e").is_none() && zk.get("/used").is_some());
    assert_eq!(zk.advance_to_next_deadline().await, Some(18 * SECOND), "the check finds a container");
    assert!(zk.get("/used").is_none());
    assert_eq!(zk.advance_to_next_deadline().await, Some(120 * SECOND), "a later one finds the other node");
    assert!(zk.get("/short").is_none());
    let stopped = zk.now();
    assert_eq!(zk.advance_to_next_deadline().await, None, "a container that was never used stays");
    assert_eq!(zk.now(), stopped, "and time stands still");
    drop(silent);
}

#[tokio::test]
async fn the_end_of_a_delay_and_of_a_hold_are_deadlines() {
    let zk = manual().await;
    let mut raw = Raw::with_session(&zk, 40_000).await;
    raw.create("/e", EPHEMERAL).await;
    let delayed = zk.fault(On::get_data("/e"), Then::delay(3 * SECOND));
    let _held = zk.fault(On::expiry(), Then::hold_ephemerals(5 * SECOND));
    raw.send(&crate::raw::request(2, GET_DATA, &crate::raw::get_data("/e", false))).await;

    assert_eq!(zk.advance_to_next_deadline().await, Some(3 * SECOND), "the request is handled");
    assert_eq!((delayed.fired(), raw.reply().await.err), (1, 0));
    assert_eq!(zk.advance_to_next_deadline().await, Some(41 * SECOND), "the session expires");
    assert!(zk.sessions().is_empty() && zk.get("/e").is_some());
    assert_eq!(zk.advance_to_next_deadline().await, Some(5 * SECOND), "its node goes");
    assert!(zk.get("/e").is_none());
    assert_eq!(zk.advance_to_next_deadline().await, None);
}

#[tokio::test]
async fn all_of_time_passes_whatever_is_frozen_or_slow() {
    let zk = manual().await;
    let _slow = zk.fault(On::connect().nth(2), Then::slow(SECOND, 10));
    let mut frozen = Raw::with_session(&zk, 4_000).await;
    let mut slow = Raw::in_memory(&zk);
    slow.send(&connect_request(4_000)).await;
    frozen.create("/e", EPHEMERAL).await;
    assert!(zk.freeze_connection(zk.connections()[0].id));
    frozen.send(&crate::raw::request(2, GET_DATA, &crate::raw::get_data("/e", false))).await;
    crate::raw::within(zk.advance(Duration::MAX)).await;
    assert!(zk.sessions().is_empty() && zk.get("/e").is_none());
    zk.freeze();
    // It has no session, and does not get one.
    let mut new = Raw::in_memory(&zk);
    new.send(&connect_request(4_000)).await;
    crate::raw::within(zk.advance(Duration::MAX)).await;
    assert_eq!(crate::raw::within(zk.advance_to_next_deadline()).await, None);
    zk.thaw().await;
    assert!(new.receive().await.is_some());
}

#[tokio::test]
async fn a_connection_that_was_frozen_has_the_usual_time_for_its_handshake_after_the_thaw() {
    let zk = manual().await;
    zk.freeze();
    let mut silent = Raw::in_memory(&zk);
    zk.advance(100 * SECOND).await;
    zk.thaw().await;
    zk.advance(9 * SECOND).await;
    assert_eq!(zk.connections().len(), 1);
    zk.advance(11 * SECOND).await;
    assert_eq!(silent.receive().await, None);
}

#[tokio::test]
async fn checks_are_at_their_times_however_time_is_moved() {
    let run = async |steps: &[u64]| {
        let zk = manual().await;
        let mut raw = Raw::with_session(&zk, 40_000).await;
        for (ttl, name) in [(61_000, "/a"), (59_999, "/b"), (60_000, "/c"), (200_000, "/d")] {
            with_ttl(&mut raw, name, ttl).await;
        }
        container(&mut raw, "/used").await;
        raw.create("/used/e", EPHEMERAL).await;
        let mut seen = Vec::new();
        for step in steps {
            zk.advance(Duration::from_millis(*step)).await;
            seen.push((zk.now().mono.0, zk.children("/").unwrap(), zk.last_zxid()));
        }
        seen
    };
    let fine = run(&[500; 600]).await;
    for steps in [vec![300_000], vec![59_999, 1, 30_000, 30_000, 180_000], vec![90_000, 29_999, 1, 180_000]] {
        for coarse in run(&steps).await {
            assert!(fine.iter().rfind(|at| at.0 <= coarse.0).unwrap().1 == coarse.1, "{coarse:?}");
        }
    }
}

#[tokio::test]
async fn all_of_time_passes_at_once_even_with_containers_to_check() {
    let zk = manual().await;
    let mut raw = Raw::with_session(&zk, 40_000).await;
    container(&mut raw, "/never-used").await;
    with_ttl(&mut raw, "/long", 1 << 38).await;
    crate::raw::within(zk.advance(Duration::MAX)).await;
    assert!(zk.get("/never-used").is_some() && zk.get("/long").is_none());
    crate::raw::within(zk.advance(Duration::MAX)).await;
    zk.release_clock();
    let mut later = Raw::with_session(&zk, 4_000).await;
    container(&mut later, "/later").await;
    assert_eq!(later.request(-2, PING, &[]).await.err, 0);
}

#[tokio::test(start_paused = true)]
async fn an_automatic_clock_moves_with_tokio_and_repeats() {
    let run = async || {
        let zk = ZkMini::builder().in_memory().seed(1).auto_advance().start().await.unwrap();
        let mut raw = Raw::with_session(&zk, 4_000).await;
        raw.create("/e", EPHEMERAL).await;
        assert_eq!(zk.get("/e").unwrap().1.ctime.0, MANUAL_START);
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        assert_eq!(raw.request(-2, PING, &[]).await.err, 0);
        tokio::time::sleep(Duration::from_millis(4_499)).await;
        assert!(zk.get("/e").is_some(), "never early");
        tokio::time::sleep(Duration::from_millis(2_002)).await;
        assert!(zk.get("/e").is_none(), "at most a tick late");
        let mut after = Raw::in_memory(&zk);
        let answer = after.open_session(4_000).await;
        after.create("/f", EPHEMERAL).await;
        (answer, zk.get("/f").unwrap().1, zk.now())
    };
    assert_eq!(run().await, run().await);
}

#[tokio::test(start_paused = true)]
async fn a_run_with_faults_repeats_to_the_byte() {
    let run = async |seed| {
        let zk = ZkMini::builder().in_memory().seed(1).auto_advance().start().await.unwrap();
        zk.fault(On::create("/**").probability(0.3, seed), Then::delay(Duration::from_millis(700))).keep();
        zk.fault(On::any().probability(0.2, seed), Then::fail(ErrorCode::CONNECTION_LOSS)).keep();
        let mut received = Vec::new();
        let mut clients = [Raw::with_session(&zk, 4_000).await, Raw::with_session(&zk, 40_000).await];
        for n in 0..40 {
            for client in &mut clients {
                client.send(&crate::raw::request(n, CREATE, &crate::raw::create(&format!("/{n}"), 3))).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let [mut one, mut other] = clients;
        for _ in 0..40 {
            received.push((one.receive().await, other.receive().await));
        }
        (received, zk.children("/"), zk.now())
    };
    let first = run(5).await;
    assert_eq!(run(5).await, first);
    assert_ne!(run(6).await, first, "and the seeds of the rules matter");
}

#[tokio::test(start_paused = true)]
async fn an_automatic_clock_can_be_held_too() {
    let zk = ZkMini::builder().in_memory().auto_advance().start().await.unwrap();
    tokio::time::sleep(SECOND).await;
    zk.hold_clock().await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(zk.now().mono.0, 1_000);
    zk.advance(SECOND / 2).await;
    zk.release_clock();
    tokio::time::sleep(SECOND).await;
    assert_eq!(zk.now().mono.0, 2_500);
    assert_eq!(zk.now().wall.0, MANUAL_START + 2_500);
}

#[tokio::test(start_paused = true)]
async fn another_thread_sees_the_time_of_the_servers_runtime() {
    let zk = ZkMini::builder().in_memory().auto_advance().start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let handle = (*zk).clone();
    let seen = std::thread::spawn(move || handle.now()).join().unwrap();
    assert_eq!(seen, zk.now());
}

#[tokio::test]
async fn an_automatic_clock_needs_a_paused_one() {
    let error = ZkMini::builder().in_memory().auto_advance().start().await.unwrap_err();
    assert!(matches!(error, Error::TimeNotPaused), "{error}");
}

#[tokio::test]
async fn an_advance_ends_a_session_with_very_many_nodes() {
    let zk = manual().await;
    let mut raw = Raw::with_session(&zk, 4_000).await;
    for number in 0..2_500 {
        assert_eq!(raw.create(&format!("/e{number}"), EPHEMERAL).await.err, 0);
    }
    zk.advance(10 * SECOND).await;
    assert_eq!(zk.children("/").unwrap().len(), 1, "what the server has itself");
    assert!(zk.sessions().is_empty());
}
