//! Loading of trees: into a running server, or as a snapshot.

use std::sync::Arc;

use crate::core::{Config, Core, NewNode, NodeKind, Now, WriteError};
use crate::handle::{Handle, Snapshot};
use crate::tree_file::TreeFile;
use zk_wire::Expected;

/// Result of loading a tree.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Loaded {
    /// Number of nodes that were created or set, without parents that were made.
    pub written: usize,
    /// Ephemeral nodes, which were left out.
    pub left_out: Vec<String>,
}

/// Trees as files, with the feature `tree-files`.
impl Handle {
    /// Returns the present tree as a value that a file can hold.
    #[must_use]
    pub fn tree_file(&self) -> TreeFile {
        TreeFile::from(&self.snapshot())
    }

    /// Writes the nodes of a file into the tree, as direct writes that no other write comes between. Missing nodes are
    /// created; nodes that exist get the data and the ACL of the file, and keep their kind. All other nodes stay: to exchange
    /// the whole tree, [`restore`](Self::restore) a [`Snapshot::from_tree`].
    ///
    /// # Errors
    /// [`WriteError`] of the first node that is refused. The nodes before it, in the order of their paths, are written.
    pub async fn load(&self, tree: &TreeFile) -> Result<Loaded, WriteError> {
        self.write("/", |core, now| tree.write(core, now)).await
    }
}

impl Snapshot {
    /// Returns a snapshot of the nodes of a file, and no sessions. It begins at zxid 1; a restore goes on above the zxids of
    /// the server.
    ///
    /// # Errors
    /// [`WriteError`] of the first node that no server would take.
    pub fn from_tree(tree: &TreeFile) -> Result<Self, WriteError> {
        let config = Config { extended_types: true, transactions: false, ..Config::default() };
        let mut core = Core::new(config);
        tree.write(&mut core, Now::default())?;
        Ok(Self { image: Arc::new(core.image()) })
    }
}

impl TreeFile {
    fn write(&self, core: &mut Core, now: Now) -> Result<Loaded, WriteError> {
        let mut loaded = Loaded::default();
        for (path, node) in &self.nodes {
            if let NodeKind::Ephemeral(_) = node.kind {
                loaded.left_out.push(path.clone());
                continue;
            }
            let (data, acl, kind) = (node.data.as_deref(), &*node.acl, node.kind);
            match core.node(path) {
                None => {
                    let new = NewNode { path, data, acl, kind, sequential: false, parents: true };
                    core.create_directly(now, &new)?;
                }
                Some(present) => {
                    if *present.acl != *acl {
                        core.set_acl_directly(now, path, acl)?;
                    }
                    if present.data.as_deref() != data {
                        core.set_directly(now, path, data, Expected::Any)?;
                    }
                }
            }
            loaded.written += 1;
        }
        Ok(loaded)
    }
}
