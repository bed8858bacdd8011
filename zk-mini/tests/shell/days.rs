//! Random bad days: they end, and leave nothing behind.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zk_mini::testing::{Day, Incident, days, in_virtual_time};
use zk_mini::{Handle, ZkMini};

use crate::raw::{CREATE, EPHEMERAL, Raw, connect_request, create, frame, request};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a session, and creates a node again and again; from the start, when the connection ends or no answer comes.
async fn live(zk: Handle, n: usize) {
    let create = frame(&request(1, CREATE, &create(&format!("/{n}"), EPHEMERAL)));
    loop {
        let mut stream = zk.connect();
        let mut message = frame(&connect_request(10_000));
        loop {
            let mut answer = [0; 1_000];
            let exchange = async { stream.write_all(&message).await.and(stream.read(&mut answer).await) };
            match tokio::time::timeout(TIMEOUT / 2, exchange).await {
                Ok(Ok(1..)) => message.clone_from(&create),
                _ => break,
            }
            tokio::time::sleep(TIMEOUT / 4).await;
        }
        tokio::time::sleep(TIMEOUT / 10).await;
    }
}

proptest! {
    #[test]
    fn a_day_leaves_nothing_frozen_and_no_fault(day in days(TIMEOUT)) {
        in_virtual_time(async {
            let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await.unwrap();
            let clients: Vec<_> = (0..3).map(|n| tokio::spawn(live(zk.clone(), n))).collect();
            day.play(&zk).await;
            assert!(zk.faults().is_empty() && !zk.is_frozen());
            assert!(zk.connections().iter().all(|connection| !connection.frozen));
            // The clients get on as before.
            tokio::time::sleep(6 * TIMEOUT).await;
            for n in 0..clients.len() {
                assert!(zk.session_of(&format!("/{n}")).is_some(), "client {n} has its node");
            }
        });
    }
}

#[tokio::test]
async fn a_day_moves_a_clock_that_is_held() {
    let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    let day = Day::from([Incident::Wait(TIMEOUT / 2), Incident::Disconnect(3), Incident::Wait(TIMEOUT)]);
    day.play(&zk).await;
    assert_eq!(zk.now().mono.0, 15_000);
    assert_eq!(raw.receive().await, None);
    assert!(zk.sessions().is_empty());
}

#[tokio::test]
async fn incidents_without_a_session_do_nothing() {
    let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
    let day = Day::from([Incident::Expire(0), Incident::Disconnect(1), Incident::Freeze(2), Incident::Thaw]);
    day.play(&zk).await;
    assert_eq!(zk.last_zxid().0, 0);
}

#[test]
fn a_day_reads_as_a_story() {
    let day = Day::from([Incident::LoseReply, Incident::Wait(TIMEOUT), Incident::RefuseSession]);
    let story = "a day:\n   1. the reply to the next write will be lost\n   2. 10s pass\n   3. the next session that \
                 comes back will be refused";
    assert_eq!(format!("{day:?}"), story);
    assert_eq!(format!("{:?}", Day::default()), "a day without incidents");
}
