//! Barriers: who waits, who goes, and members that die.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::task::{JoinHandle, JoinSet};
use zk_client::{Client, CreateMode};
use zk_mini::testing::{Day, Incident, days};
use zk_mini::{On, Then, ZkMini};
use zk_recipes::{Barrier, BarrierMember, DoubleBarrier, Error};
use zk_wire::OpCode;

use crate::support::{TIMEOUT, client, count, ends_without_a_server, quiet, soon, until, with_server};

const PATH: &str = "/barrier";

#[test]
fn a_barrier_holds_back_all_until_it_is_opened() {
    with_server(async |zk| {
        let owner = Barrier::new(&client(zk).await, PATH);
        owner.wait().await.unwrap();
        owner.close().await.unwrap();
        owner.close().await.unwrap();
        let mut waiting = JoinSet::new();
        for _ in 0..3 {
            let barrier = Barrier::new(&client(zk).await, PATH);
            waiting.spawn(async move { barrier.wait().await });
        }
        until(zk, |zk| zk.watches().len() == 3).await;
        zk.all_sessions().expire().await;
        tokio::time::sleep(2 * TIMEOUT).await;
        assert!(waiting.try_join_next().is_none(), "they outlive their sessions");

        let lost = zk.fault(On::op(OpCode::DELETE).times(1), Then::apply_and_lose_reply());
        soon(owner.open()).await.unwrap();
        assert_eq!(lost.fired(), 1);
        for opened in soon(waiting.join_all()).await {
            opened.unwrap();
        }
        assert!(!owner.is_closed().await.unwrap());
        owner.open().await.unwrap();
    });
}

/// Lets members go in and out; each tells when it calls and checks who has when it returns.
async fn pass(client: Client, members: usize, entering: Arc<AtomicUsize>, leaving: Arc<AtomicUsize>) {
    let barrier = DoubleBarrier::new(&client, PATH, members);
    entering.fetch_add(1, Ordering::Relaxed);
    let member = barrier.enter().await.unwrap();
    assert_eq!(entering.load(Ordering::Relaxed), members, "nobody enters early");
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..3_000))).await;
    leaving.fetch_add(1, Ordering::Relaxed);
    member.leave().await.unwrap();
    assert_eq!(leaving.load(Ordering::Relaxed), members, "nobody leaves early");
}

#[test]
fn members_enter_together_leave_together_and_clean_up() {
    with_server(async |zk| {
        for _ in 0..3 {
            let counts = (Arc::default(), Arc::default());
            let mut members = JoinSet::new();
            for _ in 0..4 {
                members.spawn(pass(client(zk).await, 4, Arc::clone(&counts.0), Arc::clone(&counts.1)));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            soon(members.join_all()).await;
            assert_eq!(zk.children(PATH).unwrap(), [""; 0]);
        }
    });
}

#[test]
fn who_gives_up_while_coming_and_who_is_dropped_outside_of_every_runtime_has_left() {
    with_server(async |zk| {
        let barrier = DoubleBarrier::new(&client(zk).await, PATH, 1);
        barrier.enter().await.unwrap().leave().await.unwrap();
        let slow = zk.fault(On::create("/barrier/*").times(1), Then::delay(TIMEOUT / 10));
        tokio::time::timeout(TIMEOUT / 20, barrier.enter()).await.unwrap_err();
        assert_eq!(slow.fired(), 1);
        tokio::time::sleep(TIMEOUT / 5).await;
        assert_eq!(zk.children(PATH).unwrap(), [""; 0]);

        let member = barrier.enter().await.unwrap();
        std::thread::spawn(move || drop(member)).join().unwrap();
        until(zk, |zk| zk.children(PATH).unwrap() == ["ready"]).await;
    });
}

#[test]
fn a_member_that_is_dropped_does_not_keep_its_client() {
    with_server(async |zk| {
        let client = client(zk).await;
        let barrier = DoubleBarrier::new(&client, PATH, 1);
        let member = barrier.enter().await.unwrap();
        ends_without_a_server(zk, client, (barrier, member)).await;
    });
}

#[test]
fn who_has_given_up_while_coming_does_not_keep_the_client() {
    with_server(async |zk| {
        let client = client(zk).await;
        client.ensure_path(PATH).await.unwrap();
        let barrier = DoubleBarrier::new(&client, PATH, 1);
        let silent = zk.fault(On::create("/barrier/*").times(1), Then::be_silent());
        tokio::time::timeout(TIMEOUT / 20, barrier.enter()).await.unwrap_err();
        assert_eq!(silent.fired(), 1);
        ends_without_a_server(zk, client, barrier).await;
    });
}

#[test]
fn a_member_that_dies_inside_counts_as_done() {
    with_server(async |zk| {
        let (dying, living) = (client(zk).await, client(zk).await);
        let (dying, living) = (DoubleBarrier::new(&dying, PATH, 2), DoubleBarrier::new(&living, PATH, 2));
        let (lost, member) = tokio::try_join!(dying.enter(), living.enter()).unwrap();
        let leaving = tokio::spawn(member.leave());
        quiet().await;
        assert!(!leaving.is_finished());

        let names = zk.children(PATH).unwrap();
        for name in names.iter().filter(|name| *name != "ready") {
            let path = format!("{PATH}/{name}");
            // The one who leaves has gone already, or is the first in order and waits.
            if names.len() == 2 || *name == names[1] {
                zk.session_of(&path).unwrap().expire().await;
            }
        }
        let left = soon(leaving).await.unwrap();
        let lost = soon(lost.leave()).await;
        assert_eq!(
            [left, lost].iter().filter(|left| matches!(left, Err(Error::MemberLost { .. }))).count(),
            1
        );
    });
}

#[test]
fn a_node_that_a_crash_has_left_lets_nobody_in_early() {
    with_server(async |zk| {
        zk.create(PATH, "").await.unwrap();
        zk.create("/barrier/ready", "").await.unwrap();
        let barrier = DoubleBarrier::new(&client(zk).await, PATH, 2);
        let first = tokio::spawn({
            let barrier = barrier.clone();
            async move { barrier.enter().await }
        });
        tokio::time::sleep(TIMEOUT).await;
        assert!(!first.is_finished());
        let second = soon(barrier.enter()).await.unwrap();
        let first = soon(first).await.unwrap().unwrap();
        soon(async { tokio::try_join!(first.leave(), second.leave()) }).await.unwrap();
        assert_eq!(zk.children(PATH).unwrap(), [""; 0]);
    });
}

/// Enters a barrier of three.
fn enter_with_two(client: &Client) -> JoinHandle<BarrierMember> {
    let barrier = DoubleBarrier::new(client, PATH, 3);
    tokio::spawn(async move { barrier.enter().await.unwrap() })
}

/// Enters with two more than the slow member; then all three leave.
async fn come_and_leave(zk: &ZkMini, slow: JoinHandle<BarrierMember>) {
    let (second, third) = (enter_with_two(&client(zk).await), enter_with_two(&client(zk).await));
    let (second, third) = (soon(second).await.unwrap(), soon(third).await.unwrap());
    let leaving = tokio::spawn(async move { tokio::try_join!(second.leave(), third.leave()) });
    soon(soon(slow).await.unwrap().leave()).await.unwrap();
    soon(leaving).await.unwrap().unwrap();
    assert_eq!(zk.children(PATH).unwrap(), [""; 0]);
}

#[test]
fn a_slow_member_that_has_found_an_old_ready_does_not_close_the_barrier_that_others_have_opened() {
    with_server(async |zk| {
        zk.create(PATH, "").await.unwrap();
        zk.create("/barrier/ready", "").await.unwrap();
        let _late = zk.fault(On::ops(&[OpCode::DELETE, OpCode::MULTI]).times(1), Then::delay(TIMEOUT / 4));
        let slow = enter_with_two(&client(zk).await);
        until(zk, |zk| count(zk, PATH) == 2).await;
        quiet().await;
        come_and_leave(zk, slow).await;
    });
}

#[test]
fn a_slow_member_does_not_close_the_barrier_even_if_others_removed_the_old_ready_as_kazoo_does() {
    for nth in [1, 2] {
        with_server(async |zk| {
            zk.create(PATH, "").await.unwrap();
            zk.create("/barrier/ready", "").await.unwrap();
            let late = zk.fault(On::op(OpCode::MULTI).nth(nth), Then::delay(TIMEOUT / 4));
            let slow = enter_with_two(&client(zk).await);
            until(zk, |_| late.fired() == 1).await;
            zk.delete("/barrier/ready").await.unwrap();
            come_and_leave(zk, slow).await;
        });
    }
}

#[test]
fn who_gives_up_waiting_or_is_dropped_inside_is_no_member() {
    with_server(async |zk| {
        let barrier = DoubleBarrier::new(&client(zk).await, PATH, 2);
        assert!(tokio::time::timeout(TIMEOUT, barrier.enter()).await.is_err());
        until(zk, |zk| zk.children(PATH).is_some_and(|names| names.is_empty())).await;

        let (one, other) = soon(async { tokio::try_join!(barrier.enter(), barrier.enter()) }).await.unwrap();
        drop(one);
        soon(other.leave()).await.unwrap();
    });
}

#[test]
fn a_member_whose_node_was_deleted_is_told_and_the_rest_of_the_tree_is_ignored() {
    with_server(async |zk| {
        let client = client(zk).await;
        let barrier = DoubleBarrier::new(&client, PATH, 1);
        let member = barrier.enter().await.unwrap();
        let names = zk.children(PATH).unwrap();
        let own = names.iter().find(|name| *name != "ready").unwrap();
        zk.delete(&format!("{PATH}/{own}")).await.unwrap();
        assert!(matches!(soon(member.leave()).await, Err(Error::MemberLost { .. })));
        client.create("/other", "", CreateMode::Persistent).await.unwrap();
    });
}

/// Days on which every session lives: all answers are late or lost at worst.
fn days_of_living_sessions() -> impl Strategy<Value = Day> {
    let is_harmless = |incident: &Incident| match incident {
        Incident::Wait(_)
        | Incident::Disconnect(_)
        | Incident::Restart
        | Incident::LoseWrite
        | Incident::LoseReply
        | Incident::RefuseConnection => true,
        Incident::DelayRequest(time) | Incident::DelayReply(time) => *time < TIMEOUT / 4,
        _ => false,
    };
    days(TIMEOUT).prop_map(move |day| Day::from_iter(day.incidents().iter().copied().filter(is_harmless)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nobody_passes_a_double_barrier_early_on_days_that_sessions_outlive(day in days_of_living_sessions()) {
        with_server(async |zk| {
            let counts = (Arc::default(), Arc::default());
            let mut members = JoinSet::new();
            for _ in 0..3 {
                members.spawn(pass(client(zk).await, 3, Arc::clone(&counts.0), Arc::clone(&counts.1)));
            }
            day.play(zk).await;
            soon(members.join_all()).await;
            assert_eq!(zk.children(PATH).unwrap(), [""; 0]);
        });
    }

    #[test]
    fn everybody_gets_through_a_double_barrier_on_any_day(day in days(TIMEOUT)) {
        with_server(async |zk| {
            let mut members = JoinSet::new();
            for _ in 0..3 {
                let client = client(zk).await;
                members.spawn(async move {
                    // A member that was lost while the others passed waits for company.
                    let barrier = DoubleBarrier::new(&client, PATH, 2);
                    while let Ok(entered) = tokio::time::timeout(6 * TIMEOUT, barrier.enter()).await {
                        match entered.unwrap().leave().await {
                            Ok(()) | Err(Error::MemberLost { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                        tokio::time::sleep(Duration::from_secs(5)).await;
                    }
                });
            }
            let passing = tokio::spawn(members.join_all());
            day.play(zk).await;
            tokio::time::sleep(6 * TIMEOUT).await;
            passing.abort();
        });
    }
}
