//! Options of subscriptions.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::{Codec, Json};
use crate::filter::Filter;

/// Options of a [`Subscription`](crate::Subscription); each setter has its default.
///
/// ```
/// use std::time::Duration;
/// use registry::{Filter, SubscribeOptions};
///
/// let membership_only = SubscribeOptions::default().updates(false);
/// let nearby = SubscribeOptions::default().filter(Filter::default().zone("eu-1"));
/// let one_of_a_thousand = SubscribeOptions::default().spread(Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
pub struct SubscribeOptions {
    pub(crate) codecs: Vec<Arc<dyn Codec>>,
    pub(crate) filter: Filter,
    pub(crate) updates: bool,
    pub(crate) spread: Duration,
    pub(crate) empty_after: Duration,
    pub(crate) reads: usize,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self {
            codecs: vec![Arc::new(Json)],
            filter: Filter::default(),
            updates: true,
            spread: Duration::ZERO,
            empty_after: Duration::ZERO,
            reads: 128,
        }
    }
}

impl SubscribeOptions {
    /// Reads instances in these formats. One that is published in several is one member: an address, or a name of a node,
    /// seen in an earlier format hides the same one in later formats. None leaves the default: [`Json`].
    #[must_use]
    pub fn codecs(mut self, codecs: impl IntoIterator<Item = Arc<dyn Codec>>) -> Self {
        let codecs: Vec<_> = codecs.into_iter().collect();
        if !codecs.is_empty() {
            self.codecs = codecs;
        }
        self
    }

    /// Chooses the instances that are members. Default: those with [`Status::Up`](crate::Status::Up).
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Reports new data of known instances. Default: true.
    ///
    /// It takes a watch for every instance and subscriber (measured with 10,000 instances: about 1 KiB each on both sides
    /// together, and a third more time to subscribe), and a second event for each instance that goes. With false, each
    /// instance is read once, when its name is new: for thousands of instances that never change. An instance that begins to
    /// drain is then not noticed until its node goes.
    #[must_use]
    pub fn updates(mut self, updates: bool) -> Self {
        self.updates = updates;
        self
    }

    /// Asks the servers for a change after a random pause of up to `max`: for services with so many subscribers that their
    /// questions, all at once, are too much. Changes within the pause share it. A reconnect pauses, too; the first list on a
    /// connection that is there does not. A deleted node goes without a question, so at once, unless its name can come again (the
    /// id that a user chose). Default: zero, no pause.
    #[must_use]
    pub fn spread(mut self, max: Duration) -> Self {
        self.spread = max;
        self
    }

    /// Holds the last members, marked stale, for this time after all are gone: a safeguard against a registry that loses its
    /// data, and against a failure between the registry and all instances. Default: zero, they are not held.
    ///
    /// Held are the instances that were lost within five seconds, because servers end the sessions of a common failure one tick
    /// after another; not those whose status says that they were about to leave. The first instance that comes ends the hold. A
    /// loss of some passes at once.
    ///
    /// An ensemble agrees on its list: mostly it is empty because the last instance has left, and the address may be another
    /// program's by now. So the hold is a choice, for callers to whom a dead address costs little. Half a minute covers a
    /// session timeout and the return of the instances.
    #[must_use]
    pub fn empty_after(mut self, time: Duration) -> Self {
        self.empty_after = time;
        self
    }

    /// Limits the number of instances that are read at the same time. Default: 128.
    #[must_use]
    pub fn reads(mut self, reads: usize) -> Self {
        self.reads = reads;
        self
    }
}
