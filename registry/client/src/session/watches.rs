//! Watches that are set on the server, and the handles that wait for them.

use std::collections::{BTreeMap, BTreeSet};

use zk_wire::{ByteString, EventType, KeeperState, SetWatches2, WatchedEvent, Zxid, path};

use super::{CallId, WatchKey, WatchKind};

/// Approximate size of a setWatches frame: far below the limit of servers, as in Apache's client.
const CHUNK: usize = 128 * 1024;

/// Watches of one session. A server keeps one for each path and kind of a connection, for any number of handles.
#[derive(Debug, Default)]
pub(super) struct Watches {
    by_key: BTreeMap<WatchKey, BTreeSet<CallId>>,
    by_id: BTreeMap<CallId, WatchKey>,
}

impl Watches {
    pub(super) fn insert(&mut self, id: CallId, key: WatchKey) {
        self.by_key.entry(key.clone()).or_default().insert(id);
        self.by_id.insert(id, key);
    }

    /// Removes a handle. Returns its watch if no other handle has the same.
    pub(super) fn forget(&mut self, id: CallId) -> Option<WatchKey> {
        let key = self.by_id.remove(&id)?;
        let ids = self.by_key.get_mut(&key)?;
        ids.remove(&id);
        if !ids.is_empty() {
            return None;
        }
        self.by_key.remove(&key);
        Some(key)
    }

    /// Returns true if a handle has this watch.
    pub(super) fn contains(&self, key: &WatchKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// Takes out the one-shot watches that an event ends, in the order of their calls.
    pub(super) fn fire(&mut self, event: &WatchedEvent) -> BTreeSet<CallId> {
        let kinds: &[WatchKind] = match event.event {
            EventType::NODE_CREATED | EventType::NODE_DATA_CHANGED => &[WatchKind::Data, WatchKind::Exist],
            // One event for all kinds of watches that a connection has on the node.
            EventType::NODE_DELETED => &[WatchKind::Data, WatchKind::Exist, WatchKind::Child],
            EventType::NODE_CHILDREN_CHANGED => &[WatchKind::Child],
            _ => &[],
        };
        let mut fired = BTreeSet::new();
        for &kind in kinds {
            fired.extend(self.by_key.remove(&(kind, event.path.clone())).unwrap_or_default());
        }
        for id in &fired {
            self.by_id.remove(id);
        }
        fired
    }

    /// Returns the lasting watches that an event concerns, in the order of their calls.
    pub(super) fn lasting_of(&self, event: &WatchedEvent) -> BTreeSet<CallId> {
        let mut ids = BTreeSet::new();
        let mut add = |kind, path| ids.extend(self.by_key.get(&(kind, path)).into_iter().flatten().copied());
        if is_change(event.event) {
            add(WatchKind::Persistent, event.path.clone());
        }
        if is_change(event.event) && event.event != EventType::NODE_CHILDREN_CHANGED && self.has_recursive() {
            add(WatchKind::Recursive, event.path.clone());
            for ancestor in ancestors(&event.path) {
                add(WatchKind::Recursive, ancestor);
            }
        }
        ids
    }

    /// Returns the change of a parent's children that an event implies, if the parent has a recursive watch. Servers before
    /// 3.9 keep one mode for a path, and do not tell a recursive watch of children.
    pub(super) fn implied_by(&self, event: &WatchedEvent) -> Option<WatchedEvent> {
        if !matches!(event.event, EventType::NODE_CREATED | EventType::NODE_DELETED) || !self.has_recursive()
        {
            return None;
        }
        let key = (WatchKind::Recursive, ancestors(&event.path).next()?);
        self.contains(&key).then(|| WatchedEvent {
            event: EventType::NODE_CHILDREN_CHANGED,
            state: KeeperState::SYNC_CONNECTED,
            path: key.1.clone(),
        })
    }

    /// Returns the lasting watches on a path, in the order of their calls.
    pub(super) fn lasting_on(&self, path: &ByteString) -> BTreeSet<CallId> {
        let kinds = [WatchKind::Persistent, WatchKind::Recursive].into_iter();
        kinds.filter_map(|kind| self.by_key.get(&(kind, path.clone()))).flatten().copied().collect()
    }

    /// Returns all lasting watches.
    pub(super) fn lasting(&self) -> impl Iterator<Item = CallId> {
        self.by_id.iter().filter(|(_, (kind, _))| kind.is_lasting()).map(|(&id, _)| id)
    }

    /// Takes out all one-shot watches.
    pub(super) fn take_one_shots(&mut self) -> impl Iterator<Item = CallId> + use<> {
        self.by_key.retain(|(kind, _), _| kind.is_lasting());
        let (lasting, one_shots) =
            std::mem::take(&mut self.by_id).into_iter().partition(|(_, (kind, _))| kind.is_lasting());
        self.by_id = lasting;
        BTreeMap::into_keys(one_shots)
    }

    /// Returns the requests that set all watches again on a new connection. All carry the same `since`: the last
    /// transaction that the client had seen when the old connection ended.
    pub(super) fn set_again(&self, since: Zxid) -> Vec<SetWatches2> {
        let empty = || SetWatches2 {
            relative_zxid: since,
            data_watches: Vec::new(),
            exist_watches: Vec::new(),
            child_watches: Vec::new(),
            persistent_watches: Vec::new(),
            persistent_recursive_watches: Vec::new(),
        };
        let mut requests = Vec::new();
        let (mut request, mut size) = (empty(), 0);
        // Recursive ones last: servers before 3.9 keep the last mode of a path, and that one hears most.
        for (kind, path) in self.by_key.keys() {
            if size > 0 && size + path.len() > CHUNK {
                requests.push(std::mem::replace(&mut request, empty()));
                size = 0;
            }
            size += 4 + path.len();
            let list = match kind {
                WatchKind::Data => &mut request.data_watches,
                WatchKind::Exist => &mut request.exist_watches,
                WatchKind::Child => &mut request.child_watches,
                WatchKind::Persistent => &mut request.persistent_watches,
                WatchKind::Recursive => &mut request.persistent_recursive_watches,
            };
            list.push(path.clone());
        }
        if size > 0 {
            requests.push(request);
        }
        requests
    }

    fn has_recursive(&self) -> bool {
        self.by_key.last_key_value().is_some_and(|((kind, _), _)| *kind == WatchKind::Recursive)
    }
}

/// Returns the nodes above a node, from the nearest one to the root, as parts of its path: to copy each of them is work that is
/// quadratic in the depth.
fn ancestors(path: &ByteString) -> impl Iterator<Item = ByteString> {
    let parent_of = |path: &ByteString| {
        let (parent, _) = path::split(path)?;
        Some(path.slice_ref(&path[..parent.len()]))
    };
    std::iter::successors(parent_of(path), parent_of)
}

/// Returns true for the events that a change of a node causes.
fn is_change(event: EventType) -> bool {
    matches!(
        event,
        EventType::NODE_CREATED
            | EventType::NODE_DELETED
            | EventType::NODE_DATA_CHANGED
            | EventType::NODE_CHILDREN_CHANGED
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(told: BTreeSet<CallId>) -> Vec<u64> {
        told.into_iter().map(|id| id.0).collect()
    }

    fn event(event: EventType, path: &str) -> WatchedEvent {
        WatchedEvent { event, state: KeeperState::SYNC_CONNECTED, path: path.into() }
    }

    fn one_of_each() -> Watches {
        let mut watches = Watches::default();
        for (id, kind) in [(1, WatchKind::Data), (2, WatchKind::Exist), (3, WatchKind::Child)] {
            watches.insert(CallId(id), (kind, "/a".into()));
        }
        watches
    }

    #[test]
    fn an_event_takes_the_kinds_that_it_concerns() {
        for (kind, expected) in [
            (EventType::NODE_CREATED, &[1, 2][..]),
            (EventType::NODE_DATA_CHANGED, &[1, 2]),
            (EventType::NODE_DELETED, &[1, 2, 3]),
            (EventType::NODE_CHILDREN_CHANGED, &[3]),
            (EventType::NONE, &[]),
        ] {
            let mut watches = one_of_each();
            assert_eq!(ids(watches.fire(&event(kind, "/a"))), expected, "{kind}");
            assert_eq!(ids(watches.fire(&event(kind, "/a"))), [], "{kind} fires once");
        }
    }

    #[test]
    fn a_forgotten_watch_is_not_set_again() {
        let mut watches = one_of_each();
        watches.insert(CallId(4), (WatchKind::Data, "/a".into()));
        assert_eq!(watches.forget(CallId(1)), None);
        assert_eq!(watches.set_again(Zxid(0))[0].data_watches, ["/a"], "another handle still waits");
        for id in 2..=4 {
            assert!(watches.forget(CallId(id)).is_some());
        }
        assert_eq!(watches.set_again(Zxid(0)), []);
    }

    #[test]
    fn a_lasting_watch_hears_of_its_node_and_a_recursive_one_of_all_below() {
        let mut watches = Watches::default();
        for (id, kind, path) in [
            (1, WatchKind::Persistent, "/a"),
            (2, WatchKind::Recursive, "/a"),
            (3, WatchKind::Recursive, "/"),
            (4, WatchKind::Persistent, "/a/b"),
        ] {
            watches.insert(CallId(id), (kind, path.into()));
        }
        for (kind, path, expected) in [
            (EventType::NODE_DATA_CHANGED, "/a", &[1, 2, 3][..]),
            (EventType::NODE_CHILDREN_CHANGED, "/a", &[1]),
            (EventType::NODE_CREATED, "/a/b", &[2, 3, 4]),
            (EventType::NODE_DELETED, "/a/b/c", &[2, 3]),
            (EventType::NODE_CREATED, "/ab", &[3]),
            (EventType::NODE_DATA_CHANGED, "/", &[3]),
            (EventType::NONE, "/a", &[]),
        ] {
            assert_eq!(ids(watches.lasting_of(&event(kind, path))), expected, "{kind} {path}");
        }
        let implied = |kind, path| watches.implied_by(&event(kind, path)).map(|event| event.path.to_string());
        assert_eq!(implied(EventType::NODE_CREATED, "/a/b").as_deref(), Some("/a"));
        assert_eq!(implied(EventType::NODE_DELETED, "/a").as_deref(), Some("/"));
        assert_eq!(implied(EventType::NODE_DATA_CHANGED, "/a/b"), None);
        assert_eq!(implied(EventType::NODE_CREATED, "/a/b/c"), None, "no watch stands at /a/b itself");
    }

    #[test]
    fn the_nodes_above_a_node_are_not_copied() {
        let path = ByteString::from("/a/b/c");
        let above: Vec<ByteString> = ancestors(&path).collect();
        assert_eq!(above, ["/a/b", "/a", "/"]);
        assert!(above.iter().all(|ancestor| ancestor.as_ptr() == path.as_ptr()));
        for alone in ["/", "", "none"] {
            assert_eq!(ancestors(&alone.into()).next(), None, "{alone:?}");
        }
    }

    #[test]
    fn only_one_shot_watches_end_with_the_session() {
        let mut watches = one_of_each();
        watches.insert(CallId(4), (WatchKind::Persistent, "/a".into()));
        watches.insert(CallId(5), (WatchKind::Recursive, "/a".into()));
        assert_eq!(watches.take_one_shots().map(|id| id.0).collect::<Vec<_>>(), [1, 2, 3]);
        let [request] = &watches.set_again(Zxid(0))[..] else { panic!("one request") };
        assert_eq!((&request.data_watches[..], &request.exist_watches[..]), (&[][..], &[][..]));
        assert_eq!(request.persistent_watches, ["/a"]);
        assert_eq!(request.persistent_recursive_watches, ["/a"]);
    }

    #[test]
    fn many_watches_are_set_in_several_requests() {
        let mut watches = Watches::default();
        for id in 0..10_000 {
            watches.insert(CallId(id), (WatchKind::Child, format!("/services/{id:0100}").into()));
        }
        let requests = watches.set_again(Zxid(7));
        assert!(requests.len() > 1);
        let mut paths = 0;
        for request in &requests {
            let size: usize = request.child_watches.iter().map(|path| 4 + path.len()).sum();
            assert!(size <= CHUNK + 4, "{size}");
            assert_eq!(request.relative_zxid, Zxid(7));
            paths += request.child_watches.len();
        }
        assert_eq!(paths, 10_000);
    }
}
