//! A choice that stays.

use super::{Candidate, share};

/// Stays with one address as long as an instance takes work there.
///
/// ```
/// use std::sync::Arc;
/// use registry::select::{Random, Sticky};
/// use registry::{Instance, InstanceId, Members};
///
/// let instance = |port: u16| (InstanceId::from(port.to_string().as_str()), Arc::new(Instance::new("10.0.0.1", port)));
/// let members = Members::from_iter([instance(1), instance(2), instance(3)]);
/// let (mut sticky, mut random) = (Sticky::default(), Random::new(7));
/// let first = sticky.pick(&members.instances, 0, |all| random.pick(all, 0));
/// for _ in 0..10 {
///     assert_eq!(sticky.pick(&members.instances, 0, |all| random.pick(all, 0)), first);
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sticky {
    chosen: Option<(String, u16)>,
}

impl Sticky {
    /// Returns the instance of the last call, or of the same address, if it still takes work; otherwise one that `other`
    /// chooses. The time is in milliseconds since 1970.
    pub fn pick<'a, I>(
        &mut self,
        candidates: I,
        now_ms: u64,
        other: impl FnOnce(I) -> Option<Candidate<'a>>,
    ) -> Option<Candidate<'a>>
    where
        I: IntoIterator<Item = Candidate<'a>> + Clone,
    {
        let stays = self.chosen.as_ref().and_then(|(host, port)| {
            let is_chosen = |(_, instance): &Candidate<'_>| {
                instance.port() == *port && instance.host() == host && share(instance, now_ms) > 0
            };
            candidates.clone().into_iter().find(is_chosen)
        });
        if stays.is_some() {
            return stays;
        }
        let chosen = other(candidates);
        self.chosen = chosen.map(|(_, instance)| (instance.host().to_owned(), instance.port()));
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::Members;
    use crate::select::testing::weighing;

    #[test]
    fn it_stays_until_its_instance_takes_no_more_work() {
        let mut sticky = Sticky::default();
        let mut port = |members: &Members| {
            let last = sticky.pick(&members.instances, 0, |all| all.iter().next_back());
            last.map(|(_, instance)| instance.port())
        };
        assert_eq!(port(&weighing(&[1, 1])), Some(1));
        assert_eq!(port(&weighing(&[1, 1, 1])), Some(1), "a new one changes nothing");
        assert_eq!(port(&weighing(&[1, 0, 1])), Some(2));
        assert_eq!(port(&weighing(&[1, 1, 1])), Some(2), "it does not go back");
        assert_eq!(port(&weighing(&[])), None);
    }
}
