//! One view of a service whose instances stand in several formats. Pure.

use std::collections::BTreeSet;

use crate::members::Members;

/// Joins the members that each format shows. An instance hides those of later formats that have its address, or a node of the
/// same name: it was published several times. Instances of one format do not hide each other. A node that one format can read
/// is no defect in another one.
pub(crate) fn merge<'a>(formats: impl IntoIterator<Item = &'a Members> + Clone) -> Members {
    let mut merged = Members::default();
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    for members in formats.clone() {
        let new = members.instances.iter().filter(|(id, instance)| {
            !seen.contains(&(instance.host(), instance.port())) && !names.contains(id)
        });
        merged.instances.extend(new.map(|(id, instance)| (id.clone(), instance.clone())));
        seen.extend(members.instances.values().map(|instance| (instance.host(), instance.port())));
        names.extend(members.instances.keys());
        merged.stale |= members.stale;
        merged.cached = merged.cached.into_iter().chain(members.cached).min();
    }
    for members in formats {
        let broken = members.skipped.iter().filter(|skipped| names.insert(&skipped.id));
        merged.skipped.extend(broken.cloned());
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::instance::{Instance, InstanceError};
    use crate::members::{InstanceId, Skipped};

    fn members(instances: &[(&str, u16)]) -> Members {
        let instance = |&(id, port): &(&str, u16)| (InstanceId::from(id), Arc::new(Instance::new("a", port)));
        instances.iter().map(instance).collect()
    }

    #[test]
    fn an_address_of_an_earlier_format_hides_it_in_later_ones_only() {
        let merged = merge([
            &members(&[("worker-1", 1), ("worker-2", 1)]),
            &members(&[("x", 1), ("y", 2)]),
            &members(&[("z", 2), ("w", 3)]),
        ]);
        assert_eq!(merged, members(&[("worker-1", 1), ("worker-2", 1), ("y", 2), ("w", 3)]));
    }

    #[test]
    fn a_name_of_an_earlier_format_hides_it_while_an_instance_moves() {
        assert_eq!(merge([&members(&[("one", 2)]), &members(&[("one", 1)])]), members(&[("one", 2)]));
    }

    #[test]
    fn a_node_that_one_format_reads_is_no_defect_and_one_that_none_reads_is_told_once() {
        let skipped = |ids: &[&str]| -> Vec<_> {
            let skipped = |id: &&str| Skipped { id: (*id).into(), reason: InstanceError::Empty.into() };
            ids.iter().map(skipped).collect()
        };
        let first = Members { skipped: skipped(&["b", "x"]), ..members(&[("a", 1)]) };
        let second = Members { skipped: skipped(&["a", "x"]), ..members(&[("b", 2)]) };
        let expected = Members { skipped: skipped(&["x"]), ..members(&[("a", 1), ("b", 2)]) };
        assert_eq!(merge([&first, &second]), expected);
    }

    #[test]
    fn one_stale_format_makes_all_stale() {
        let stale = Members { stale: true, ..members(&[("a", 1)]) };
        assert!(merge([&members(&[("b", 2)]), &stale]).stale);
    }

    proptest! {
        #[test]
        fn each_address_has_the_instances_of_the_first_format_that_knows_it(
            formats in vec(vec((0u8..20, 1u16..6), 0..8), 1..4),
        ) {
            // Names of different formats differ here.
            let formats: Vec<Members> = formats.iter().enumerate().map(|(format, instances)| {
                let named: Vec<_> = instances.iter().map(|(id, port)| (format!("{format}-{id}"), *port)).collect();
                members(&named.iter().map(|(id, port)| (id.as_str(), *port)).collect::<Vec<_>>())
            }).collect();
            let merged = merge(&formats);
            for port in 1..6 {
                let of = |members: &Members| -> Vec<InstanceId> {
                    let there = members.instances.iter().filter(|(_, instance)| instance.port() == port);
                    there.map(|(id, _)| id.clone()).collect()
                };
                let first = formats.iter().map(of).find(|ids| !ids.is_empty()).unwrap_or_default();
                prop_assert_eq!(of(&merged), first);
            }
        }
    }
}
