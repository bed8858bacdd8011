//! Queues: order, one taker an entry, and entries after bad days.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::task::JoinSet;
use zk_client::ErrorCode;
use zk_mini::history::EntryKind;
use zk_mini::testing::in_virtual_time;
use zk_mini::testing::{Day, Incident, days};
use zk_mini::{On, Then, ZkMini};
use zk_recipes::{Error, LockingQueue, Priority, Queue, QueueNames};
use zk_wire::OpCode;

use crate::support::{
    TIMEOUT, builder, client, count, ends_without_a_server, quiet, soon, until, with_server,
};

const PATH: &str = "/work";

#[test]
fn entries_are_taken_by_priority_and_age_one_taker_each() {
    with_server(async |zk| {
        let queue = Queue::new(&client(zk).await, PATH);
        queue.put_all((0..30).map(|n| n.to_string())).await.unwrap();
        queue.put_with_priority("first", Priority::new(0)).await.unwrap();
        assert_eq!(queue.try_take().await.unwrap().unwrap().data, "first");
        let mut takers = JoinSet::new();
        for _ in 0..3 {
            let queue = Queue::new(&client(zk).await, PATH);
            takers.spawn(async move {
                let mut taken = Vec::new();
                while let Some(entry) = queue.try_take().await.unwrap() {
                    taken.push(String::from_utf8(entry.data.to_vec()).unwrap().parse::<u32>().unwrap());
                }
                taken
            });
        }
        let taken = soon(takers.join_all()).await;
        assert!(taken.iter().all(|taken| taken.is_sorted()), "{taken:?}");
        let mut all = taken.concat();
        all.sort_unstable();
        assert_eq!(all, (0..30).collect::<Vec<_>>());
        assert_eq!(queue.len().await.unwrap(), 0);
    });
}

#[test]
fn who_waits_is_woken_by_a_put_also_in_a_new_session() {
    with_server(async |zk| {
        let queue = Queue::new(&client(zk).await, PATH);
        let taking = tokio::spawn({
            let queue = Queue::new(&client(zk).await, PATH);
            async move { queue.take().await }
        });
        until(zk, |zk| !zk.watches().is_empty()).await;
        zk.all_sessions().expire().await;
        until(zk, |zk| !zk.watches().is_empty()).await;
        soon(async { while queue.put("a").await.is_err() {} }).await;
        assert_eq!(soon(taking).await.unwrap().unwrap().data, "a");
    });
}

#[test]
fn a_long_queue_is_not_listed_for_every_take() {
    with_server(async |zk| {
        let queue = Queue::new(&client(zk).await, PATH);
        queue.put_all((0..300).map(|n| n.to_string())).await.unwrap();
        let mark = zk.mark();
        for n in 0..300 {
            assert_eq!(queue.take().await.unwrap().data, n.to_string());
        }
        let requests = zk.history().since(&mark).kind(EntryKind::Request);
        let lists = requests.iter().filter(|entry| entry.op == Some(OpCode::GET_CHILDREN2)).count();
        assert_eq!(lists, 3);
        assert_eq!(zk.watches().len(), 0, "only those who wait watch");
    });
}

#[test]
fn a_removal_whose_reply_is_lost_is_ours_or_unknown_with_its_entry() {
    with_server(async |zk| {
        let queue = Queue::new(&client(zk).await, PATH);
        queue.put("a").await.unwrap();
        let lost = zk.fault(On::op(OpCode::DELETE).times(1), Then::disconnect());
        assert_eq!(soon(queue.take()).await.unwrap().data, "a", "the removal was lost and made again");
        assert_eq!(lost.fired(), 1);

        queue.put("b").await.unwrap();
        let _lost = zk.fault(On::op(OpCode::DELETE).times(1), Then::apply_and_lose_reply());
        match soon(queue.take()).await.unwrap_err() {
            Error::PerhapsTaken { entry, .. } => assert_eq!(entry.data, "b"),
            error => panic!("{error}"),
        }
        assert!(queue.is_empty().await.unwrap());
    });
}

#[test]
fn a_removal_without_a_reply_is_made_again_however_long_the_servers_are_away() {
    with_server(async |zk| {
        let queue = Queue::new(&client(zk).await, PATH);
        queue.put("a").await.unwrap();
        let lost = zk.fault(On::op(OpCode::DELETE).times(1), Then::disconnect());
        let taking = tokio::spawn(async move { queue.take().await });
        lost.until_fired().await.unwrap();
        zk.take_down().await;
        tokio::time::sleep(30 * TIMEOUT).await;
        assert!(!taking.is_finished());
        zk.bring_up().await.unwrap();
        assert_eq!(soon(taking).await.unwrap().unwrap().data, "a");
    });
}

#[test]
fn an_entry_that_is_perhaps_there_is_not_called_gone() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let queue = Queue::new(&ada, PATH);
        let path = queue.put("a").await.unwrap();
        let lost = zk.fault(On::op(OpCode::DELETE).times(2), Then::disconnect());
        let taking = tokio::spawn({
            let queue = queue.clone();
            async move { queue.take().await }
        });
        lost.until_fired().await.unwrap();
        zk.set(&path, "b").await.unwrap();
        let changed = soon(taking).await.unwrap().unwrap_err();
        assert_eq!(changed.code(), Some(ErrorCode::BAD_VERSION), "{changed}");
        assert!(!changed.may_have_been_applied());

        let lost = zk.fault(On::op(OpCode::DELETE).times(1), Then::disconnect());
        let taking = tokio::spawn(async move { queue.take().await });
        lost.until_fired().await.unwrap();
        zk.take_down().await;
        ada.close_within(TIMEOUT / 10).await.unwrap_err();
        let error = soon(taking).await.unwrap().unwrap_err();
        assert!(error.may_have_been_applied() && error.is_session_over() && !error.is_retryable());
        match error {
            Error::PerhapsThere { entry, .. } => assert_eq!(entry.data, "b"),
            error => panic!("{error}"),
        }
        assert_eq!(count(zk, PATH), 1, "it is there");
    });
}

#[test]
fn a_put_says_if_it_may_have_been_done_and_a_full_queue_takes_none() {
    with_server(async |zk| {
        let queue = Queue::new(&client(zk).await, PATH).limit(2);
        let _lost = zk.fault(On::op(OpCode::CREATE).path("/work/*").times(1), Then::apply_and_lose_reply());
        let error = soon(queue.put("a")).await.map(drop);
        if let Err(error) = error {
            assert!(error.may_have_been_applied(), "{error}");
        }
        until(zk, |_| true).await;
        while soon(queue.len()).await.unwrap() < 2 {
            queue.put("b").await.unwrap();
        }
        let full = queue.put("c").await.unwrap_err();
        assert!(matches!(full, Error::Full { limit: 2, .. }) && full.is_retryable(), "{full}");
        assert!(matches!(queue.put_all(["c"]).await, Err(Error::Full { .. })));
        queue.take().await.unwrap();
        queue.put("c").await.unwrap();
    });
}

#[test]
fn a_put_of_several_is_all_or_nothing() {
    with_server(async |zk| {
        let queue = Queue::new(&client(zk).await, PATH);
        let paths = queue.put_all(["a", "b"]).await.unwrap();
        assert_eq!(paths, ["/work/entry-100-0000000000", "/work/entry-100-0000000001"]);
        let _refused = zk.fault(On::op(OpCode::MULTI).times(1), Then::fail(ErrorCode::NO_AUTH));
        assert!(queue.put_all(["c", "d"]).await.is_err());
        assert_eq!(count(zk, PATH), 2);
        assert_eq!(queue.put_all([""; 0]).await.unwrap(), [""; 0]);
    });
}

#[test]
fn the_claim_of_a_client_that_dies_or_is_dropped_frees_its_entry() {
    with_server(async |zk| {
        let (dying, living) = (client(zk).await, client(zk).await);
        let dying = LockingQueue::new(&dying, PATH);
        dying.put("a").await.unwrap();
        let claim = dying.claim().await.unwrap();
        let queue = LockingQueue::new(&living, PATH);
        assert!(queue.try_claim().await.unwrap().is_none());
        let claiming = tokio::spawn(async move { (queue.claim().await, queue) });
        quiet().await;
        zk.session_of("/work/taken/entry-100-0000000000").unwrap().expire().await;
        let (second, queue) = soon(claiming).await.unwrap();
        let second = second.unwrap();
        assert!(second.is_held().await.unwrap());
        let lost = soon(claim.done()).await.unwrap_err();
        assert!(matches!(lost, Error::ClaimLost { .. }), "{lost}");
        assert_eq!(queue.len().await.unwrap(), 1, "the lost claim removed nothing");
        drop(second);
        let third = soon(queue.claim()).await.unwrap();
        assert_eq!(third.data(), "a");
        third.done().await.unwrap();
        assert_eq!((count(zk, "/work/entries"), count(zk, "/work/taken")), (0, 0));
    });
}

#[test]
fn an_entry_is_free_again_whenever_and_wherever_its_taker_gives_up() {
    with_server(async |zk| {
        let queue = LockingQueue::new(&client(zk).await, PATH);
        queue.put("a").await.unwrap();
        queue.claim().await.unwrap().give_back().await.unwrap();
        // While the claim is made.
        let slow = zk.fault(On::create("/work/taken/*").times(1), Then::delay(TIMEOUT / 10));
        tokio::time::timeout(TIMEOUT / 20, queue.claim()).await.unwrap_err();
        assert_eq!(slow.fired(), 1);
        tokio::time::sleep(TIMEOUT / 5).await;
        assert_eq!(count(zk, "/work/taken"), 0);
        // Outside of every runtime.
        let claim = queue.claim().await.unwrap();
        std::thread::spawn(move || drop(claim)).join().unwrap();
        // While it is given back.
        let claim = soon(queue.claim()).await.unwrap();
        let lost = zk.fault(On::op(OpCode::DELETE).times(1), Then::be_silent());
        tokio::time::timeout(TIMEOUT / 20, claim.give_back()).await.unwrap_err();
        soon(queue.claim()).await.unwrap().done().await.unwrap();
        assert_eq!(lost.fired(), 1);
    });
}

#[test]
fn a_claim_that_is_dropped_does_not_keep_its_client() {
    with_server(async |zk| {
        let client = client(zk).await;
        let queue = LockingQueue::new(&client, PATH);
        queue.put("a").await.unwrap();
        let claim = queue.claim().await.unwrap();
        ends_without_a_server(zk, client, (queue, claim)).await;
    });
}

#[test]
fn who_has_given_up_claiming_does_not_keep_the_client() {
    with_server(async |zk| {
        let client = client(zk).await;
        let queue = LockingQueue::new(&client, PATH);
        queue.put("a").await.unwrap();
        client.ensure_path("/work/taken").await.unwrap();
        let silent = zk.fault(On::create("/work/taken/*").times(1), Then::be_silent());
        tokio::time::timeout(TIMEOUT / 20, queue.claim()).await.unwrap_err();
        assert_eq!(silent.fired(), 1);
        ends_without_a_server(zk, client, queue).await;
    });
}

#[test]
fn a_claim_that_is_dropped_ends_no_other_when_its_session_expires_meanwhile() {
    with_server(async |zk| {
        let queue = LockingQueue::new(&client(zk).await, PATH);
        queue.put("a").await.unwrap();
        let claim = queue.claim().await.unwrap();
        let session = zk.session_of("/work/taken/entry-100-0000000000").unwrap();
        let other = LockingQueue::new(&client(zk).await, PATH);
        let claiming = tokio::spawn(async move { other.claim().await });
        quiet().await;
        let parted = zk.fault(On::op(OpCode::DELETE).times(1), Then::disconnect());
        drop(claim);
        parted.until_fired().await.unwrap();
        session.expire().await;
        let claim = soon(claiming).await.unwrap().unwrap();
        tokio::time::sleep(2 * TIMEOUT).await;
        assert!(claim.is_held().await.unwrap());
    });
}

#[test]
fn work_that_is_ended_too_late_ends_no_other() {
    /// Ways to end a claim while its session expires: done or given back, and whether another client has claimed the entry since.
    const CASES: [(bool, bool); 3] = [(true, false), (true, true), (false, true)];
    for (seed, (is_done, is_claimed)) in (0..60).flat_map(|seed| CASES.map(|case| (seed, case))) {
        in_virtual_time(async {
            let zk = ZkMini::builder().in_memory().auto_advance().seed(seed).start().await.unwrap();
            let client = builder(&zk).seed(seed).connect().await.unwrap();
            let queue = LockingQueue::new(&client, PATH);
            queue.put("a").await.unwrap();
            let claim = queue.claim().await.unwrap();
            let session = zk.session_of("/work/taken/entry-100-0000000000").unwrap();
            session.freeze();
            let ending =
                tokio::spawn(
                    async move { if is_done { claim.done().await } else { claim.give_back().await } },
                );
            tokio::time::sleep(TIMEOUT / 10).await;
            session.expire().await;
            let other = LockingQueue::new(&self::client(&zk).await, PATH);
            let theirs = if is_claimed { other.try_claim().await.unwrap() } else { None };
            session.thaw().await;
            let ended = soon(ending).await.unwrap();
            assert_eq!(ended.is_ok(), !is_done, "seed {seed}: {ended:?}");
            assert_eq!(count(&zk, "/work/entries"), 1, "seed {seed}: nobody has done it");
            if let Some(theirs) = theirs {
                theirs.done().await.unwrap();
            }
        });
    }
}

#[test]
fn lost_replies_make_no_second_claim_and_end_no_work_twice() {
    with_server(async |zk| {
        let queue = LockingQueue::new(&client(zk).await, PATH);
        queue.put("a").await.unwrap();
        zk.create("/work/taken", "").await.unwrap();
        let lost = zk.fault(On::op(OpCode::CREATE2).times(1), Then::apply_and_lose_reply());
        let claim = soon(queue.claim()).await.unwrap();
        assert_eq!(lost.fired(), 1);
        let lost = zk.fault(On::op(OpCode::MULTI).times(1), Then::apply_and_lose_reply());
        soon(claim.done()).await.unwrap();
        assert_eq!(lost.fired(), 1);
        assert_eq!((count(zk, "/work/entries"), count(zk, "/work/taken")), (0, 0));
    });
}

#[test]
fn curators_names_sort_and_lock_in_their_own_folders() {
    with_server(async |zk| {
        let client = client(zk).await;
        let queue = Queue::new(&client, PATH).names(QueueNames::Curator);
        assert_eq!(queue.put("a").await.unwrap(), "/work/queue-0000000000");
        let locking = LockingQueue::curator(&client, PATH, "/locks");
        let claim = locking.claim().await.unwrap();
        assert_eq!(zk.children("/locks").unwrap(), ["queue-0000000000"]);
        claim.done().await.unwrap();
        assert_eq!((count(zk, PATH), count(zk, "/locks")), (0, 0));
    });
}

/// Number of times that an entry was taken for certain, and perhaps.
type Tally = Arc<Mutex<BTreeMap<String, (u32, u32)>>>;

fn note(tally: &Tally, data: &[u8], certain: u32, perhaps: u32) {
    let mut tally = tally.lock().unwrap();
    let counts = tally.entry(String::from_utf8_lossy(data).into_owned()).or_default();
    *counts = (counts.0 + certain, counts.1 + perhaps);
}

/// Puts entries with different data and returns those that are in the queue for certain.
async fn put_some(put: impl AsyncFn(String) -> Result<String, Error>) -> Vec<String> {
    let mut known = Vec::new();
    for n in 0..20 {
        match put(n.to_string()).await {
            Ok(_) => known.push(n.to_string()),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    known
}

fn each_entry_is_taken_once_on(day: &Day) {
    with_server(async |zk| {
        let tally = Tally::default();
        let mut takers = JoinSet::new();
        for _ in 0..2 {
            let (queue, tally) = (Queue::new(&client(zk).await, PATH), tally.clone());
            takers.spawn(async move {
                loop {
                    match queue.take().await {
                        Ok(entry) => note(&tally, &entry.data, 1, 0),
                        Err(Error::PerhapsTaken { entry, .. }) => note(&tally, &entry.data, 0, 1),
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                }
            });
        }
        let queue = Queue::new(&client(zk).await, PATH);
        let putting = put_some(async |data: String| queue.put(data).await);
        let (put, ()) = soon(async { tokio::join!(putting, day.play(zk)) }).await;
        tokio::time::sleep(6 * TIMEOUT).await;
        takers.shutdown().await;
        assert_eq!(count(zk, PATH), 0);
        let tally = tally.lock().unwrap();
        assert!(tally.values().all(|(certain, _)| *certain <= 1), "nothing is taken twice: {tally:?}");
        for data in &put {
            let (certain, perhaps) = tally.get(data).copied().unwrap_or_default();
            assert!(certain + perhaps >= 1, "{data} is lost: {tally:?}");
        }
    });
}

fn each_entry_is_done_on(day: &Day) {
    with_server(async |zk| {
        let tally = Tally::default();
        let mut workers = JoinSet::new();
        for _ in 0..2 {
            let (queue, tally) = (LockingQueue::new(&client(zk).await, PATH), tally.clone());
            workers.spawn(async move {
                loop {
                    let Ok(claim) = queue.claim().await else { continue };
                    let data = claim.data().clone();
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..2_000))).await;
                    match claim.done().await {
                        Ok(()) => note(&tally, &data, 1, 0),
                        Err(Error::Unknown { .. }) => note(&tally, &data, 0, 1),
                        Err(Error::ClaimLost { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        let queue = LockingQueue::new(&client(zk).await, PATH);
        let putting = put_some(async |data: String| queue.put(data).await);
        let (put, ()) = soon(async { tokio::join!(putting, day.play(zk)) }).await;
        tokio::time::sleep(10 * TIMEOUT).await;
        workers.shutdown().await;
        quiet().await;
        assert_eq!(count(zk, "/work/entries"), 0);
        let tally = tally.lock().unwrap();
        assert!(tally.values().all(|(certain, _)| *certain <= 1), "nothing is done twice: {tally:?}");
        for data in &put {
            let (certain, perhaps) = tally.get(data).copied().unwrap_or_default();
            assert!(certain + perhaps >= 1, "{data} is lost: {tally:?}");
        }
    });
}

/// The client of a claim hears that its session has expired; it lives on, and the late request of that session does the work.
#[test]
fn a_late_request_of_a_refused_session_is_waited_for() {
    each_entry_is_done_on(&Day::from([
        Incident::Wait(Duration::from_millis(1)),
        Incident::DelayRequest(Duration::from_millis(5_885)),
        Incident::RefuseSession,
        Incident::Wait(Duration::from_millis(6_743)),
    ]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn each_entry_is_taken_once_or_reported_on_any_day(day in days(TIMEOUT)) {
        each_entry_is_taken_once_on(&day);
    }

    #[test]
    fn each_entry_of_a_locking_queue_is_done_once_or_reported_on_any_day(day in days(TIMEOUT)) {
        each_entry_is_done_on(&day);
    }
}
