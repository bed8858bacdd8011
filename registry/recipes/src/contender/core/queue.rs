//! Order of the nodes that contend, whoever made them.

use crate::naming::Role;
use crate::sequence::{DIGITS, counter};

/// Ends of the names before the counter, each with true if its contender shares: of kazoo, of Curator and ours.
const MARKS: [(&str, bool); 7] = [
    ("__rlock__", true),
    ("__lock__", false),
    ("__READ__", true),
    ("__WRIT__", false),
    ("lock-", false),
    ("latch-", false),
    ("lease-", false),
];

/// Answer to the list of all that contend.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// Nobody is before us.
    Ours,
    /// The node of this name has to go first.
    Behind(String),
    /// Some node has to go first.
    Full,
    /// Our node is not in the list.
    Gone,
}

/// Returns if it is the turn of our node, `own`.
pub(crate) fn turn(role: Role, names: &[String], own: &str) -> Turn {
    let Some(mine) = Ticket::of(own).filter(|_| names.iter().any(|name| name == own)) else {
        return Turn::Gone;
    };
    if let Role::Lease(places) = role {
        // As Curator counts: every node has a place, or waits for one at the only door.
        return if names.len() <= places { Turn::Ours } else { Turn::Full };
    }
    let before = names.iter().filter_map(|name| {
        let place = Ticket::of(name)?;
        let distance = place.sequence.wrapping_sub(mine.sequence);
        let excludes = role != Role::Read || !place.shares;
        (distance < 0 && excludes).then_some((distance, name))
    });
    // The nearest of them goes last.
    match before.max_by_key(|(distance, _)| *distance) {
        Some((_, name)) => Turn::Behind(name.clone()),
        None => Turn::Ours,
    }
}

/// Returns the names of nodes that contend, those whose turn comes first first.
pub(crate) fn in_order(names: Vec<String>) -> Vec<String> {
    let places = names.into_iter().filter_map(|name| Some((Ticket::of(&name)?.sequence, name)));
    let mut places: Vec<_> = places.collect();
    let Some(&(base, _)) = places.first() else { return Vec::new() };
    places.sort_by_key(|(sequence, _)| sequence.wrapping_sub(base));
    places.into_iter().map(|(_, name)| name).collect()
}

/// Ticket of a node in the queue. The counter of a parent wraps around, so only the distance of two places has a meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Ticket {
    sequence: i32,
    shares: bool,
}

impl Ticket {
    /// Reads a name; `None` for one without a counter, which does not contend.
    fn of(name: &str) -> Option<Self> {
        let marked = MARKS.iter().find_map(|(mark, shares)| {
            let (_, digits) = name.rsplit_once(mark)?;
            Some(Self { sequence: counter(digits)?, shares: *shares })
        });
        marked.or_else(|| {
            let digits = name.get(name.len().checked_sub(DIGITS)?..)?;
            Some(Self { sequence: counter(digits)?, shares: false })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURATOR: &str = "_c_01234567-89ab-cdef-0fed-cba987654321-";

    fn place(name: &str) -> Option<(i32, bool)> {
        Ticket::of(name).map(|Ticket { sequence, shares }| (sequence, shares))
    }

    fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(String::from).into()
    }

    #[test]
    fn the_counter_is_read_from_every_name() {
        for (mark, shares) in MARKS {
            assert_eq!(place(&format!("{CURATOR}{mark}0000000012")), Some((12, shares)), "{mark}");
        }
        assert_eq!(place("0123456789abcdef0fedcba987654321__rlock__0000000003"), Some((3, true)));
        assert_eq!(place("somebody-0000000009"), Some((9, false)), "an unknown name excludes");
        assert_eq!(place("0000000009"), Some((9, false)));
        for foreign in ["", "config", "lock-", "lock-12", "+000000012", "lock-+000000001", "é000000001"] {
            assert_eq!(place(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_counter_that_has_wrapped_around_is_behind_the_last_one() {
        let last = format!("{CURATOR}lock-2147483647");
        let next = format!("{CURATOR}lock--2147483648");
        let later = format!("{CURATOR}lock--000000001");
        let all = vec![next.clone(), last.clone()];
        assert_eq!(turn(Role::Mutex, &all, &last), Turn::Ours);
        assert_eq!(turn(Role::Mutex, &all, &next), Turn::Behind(last.clone()));
        assert_eq!(in_order(vec![later.clone(), next.clone()]), [next, later]);
    }

    #[test]
    fn a_lock_is_behind_the_nearest_node_of_any_kind() {
        let all = names([
            "x__lock__0000000007",
            "config",
            "_c_a-__READ__0000000005",
            "_c_z-lock-0000000004",
            "_c_b-lock-0000000006",
        ]);
        assert_eq!(turn(Role::Mutex, &all, "_c_z-lock-0000000004"), Turn::Ours);
        let behind = Turn::Behind("_c_a-__READ__0000000005".into());
        assert_eq!(turn(Role::Mutex, &all, "_c_b-lock-0000000006"), behind);
        assert_eq!(turn(Role::Mutex, &all, "_c_c-lock-0000000009"), Turn::Gone);
    }

    #[test]
    fn readers_are_behind_the_nearest_that_does_not_share() {
        let all = names([
            "x__lock__0000000001",
            "x__rlock__0000000002",
            "_c_a-__READ__0000000003",
            "_c_b-__WRIT__0000000004",
            "_c_c-__READ__0000000005",
        ]);
        let read = |own| turn(Role::Read, &all, own);
        assert_eq!(read("x__rlock__0000000002"), Turn::Behind("x__lock__0000000001".into()));
        assert_eq!(read("_c_a-__READ__0000000003"), Turn::Behind("x__lock__0000000001".into()));
        assert_eq!(read("_c_c-__READ__0000000005"), Turn::Behind("_c_b-__WRIT__0000000004".into()));
        let write = turn(Role::Write, &all, "_c_b-__WRIT__0000000004");
        assert_eq!(write, Turn::Behind("_c_a-__READ__0000000003".into()));
        assert_eq!(turn(Role::Read, &all[1..3], "_c_a-__READ__0000000003"), Turn::Ours);
    }

    #[test]
    fn a_lease_is_ours_as_long_as_the_nodes_are_not_more_than_the_places() {
        let all = names(["_c_a-lease-0000000001", "_c_b-lease-0000000002"]);
        assert_eq!(turn(Role::Lease(2), &all, &all[1]), Turn::Ours);
        assert_eq!(turn(Role::Lease(1), &all, &all[0]), Turn::Full);
        assert_eq!(turn(Role::Lease(2), &all[1..], &all[0]), Turn::Gone);
    }
}
