//! The queue in front of a lock: who waits for whom, and at what cost.

use std::collections::BTreeSet;

use zk_client::CreateMode;
use zk_mini::ZkMini;
use zk_mini::history::Entry;
use zk_recipes::{Guard, Lock, Naming, ReadWriteLock};

use crate::support::{client, count, quiet, soon, until, with_server};

const PATH: &str = "/locks/index";

#[test]
fn a_release_wakes_one_of_all_that_wait() {
    with_server(async |zk| {
        let first = client(zk).await;
        let held = soon(Lock::new(&first, PATH).acquire()).await.unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        let mut sessions = Vec::new();
        for n in 2..32 {
            let client = client(zk).await;
            sessions.push(client.credentials().unwrap().id);
            waiting.spawn(async move { Lock::new(&client, PATH).acquire().await.unwrap() });
            until(zk, |zk| count(zk, PATH) == n).await;
        }
        quiet().await;
        assert_eq!(zk.watches().len(), 31, "one for each that waits, and one of the holder on its own node");

        let mark = zk.mark();
        soon(held.release()).await.unwrap();
        let next = soon(waiting.join_next()).await.unwrap().unwrap();
        quiet().await;
        assert!(next.is_held());
        let reads = zk.history().since(&mark).filter(Entry::is_read);
        let readers: BTreeSet<_> = reads.iter().filter_map(|entry| entry.session).collect();
        assert_eq!(readers, [sessions[0]].into());
        assert_eq!(reads.len(), 2, "a list, and the watch on its own node: {reads:?}");
    });
}

#[test]
fn the_end_of_a_waiter_in_the_middle_is_no_turn() {
    with_server(async |zk| {
        let (ada, bob, cyd) = (client(zk).await, client(zk).await, client(zk).await);
        let first = soon(Lock::new(&ada, PATH).acquire()).await.unwrap();
        let middle = tokio::spawn(async move { Lock::new(&bob, PATH).acquire().await.unwrap() });
        until(zk, |zk| count(zk, PATH) == 2).await;
        let last = tokio::spawn(async move { Lock::new(&cyd, PATH).acquire().await.unwrap() });
        until(zk, |zk| count(zk, PATH) == 3).await;
        middle.abort();
        until(zk, |zk| count(zk, PATH) == 2).await;
        quiet().await;
        assert!(first.is_held() && !last.is_finished());
        soon(first.release()).await.unwrap();
        assert!(soon(last).await.unwrap().is_held());
    });
}

/// Makes a node as a foreign client would.
async fn foreign(zk: &ZkMini, prefix: &str) -> String {
    let client = client(zk).await;
    client.ensure_path(PATH).await.unwrap();
    // It is not ephemeral, so that it outlives this client.
    let mode = CreateMode::PersistentSequential;
    client.create(&format!("{PATH}/{prefix}"), "", mode).await.unwrap().path
}

#[test]
fn foreign_locks_of_any_name_exclude_ours() {
    for prefix in [
        "_c_01234567-89ab-cdef-0fed-cba987654321-lock-",
        "_c_01234567-89ab-cdef-0fed-cba987654321-__READ__",
        "_c_01234567-89ab-cdef-0fed-cba987654321-__WRIT__",
        "0123456789abcdef0fedcba987654321__lock__",
        "ffffffffffffffffffffffffffffffff__rlock__",
        "somebody-",
    ] {
        with_server(async |zk| {
            let node = foreign(zk, prefix).await;
            let ada = client(zk).await;
            for naming in [Naming::Curator, Naming::Kazoo, Naming::LeaderLatch] {
                let lock = Lock::new(&ada, PATH).naming(naming);
                assert!(soon(lock.try_acquire()).await.unwrap().is_none(), "{prefix} {naming:?}");
            }
            let write = ReadWriteLock::new(&ada, PATH);
            assert!(soon(write.write().try_acquire()).await.unwrap().is_none(), "{prefix}");
            let read = soon(write.read().try_acquire()).await.unwrap();
            assert_eq!(read.is_some(), prefix.contains("READ") || prefix.contains("rlock"), "{prefix}");
            drop(read);
            let waiting = tokio::spawn(async move { Lock::new(&ada, PATH).acquire().await.unwrap() });
            until(zk, |zk| count(zk, PATH) == 2).await;
            zk.delete(&node).await.unwrap();
            assert!(soon(waiting).await.unwrap().is_held(), "{prefix}");
        });
    }
}

#[test]
fn children_that_do_not_contend_are_left_alone() {
    with_server(async |zk| {
        let ada = client(zk).await;
        ada.ensure_path(&format!("{PATH}/config")).await.unwrap();
        assert!(soon(Lock::new(&ada, PATH).try_acquire()).await.unwrap().is_some());
    });
}

#[test]
fn names_are_those_of_curator_or_kazoo() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let name = async |lock: &Lock| {
            let guard: Guard = soon(lock.acquire()).await.unwrap();
            let name = guard.path().rsplit('/').next().unwrap().to_owned();
            soon(guard.release()).await.unwrap();
            name
        };
        let uuid = |name: &str| {
            let groups: Vec<_> = name.split('-').map(str::len).collect();
            groups == [8, 4, 4, 4, 12]
        };
        let locks = ReadWriteLock::new(&ada, PATH);
        for (lock, mark) in
            [(&Lock::new(&ada, PATH), "-lock-"), (locks.read(), "-__READ__"), (locks.write(), "-__WRIT__")]
        {
            let name = name(lock).await;
            let (id, counter) = name.strip_prefix("_c_").unwrap().split_once(mark).unwrap();
            assert!(uuid(id) && counter.len() == 10, "{name}");
        }
        let locks = locks.naming(Naming::Kazoo);
        for (lock, mark) in [(locks.read(), "__rlock__"), (locks.write(), "__lock__")] {
            let name = name(lock).await;
            let (id, counter) = name.split_once(mark).unwrap();
            assert!(id.len() == 32 && counter.len() == 10, "{name}");
        }
    });
}

#[test]
fn readers_share_and_wait_for_the_writer_before_them() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let locks = ReadWriteLock::new(&ada, PATH);
        let one = soon(locks.read().acquire()).await.unwrap();
        let two = soon(locks.read().acquire()).await.unwrap();
        let writer = locks.clone();
        let write = tokio::spawn(async move { writer.write().acquire().await.unwrap() });
        until(zk, |zk| count(zk, PATH) == 3).await;
        // A reader behind a writer waits, so that writers get their turn.
        let late = tokio::spawn(async move { locks.read().acquire().await.unwrap() });
        until(zk, |zk| count(zk, PATH) == 4).await;
        soon(one.release()).await.unwrap();
        quiet().await;
        assert!(!write.is_finished() && !late.is_finished() && two.is_held());
        soon(two.release()).await.unwrap();
        let write = soon(write).await.unwrap();
        quiet().await;
        assert!(write.is_held() && !late.is_finished());
        soon(write.release()).await.unwrap();
        assert!(soon(late).await.unwrap().is_held());
    });
}
