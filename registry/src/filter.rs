//! Choice of the instances that a subscriber wants. Pure.

use std::collections::BTreeSet;

use crate::instance::Instance;
use crate::status::Status;

/// Choice of instances by what they say of themselves: those with [`Status::Up`], of any zone and with any tags, unless it is
/// told otherwise.
///
/// ```
/// use registry::{Filter, Instance, Status};
///
/// let filter = Filter::default().zone("eu-1").tag("canary");
/// let instance = Instance::new("127.0.0.1", 8080).with_zone("eu-1").with_tags(["canary", "large"]);
/// assert!(filter.accepts(&instance));
/// assert!(!filter.accepts(&instance.with_status(Status::Draining)));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    statuses: BTreeSet<Status>,
    zones: BTreeSet<String>,
    tags: BTreeSet<String>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { statuses: BTreeSet::from([Status::Up]), zones: BTreeSet::new(), tags: BTreeSet::new() }
    }
}

impl Filter {
    /// Accepts these statuses and no others. Default: [`Status::Up`].
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = Status>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// Accepts only instances of this zone; called several times, those of any of the zones. Default: of every zone, and
    /// without one.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zones.insert(zone.into());
        self
    }

    /// Accepts only instances with this tag; called several times, those with all of the tags. Default: with any, and
    /// without one.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.insert(tag.into());
        self
    }

    /// Returns true if the instance is wanted.
    #[must_use]
    pub fn accepts(&self, instance: &Instance) -> bool {
        self.statuses.contains(&instance.status())
            && (self.zones.is_empty() || instance.zone().is_some_and(|zone| self.zones.contains(zone)))
            && self.tags.iter().all(|wanted| instance.tags().any(|tag| tag == wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Instance {
        Instance::new("a", 1)
    }

    #[test]
    fn only_instances_that_are_up_are_wanted_by_default() {
        let statuses = [Status::Starting, Status::Up, Status::Draining, Status::Down];
        let wanted = statuses.map(|status| Filter::default().accepts(&plain().with_status(status)));
        assert_eq!(wanted, [false, true, false, false]);
        assert!(Filter::default().accepts(&plain().with_zone("z").with_tags(["t"])));
        assert!(Filter::default().accepts(&plain().with("status", "unheard of")), "an unknown word is up");
    }

    #[test]
    fn statuses_replace_the_default() {
        let filter = Filter::default().statuses([Status::Draining, Status::Down]);
        assert!(filter.accepts(&plain().with_status(Status::Down)));
        assert!(!filter.accepts(&plain()));
    }

    #[test]
    fn any_of_the_zones_will_do_but_all_tags_are_needed() {
        let zones = Filter::default().zone("a").zone("b");
        let accepted = ["a", "b", "c"].map(|zone| zones.accepts(&plain().with_zone(zone)));
        assert_eq!((accepted, zones.accepts(&plain())), ([true, true, false], false));
        let tags = Filter::default().tag("x").tag("y");
        assert!(tags.accepts(&plain().with_tags(["y", "z", "x"])));
        assert!(!tags.accepts(&plain().with_tags(["x"])));
    }
}
