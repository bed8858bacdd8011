//! Digest of the tree: a checksum over all nodes, updated by each change (Apache ZooKeeper's, version 2). After a
//! replay it shows whether the state is the same.

use crc32fast::Hasher;

use crate::core::tree::node::Node;

/// Prefix of nodes that are left out, because each server counts quotas for itself.
const UNCOUNTED: &str = "/zookeeper/";

/// Sum of all nodes' digests, if it is maintained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeDigest(Option<u64>);

impl TreeDigest {
    pub(crate) fn new(kept: bool) -> Self {
        Self(kept.then_some(0))
    }

    pub(crate) fn get(self) -> Option<u64> {
        self.0
    }

    /// Adds a node after its creation or change.
    pub(crate) fn add(&mut self, path: &str, node: &Node) {
        if let Some(sum) = &mut self.0 {
            *sum = sum.wrapping_add(of(path, node));
        }
    }

    /// Subtracts a node before its change or after its deletion.
    pub(crate) fn remove(&mut self, path: &str, node: &Node) {
        if let Some(sum) = &mut self.0 {
            *sum = sum.wrapping_sub(of(path, node));
        }
    }
}

fn of(path: &str, node: &Node) -> u64 {
    if path.starts_with(UNCOUNTED) {
        return 0;
    }
    let content = node.content_crc.get_or_init(|| {
        let mut crc = Hasher::new();
        // The root counts with an empty path.
        crc.update(if path == "/" { b"" } else { path.as_bytes() });
        crc.update(node.data.as_deref().unwrap_or_default());
        crc.finalize()
    });
    // A change of the `Stat` alone does not read the data again. Its bytes go in together: in parts they cost thrice as much.
    let mut stat = [0; 60];
    let longs = [node.czxid.0, node.mzxid.0, node.pzxid().0, node.ctime.0, node.mtime.0];
    let ints = [node.version.0, node.created_children(), node.aversion.0];
    let (first, rest) = stat.split_at_mut(longs.len() * 8);
    let (second, last) = rest.split_at_mut(ints.len() * 4);
    first.as_chunks_mut().0.iter_mut().zip(longs).for_each(|(place, long)| *place = long.to_be_bytes());
    second.as_chunks_mut().0.iter_mut().zip(ints).for_each(|(place, int)| *place = int.to_be_bytes());
    last.copy_from_slice(&node.owner().to_be_bytes());
    let mut crc = Hasher::new_with_initial(*content);
    crc.update(&stat);
    crc.finalize().into()
}
