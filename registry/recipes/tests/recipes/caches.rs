//! The tree cache: what a change costs, what it skips, and its copy after bad days.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use zk_client::{Acl, CreateMode, ErrorCode, Perms};
use zk_mini::history::EntryKind;
use zk_mini::testing::{Day, days};
use zk_mini::{Handle, On, Then, ZkMini};
use zk_recipes::{Tree, TreeCache, TreeOptions};
use zk_wire::OpCode;

use crate::support::{TIMEOUT, client, soon, until, with_server};

/// Waits for a copy that `wanted` accepts.
async fn copy(cache: &mut TreeCache, wanted: impl Fn(&Tree) -> bool) -> Tree {
    soon(async {
        let mut tree = cache.current();
        while !wanted(&tree) {
            tree = cache.changed().await.expect("the client is open");
        }
        tree
    })
    .await
}

fn nodes(tree: &Tree) -> BTreeMap<String, String> {
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    tree.nodes().map(|(path, node)| (path, text(node.data()))).collect()
}

/// Returns the nodes at the server, from `path` down.
fn nodes_at(zk: &Handle, path: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let Some((data, _)) = zk.get(&path) else { continue };
        for name in zk.children(&path).unwrap_or_default() {
            left.push(format!("{path}/{name}"));
        }
        found.insert(path, String::from_utf8_lossy(&data).into_owned());
    }
    found
}

/// Makes a small tree: 3 nodes.
async fn plant(zk: &ZkMini) {
    for path in ["/app", "/app/a", "/app/a/b"] {
        zk.create(path, "1").await.unwrap();
    }
}

/// Returns the reads of all clients since `mark`, by operation.
fn reads_since(zk: &ZkMini, mark: &zk_mini::history::Mark) -> Vec<OpCode> {
    let reads = [OpCode::GET_DATA, OpCode::EXISTS, OpCode::GET_CHILDREN2];
    let requests = zk.history().since(mark).kind(EntryKind::Request);
    requests.iter().filter_map(|entry| entry.op).filter(|op| reads.contains(op)).collect()
}

#[test]
fn a_change_costs_one_read_and_a_deletion_none() {
    with_server(async |zk| {
        plant(zk).await;
        let mut cache = TreeCache::start(&client(zk).await, "/app").await.unwrap();
        assert_eq!(zk.watches().len(), 1, "one watch for the whole tree");

        let mark = zk.mark();
        zk.set("/app/a/b", "2").await.unwrap();
        copy(&mut cache, |tree| tree.get("/app/a/b").unwrap().data() == "2").await;
        zk.create("/app/c", "1").await.unwrap();
        copy(&mut cache, |tree| tree.get("/app/c").is_some()).await;
        assert_eq!(reads_since(zk, &mark), [OpCode::GET_DATA; 2]);

        zk.delete("/app/c").await.unwrap();
        copy(&mut cache, |tree| tree.get("/app/c").is_none()).await;
        assert_eq!(reads_since(zk, &mark), [OpCode::GET_DATA; 2]);
    });
}

#[test]
fn after_a_lost_connection_data_is_read_only_where_it_changed() {
    with_server(async |zk| {
        plant(zk).await;
        let mut cache = TreeCache::start(&client(zk).await, "/app").await.unwrap();
        let cut = zk.fault(On::connect(), Then::refuse());
        zk.all_sessions().disconnect().await;
        let stale = copy(&mut cache, Tree::is_stale).await;
        assert_eq!(nodes(&stale), nodes_at(zk, "/app"), "the last copy stays");

        zk.set("/app/a", "2").await.unwrap();
        let mark = zk.mark();
        drop(cut);
        let healed = copy(&mut cache, |tree| !tree.is_stale()).await;
        assert_eq!(nodes(&healed), nodes_at(zk, "/app"));
        assert_eq!(stale.diff(&healed), [zk_recipes::TreeChange::Changed("/app/a".into())]);
        let reads = reads_since(zk, &mark);
        assert_eq!(reads.iter().filter(|op| **op == OpCode::GET_DATA).count(), 1, "{reads:?}");
        assert_eq!(reads.iter().filter(|op| **op == OpCode::EXISTS).count(), 3, "{reads:?}");
    });
}

#[test]
fn an_expired_session_leaves_no_gap() {
    with_server(async |zk| {
        plant(zk).await;
        let mut cache = TreeCache::start(&client(zk).await, "/app").await.unwrap();
        zk.all_sessions().expire().await;
        zk.delete("/app/a/b").await.unwrap();
        zk.create("/app/a/c", "new").await.unwrap();
        copy(&mut cache, |tree| !tree.is_stale() && nodes(tree) == nodes_at(zk, "/app")).await;
        zk.set("/app/a/c", "newer").await.unwrap();
        copy(&mut cache, |tree| nodes(tree) == nodes_at(zk, "/app")).await;
    });
}

#[test]
fn a_node_that_may_not_be_read_is_skipped_and_reported() {
    with_server(async |zk| {
        plant(zk).await;
        zk.set_acl("/app/a", &[Acl::new(Perms::ALL, "digest", "user:hash")]).await.unwrap();
        let mut cache = TreeCache::start(&client(zk).await, "/app").await.unwrap();
        let tree = cache.current();
        assert_eq!(tree.nodes().map(|(path, _)| path).collect::<Vec<_>>(), ["/app"]);
        assert_eq!(tree.skipped().keys().collect::<Vec<_>>(), ["/app/a"]);
        assert!(!tree.is_stale());

        zk.set_acl("/app/a", &[Acl::open()]).await.unwrap();
        let tree = copy(&mut cache, |tree| tree.skipped().is_empty()).await;
        let tree = if tree.len() == 3 { tree } else { copy(&mut cache, |tree| tree.len() == 3).await };
        assert_eq!(nodes(&tree), nodes_at(zk, "/app"));
    });
}

#[test]
fn a_tree_that_does_not_exist_is_awaited_and_one_that_goes_is_empty() {
    with_server(async |zk| {
        let mut cache = TreeCache::start(&client(zk).await, "/app").await.unwrap();
        assert!(cache.current().is_empty());
        plant(zk).await;
        copy(&mut cache, |tree| tree.len() == 3).await;
        zk.delete_recursive("/app").await.unwrap();
        copy(&mut cache, Tree::is_empty).await;
    });
}

#[test]
fn a_cache_has_the_part_that_its_options_name() {
    with_server(async |zk| {
        plant(zk).await;
        zk.create("/app/tmp", "x").await.unwrap();
        zk.create("/app/tmp/deep", "x").await.unwrap();
        let client = client(zk).await;
        let options = TreeOptions::default().depth(1).data(false).filter(|path| path != "/app/tmp");
        let mark = zk.mark();
        let mut cache = TreeCache::start_with(&client, "/app", options).await.unwrap();
        assert_eq!(cache.current().nodes().map(|(path, _)| path).collect::<Vec<_>>(), ["/app", "/app/a"]);
        assert!(!reads_since(zk, &mark).contains(&OpCode::GET_DATA));
        zk.create("/app/a/late", "x").await.unwrap();
        zk.create("/app/late", "x").await.unwrap();
        let tree = copy(&mut cache, |tree| tree.get("/app/late").is_some()).await;
        assert_eq!(tree.len(), 3);
        assert_eq!(tree.get("/app/late").unwrap().data(), "");
    });
}

#[test]
fn the_last_handle_takes_the_watch_with_it() {
    with_server(async |zk| {
        plant(zk).await;
        let client = client(zk).await;
        let cache = TreeCache::start(&client, "/app").await.unwrap();
        let other = cache.clone();
        drop(cache);
        assert_eq!(other.current().len(), 3);
        drop(other);
        until(zk, |zk| zk.watches().is_empty()).await;
    });
}

#[test]
fn a_server_without_recursive_watches_is_an_error_and_a_closed_client_an_end() {
    with_server(async |zk| {
        let client = client(zk).await;
        let old = zk.fault(On::ops(&[OpCode::ADD_WATCH]), Then::fail(ErrorCode::UNIMPLEMENTED));
        let refused = TreeCache::start(&client, "/app").await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::UNIMPLEMENTED), "{refused}");
        drop(old);
        let mut cache = TreeCache::start(&client, "/app").await.unwrap();
        client.close().await.unwrap();
        while let Some(tree) = soon(cache.changed()).await {
            assert!(tree.is_stale());
        }
    });
}

#[test]
fn a_wide_tree_and_many_changes_arrive_complete() {
    with_server(async |zk| {
        zk.create("/app", "").await.unwrap();
        for n in 0..1_000 {
            zk.create(&format!("/app/{n}"), "1").await.unwrap();
        }
        let writer = client(zk).await;
        let mut cache = TreeCache::start(&client(zk).await, "/app").await.unwrap();
        assert_eq!(cache.current().len(), 1_001);
        for n in 0..300 {
            writer.create(&format!("/app/new-{n}"), "1", CreateMode::Persistent).await.unwrap();
        }
        copy(&mut cache, |tree| tree.len() == 1_301).await;
        assert_eq!(nodes(&cache.current()), nodes_at(zk, "/app"));
    });
}

/// Changes a small tree by chance, as long as it is polled.
async fn gardener(zk: Handle, seed: u64) {
    const PATHS: [&str; 6] = ["/app", "/app/a", "/app/a/x", "/app/a/y", "/app/b", "/app/b/x"];
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        let path = PATHS[random.usize(..PATHS.len())];
        // Refusals, such as a deletion of a node with children, are part of the game.
        match random.u8(..3) {
            0 => drop(zk.delete(path).await),
            1 => drop(zk.create(path, random.u8(..).to_string()).await),
            _ => drop(zk.set(path, random.u8(..).to_string()).await),
        }
        tokio::time::sleep(Duration::from_millis(random.u64(1..2_000))).await;
    }
}

fn the_cache_equals_the_tree_after(day: &Day, seed: u64) {
    with_server(async |zk| {
        let client = client(zk).await;
        let gardener = tokio::spawn(gardener(Handle::clone(zk), seed));
        let cache = tokio::spawn(async move { TreeCache::start(&client, "/app").await.unwrap() });
        day.play(zk).await;
        gardener.abort();
        tokio::time::sleep(6 * TIMEOUT).await;
        let cache = cache.await.unwrap();
        assert!(!cache.current().is_stale());
        assert_eq!(nodes(&cache.current()), nodes_at(zk, "/app"));
        assert_eq!(zk.watches().len(), 1, "one watch, whatever happened");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_cache_equals_the_tree_after_any_day(day in days(TIMEOUT), seed in any::<u64>()) {
        the_cache_equals_the_tree_after(&day, seed);
    }
}
