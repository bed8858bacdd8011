//! Persistent watches, and watches that are withdrawn, at a real server of each release line: they differ in the modes that they
//! keep for a path.

use std::time::Duration;

use integration_tests::ensemble::{RealZooKeeper, Release};
use integration_tests::four_letter;
use integration_tests::wait::{PATIENCE, poll};
use tokio::time::timeout;
use zk_client::{Client, CreateMode, EventType, Expected, PersistentWatch, SessionState, WatchUpdate};

/// The next update, as its kind and path.
async fn next(watch: &mut PersistentWatch) -> Option<(EventType, String)> {
    match timeout(PATIENCE, watch.next()).await.expect("an update comes").expect("the client is open") {
        WatchUpdate::Changed(event) => Some((event.event, event.path.to_string())),
        WatchUpdate::Missed => None,
    }
}

fn update(event: EventType, path: &str) -> Option<(EventType, String)> {
    Some((event, path.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persistent_watch_lives_beside_others_through_a_restart_and_until_it_is_dropped() {
    for release in [Release::V3_8, Release::V3_9] {
        let mut zk = RealZooKeeper::builder().release(release).start().unwrap();
        let client = Client::connect(&zk.connect_string()).await.unwrap();
        let mut node = client.watch_persistent("/a").await.unwrap();
        let mut tree = client.watch_recursive("/b").await.unwrap();
        for path in ["/a", "/b"] {
            client.create(path, "", CreateMode::Persistent).await.unwrap();
            let (_, _, mut data) = client.get_and_watch(path).await.unwrap();
            let (_, _, mut children) = client.children_and_watch(path).await.unwrap();
            client.set(path, "x", Expected::Any).await.unwrap();
            client.create(&format!("{path}/c"), "", CreateMode::Persistent).await.unwrap();
            assert_eq!(data.changed().await.unwrap().event, EventType::NODE_DATA_CHANGED);
            assert_eq!(children.changed().await.unwrap().event, EventType::NODE_CHILDREN_CHANGED);
        }
        let (created, changed) = (EventType::NODE_CREATED, EventType::NODE_DATA_CHANGED);
        let children = EventType::NODE_CHILDREN_CHANGED;
        for expected in [update(created, "/a"), update(changed, "/a"), update(children, "/a")] {
            assert_eq!(next(&mut node).await, expected, "{release:?}");
        }
        for expected in [update(created, "/b"), update(changed, "/b"), update(created, "/b/c")] {
            assert_eq!(next(&mut tree).await, expected, "{release:?}");
        }

        let mut states = client.states();
        zk.kill(0);
        zk.restart(0).unwrap();
        let again = states.wait_for(|state| matches!(state, SessionState::Connected(_)));
        timeout(PATIENCE, again).await.unwrap().unwrap();
        assert_eq!((next(&mut node).await, next(&mut tree).await), (None, None));
        client.set("/a", "y", Expected::Any).await.unwrap();
        client.set("/b/c", "y", Expected::Any).await.unwrap();
        assert_eq!(next(&mut node).await, update(changed, "/a"));
        assert_eq!(next(&mut tree).await, update(changed, "/b/c"));

        drop(tree);
        client.set("/b/c", "z", Expected::Any).await.unwrap();
        client.set("/a", "z", Expected::Any).await.unwrap();
        assert_eq!(next(&mut node).await, update(changed, "/a"));
        client.close_within(Duration::from_secs(5)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_change_goes_by_unheard_while_other_watches_are_set_on_its_path() {
    // Fewer than a handle buffers, with a missed one between any two.
    const CHANGES: usize = 500;
    for release in [Release::V3_8, Release::V3_9] {
        let zk = RealZooKeeper::builder().release(release).start().unwrap();
        let client = Client::connect(&zk.connect_string()).await.unwrap();
        let other = Client::connect(&zk.connect_string()).await.unwrap();
        client.create("/a", "", CreateMode::Persistent).await.unwrap();
        let mut tree = client.watch_recursive("/a").await.unwrap();
        let changes = tokio::spawn(async move {
            for n in 0..CHANGES {
                other.create(&format!("/a/{n}"), "", CreateMode::Persistent).await.unwrap();
            }
        });
        while !changes.is_finished() {
            let _ = client.get_and_watch("/a").await.unwrap();
        }
        changes.await.unwrap();
        client.sync("/").await.unwrap();
        client.close_within(Duration::from_secs(5)).await.unwrap();
        let (mut told, mut missed) = (0, 0);
        while let Some(update) = timeout(PATIENCE, tree.next()).await.expect("the end comes") {
            match update {
                WatchUpdate::Changed(event) if event.event == EventType::NODE_CREATED => told += 1,
                WatchUpdate::Changed(event) => panic!("{release:?}: {event:?}"),
                WatchUpdate::Missed => missed += 1,
            }
        }
        assert!(told == CHANGES || missed > 0, "{release:?}: {told} of {CHANGES}, and no word of the others");
        assert!(told == CHANGES || release == Release::V3_8, "newer servers keep every watch");
    }
}

/// Waits until the server has this number of watches, of data and of children.
async fn until_watched(zk: &RealZooKeeper, expected: usize) {
    let addr = zk.addr(0);
    let line = format!("zk_watch_count\t{expected}\n");
    let last = move || four_letter::ask(addr, "mntr").unwrap_or_default();
    let is_so = move || last().contains(&line).then_some(());
    let found = tokio::task::spawn_blocking(move || poll(PATIENCE, is_so)).await.ok().flatten();
    assert!(found.is_some(), "{expected} watches expected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_watch_that_is_dropped_is_withdrawn_at_the_server_and_others_stay() {
    for release in [Release::V3_8, Release::V3_9] {
        let zk = RealZooKeeper::builder().release(release).start().unwrap();
        let client = Client::connect(&zk.connect_string()).await.unwrap();
        client.create("/a", "", CreateMode::Persistent).await.unwrap();
        let (_, _, data) = client.get_and_watch("/a").await.unwrap();
        let (_, exists) = client.exists_and_watch("/a").await.unwrap();
        let (_, _, children) = client.children_and_watch("/a").await.unwrap();
        let (_, missing) = client.exists_and_watch("/missing").await.unwrap();
        until_watched(&zk, 3).await;
        drop((missing, data));
        until_watched(&zk, 2).await;
        drop(exists);
        until_watched(&zk, 1).await;
        drop(children);
        until_watched(&zk, 0).await;

        // A lasting watch goes, and a one-shot one on its path stays.
        let (_, _, mut children) = client.children_and_watch("/a").await.unwrap();
        let (_, _, mut data) = client.get_and_watch("/a").await.unwrap();
        let tree = client.watch_recursive("/a").await.unwrap();
        drop(tree);
        until_watched(&zk, 2).await;
        client.set("/a", "x", Expected::Any).await.unwrap();
        client.create("/a/b", "", CreateMode::Persistent).await.unwrap();
        assert_eq!(data.changed().await.unwrap().event, EventType::NODE_DATA_CHANGED);
        assert_eq!(children.changed().await.unwrap().event, EventType::NODE_CHILDREN_CHANGED);
        until_watched(&zk, 0).await;

        // Many at once.
        let mut watches = Vec::new();
        for n in 0..500 {
            watches.push(client.exists_and_watch(&format!("/{n}")).await.unwrap().1);
        }
        let kept = watches.pop();
        until_watched(&zk, 500).await;
        drop(watches);
        until_watched(&zk, 1).await;
        drop(kept);
        until_watched(&zk, 0).await;
        client.close_within(Duration::from_secs(5)).await.unwrap();
    }
}
