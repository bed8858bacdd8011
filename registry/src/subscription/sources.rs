//! Tasks that several subscriptions share.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use common::{Clock, Millis};
use tokio::sync::watch;

use super::cached::cached;
use super::core::{Core, Settings};
use super::driver::Driver;
use super::merger::merge;
use super::options::SubscribeOptions;
use super::view::View;
use crate::cache::Cache;
use crate::node::ServiceNode;

/// Sources of one registry. A source ends with its last subscription.
#[derive(Debug)]
pub(crate) struct Sources {
    clock: Clock,
    cache: Option<Cache>,
    by_key: Mutex<HashMap<Key, Weak<Source>>>,
}

/// Task that follows the members of a service, in one format or in several.
#[derive(Debug)]
pub(super) struct Source {
    views: watch::Receiver<View>,
    key: Key,
    sources: Arc<Sources>,
}

/// Properties that subscriptions of one source have in common.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    nodes: Vec<NodeKey>,
    updates: bool,
    spread: Duration,
    reads: usize,
}

/// Path and format of a service's node. Codecs are the same if they are of the same type and show the same.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct NodeKey {
    path: Arc<str>,
    codec: (TypeId, String),
}

impl Sources {
    /// Makes the sources of a registry whose client has this clock.
    pub(crate) fn new(clock: Clock, cache: Option<Cache>) -> Arc<Self> {
        Arc::new(Self { clock, cache, by_key: Mutex::default() })
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Returns the source of these nodes, one for each format; starts it if there is none.
    pub(super) fn open(
        self: &Arc<Self>,
        nodes: &[ServiceNode],
        options: &SubscribeOptions,
        seed: u64,
    ) -> Arc<Source> {
        let key = Key {
            nodes: nodes.iter().map(NodeKey::of).collect(),
            updates: options.updates,
            spread: options.spread,
            reads: options.reads,
        };
        // Begun before the lock and dropped after it, because both take it.
        let mut seeds = fastrand::Rng::with_seed(seed);
        let mut part = |node| self.open(std::slice::from_ref(node), options, seeds.u64(..));
        let parts: Vec<_> = if nodes.len() > 1 { nodes.iter().map(&mut part).collect() } else { Vec::new() };

        // Dropped after the lock: the end of a source takes it.
        let found;
        let mut by_key = self.by_key();
        found = by_key.get(&key).and_then(Weak::upgrade);
        if let Some(source) = found.as_ref().filter(|source| !source.has_ended()) {
            return source.clone();
        }
        let (sender, views) = watch::channel(View::default());
        match nodes {
            [node] => self.start(node, options, seed, sender),
            [] => {}
            [node, ..] => {
                // A copy: a task that is cancelled at once must not drop the last one under the lock.
                let parts = parts.clone();
                drop(node.client.spawn(async move {
                    merge(parts.iter().map(|part| part.views()).collect(), sender).await;
                }));
            }
        }
        let source = Arc::new(Source { views, key: key.clone(), sources: self.clone() });
        by_key.insert(key, Arc::downgrade(&source));
        source
    }

    /// Starts the task that follows a node, and one for the cache if there is one.
    fn start(&self, node: &ServiceNode, options: &SubscribeOptions, seed: u64, views: watch::Sender<View>) {
        let (driver, client) = (self.driver(node, options, seed), &node.client);
        let Some(cache) = &self.cache else {
            client.spawn(driver.run(views));
            return;
        };
        let (sender, answers) = watch::channel(View::default());
        client.spawn(driver.run(sender));
        client.spawn(cached(cache.of(node), client.clone(), answers, views));
    }

    fn driver(&self, node: &ServiceNode, options: &SubscribeOptions, seed: u64) -> Driver {
        let settings = Settings { max_reads: options.reads, spread: Millis::from(options.spread) };
        Driver::new(node.clone(), Core::new(seed, settings), options.updates, self.clock.clone())
    }

    fn by_key(&self) -> MutexGuard<'_, HashMap<Key, Weak<Source>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    pub(super) fn views(&self) -> watch::Receiver<View> {
        self.views.clone()
    }

    /// Returns true after the client was closed, or with the runtime of the subscription that began it.
    fn has_ended(&self) -> bool {
        self.views.has_changed().is_err()
    }
}

impl NodeKey {
    fn of(node: &ServiceNode) -> Self {
        let codec: &dyn Any = &*node.codec;
        Self { path: node.path.clone(), codec: (codec.type_id(), format!("{:?}", node.codec)) }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let mut by_key = self.sources.by_key();
        // The next source of this key may have begun already.
        if by_key.get(&self.key).is_some_and(|source| source.strong_count() == 0) {
            by_key.remove(&self.key);
        }
    }
}
