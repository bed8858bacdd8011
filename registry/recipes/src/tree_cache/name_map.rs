//! A map of names whose copies share what did not change. Pure.
//!
//! It is a binary tree whose branches hold the numbers of their entries, and are balanced by these (a weight-balanced tree). A
//! change copies the branches on the way down to its name, and no others, if another copy of the map still has them.

use std::cmp::Ordering;
use std::fmt;
use std::mem;
use std::sync::Arc;

/// A side may have so many times the branches of the other one.
const MAX_RATIO: usize = 3;

/// The inner part of a side that is too heavy is divided if it has so many times the branches of the outer part.
const MAX_INNER_RATIO: usize = 2;

/// Map of names to values, in the order of the names.
#[derive(Clone)]
pub(super) struct NameMap<T> {
    root: Link<T>,
}

type Link<T> = Option<Arc<Branch<T>>>;

#[derive(Clone)]
struct Branch<T> {
    name: Arc<str>,
    value: T,
    /// Number of entries, with those of both sides.
    len: usize,
    left: Link<T>,
    right: Link<T>,
}

impl<T> Default for NameMap<T> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<T> NameMap<T> {
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let mut link = &self.root;
        while let Some(branch) = link {
            link = match name.cmp(&branch.name) {
                Ordering::Less => &branch.left,
                Ordering::Equal => return Some(&branch.value),
                Ordering::Greater => &branch.right,
            };
        }
        None
    }

    /// Returns all entries, in order.
    pub(super) fn iter(&self) -> Iter<'_, T> {
        let mut iter = Iter { front: Vec::new(), back: Vec::new(), left: len(&self.root) };
        descend(&mut iter.front, &self.root, |branch| &branch.left);
        descend(&mut iter.back, &self.root, |branch| &branch.right);
        iter
    }

    /// Returns the entries of two maps by their names, in order. Parts that the two share are passed over.
    pub(super) fn pairs<'a>(&'a self, other: &'a Self) -> Pairs<'a, T> {
        let part = |map: &'a Self| map.root.iter().map(Part::Whole).collect();
        Pairs { one: part(self), other: part(other) }
    }
}

impl<T: Clone> NameMap<T> {
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        // A look first: a name that is missing must copy nothing.
        self.get(name)?;
        let mut link = &mut self.root;
        while let Some(branch) = link {
            let branch = Arc::make_mut(branch);
            link = match name.cmp(&branch.name) {
                Ordering::Less => &mut branch.left,
                Ordering::Equal => return Some(&mut branch.value),
                Ordering::Greater => &mut branch.right,
            };
        }
        None
    }

    /// Puts a value in place of the one of this name, if there is one.
    pub(super) fn insert(&mut self, name: Arc<str>, value: T) {
        insert(&mut self.root, name, value);
    }

    pub(super) fn remove(&mut self, name: &str) {
        if self.get(name).is_some() {
            remove(&mut self.root, name);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for NameMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

fn len<T>(link: &Link<T>) -> usize {
    link.as_ref().map_or(0, |branch| branch.len)
}

fn insert<T: Clone>(link: &mut Link<T>, name: Arc<str>, value: T) {
    let Some(branch) = link else {
        *link = Some(Arc::new(Branch { name, value, len: 1, left: None, right: None }));
        return;
    };
    let branch = Arc::make_mut(branch);
    match name.cmp(&branch.name) {
        Ordering::Less => insert(&mut branch.left, name, value),
        Ordering::Equal => branch.value = value,
        Ordering::Greater => insert(&mut branch.right, name, value),
    }
    branch.balance();
}

fn remove<T: Clone>(link: &mut Link<T>, name: &str) {
    let Some(branch) = link else { return };
    let branch = Arc::make_mut(branch);
    match name.cmp(&branch.name) {
        Ordering::Less => remove(&mut branch.left, name),
        Ordering::Greater => remove(&mut branch.right, name),
        Ordering::Equal => match take_first(&mut branch.right) {
            Some((name, value)) => (branch.name, branch.value) = (name, value),
            None => {
                *link = branch.left.take();
                return;
            }
        },
    }
    branch.balance();
}

fn take_first<T: Clone>(link: &mut Link<T>) -> Option<(Arc<str>, T)> {
    let branch = Arc::make_mut(link.as_mut()?);
    if let Some(first) = take_first(&mut branch.left) {
        branch.balance();
        return Some(first);
    }
    let first = (Arc::clone(&branch.name), branch.value.clone());
    *link = branch.right.take();
    Some(first)
}

impl<T: Clone> Branch<T> {
    /// Counts the entries after a change of one side, and moves some to the other one if there are too many.
    fn balance(&mut self) {
        self.count();
        let (left, right) = (len(&self.left), len(&self.right));
        if left + right <= 1 {
            return;
        }
        if right > MAX_RATIO * left {
            self.lighten(|branch| &mut branch.right, |branch| &mut branch.left);
        } else if left > MAX_RATIO * right {
            self.lighten(|branch| &mut branch.left, |branch| &mut branch.right);
        }
    }

    /// Moves entries from the heavy side to the light one.
    fn lighten(&mut self, heavy: Side<T>, light: Side<T>) {
        if let Some(child) = heavy(self) {
            let child = Arc::make_mut(child);
            if len(light(child)) >= MAX_INNER_RATIO * len(heavy(child)) {
                child.rotate(light, heavy);
            }
        }
        self.rotate(heavy, light);
    }

    /// Makes the topmost branch of the heavy side the top, and this one the top of the light side.
    fn rotate(&mut self, heavy: Side<T>, light: Side<T>) {
        let Some(mut child) = heavy(self).take() else { return };
        let below = Arc::make_mut(&mut child);
        mem::swap(self, below);
        *heavy(below) = light(self).take();
        below.count();
        *light(self) = Some(child);
        self.count();
    }

    fn count(&mut self) {
        self.len = 1 + len(&self.left) + len(&self.right);
    }
}

type Side<T> = fn(&mut Branch<T>) -> &mut Link<T>;

/// Entries of a map.
pub(super) struct Iter<'a, T> {
    /// Branches whose entries come next, the next one last.
    front: Vec<&'a Branch<T>>,
    /// The same from the other end.
    back: Vec<&'a Branch<T>>,
    /// Number of entries that are left.
    left: usize,
}

fn descend<'a, T>(stack: &mut Vec<&'a Branch<T>>, mut link: &'a Link<T>, side: fn(&Branch<T>) -> &Link<T>) {
    while let Some(branch) = link {
        stack.push(branch);
        link = side(branch);
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = (&'a str, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let branch = self.front.pop()?;
        descend(&mut self.front, &branch.right, |branch| &branch.left);
        Some((&branch.name, &branch.value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let branch = self.back.pop()?;
        descend(&mut self.back, &branch.left, |branch| &branch.right);
        Some((&branch.name, &branch.value))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

/// Entries of two maps by their names.
pub(super) struct Pairs<'a, T> {
    /// Parts that are left of each map, the next one last.
    one: Vec<Part<'a, T>>,
    other: Vec<Part<'a, T>>,
}

enum Part<'a, T> {
    /// A branch with both sides.
    Whole(&'a Arc<Branch<T>>),
    /// The entry of a branch alone.
    Entry(&'a Branch<T>),
}

impl<T> Part<'_, T> {
    fn len(&self) -> usize {
        match self {
            Self::Whole(branch) => branch.len,
            Self::Entry(_) => 0,
        }
    }
}

/// Divides the next part of a map, which is a whole branch.
fn divide<T>(parts: &mut Vec<Part<'_, T>>) {
    if let Some(Part::Whole(branch)) = parts.pop() {
        parts.extend(branch.right.as_ref().map(Part::Whole));
        parts.push(Part::Entry(branch));
        parts.extend(branch.left.as_ref().map(Part::Whole));
    }
}

impl<'a, T> Iterator for Pairs<'a, T> {
    type Item = (&'a str, Option<&'a T>, Option<&'a T>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.one.last(), self.other.last()) {
                (None, None) => return None,
                (Some(Part::Whole(one)), Some(Part::Whole(other))) if Arc::ptr_eq(one, other) => {
                    self.one.pop();
                    self.other.pop();
                    continue;
                }
                (Some(Part::Entry(one)), Some(Part::Entry(other))) => one.name.cmp(&other.name),
                (Some(Part::Entry(_)), None) => Ordering::Less,
                (None, Some(Part::Entry(_))) => Ordering::Greater,
                // The larger one: a part that is shared has the same size in both.
                (one, other) => {
                    let len = |part: Option<&Part<'_, T>>| part.map_or(0, Part::len);
                    let (one, other) = (len(one), len(other));
                    divide(if one >= other { &mut self.one } else { &mut self.other });
                    continue;
                }
            };
            let one = if order.is_le() { self.one.pop() } else { None };
            let other = if order.is_ge() { self.other.pop() } else { None };
            let branch = |part| match part {
                Some(Part::Entry(branch)) => Some(branch),
                _ => None,
            };
            let (one, other): (Option<&'a Branch<T>>, _) = (branch(one), branch(other));
            let name = &one.or(other)?.name;
            return Some((name, one.map(|branch| &branch.value), other.map(|branch| &branch.value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// Returns the branches of a map, and checks their balance and counts.
    fn branches<T>(map: &NameMap<T>) -> BTreeSet<*const Branch<T>> {
        let mut found = BTreeSet::new();
        let mut left: Vec<_> = map.root.iter().collect();
        while let Some(branch) = left.pop() {
            let sides = (len(&branch.left), len(&branch.right));
            assert_eq!(branch.len, 1 + sides.0 + sides.1);
            let (light, heavy) = (sides.0.min(sides.1), sides.0.max(sides.1));
            assert!(light + heavy <= 1 || heavy <= MAX_RATIO * light, "{sides:?}");
            found.insert(Arc::as_ptr(branch));
            left.extend(branch.left.iter().chain(&branch.right));
        }
        found
    }

    fn name(n: usize) -> Arc<str> {
        format!("{n:05}").into()
    }

    fn wide(entries: usize) -> NameMap<usize> {
        let mut map = NameMap::default();
        for n in 0..entries {
            map.insert(name(n), n);
        }
        map
    }

    #[test]
    fn a_change_of_a_wide_map_copies_few_branches_and_shows_few_pairs() {
        type Change = fn(&mut NameMap<usize>);
        let changes: [(Change, usize); 4] = [
            (|map| *map.get_mut("05000").unwrap() = 0, 1),
            (|map| map.insert("05000-".into(), 0), 1),
            (|map| map.remove("05000"), 1),
            (|map| map.remove("none"), 0),
        ];
        for entries in [10_000, 80_000] {
            let before = wide(entries);
            let known = branches(&before);
            assert_eq!(known.len(), entries);
            for (change, changed) in changes {
                let mut after = before.clone();
                change(&mut after);
                let copied = branches(&after).difference(&known).count();
                assert!(copied <= 40 * changed, "{copied} of {entries}");
                let pairs: Vec<_> = before.pairs(&after).collect();
                assert!(pairs.len() <= 40 * changed, "{} of {entries}", pairs.len());
                assert_eq!(pairs.iter().filter(|(_, one, other)| one != other).count(), changed);
            }
        }
    }

    #[test]
    fn a_map_that_nobody_shares_is_changed_in_place() {
        let mut map = wide(1_000);
        let known = branches(&map);
        *map.get_mut("00500").unwrap() = 0;
        map.remove("00999");
        assert_eq!(branches(&map).difference(&known).count(), 0);
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0..40_usize, any::<bool>(), any::<bool>()), 0..200)) {
            let (mut map, mut model) = (NameMap::default(), BTreeMap::new());
            let (mut earlier, mut earlier_model) = (map.clone(), model.clone());
            for (n, (key, is_removal, is_kept)) in steps.into_iter().enumerate() {
                let key = name(key);
                if is_removal {
                    map.remove(&key);
                    model.remove(&key);
                } else {
                    map.insert(Arc::clone(&key), n);
                    model.insert(Arc::clone(&key), n);
                }
                prop_assert_eq!(branches(&map).len(), model.len());
                prop_assert_eq!(map.get(&key), model.get(&key));
                let of_model = || model.iter().map(|(name, value)| (&**name, value));
                prop_assert!(map.iter().eq(of_model()) && map.iter().rev().eq(of_model().rev()));
                prop_assert_eq!(map.iter().len(), model.len());
                let mut ends = map.iter();
                let taken = (ends.by_ref().take(model.len() / 2).count(), ends.rev().count());
                prop_assert_eq!(taken.0 + taken.1, model.len());

                prop_assert!(earlier.iter().eq(earlier_model.iter().map(|(name, value)| (&**name, value))));
                let names: BTreeSet<_> = model.keys().chain(earlier_model.keys()).collect();
                let pairs = names.into_iter().map(|name| (&**name, earlier_model.get(name), model.get(name)));
                let differs = |(_, one, other): &(&str, Option<&usize>, Option<&usize>)| one != other;
                prop_assert!(earlier.pairs(&map).filter(differs).eq(pairs.filter(differs)));
                if is_kept {
                    (earlier, earlier_model) = (map.clone(), model.clone());
                }
            }
        }
    }
}
