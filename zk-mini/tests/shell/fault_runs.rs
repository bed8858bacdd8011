//! Faults over a whole run: the gap after an expiry, restarts, the history, and runs that repeat byte for byte.

use std::time::Duration;

use zk_mini::history::EntryKind;
use zk_mini::{On, Then, ZkMini};
use zk_wire::{ErrorCode, EventType, OpCode, SessionId};

use crate::raw::{
    CREATE, DELETE, EPHEMERAL, GET_DATA, PING, Raw, SET_DATA, connect_request, create, delete, get_data,
    request, resume_request, set_data, within,
};

const SECOND: Duration = Duration::from_secs(1);

async fn in_memory() -> ZkMini {
    ZkMini::builder().in_memory().seed(1).manual_clock().start().await.unwrap()
}

/// Returns the id in the answer to a handshake.
fn session(answer: &[u8]) -> SessionId {
    SessionId(i64::from_be_bytes(*answer[8..].first_chunk().unwrap()))
}

#[tokio::test]
async fn between_the_end_of_a_session_and_of_its_nodes_there_is_a_gap() {
    let zk = ZkMini::builder().manual_clock().start().await.unwrap();
    let gap = zk.fault(On::expiry(), Then::hold_ephemerals(30 * SECOND));
    let mut dying = Raw::tcp(&zk).await;
    let answer = dying.open_session(4_000).await;
    dying.create("/leader", EPHEMERAL).await;
    let mut watching = Raw::with_session(&zk, 40_000).await;
    watching.request(1, GET_DATA, &get_data("/leader", true)).await;

    assert!(zk.session_of("/leader").unwrap().expire().await);
    assert_eq!(dying.receive().await, None);
    assert!(zk.session(session(&answer)).is_none());
    let mut again = Raw::in_memory(&zk);
    again.send(&resume_request(&answer)).await;
    let refusal = again.receive().await.unwrap();
    assert_eq!((session(&refusal), again.receive().await), (SessionId::NONE, None));
    let (_, stat) = zk.get("/leader").unwrap();
    assert_eq!(stat.ephemeral_owner, session(&answer));
    assert!(zk.session_of("/leader").is_none(), "nobody owns it who could be expired");

    zk.advance(29 * SECOND).await;
    assert!(zk.get("/leader").is_some());
    watching.request(-2, PING, &[]).await;
    zk.advance(SECOND).await;
    assert!(zk.get("/leader").is_none());
    assert_eq!(watching.receive().await.unwrap()[16..20], EventType::NODE_DELETED.0.to_be_bytes());
    let explained = zk.explain("/leader").to_string();
    assert!(explained.contains("expired"), "{explained}");
    assert_eq!(gap.hits()[0].session, Some(session(&answer)));
}

#[tokio::test]
async fn rules_outlive_restarts_and_resets() {
    let zk = in_memory().await;
    let fault = zk.fault(On::get_data("/**"), Then::fail(ErrorCode::API_ERROR));
    for round in 1..=3 {
        let mut raw = Raw::with_session(&zk, 4_000).await;
        assert_eq!(raw.request(1, GET_DATA, &get_data("/a", false)).await.err, -100);
        assert_eq!(fault.fired(), round);
        match round {
            1 => zk.restart().await,
            2 => zk.reset().await.unwrap(),
            _ => {}
        }
    }
    let before = zk.snapshot();
    zk.restore(&before).await.unwrap();
    assert_eq!(fault.hits().len(), 3);
}

#[tokio::test]
async fn a_connection_that_a_rule_has_silenced_ends_with_a_restart() {
    let zk = in_memory().await;
    let silent = zk.fault(On::connect().nth(1), Then::be_silent());
    let mut raw = Raw::in_memory(&zk);
    raw.send(&connect_request(4_000)).await;
    silent.until_fired().await.unwrap();
    within(zk.restart()).await;
    assert_eq!(raw.receive().await, None);
}

#[tokio::test]
async fn an_answer_to_a_handshake_can_take_longer_than_a_handshake_may() {
    let zk = in_memory().await;
    let _late = zk.fault(On::connect(), Then::apply_and_delay_reply(60 * SECOND));
    let mut raw = Raw::in_memory(&zk);
    raw.send(&connect_request(40_000)).await;
    zk.advance(30 * SECOND).await;
    zk.advance(30 * SECOND).await;
    assert!(raw.receive().await.is_some());
}

#[tokio::test]
async fn a_fault_that_fires_stands_in_the_history_with_its_rule_and_request() {
    let zk = ZkMini::builder().in_memory().manual_clock().history(100).start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 4_000).await;
    let fault = zk.fault(On::create("/a"), Then::fail(ErrorCode::NO_AUTH));
    raw.send(&request(7, CREATE, &create("/a", 0))).await;
    raw.receive().await;
    let history = zk.history().kind(EntryKind::Fault);
    let entry = history.iter().next().unwrap();
    assert_eq!((entry.op, entry.xid.map(|xid| xid.0)), (Some(OpCode::CREATE), Some(7)));
    assert_eq!(entry.path.as_deref(), Some("/a"));
    let because = entry.because.as_deref().unwrap();
    assert!(because.contains(&fault.id().to_string()), "{because}");
}

/// Lets three clients send requests at random while rules fire at random, and returns all that they have received.
async fn run(seed: u64) -> Vec<Vec<u8>> {
    let zk = in_memory().await;
    let mut rules = vec![
        zk.fault(On::any().probability(0.2, seed), Then::delay(700 * SECOND / 1_000)),
        zk.fault(On::any().probability(0.2, seed + 1), Then::apply_and_delay_reply(SECOND)),
        zk.fault(On::any_event("/**").probability(0.5, seed + 2), Then::drop_event()),
        zk.fault(On::any_event("/**").probability(0.5, seed + 3), Then::delay(SECOND)),
        zk.fault(On::create("/**").probability(0.05, seed + 4), Then::apply_and_lose_reply()),
        zk.fault(On::any().probability(0.05, seed + 5), Then::be_silent()),
        zk.fault(On::expiry(), Then::hold_ephemerals(3 * SECOND)),
        zk.fault(On::connect().nth(2), Then::slow(SECOND / 5, 2_000)),
    ];
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut raws = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::in_memory(&zk);
        raw.send(&connect_request(8_000)).await;
        zk.advance(SECOND).await;
        raws.push(raw);
    }
    for xid in 1..150 {
        let path = format!("/{}", chance.u8(0..5));
        let (op, body) = match chance.u8(0..6) {
            0 | 1 => (CREATE, create(&path, EPHEMERAL)),
            2 => (DELETE, delete(&path)),
            3 => (SET_DATA, set_data(&path, b"x")),
            _ => (GET_DATA, get_data(&path, true)),
        };
        let raw = chance.choice(&mut raws).unwrap();
        // It fails where the server has closed the connection.
        let _ = tokio::io::AsyncWriteExt::write_all(
            &mut raw.stream,
            &crate::raw::frame(&request(xid, op, &body)),
        )
        .await;
        zk.advance(Duration::from_millis(chance.u64(0..400))).await;
    }
    rules.truncate(6);
    zk.advance(60 * SECOND).await;
    assert!(zk.sessions().is_empty() && zk.children("/").unwrap() == ["zookeeper"]);
    let mut received = Vec::new();
    for raw in &mut raws {
        received.push(raw.rest().await);
    }
    received
}

#[tokio::test]
async fn with_a_seed_and_a_manual_clock_the_same_run_is_the_same_byte_for_byte() {
    for seed in [1, 2, 3] {
        let once = run(seed).await;
        assert!(once.iter().map(Vec::len).sum::<usize>() > 500, "something was received");
        assert_eq!(once, run(seed).await);
    }
    assert_ne!(run(1).await, run(2).await);
}
