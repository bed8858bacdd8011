//! Random histories of watches of all kinds on few paths, in both release lines: every handle hears exactly what it should,
//! although older servers keep one mode for each path.

use std::collections::BTreeSet;
use std::future::ready;

use fastrand::Rng;
use zk_client::{Client, CreateMode, EventType, Expected, PersistentWatch, Watch, WatchUpdate};
use zk_mini::{Compat, WatchKind, ZkMini};

use crate::support::client_of;

const PATHS: [&str; 4] = ["/a", "/a/b", "/a/c", "/d"];

/// Handle of a lasting watch.
struct Lasting {
    is_recursive: bool,
    path: &'static str,
    watch: PersistentWatch,
}

/// Handle of a one-shot watch.
struct OneShot {
    is_of_children: bool,
    path: &'static str,
    watch: Watch,
}

/// A client under test, and another one that changes nodes.
struct World {
    random: Rng,
    client: Client,
    other: Client,
    nodes: BTreeSet<&'static str>,
    lasting: Vec<Lasting>,
    /// Paths that have or had a lasting watch.
    had_lasting: BTreeSet<&'static str>,
    one_shots: Vec<OneShot>,
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// Returns the output of a future that does not have to wait.
async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = ready(()) => None,
    }
}

impl World {
    async fn step(&mut self) {
        let path = PATHS[self.random.usize(..PATHS.len())];
        match self.random.u8(..8) {
            0 | 1 => self.watch(path).await,
            2 | 3 => self.watch_once(path).await,
            4 if !self.lasting.is_empty() => {
                self.lasting.swap_remove(self.random.usize(..self.lasting.len()));
            }
            5 if !self.one_shots.is_empty() => {
                self.one_shots.swap_remove(self.random.usize(..self.one_shots.len()));
            }
            _ => self.change(path).await,
        }
    }

    async fn watch(&mut self, path: &'static str) {
        let is_recursive = self.random.bool();
        let watch = match is_recursive {
            true => self.client.watch_recursive(path).await,
            false => self.client.watch_persistent(path).await,
        };
        self.had_lasting.insert(path);
        self.lasting.push(Lasting { is_recursive, path, watch: watch.unwrap() });
    }

    async fn watch_once(&mut self, path: &'static str) {
        let is_of_children = self.random.bool() && self.nodes.contains(path);
        let watch = match is_of_children {
            true => self.client.children_and_watch(path).await.unwrap().2,
            false => self.client.exists_and_watch(path).await.unwrap().1,
        };
        self.one_shots.push(OneShot { is_of_children, path, watch });
    }

    async fn change(&mut self, path: &'static str) {
        let is_parent = self.nodes.iter().any(|node| parent(node) == Some(path));
        let event = if !self.nodes.contains(path) {
            if self.other.create(path, "", CreateMode::Persistent).await.is_err() {
                return;
            }
            self.nodes.insert(path);
            EventType::NODE_CREATED
        } else if is_parent || self.random.bool() {
            self.other.set(path, "", Expected::Any).await.unwrap();
            EventType::NODE_DATA_CHANGED
        } else {
            self.other.delete(path, Expected::Any).await.unwrap();
            self.nodes.remove(path);
            EventType::NODE_DELETED
        };
        // The events come before the answer.
        self.client.sync("/").await.unwrap();
        self.check(event, path).await;
    }

    /// Checks the watches of the client at the server against its handles.
    async fn check_server(&mut self, zk: &ZkMini, compat: Compat) {
        // The withdrawals before it are done.
        self.client.sync("/").await.unwrap();
        let session = self.client.credentials().map(|credentials| credentials.id);
        let watches = zk.watches().into_iter().filter(|watch| watch.session == session);
        let set: BTreeSet<_> = watches.map(|watch| (watch.path.to_string(), watch.kind)).collect();
        let lasting = self.lasting.iter().map(|lasting| {
            let kind = if lasting.is_recursive { WatchKind::Recursive } else { WatchKind::Persistent };
            (lasting.path.to_owned(), kind)
        });
        let one_shots = self.one_shots.iter().map(|one_shot| {
            let kind = if one_shot.is_of_children { WatchKind::Children } else { WatchKind::Data };
            (one_shot.path.to_owned(), kind)
        });
        let wanted: BTreeSet<_> = lasting.chain(one_shots).collect();
        // Older servers keep one mode for each path, and cannot remove one of them alone.
        let is_exact = |path: &str| match compat {
            Compat::V3_9 => !self.lasting.iter().any(|lasting| lasting.path == path),
            _ => !self.had_lasting.contains(path),
        };
        let exact = |set: BTreeSet<(String, WatchKind)>| -> BTreeSet<_> {
            set.into_iter().filter(|(path, _)| is_exact(path)).collect()
        };
        assert_eq!(exact(set), exact(wanted), "{compat:?}");
    }

    async fn check(&mut self, event: EventType, path: &str) {
        let changes_children = event != EventType::NODE_DATA_CHANGED;
        for Lasting { is_recursive, path: watched, watch } in &mut self.lasting {
            let mut told = Vec::new();
            while let Some(Some(WatchUpdate::Changed(event))) = at_once(watch.next()).await {
                told.push((event.event, event.path.to_string()));
            }
            // A recursive watch on the same path implies changes of children that newer servers tell as well.
            told.dedup();
            let mut expected = Vec::new();
            if watched == &path || *is_recursive && path.starts_with(&format!("{watched}/")) {
                expected.push((event, path.to_owned()));
            }
            if !*is_recursive && changes_children && parent(path) == Some(*watched) {
                expected.push((EventType::NODE_CHILDREN_CHANGED, (*watched).to_owned()));
            }
            assert_eq!(told, expected, "recursive: {is_recursive}, {watched} after {event} {path}");
        }
        let mut left = Vec::new();
        for mut one_shot in self.one_shots.drain(..) {
            let OneShot { is_of_children, path: watched, watch } = &mut one_shot;
            let is_told = at_once(watch.changed()).await.is_some();
            let is_expected = match is_of_children {
                true if event == EventType::NODE_DELETED && path == *watched => true,
                true => changes_children && parent(path) == Some(*watched),
                false => path == *watched,
            };
            assert_eq!(is_told, is_expected, "children: {is_of_children}, {watched} after {event} {path}");
            if !is_told {
                left.push(one_shot);
            }
        }
        self.one_shots = left;
    }
}

#[tokio::test]
async fn every_handle_hears_exactly_its_changes() {
    for compat in [Compat::V3_8, Compat::V3_9] {
        for seed in 0..40 {
            let zk = ZkMini::builder().in_memory().manual_clock().compat(compat).start().await.unwrap();
            let (client, other) =
                (client_of(&zk).connect().await.unwrap(), client_of(&zk).connect().await.unwrap());
            let random = Rng::with_seed(seed);
            let mut world = World {
                random,
                client,
                other,
                nodes: BTreeSet::new(),
                lasting: Vec::new(),
                had_lasting: BTreeSet::new(),
                one_shots: Vec::new(),
            };
            for _ in 0..80 {
                world.step().await;
                world.check_server(&zk, compat).await;
            }
        }
    }
}
