//! Members as a source tells them, and as one subscriber sees them. Pure.

use std::sync::Arc;

use common::Millis;

use super::core::{AT_ONCE, Lost};
use crate::filter::Filter;
use crate::members::Members;
use crate::merge::merge;

/// Progress of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Members of all statuses, zones and tags; `None` until they are known.
    pub(super) members: Option<Arc<Members>>,
    /// Loss of all instances, if there are none any more.
    pub(super) lost: Option<Lost>,
    /// Error of the last list, if the servers refused it before any was answered.
    pub(super) refused: Option<zk_client::Error>,
}

impl View {
    /// Joins the views of several formats.
    pub(super) fn merged(formats: &[Self]) -> Self {
        let refused = formats.iter().find_map(|view| view.refused.clone());
        let known: Option<Vec<_>> = formats.iter().map(|view| view.members.as_deref()).collect();
        let Some(known) = known else { return Self { refused, ..Self::default() } };
        let members = merge(known.iter().copied());
        let losses = || formats.iter().filter_map(|view| view.lost.as_ref());
        let last = losses().map(|lost| lost.at).max().filter(|_| members.is_empty());
        let lost = last.map(|at| {
            let at_once: Vec<_> = losses().filter(|lost| lost.at + AT_ONCE >= at).collect();
            Lost { members: Arc::new(merge(at_once.iter().map(|lost| &*lost.members))), at }
        });
        Self { members: Some(Arc::new(members)), lost, refused: None }
    }

    /// Returns the time until which a subscriber with this bound is shown the lost instances.
    pub(super) fn held_until(&self, bound: Millis) -> Option<Millis> {
        self.lost.as_ref().map(|lost| lost.at + bound)
    }

    /// Returns what a subscriber with this filter sees; with the lost instances if it `holds` them.
    pub(super) fn shown(&self, filter: &Filter, holds: bool) -> Arc<Members> {
        let Some(members) = &self.members else { return Arc::default() };
        if let Some(lost) = self.lost.as_ref().filter(|_| holds) {
            let wanted = filtered(&lost.members, filter);
            // Those that were about to leave are no loss.
            if !wanted.is_empty() {
                let instances = wanted.instances.clone();
                return Arc::new(Members { instances, stale: true, ..(**members).clone() });
            }
        }
        filtered(members, filter)
    }
}

/// Returns the wanted members; the same value if all are.
fn filtered(members: &Arc<Members>, filter: &Filter) -> Arc<Members> {
    if members.instances.values().all(|instance| filter.accepts(instance)) {
        return members.clone();
    }
    let mut wanted = (**members).clone();
    wanted.instances.retain(|_, instance| filter.accepts(instance));
    Arc::new(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Instance;
    use crate::members::InstanceId;
    use crate::status::Status;

    const BOUND: Millis = Millis(10_000);

    fn members(ports: &[u16], status: Status) -> Arc<Members> {
        let instance = |port: &u16| Arc::new(Instance::new("a", *port).with_status(status));
        Arc::new(ports.iter().map(|port| (InstanceId::from(&*port.to_string()), instance(port))).collect())
    }

    fn view(ports: &[u16]) -> View {
        View { members: Some(members(ports, Status::Up)), ..View::default() }
    }

    fn lost(ports: &[u16], status: Status, at: u64) -> View {
        View { lost: Some(Lost { members: members(ports, status), at: Millis(at) }), ..view(&[]) }
    }

    /// Returns what is shown at a time: the number of members, and true if they are stale.
    fn shown(view: &View, now: u64) -> (usize, bool) {
        let holds = view.held_until(BOUND).is_some_and(|until| until > Millis(now));
        let shown = view.shown(&Filter::default(), holds);
        (shown.len(), shown.stale)
    }

    #[test]
    fn a_loss_of_all_is_held_until_the_bound() {
        let lost = lost(&[1, 2, 3], Status::Up, 2_000);
        let shown = [2_000, 11_999, 12_000].map(|now| shown(&lost, now));
        assert_eq!(shown, [(3, true), (3, true), (0, false)]);
    }

    #[test]
    fn instances_that_drain_or_are_down_are_no_loss() {
        assert_eq!(shown(&view(&[]), 0), (0, false), "known to be empty");
        for status in [Status::Starting, Status::Draining, Status::Down] {
            assert_eq!(shown(&lost(&[1, 2], status, 0), 0), (0, false));
            let present = View { members: Some(members(&[1, 2], status)), ..View::default() };
            assert_eq!(shown(&present, 0), (0, false));
        }
    }

    #[test]
    fn several_formats_are_empty_when_each_is() {
        let one_left = View::merged(&[lost(&[1, 2], Status::Up, 0), view(&[3])]);
        assert_eq!(shown(&one_left, 0), (1, false), "a partial loss");
        let all = View::merged(&[lost(&[1, 2], Status::Up, 0), lost(&[2, 3], Status::Up, 1_000)]);
        assert_eq!((shown(&all, 10_999), shown(&all, 11_000)), ((3, true), (0, false)));
        let later = View::merged(&[lost(&[1, 2], Status::Up, 0), lost(&[3], Status::Up, 60_000)]);
        assert_eq!(shown(&later, 60_000), (1, true), "the first loss was another one");
        let never = View::merged(&[view(&[]), lost(&[3], Status::Up, 60_000)]);
        assert_eq!(shown(&never, 60_000), (1, true));
    }

    #[test]
    fn several_formats_are_known_when_each_is() {
        assert!(View::merged(&[view(&[1]), View::default()]).members.is_none());
    }

    #[test]
    fn members_are_not_copied_if_all_are_wanted() {
        let view = view(&[1]);
        assert!(Arc::ptr_eq(&view.shown(&Filter::default(), false), view.members.as_ref().unwrap()));
    }
}
