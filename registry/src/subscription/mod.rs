//! The handle that follows the members of a service.

mod cached;
mod core;
mod driver;
mod merger;
mod options;
mod sources;
mod view;

use std::sync::{Arc, Mutex, PoisonError};

use common::{Clock, Millis};
use tokio::sync::watch;

use crate::error::Error;
use crate::members::Members;
use crate::node::ServiceNode;
use sources::Source;
use view::View;

pub use options::SubscribeOptions;
pub(crate) use sources::Sources;

/// Follows the members of a service.
///
/// Subscriptions of one [`Registry`](crate::Registry), and of its clones, that read the same service in the same formats and
/// with the same [`reads`](SubscribeOptions::reads), [`updates`](SubscribeOptions::updates) and
/// [`spread`](SubscribeOptions::spread) share one background task, and so the requests. Each has its own
/// [`filter`](SubscribeOptions::filter). Dropping the last of them ends the task.
///
/// Changes are not queued: a subscriber that misses ten changes sees the newest members next, and [`Members::diff`] gives
/// the changes since its last view.
///
/// A node that cannot be read, or that is no instance and is not watched, is reported in [`Members::skipped`] and read
/// again after pauses that grow to half a minute.
#[derive(Clone, Debug)]
pub struct Subscription {
    views: watch::Receiver<View>,
    options: Arc<SubscribeOptions>,
    clock: Clock,
    /// Members that the last call of [`Self::changed`] returned.
    seen: Arc<Members>,
    shown: Arc<Mutex<Shown>>,
    /// Kept: the source ends with its last subscription.
    _source: Arc<Source>,
}

/// Members that were shown last: only a new view makes a new choice.
#[derive(Debug, Default)]
struct Shown {
    of: Option<Arc<Members>>,
    holds: bool,
    has_ended: bool,
    members: Arc<Members>,
}

impl Subscription {
    /// Opens the source of these nodes, one for each format. Returns when the members are known.
    pub(crate) async fn start(
        sources: &Arc<Sources>,
        nodes: &[ServiceNode],
        options: SubscribeOptions,
        seed: u64,
    ) -> Result<Self, Error> {
        let source = sources.open(nodes, &options, seed);
        let mut views = source.views();
        let view = views.wait_for(|view| view.members.is_some() || view.refused.is_some()).await;
        let view = view.map_err(|_| Error::Closed)?.clone();
        if let Some(source) = view.refused {
            let service = nodes.first().map(|node| node.service.to_string()).unwrap_or_default();
            return Err(Error::Refused { action: "subscribe to", service, source });
        }
        let mut subscription = Self {
            views,
            options: Arc::new(options),
            clock: sources.clock(),
            seen: Arc::default(),
            shown: Arc::default(),
            _source: source,
        };
        subscription.seen = subscription.current();
        Ok(subscription)
    }

    /// Returns the last known members.
    #[must_use]
    pub fn current(&self) -> Arc<Members> {
        self.show(&self.views.borrow()).0
    }

    /// Waits for other members than at the last call, or than at the subscription, and returns them; `None` when the
    /// registry is closed. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Arc<Members>> {
        loop {
            self.views.mark_unchanged();
            let (members, held_until) = self.show(&self.views.borrow());
            if members != self.seen {
                self.seen = members.clone();
                return Some(members);
            }
            tokio::select! {
                changed = self.views.changed() => changed.ok()?,
                () = self.clock.sleep_until(held_until) => {}
            }
        }
    }

    /// Returns the members of a view, and the time until which they are held although they are gone.
    fn show(&self, view: &View) -> (Arc<Members>, Option<Millis>) {
        let bound = Millis::from(self.options.empty_after);
        let now = self.clock.now();
        let held_until = view.held_until(bound).filter(|until| *until > now);
        let holds = held_until.is_some();
        // With the runtime of the source: it could not say that nobody is asked any more.
        let has_ended = self.views.has_changed().is_err();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = match (&shown.of, &view.members) {
            (Some(of), Some(members)) => {
                Arc::ptr_eq(of, members) && (shown.holds, shown.has_ended) == (holds, has_ended)
            }
            _ => false,
        };
        if !is_same {
            let mut members = view.shown(&self.options.filter, holds);
            if has_ended && !members.stale {
                Arc::make_mut(&mut members).stale = true;
            }
            *shown = Shown { of: view.members.clone(), holds, has_ended, members };
        }
        (shown.members.clone(), held_until)
    }
}
