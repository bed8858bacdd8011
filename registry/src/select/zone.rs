//! A preference for what is near.

use super::{Candidate, share};

/// Keeps the instances of a zone if one of them is up and has a weight; otherwise all.
pub fn prefer_zone<'a, I>(candidates: I, zone: &str) -> impl Iterator<Item = Candidate<'a>> + Clone
where
    I: IntoIterator<Item = Candidate<'a>>,
    I::IntoIter: Clone,
{
    let candidates = candidates.into_iter();
    let is_near = move |(_, instance): &Candidate<'a>| instance.zone() == Some(zone);
    // At the end of every warm-up.
    let takes_work = |(_, instance): Candidate<'a>| share(instance, u64::MAX) > 0;
    let has_near = candidates.clone().filter(is_near).any(takes_work);
    candidates.filter(move |candidate| !has_near || is_near(candidate))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::instance::Instance;
    use crate::members::{InstanceId, Members};
    use crate::status::Status;

    #[test]
    fn other_zones_are_for_when_nobody_near_takes_work() {
        let at = |port: u16, zone: &str| Instance::new("a", port).with_zone(zone);
        let near = |instances: &[Instance]| -> Vec<u16> {
            let members: Members = (0..)
                .zip(instances)
                .map(|(id, instance): (u32, _)| {
                    (InstanceId::from(id.to_string().as_str()), Arc::new(instance.clone()))
                })
                .collect();
            prefer_zone(&members.instances, "here").map(|(_, instance)| instance.port()).collect()
        };
        let zoneless = Instance::new("a", 3);
        assert_eq!(near(&[at(1, "here"), at(2, "there"), zoneless.clone(), at(4, "here")]), [1, 4]);
        assert_eq!(near(&[at(1, "there"), zoneless]), [1, 3]);
        assert_eq!(near(&[at(1, "here").with_weight(0), at(2, "there")]), [1, 2]);
        assert_eq!(near(&[at(1, "here").with_status(Status::Draining), at(2, "there")]), [1, 2]);
    }
}
