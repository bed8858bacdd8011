//! Loading of trees: into a running server, or as a snapshot.

use std::sync::Arc;

use crate::core::{Config, Core, NewNode, NodeKind, Now, WriteError};
use crate::handle::{Handle, Snapshot};
use crate::shell::change::Performing;
use crate::shell::engine::Engine;
use crate::tree_file::TreeFile;
use zk_wire::{Acl, Expected, path};

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

    /// Returns a snapshot of the nodes of a file, as [`Snapshot::from_tree`] does, with the present time of the server.
    ///
    /// # Errors
    /// [`WriteError`] of the first node that no server would take.
    pub fn snapshot_of(&self, tree: &TreeFile) -> Result<Snapshot, WriteError> {
        Snapshot::of_tree_at(tree, self.engine.look(|state| state.clock.now()))
    }

    /// Writes the nodes of a file into the tree, as direct writes that no other write comes between: all of them, or none.
    /// Missing nodes are created; nodes that exist get the data and the ACL of the file, and keep their kind. All other nodes
    /// stay: to exchange the whole tree, [`restore`](Self::restore) a [`Snapshot::from_tree`]. A server that is to have the
    /// nodes before its first client comes takes them with [`Builder::load`](crate::Builder::load).
    ///
    /// # Errors
    /// [`WriteError`] of the first node that is refused, in the order of their paths; nothing is written then.
    pub async fn load(&self, tree: &TreeFile) -> Result<Loaded, WriteError> {
        self.write("/", |core, now| tree.write_all(core, now)).await
    }
}

impl Snapshot {
    /// Returns a snapshot of the nodes of a file, and no sessions. It begins at zxid 1, in 1970, and a restore goes on above the zxids
    /// of the server. See [`Handle::snapshot_of`] for nodes of today.
    ///
    /// # Errors
    /// [`WriteError`] of the first node that no server would take.
    pub fn from_tree(tree: &TreeFile) -> Result<Self, WriteError> {
        Self::of_tree_at(tree, Now::default())
    }

    fn of_tree_at(tree: &TreeFile, now: Now) -> Result<Self, WriteError> {
        // A server may allow longer data than others do.
        let max_transaction = usize::MAX;
        let config =
            Config { extended_types: true, transactions: false, max_transaction, ..Config::default() };
        let mut core = Core::new(config);
        tree.write(&mut core, now)?;
        Ok(Self { image: Arc::new(core.image()) })
    }
}

/// Tree that a server has got before it runs.
#[derive(Debug)]
pub(crate) struct LoadedFirst(Performing);

impl LoadedFirst {
    /// Waits until the tree is on the disk of a server with a data directory.
    pub(crate) async fn until_durable(self, server: &Handle) -> Result<(), WriteError> {
        if server.engine.performed(self.0).await {
            Ok(())
        } else {
            Err(WriteError::NotDurable { path: "/".into() })
        }
    }
}

impl TreeFile {
    /// Writes all nodes, or none, into a server that does not run yet. `None` if it has been stopped.
    pub(crate) fn write_first(&self, engine: &Engine) -> Result<Option<LoadedFirst>, WriteError> {
        let changed = engine.change(|core, now| self.write_all(core, now));
        changed.map(|(loaded, performing)| loaded.map(|_| LoadedFirst(performing))).transpose()
    }

    /// Writes all nodes, or none.
    pub(crate) fn write_all(&self, core: &mut Core, now: Now) -> Result<Loaded, WriteError> {
        // What a write is refused for depends on the nodes before it. So a copy, which shares the data, tries all of them.
        let config = Config { digests: false, transactions: false, ..core.config().clone() };
        self.write(&mut Core::of_image(config, now, core.image()), now)?;
        self.write(core, now)
    }

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
                    make_parent(core, now, path)?;
                    let new = NewNode { path, data, acl, kind, sequential: false, parents: false };
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

/// Makes the missing nodes above a path: empty and open, whatever the ACL of the node is.
fn make_parent(core: &mut Core, now: Now, path: &str) -> Result<(), WriteError> {
    let Some((parent, _)) = path::split(path) else { return Ok(()) };
    if core.node(parent).is_none() {
        let (data, acl) = (Some(&[][..]), &[Acl::open()][..]);
        let kind = NodeKind::Persistent;
        core.create_directly(
            now,
            &NewNode { path: parent, data, acl, kind, sequential: false, parents: true },
        )?;
    }
    Ok(())
}
