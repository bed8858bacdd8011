//! Who is there: membership as a value, and changes as the difference of two values. No I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use common::log::Shown;

use crate::instance::{Instance, InstanceError};

/// The name of an instance's node below its service. Given out by the registry, unique as long as the
/// instance lives, and meaningless beyond that.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// The name as a string.
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

/// The instances of a service at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Members {
    /// The usable ones.
    pub instances: BTreeMap<InstanceId, Arc<Instance>>,
    /// Nodes that are there but are no instance, each with the reason.
    pub skipped: Vec<Skipped>,
    /// Whether the registry cannot be asked now (or is asked to hold the last members although all are
    /// gone): this is the last that was known.
    pub stale: bool,
}

impl Members {
    /// How many usable instances there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether there is no usable instance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// What has to be done to these members to get `next`: who went, who came, who tells something new
    /// about itself. In the order of the ids.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use registry::{Change, Instance, InstanceId, Members};
    ///
    /// let (before, mut after) = (Members::default(), Members::default());
    /// let (id, instance) = (InstanceId::from("a"), Arc::new(Instance::new("127.0.0.1", 1)));
    /// after.instances.insert(id.clone(), instance.clone());
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

/// A difference between two [`Members`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// An instance came.
    Up(InstanceId, Arc<Instance>),
    /// An instance tells something new about itself.
    Updated(InstanceId, Arc<Instance>),
    /// An instance went.
    Down(InstanceId),
}

impl Change {
    /// The instance that changed.
    #[must_use]
    pub fn id(&self) -> &InstanceId {
        match self {
            Self::Up(id, _) | Self::Updated(id, _) | Self::Down(id) => id,
        }
    }
}

/// A node that is there but is no instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// The node's name.
    pub id: InstanceId,
    /// What is wrong with it.
    pub reason: SkipReason,
}

/// Shows a line that cannot forge another and is never long: any client that may write to the registry chooses the text.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown::text(&format!("{}: {}", self.id, self.reason)))
    }
}

/// Why a node is skipped.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// Its data is not an instance's.
    #[error(transparent)]
    Invalid(#[from] InstanceError),
    /// The registry does not let us read it.
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
