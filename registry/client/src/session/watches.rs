//! Which watches are set on the server, and who waits for them.

use std::collections::{BTreeMap, BTreeSet};

use zk_wire::{ByteString, EventType, SetWatches, Zxid};

use super::{CallId, WatchKey, WatchKind};

/// A setWatches frame is filled up to about this size: far below what servers read, as in Apache's client.
const CHUNK: usize = 128 * 1024;

/// The watches of one session. A server keeps one per path and kind of a connection, however many callers
/// wait for it.
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

    /// The server keeps its half until it fires; nobody hears it then.
    pub(super) fn forget(&mut self, id: CallId) {
        let Some(key) = self.by_id.remove(&id) else { return };
        if let Some(ids) = self.by_key.get_mut(&key) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// Takes out whom an event concerns, in the order of their calls.
    pub(super) fn fire(&mut self, event: EventType, path: &ByteString) -> BTreeSet<CallId> {
        let kinds: &[WatchKind] = match event {
            EventType::NODE_CREATED | EventType::NODE_DATA_CHANGED => &[WatchKind::Data, WatchKind::Exist],
            // One event for all kinds of watches that a connection has on the node.
            EventType::NODE_DELETED => &[WatchKind::Data, WatchKind::Exist, WatchKind::Child],
            EventType::NODE_CHILDREN_CHANGED => &[WatchKind::Child],
            _ => &[],
        };
        let mut fired = BTreeSet::new();
        for &kind in kinds {
            fired.extend(self.by_key.remove(&(kind, path.clone())).unwrap_or_default());
        }
        for id in &fired {
            self.by_id.remove(id);
        }
        fired
    }

    /// Takes out everybody.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = CallId> + use<> {
        self.by_key.clear();
        std::mem::take(&mut self.by_id).into_keys()
    }

    /// The requests that set all watches again on a new connection. All carry the same `since`: what the
    /// client had seen when the old connection ended.
    pub(super) fn set_again(&self, since: Zxid) -> Vec<SetWatches> {
        let empty = || SetWatches {
            relative_zxid: since,
            data_watches: Vec::new(),
            exist_watches: Vec::new(),
            child_watches: Vec::new(),
        };
        let mut requests = Vec::new();
        let (mut request, mut size) = (empty(), 0);
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
            };
            list.push(path.clone());
        }
        if size > 0 {
            requests.push(request);
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(fired: BTreeSet<CallId>) -> Vec<u64> {
        fired.into_iter().map(|id| id.0).collect()
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
        for (event, expected) in [
            (EventType::NODE_CREATED, &[1, 2][..]),
            (EventType::NODE_DATA_CHANGED, &[1, 2]),
            (EventType::NODE_DELETED, &[1, 2, 3]),
            (EventType::NODE_CHILDREN_CHANGED, &[3]),
            (EventType::NONE, &[]),
        ] {
            let mut watches = one_of_each();
            assert_eq!(ids(watches.fire(event, &"/a".into())), expected, "{event}");
            assert_eq!(ids(watches.fire(event, &"/a".into())), [], "{event} fires once");
        }
    }

    #[test]
    fn a_forgotten_watch_is_not_set_again() {
        let mut watches = one_of_each();
        watches.insert(CallId(4), (WatchKind::Data, "/a".into()));
        watches.forget(CallId(1));
        assert_eq!(watches.set_again(Zxid(0))[0].data_watches, ["/a"], "somebody else still waits");
        for id in 2..=4 {
            watches.forget(CallId(id));
        }
        assert_eq!(watches.set_again(Zxid(0)), []);
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
