//! The counter: contention, lost replies, forms, and its sum after bad days.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::task::JoinSet;
use zk_client::CreateMode;
use zk_mini::testing::{Day, days};
use zk_mini::{On, Then};
use zk_recipes::{Counter, CounterFormat, Error};
use zk_wire::OpCode;

use crate::support::{TIMEOUT, builder, client, soon, with_server};

const PATH: &str = "/stats/count";

#[test]
fn each_of_many_clients_at_once_adds_its_part() {
    with_server(async |zk| {
        let mut adders = JoinSet::new();
        for _ in 0..20 {
            let counter = Counter::new(&client(zk).await, PATH);
            adders.spawn(async move { counter.add(3).await });
        }
        let mut sums: Vec<_> = soon(adders.join_all()).await.into_iter().map(Result::unwrap).collect();
        sums.sort_unstable();
        assert_eq!(sums, (1..=20).map(|n| 3 * n).collect::<Vec<_>>(), "each sum once");
        assert_eq!(Counter::new(&client(zk).await, PATH).get().await.unwrap(), 60);
    });
}

#[test]
fn the_root_of_a_chroot_that_does_not_exist_counts_too() {
    with_server(async |zk| {
        let client = builder(zk).chroot("/stats/count").connect().await.unwrap();
        assert_eq!(Counter::new(&client, "/").add(1).await.unwrap(), 1);
        assert_eq!(zk.get(PATH).unwrap().0, "1");
    });
}

#[test]
fn a_write_that_was_lost_is_made_once_more_and_one_whose_reply_was_lost_is_not() {
    with_server(async |zk| {
        let counter = Counter::new(&client(zk).await, PATH);
        counter.set(5).await.unwrap();
        let lost = zk.fault(On::op(OpCode::SET_DATA).times(1), Then::disconnect());
        assert_eq!(soon(counter.add(1)).await.unwrap(), 6);
        assert_eq!(lost.fired(), 1);

        let lost = zk.fault(On::op(OpCode::SET_DATA).times(1), Then::apply_and_lose_reply());
        let unknown = soon(counter.add(1)).await.unwrap_err();
        assert!(matches!(unknown, Error::Unknown { .. }) && unknown.may_have_been_applied(), "{unknown}");
        assert_eq!(lost.fired(), 1);
        assert_eq!(counter.get().await.unwrap(), 7, "once");
    });
}

#[test]
fn a_lost_write_that_another_client_overtook_is_made_on_the_new_number() {
    with_server(async |zk| {
        let counter = Counter::new(&client(zk).await, PATH);
        counter.set(5).await.unwrap();
        let cut = zk.fault(On::connect(), Then::refuse());
        let lost = zk.fault(On::op(OpCode::SET_DATA).times(1), Then::disconnect());
        let adding = tokio::spawn(async move { counter.add(1).await });
        lost.until_fired().await.unwrap();
        zk.set(PATH, "100").await.unwrap();
        drop(cut);
        assert_eq!(soon(adding).await.unwrap().unwrap(), 101);
    });
}

#[test]
fn a_number_that_changes_all_the_time_is_an_error_in_the_end() {
    with_server(async |zk| {
        let counter = Counter::new(&client(zk).await, PATH).attempts(3);
        counter.set(0).await.unwrap();
        let busy = zk.fault(On::op(OpCode::SET_DATA), Then::fail(zk_client::ErrorCode::BAD_VERSION));
        let error = soon(counter.add(1)).await.unwrap_err();
        assert!(matches!(error, Error::Contended { attempts: 3, .. }) && error.is_retryable(), "{error}");
        assert!(!error.may_have_been_applied());
        drop(busy);
        assert_eq!(counter.add(1).await.unwrap(), 1);
    });
}

#[test]
fn a_node_that_is_no_number_or_cannot_hold_the_sum_is_left_alone() {
    with_server(async |zk| {
        let client = client(zk).await;
        client.create("/text", "many", CreateMode::Persistent).await.unwrap();
        let error = Counter::new(&client, "/text").add(1).await.unwrap_err();
        assert!(matches!(error, Error::NotANumber { .. }), "{error}");
        assert_eq!(zk.get("/text").unwrap().0, "many");

        let small = Counter::new(&client, "/small").format(CounterFormat::Int32);
        small.set(i32::MAX.into()).await.unwrap();
        let error = small.add(1).await.unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
        assert_eq!(small.get().await.unwrap(), i64::from(i32::MAX));
        let large = Counter::new(&client, "/large").format(CounterFormat::Int64);
        large.set(i64::MAX).await.unwrap();
        assert!(matches!(large.add(1).await, Err(Error::OutOfRange { .. })));
        assert!(large.compare_and_set(i64::MAX, 0).await.unwrap());
        assert_eq!(zk.get("/large").unwrap().0, [0; 8][..]);
    });
}

/// Returns the sums of what was added and of what may have been added.
fn sums_after(day: &Day) {
    with_server(async |zk| {
        let (known, unknown) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let mut adders = JoinSet::new();
        for amount in [1, 100, 10_000] {
            let counter = Counter::new(&client(zk).await, PATH);
            let (known, unknown) = (known.clone(), unknown.clone());
            adders.spawn(async move {
                for _ in 0..20 {
                    match counter.add(amount).await {
                        Ok(_) => known.fetch_add(amount, Ordering::Relaxed),
                        Err(error) if error.may_have_been_applied() => {
                            unknown.fetch_add(amount, Ordering::Relaxed)
                        }
                        Err(error) => {
                            assert!(error.is_retryable(), "{error}");
                            0
                        }
                    };
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
        }
        day.play(zk).await;
        soon(adders.join_all()).await;
        let sum = Counter::new(&client(zk).await, PATH).get().await.unwrap();
        let (known, unknown) = (known.load(Ordering::Relaxed), unknown.load(Ordering::Relaxed));
        // Digit by digit: no adder has more than 99 adds.
        for digits in [1, 100, 10_000] {
            let of = |number: i64| number / digits % 100;
            assert!((of(known)..=of(known) + of(unknown)).contains(&of(sum)), "{known} {unknown} {sum}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_answered_add_is_lost_or_made_twice_on_any_day(day in days(TIMEOUT)) {
        sums_after(&day);
    }
}
