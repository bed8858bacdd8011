//! The nodes below a path, kept in memory.

mod core;
mod driver;
mod edit;
mod name_map;
mod scope;
mod tree;

use std::sync::Arc;

use common::log::survive;
use tokio::sync::watch;
use zk_client::Client;

use crate::error::Error;
use crate::protected::again;
use core::Core;
use driver::Driver;
use scope::{Filter, Scope};
pub use tree::{Tree, TreeChange, TreeNode};

/// Name of the recipe in errors.
const RECIPE: &str = "tree cache";

/// Maximum depth: recursion over a tree ends.
const MAX_DEPTH: usize = 128;

/// Keeps a copy of a node and all nodes below it in memory, as Curator's `CuratorCache` and kazoo's `TreeCache` do. Clones share one
/// background task; dropping the last clone ends it.
///
/// One recursive watch tells of every change, and only what changed is read: one read for a new or changed node, none for a
/// deleted one. After a lost connection or an expired session the cache looks at the `Stat` of every node, and reads again what
/// changed meanwhile. Until it has done so, the last copy stays and is [stale](Tree::is_stale).
///
/// Changes are not queued: who misses ten changes sees the newest copy next, and [`Tree::diff`] gives the changes since any
/// earlier copy. Each node is as it was at some time since the last event of it; different nodes may be from different times,
/// except that no change is missing once there are no more.
///
/// Nodes that the servers do not let us read are [skipped](Tree::skipped), with all below them, and tried again after pauses
/// that grow to half a minute. A change of an ACL is no event: a node that may no longer be read keeps its last value up to the
/// next reconnect. Needs servers of version 3.6 or later.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let zk = zk_mini::ZkMini::start().await?;
/// # let client = zk_client::Client::connect(&zk.connect_string()).await?;
/// use zk_client::{CreateMode, Expected};
/// use zk_recipes::{TreeCache, TreeChange};
///
/// client.create("/app", "v1", CreateMode::Persistent).await?;
/// let mut cache = TreeCache::start(&client, "/app").await?;
/// assert_eq!(cache.current().get("/app").unwrap().data(), "v1");
///
/// let mut before = cache.current();
/// client.create("/app/db", "db.internal:5432", CreateMode::Persistent).await?;
/// client.set("/app", "v2", Expected::Any).await?;
/// let mut changes = Vec::new();
/// while changes.len() < 2 {
///     let tree = cache.changed().await.ok_or("the client is open")?;
///     changes.extend(before.diff(&tree));
///     before = tree;
/// }
/// changes.sort_by_key(|change| matches!(change, TreeChange::Added(_)));
/// assert_eq!(changes, [TreeChange::Changed("/app".into()), TreeChange::Added("/app/db".into())]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TreeCache {
    trees: watch::Receiver<Tree>,
}

/// Options of a [`TreeCache`]; each setter has its default.
///
/// ```
/// use zk_recipes::TreeOptions;
///
/// let names_of_services = TreeOptions::default().depth(1).data(false).filter(|path| path != "/zookeeper");
/// # let _ = names_of_services;
/// ```
#[derive(Clone)]
pub struct TreeOptions {
    depth: usize,
    data: bool,
    filter: Option<Filter>,
    reads: usize,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self { depth: MAX_DEPTH, data: true, filter: None, reads: 128 }
    }
}

impl TreeOptions {
    /// Limits the depth: with 0 only the topmost node is kept, with 1 its children, too. Default and maximum: 128.
    #[must_use]
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth.min(MAX_DEPTH);
        self
    }

    /// Keeps the data of the nodes. Default: true. With false only their `Stat` is read.
    #[must_use]
    pub fn data(mut self, data: bool) -> Self {
        self.data = data;
        self
    }

    /// Leaves out the nodes whose full path the filter refuses, with all below them. The topmost node is always kept. Default: no
    /// filter. A filter that panics refuses.
    #[must_use]
    pub fn filter(mut self, keep: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(move |path| survive(|| keep(path)).unwrap_or(false)));
        self
    }

    /// Limits the number of reads at the same time. Default: 128.
    #[must_use]
    pub fn reads(mut self, reads: usize) -> Self {
        self.reads = reads;
        self
    }
}

impl std::fmt::Debug for TreeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { depth, data, filter, reads } = self;
        let mut shown = f.debug_struct("TreeOptions");
        shown.field("depth", depth).field("data", data).field("filtered", &filter.is_some());
        shown.field("reads", reads).finish()
    }
}

impl TreeCache {
    /// Follows the node at `path`, which need not exist, and all nodes below it. Returns when all have been read.
    ///
    /// # Errors
    /// [`Error`] if the servers refuse the watch, as those before 3.6 do with `UNIMPLEMENTED`, or the client is closed. Waits while no
    /// server can be reached.
    pub async fn start(client: &Client, path: &str) -> Result<Self, Error> {
        Self::start_with(client, path, TreeOptions::default()).await
    }

    /// Does the same as [`Self::start`], with options.
    ///
    /// # Errors
    /// The same as of [`Self::start`].
    pub async fn start_with(client: &Client, path: &str, options: TreeOptions) -> Result<Self, Error> {
        // Watched first and read then: a change in between is told.
        let watch = again(client, async || client.watch_recursive(path).await).await;
        let watch = watch.map_err(Error::of(RECIPE, path))?;
        let scope = Scope::new(path, options.depth, options.filter);
        let core = Core::new(fastrand::u64(..), scope, options.data, options.reads);
        let (sender, mut trees) = watch::channel(Tree::new(path.into()));
        let driver = Driver::new(client.clone(), watch, core);
        client.spawn(driver.run(sender));
        if trees.changed().await.is_err() {
            let closed = zk_client::Error::Closed { op: "getData", path: path.to_owned(), sent: false };
            return Err(Error::of(RECIPE, path)(closed));
        }
        Ok(Self { trees })
    }

    /// Returns the newest copy.
    #[must_use]
    pub fn current(&self) -> Tree {
        self.trees.borrow().clone()
    }

    /// Waits for another copy than at the last call, or than at the start, and returns it; `None` when the client is closed.
    /// Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Tree> {
        self.trees.changed().await.ok()?;
        Some(self.trees.borrow_and_update().clone())
    }
}
