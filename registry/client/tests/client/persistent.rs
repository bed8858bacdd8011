//! Persistent watches against zk-mini, in both release lines of ZooKeeper that it speaks.

use std::time::Duration;

use zk_client::{Client, CreateMode, EventType, Expected, PersistentWatch, SessionState, WatchUpdate};
use zk_mini::{Compat, ZkMini};

use crate::support::{Cable, client_of, soon, until};

const LINES: [Compat; 2] = [Compat::V3_8, Compat::V3_9];

async fn server(compat: Compat) -> ZkMini {
    ZkMini::builder().in_memory().seed(7).manual_clock().compat(compat).start().await.unwrap()
}

/// The next update, as its kind and path.
async fn next(watch: &mut PersistentWatch) -> Option<(EventType, String)> {
    match soon(watch.next()).await.expect("the client is open") {
        WatchUpdate::Changed(event) => Some((event.event, event.path.to_string())),
        WatchUpdate::Missed => None,
    }
}

async fn assert_told(watch: &mut PersistentWatch, expected: &[(EventType, &str)]) {
    for (event, path) in expected {
        assert_eq!(next(watch).await, Some((*event, (*path).to_owned())));
    }
}

async fn make(client: &Client, path: &str) {
    client.create(path, "", CreateMode::Persistent).await.unwrap();
}

#[tokio::test]
async fn every_change_is_told_below_a_chroot_too() {
    for compat in LINES {
        let zk = server(compat).await;
        let client = client_of(&zk).chroot("/app").connect().await.unwrap();
        client.ensure_path("/").await.unwrap();
        let mut node = client.watch_persistent("/a").await.unwrap();
        let mut tree = client.watch_recursive("/").await.unwrap();
        make(&client, "/a").await;
        make(&client, "/a/b").await;
        client.set("/a/b", "x", Expected::Any).await.unwrap();
        client.set("/a", "x", Expected::Any).await.unwrap();
        client.delete("/a/b", Expected::Any).await.unwrap();
        client.delete("/a", Expected::Any).await.unwrap();
        make(&client, "/a").await;
        let (created, changed) = (EventType::NODE_CREATED, EventType::NODE_DATA_CHANGED);
        let (deleted, children) = (EventType::NODE_DELETED, EventType::NODE_CHILDREN_CHANGED);
        let of_node = [
            (created, "/a"),
            (children, "/a"),
            (changed, "/a"),
            (children, "/a"),
            (deleted, "/a"),
            (created, "/a"),
        ];
        assert_told(&mut node, &of_node).await;
        let of_tree = [
            (created, "/a"),
            (created, "/a/b"),
            (changed, "/a/b"),
            (changed, "/a"),
            (deleted, "/a/b"),
            (deleted, "/a"),
            (created, "/a"),
        ];
        assert_told(&mut tree, &of_tree).await;
    }
}

#[tokio::test]
async fn it_survives_the_connection_and_the_session_and_says_where_changes_may_be_missing() {
    for compat in LINES {
        let zk = server(compat).await;
        let cable = Cable::new(&zk);
        let client = Client::builder().via(cable.clone()).connect().await.unwrap();
        let other = client_of(&zk).connect().await.unwrap();
        let mut node = client.watch_persistent("/a").await.unwrap();
        let mut tree = client.watch_recursive("/a").await.unwrap();
        for expires in [false, true] {
            let id = client.credentials().unwrap().id;
            cable.unplug();
            until(&client, |state| *state == SessionState::Disconnected(id)).await;
            other.ensure_path("/a/unseen").await.unwrap();
            other.delete("/a/unseen", Expected::Any).await.unwrap();
            other.delete("/a", Expected::Any).await.unwrap();
            if expires {
                zk.advance(Duration::from_secs(60)).await;
            }
            cable.plug();
            until(&client, |state| matches!(state, SessionState::Connected(now) if (*now != id) == expires))
                .await;
            assert_eq!((next(&mut node).await, next(&mut tree).await), (None, None), "expires: {expires}");
            client.ensure_path("/a/seen").await.unwrap();
            client.delete("/a/seen", Expected::Any).await.unwrap();
            client.delete("/a", Expected::Any).await.unwrap();
            let (created, deleted) = (EventType::NODE_CREATED, EventType::NODE_DELETED);
            let of_tree = [(created, "/a"), (created, "/a/seen"), (deleted, "/a/seen"), (deleted, "/a")];
            assert_told(&mut tree, &of_tree).await;
            assert_eq!(next(&mut node).await, Some((created, "/a".to_owned())));
            while next(&mut node).await.unwrap().0 != deleted {}
        }
    }
}

#[tokio::test]
async fn other_watches_on_its_path_take_nothing_from_it_nor_it_from_them() {
    for compat in LINES {
        let zk = server(compat).await;
        let client = client_of(&zk).connect().await.unwrap();
        make(&client, "/a").await;
        for recursive in [false, true] {
            let watch = if recursive {
                client.watch_recursive("/a").await
            } else {
                client.watch_persistent("/a").await
            };
            let mut watch = watch.unwrap();
            for _ in 0..3 {
                let (_, _, mut data) = client.get_and_watch("/a").await.unwrap();
                let (_, _, mut children) = client.children_and_watch("/a").await.unwrap();
                client.set("/a", "x", Expected::Any).await.unwrap();
                assert_eq!(next(&mut watch).await, Some((EventType::NODE_DATA_CHANGED, "/a".to_owned())));
                assert_eq!(soon(data.changed()).await.unwrap().event, EventType::NODE_DATA_CHANGED);
                for change in [EventType::NODE_CREATED, EventType::NODE_DELETED] {
                    match change {
                        EventType::NODE_CREATED => make(&client, "/a/b").await,
                        _ => client.delete("/a/b", Expected::Any).await.unwrap(),
                    }
                    let expected = match recursive {
                        true => (change, "/a/b".to_owned()),
                        false => (EventType::NODE_CHILDREN_CHANGED, "/a".to_owned()),
                    };
                    assert_eq!(next(&mut watch).await, Some(expected), "{compat:?}");
                }
                assert_eq!(soon(children.changed()).await.unwrap().event, EventType::NODE_CHILDREN_CHANGED);
            }
        }
    }
}

#[tokio::test]
async fn a_dropped_handle_withdraws_its_watch_at_the_server() {
    for compat in LINES {
        let zk = server(compat).await;
        let client = client_of(&zk).connect().await.unwrap();
        let first = client.watch_recursive("/a").await.unwrap();
        let second = client.watch_recursive("/a").await.unwrap();
        let mut node = client.watch_persistent("/b").await.unwrap();
        drop(first);
        // Each call is handled after the drop before it.
        client.sync("/").await.unwrap();
        assert!(zk.watches().iter().any(|watch| watch.path == "/a"));
        drop(second);
        client.sync("/").await.unwrap();
        let left: Vec<_> = zk.watches().into_iter().map(|watch| watch.path).collect();
        assert!(!left.is_empty() && left.iter().all(|path| path == "/b"), "{left:?}");
        make(&client, "/b").await;
        assert_told(&mut node, &[(EventType::NODE_CREATED, "/b")]).await;

        // Dropped before its answer.
        let asked = tokio::time::timeout(Duration::ZERO, client.watch_persistent("/c")).await;
        drop(asked);
        client.sync("/").await.unwrap();
        client.sync("/").await.unwrap();
        assert!(zk.watches().iter().all(|watch| watch.path == "/b"));
    }
}

#[tokio::test]
async fn it_ends_with_the_client_after_all_that_it_has_to_tell() {
    let zk = server(Compat::V3_9).await;
    let client = client_of(&zk).connect().await.unwrap();
    let mut watch = client.watch_recursive("/").await.unwrap();
    client.create("/mine", "", CreateMode::Ephemeral).await.unwrap();
    client.close().await.unwrap();
    assert_told(&mut watch, &[(EventType::NODE_CREATED, "/mine"), (EventType::NODE_DELETED, "/mine")]).await;
    assert_eq!(soon(watch.next()).await, None);
    assert!(client.watch_persistent("/").await.is_err());
    assert!(client.watch_persistent("no path").await.is_err());
}

#[tokio::test]
async fn a_handle_that_is_too_slow_is_told_so_and_hears_what_comes_later() {
    let zk = server(Compat::V3_9).await;
    let client = client_of(&zk).connect().await.unwrap();
    let mut watch = client.watch_recursive("/n").await.unwrap();
    make(&client, "/n").await;
    for _ in 0..1_100 {
        client.set("/n", "", Expected::Any).await.unwrap();
    }
    let mut told = 0;
    while next(&mut watch).await.is_some() {
        told += 1;
    }
    assert_eq!(told, 1_024);
    client.delete("/n", Expected::Any).await.unwrap();
    assert_told(&mut watch, &[(EventType::NODE_DELETED, "/n")]).await;
}
