//! Invariants of the core.

use std::collections::{BTreeMap, BTreeSet};

use zk_mini::core::{Core, NodeInfo};
use zk_wire::{SessionId, path};

/// Returns all nodes, found by a walk over the tree.
pub(crate) fn nodes(core: &Core) -> BTreeMap<String, NodeInfo> {
    let mut nodes = BTreeMap::new();
    let mut open = vec![String::from("/")];
    while let Some(path) = open.pop() {
        open.extend(core.children(&path).unwrap().iter().map(|name| path::join(&path, name)));
        let node = core.node(&path).expect("children exist");
        nodes.insert(path, node);
    }
    nodes
}

/// Checks that counters equal what they count, that each ephemeral node has a live session, and each watch a live
/// connection.
pub(crate) fn check(core: &Core) {
    let nodes = nodes(core);
    assert_eq!(core.node_count(), nodes.len());
    let data = |node: &NodeInfo| node.data.as_ref().map_or(0, bytes::Bytes::len);
    assert_eq!(core.data_size(), nodes.iter().map(|(path, node)| path.len() + data(node)).sum::<usize>());
    for (path, node) in &nodes {
        let children = core.children(path).unwrap().len();
        assert_eq!(usize::try_from(node.stat.num_children), Ok(children), "{path}");
        let below = format!("{}/", path.trim_end_matches('/'));
        let below = nodes.keys().filter(|other| other.len() > below.len() && other.starts_with(&below));
        assert_eq!(core.descendant_count(path), Some(below.count()), "below {path}");
        assert_eq!(usize::try_from(node.stat.data_length), Ok(data(node)), "{path}");
        assert!(node.stat.czxid <= node.stat.mzxid && node.stat.mzxid <= core.last_zxid(), "{path}");
    }
    let mut owned = BTreeMap::<SessionId, BTreeSet<&str>>::new();
    for (path, node) in nodes.iter().filter(|(_, node)| node.stat.ephemeral_owner != SessionId::NONE) {
        owned.entry(node.stat.ephemeral_owner).or_default().insert(path);
    }
    assert_eq!(core.ephemeral_count(), owned.values().map(BTreeSet::len).sum::<usize>());
    let sessions = core.sessions();
    assert_eq!(core.session_count(), sessions.len());
    let connections = core.connections();
    for session in &sessions {
        let ephemerals: BTreeSet<&str> = session.ephemerals.iter().map(|path| &**path).collect();
        assert_eq!(ephemerals, owned.remove(&session.id).unwrap_or_default());
        if let Some(conn) = session.conn {
            assert!(connections.iter().any(|info| info.conn == conn && info.session == Some(session.id)));
        }
    }
    assert!(owned.is_empty(), "ephemerals without a session: {owned:?}");
    for connection in &connections {
        if let Some(id) = connection.session {
            assert!(sessions.iter().any(|info| info.id == id && info.conn == Some(connection.conn)));
        }
    }
    let watches = [core.data_watches(), core.child_watches()].concat();
    for (path, watchers) in &watches {
        assert!(!watchers.is_empty(), "{path} has no watcher");
        assert!(watchers.iter().all(|conn| connections.iter().any(|info| info.conn == *conn)));
    }
    assert_eq!(core.watch_count(), watches.iter().map(|(_, watchers)| watchers.len()).sum::<usize>());
}
