//! Random moves of a clock: monotonic time never goes back, and no session expires early or more than a tick late.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use zk_mini::{Jump, ZkMini};

use crate::raw::{EPHEMERAL, PING, Raw};

const TICK: u64 = 2_000;
const TIMEOUTS: [u64; 3] = [4_000, 7_000, 12_345];
const MANUAL_START: i64 = 1_577_836_800_000;

#[derive(Clone, Debug)]
enum Move {
    Hold,
    Release,
    Advance(u64),
    NextDeadline,
    Jump(Jump),
    /// tokio's time moves.
    Sleep(u64),
    /// A client that has a session shows a sign of life; one that has none opens one.
    Ping(usize),
}

fn some_move() -> impl Strategy<Value = Move> {
    let span = || prop_oneof![0..10_u64, 1_000..9_000_u64, 0..40_000_u64];
    let jump = (any::<bool>(), 0..10_000_000_u64).prop_map(|(forward, by)| {
        let by = Duration::from_millis(by);
        Move::Jump(if forward { Jump::Forward(by) } else { Jump::Back(by) })
    });
    prop_oneof![
        2 => Just(Move::Hold),
        2 => Just(Move::Release),
        3 => span().prop_map(Move::Advance),
        1 => Just(Move::NextDeadline),
        2 => jump,
        4 => span().prop_map(Move::Sleep),
        6 => (0..TIMEOUTS.len()).prop_map(Move::Ping),
    ]
}

/// A client, and the time when the server has heard it last.
struct Client {
    raw: Raw,
    heard: u64,
}

/// Times as they must be.
#[derive(Default)]
struct Expected {
    mono: u64,
    jumped: i64,
    is_held: bool,
}

async fn run(moves: Vec<Move>) {
    let zk = ZkMini::builder().in_memory().auto_advance().seed(1).start().await.unwrap();
    let mut clients: [Option<Client>; TIMEOUTS.len()] = [const { None }; TIMEOUTS.len()];
    let mut expected = Expected::default();
    for one in moves {
        apply(&zk, &one, &mut expected, &mut clients).await;
        let now = zk.now();
        assert_eq!(now.mono.0, expected.mono, "after {one:?}");
        assert_eq!(now.wall.0, MANUAL_START + i64::try_from(now.mono.0).unwrap() + expected.jumped);
        check_sessions(&zk, now.mono.0, &mut clients);
    }
}

async fn apply(zk: &ZkMini, one: &Move, expected: &mut Expected, clients: &mut [Option<Client>]) {
    match one {
        Move::Hold => {
            zk.hold_clock().await;
            expected.is_held = true;
        }
        Move::Release => {
            zk.release_clock();
            expected.is_held = false;
        }
        Move::Advance(by) => {
            let moved = zk.try_advance(Duration::from_millis(*by)).await;
            assert_eq!(moved.is_ok(), expected.is_held);
            expected.mono += if expected.is_held { *by } else { 0 };
        }
        Move::NextDeadline => match zk.try_advance_to_next_deadline().await {
            Ok(moved) => {
                assert!(expected.is_held);
                assert_eq!(moved.is_some(), clients.iter().any(Option::is_some));
                let moved = moved.unwrap_or_default();
                assert!(moved <= Duration::from_millis(TIMEOUTS[2] + TICK));
                expected.mono += u64::try_from(moved.as_millis()).unwrap();
            }
            Err(_) => assert!(!expected.is_held),
        },
        Move::Jump(jump) => {
            zk.jump_wall_clock(*jump);
            let millis = |by: &Duration| i64::try_from(by.as_millis()).unwrap();
            expected.jumped += match jump {
                Jump::Forward(by) => millis(by),
                Jump::Back(by) => -millis(by),
            };
        }
        Move::Sleep(by) => {
            let began = Instant::now();
            sleep(Duration::from_millis(*by)).await;
            // Timers of the same millisecond fire in any order.
            for _ in 0..16 {
                tokio::task::yield_now().await;
            }
            let slept = u64::try_from(began.elapsed().as_millis()).unwrap();
            expected.mono += if expected.is_held { 0 } else { slept };
        }
        Move::Ping(index) => {
            let (client, timeout) = (&mut clients[*index], TIMEOUTS[*index]);
            if let Some(client) = client {
                assert_eq!(client.raw.request(-2, PING, &[]).await.err, 0);
            } else {
                let raw = Raw::with_session(zk, i32::try_from(timeout).unwrap()).await;
                let raw = &mut client.insert(Client { raw, heard: 0 }).raw;
                assert_eq!(raw.create(&format!("/{timeout}"), EPHEMERAL).await.err, 0);
            }
            if let Some(client) = client {
                client.heard = zk.now().mono.0;
            }
        }
    }
}

/// Checks each session, and forgets those that have expired.
fn check_sessions(zk: &ZkMini, now: u64, clients: &mut [Option<Client>]) {
    for (client, timeout) in clients.iter_mut().zip(TIMEOUTS) {
        let Some(heard) = client.as_ref().map(|client| client.heard) else { continue };
        let silence = now - heard;
        if zk.get(&format!("/{timeout}")).is_some() {
            assert!(silence <= timeout + TICK, "more than a tick late: {silence} of {timeout}");
        } else {
            assert!(silence >= timeout, "early: {silence} of {timeout}");
            *client = None;
        }
    }
    assert_eq!(zk.sessions().len(), clients.iter().flatten().count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_move_of_a_clock_harms_time_or_sessions(moves in proptest::collection::vec(some_move(), 1..60)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(run(moves));
    }
}
