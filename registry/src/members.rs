//! Members of a service as a value, and changes as the difference of two values. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use common::log::Shown;

use crate::instance::{Instance, InstanceError};

/// Name of an instance's node below its service. The registry chooses it; it is unique as long as the instance lives, and
/// means nothing else.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Returns the name as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for InstanceId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Instances of a service at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Members {
    /// Usable instances.
    pub instances: BTreeMap<InstanceId, Arc<Instance>>,
    /// Nodes that are no usable instances, each with the reason.
    pub skipped: Vec<Skipped>,
    /// True if these are the last known members and may be out of date: no server is connected, or it refuses to list them, or
    /// [`SubscribeOptions::empty_after`](crate::SubscribeOptions::empty_after) holds members that are gone.
    pub stale: bool,
    /// Time at which the registry last confirmed them, in milliseconds since 1970, if they are from the cache on disk because
    /// no server has been reached yet: see [`Builder::cache`](crate::Builder::cache). They are stale then.
    pub cached: Option<u64>,
}

impl Members {
    /// Returns the time since the registry confirmed these members, if they are from the cache on disk. `now_ms` is
    /// [`unix_ms`](crate::unix_ms).
    #[must_use]
    pub fn age(&self, now_ms: u64) -> Option<Duration> {
        self.cached.map(|confirmed_ms| Duration::from_millis(now_ms.saturating_sub(confirmed_ms)))
    }

    /// Returns the number of usable instances.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Returns true if there is no usable instance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// Returns the changes from these members to `next`, in the order of the ids.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use registry::{Change, Instance, InstanceId, Members};
    ///
    /// let (id, instance) = (InstanceId::from("a"), Arc::new(Instance::new("127.0.0.1", 1)));
    /// let before = Members::default();
    /// let after = Members::from_iter([(id.clone(), instance.clone())]);
    /// assert_eq!(before.diff(&after), [Change::Up(id.clone(), instance)]);
    /// assert_eq!(after.diff(&before), [Change::Down(id)]);
    /// ```
    #[must_use]
    pub fn diff(&self, next: &Self) -> Vec<Change> {
        let gone =
            self.instances.keys().filter(|id| !next.instances.contains_key(id)).cloned().map(Change::Down);
        let there = next.instances.iter().filter_map(|(id, new)| match self.instances.get(id) {
            None => Some(Change::Up(id.clone(), new.clone())),
            Some(old) if old != new => Some(Change::Updated(id.clone(), new.clone())),
            Some(_) => None,
        });
        let mut changes: Vec<_> = gone.chain(there).collect();
        changes.sort_by(|a, b| a.id().cmp(b.id()));
        changes
    }
}

/// Collects usable instances: members that are not stale.
impl FromIterator<(InstanceId, Arc<Instance>)> for Members {
    fn from_iter<I: IntoIterator<Item = (InstanceId, Arc<Instance>)>>(instances: I) -> Self {
        Self { instances: instances.into_iter().collect(), ..Self::default() }
    }
}

/// Difference between two [`Members`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// An instance came.
    Up(InstanceId, Arc<Instance>),
    /// An instance has new data.
    Updated(InstanceId, Arc<Instance>),
    /// An instance went.
    Down(InstanceId),
}

impl Change {
    /// Returns the id of the instance that changed.
    #[must_use]
    pub fn id(&self) -> &InstanceId {
        match self {
            Self::Up(id, _) | Self::Updated(id, _) | Self::Down(id) => id,
        }
    }
}

/// Node of a service that is no usable instance.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Skipped {
    /// Name of the node.
    pub id: InstanceId,
    /// Cause.
    pub reason: SkipReason,
}

/// Shows a line that cannot forge another and is never long: any client that may write to the registry chooses the text.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown::text(&format!("{}: {}", self.id, self.reason)))
    }
}

/// Reason for skipping a node.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// Its data is no instance.
    #[error(transparent)]
    Invalid(#[from] InstanceError),
    /// The servers do not let us read it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_members() -> impl Strategy<Value = Members> {
        let instance = (1u16..4).prop_map(|port| Arc::new(Instance::new("a", port)));
        proptest::collection::btree_map("[a-d]".prop_map(|id| InstanceId::from(&*id)), instance, 0..4)
            .prop_map(|instances| Members { instances, ..Members::default() })
    }

    #[test]
    fn text_of_other_clients_is_shown_on_one_line_and_cut() {
        let skipped = |id: &str| Skipped {
            id: InstanceId::from(id),
            reason: SkipReason::Unreadable("it's \"none\"".into()),
        };
        let shown = skipped("a\n\u{1b}[2J\u{202e}").to_string();
        assert_eq!(shown, "a\\n\\u{1b}[2J\\u{202e}: cannot be read: it's \"none\"");
        let long = skipped(&"x".repeat(10_000)).to_string();
        assert_eq!(long, "x".repeat(200) + "… (9829 bytes more)");
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_next_members(before in any_members(), after in any_members()) {
            let mut applied = before.clone();
            for change in before.diff(&after) {
                let was_there = applied.instances.contains_key(change.id());
                match change {
                    Change::Up(id, instance) => {
                        prop_assert!(!was_there);
                        applied.instances.insert(id, instance);
                    }
                    Change::Updated(id, instance) => {
                        prop_assert!(was_there);
                        prop_assert_ne!(applied.instances.insert(id, instance.clone()), Some(instance));
                    }
                    Change::Down(id) => prop_assert!(applied.instances.remove(&id).is_some()),
                }
            }
            prop_assert_eq!(applied, after);
        }
    }
}
