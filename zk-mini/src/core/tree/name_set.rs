//! Sorted set of names or paths.

use std::collections::VecDeque;

use zk_wire::ByteString;

/// Maximum number of names in a chunk: few enough for quick insertions.
const CHUNK: usize = 128;

/// Sorted set for names that are usually numbered. A name after all others is appended after one comparison, and full
/// chunks stay full. A `BTreeSet` compares at every level, and its nodes stay half empty.
#[derive(Debug, Default)]
pub(crate) struct NameSet {
    /// Sorted, non-empty chunks in order. Removing the first name of a chunk moves no other.
    chunks: Vec<VecDeque<ByteString>>,
    len: usize,
    /// Bytes of all names.
    bytes: usize,
}

impl NameSet {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes of all names.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn last(&self) -> Option<&ByteString> {
        self.chunks.last()?.back()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ByteString> {
        self.chunks.iter().flatten()
    }

    /// Returns the names that begin with `prefix`.
    pub(crate) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = &ByteString> {
        let (chunk, Ok(at) | Err(at)) = self.position(prefix);
        let chunks = self.chunks.get(chunk..).unwrap_or_default();
        let names = chunks
            .iter()
            .enumerate()
            .flat_map(move |(n, names)| names.iter().skip(if n == 0 { at } else { 0 }));
        names.take_while(move |name| name.starts_with(prefix))
    }

    /// Returns the first name after `name`, or the first of all.
    pub(crate) fn after(&self, name: Option<&str>) -> Option<&ByteString> {
        let Some(name) = name else { return self.iter().next() };
        let (chunk, position) = self.position(name);
        let next = self.chunks.get(chunk)?.get(position.map_or_else(|at| at, |at| at + 1));
        next.or_else(|| self.chunks.get(chunk + 1)?.front())
    }

    /// Adds a name. Returns `false` if it is in the set already.
    pub(crate) fn insert(&mut self, name: ByteString) -> bool {
        let bytes = name.len();
        match self.chunks.last_mut() {
            Some(last) if last.back().is_some_and(|last| *last >= name) => return self.insert_between(name),
            Some(last) if last.len() < CHUNK => last.push_back(name),
            _ => self.chunks.push(VecDeque::from([name])),
        }
        self.len += 1;
        self.bytes += bytes;
        true
    }

    fn insert_between(&mut self, name: ByteString) -> bool {
        let (chunk, Err(at)) = self.position(&name) else { return false };
        let names = &mut self.chunks[chunk];
        self.bytes += name.len();
        names.insert(at, name);
        if names.len() > CHUNK {
            // Two halves, so that the next insertions find room.
            let upper = names.split_off(CHUNK / 2);
            self.chunks.insert(chunk + 1, upper);
        }
        self.len += 1;
        true
    }

    /// Removes a name. Returns `false` if it is not in the set.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let (chunk, Ok(at)) = self.position(name) else { return false };
        let names = &mut self.chunks[chunk];
        names.remove(at);
        if names.is_empty() {
            self.chunks.remove(chunk);
        } else if names.len() < CHUNK / 4 {
            self.merge(chunk);
            self.merge(chunk.saturating_sub(1));
        }
        self.len -= 1;
        self.bytes -= name.len();
        true
    }

    /// Merges a chunk with the next one if both are small. So a set that shrinks takes at most a few times the memory
    /// that its names need.
    fn merge(&mut self, chunk: usize) {
        let fits =
            |chunks: &[VecDeque<ByteString>]| chunks.iter().map(VecDeque::len).sum::<usize>() <= CHUNK / 2;
        if self.chunks.get(chunk..chunk + 2).is_some_and(fits) {
            let next = self.chunks.remove(chunk + 1);
            self.chunks[chunk].extend(next);
        }
    }

    /// Returns the chunk of a name and its index there; `Err` with the place to insert it if it is not in the set.
    /// The first name is compared first, because queues and sessions remove names in order.
    fn position(&self, name: &str) -> (usize, Result<usize, usize>) {
        let begins_up_to = |names: &VecDeque<ByteString>| names.front().is_some_and(|first| **first <= *name);
        let chunk = if self.chunks.get(1).is_some_and(begins_up_to) {
            self.chunks.partition_point(begins_up_to).saturating_sub(1)
        } else {
            0
        };
        let Some(names) = self.chunks.get(chunk) else { return (chunk, Err(0)) };
        if names.front().is_some_and(|first| **first == *name) {
            return (chunk, Ok(0));
        }
        (chunk, names.binary_search_by(|present| (**present).cmp(name)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Returns a name out of 1,500: enough for several chunks.
    fn name() -> impl Strategy<Value = String> {
        (0..1_500_u32).prop_map(|number| format!("name-{number}"))
    }

    proptest! {
        #[test]
        fn a_name_set_behaves_as_a_btree_set(
            numbered in 0..600_u32,
            steps in prop::collection::vec((any::<bool>(), name()), 0..3_000),
        ) {
            let (mut set, mut model) = (NameSet::default(), BTreeSet::new());
            let numbered = (0..numbered).map(|number| (true, format!("name-{number:010}")));
            for (comes, name) in numbered.chain(steps) {
                if comes {
                    prop_assert_eq!(set.insert(name.as_str().into()), model.insert(name));
                } else {
                    prop_assert_eq!(set.remove(&name), model.remove(&name));
                    let after = model.range::<str, _>((std::ops::Bound::Excluded(&*name), std::ops::Bound::Unbounded)).next();
                    prop_assert_eq!(set.after(Some(&name)).map(|name| &**name), after.map(String::as_str));
                }
                prop_assert_eq!(set.len(), model.len());
            }
            prop_assert_eq!(set.bytes(), model.iter().map(String::len).sum::<usize>());
            for prefix in ["", "name-", "name-1", "name-12", "name-149", "name-9999", "other", "a"] {
                let expected = model.iter().filter(|name| name.starts_with(prefix)).map(String::as_str);
                prop_assert!(set.with_prefix(prefix).map(|name| &**name).eq(expected), "{}", prefix);
            }
            prop_assert!(set.iter().map(|name| &**name).eq(model.iter().map(String::as_str)));
            prop_assert_eq!(set.after(None), set.iter().next());
            for name in &model {
                prop_assert!(set.remove(name));
                prop_assert!(set.chunks.iter().all(|names| !names.is_empty()));
            }
            prop_assert!(set.is_empty() && set.chunks.is_empty());
        }
    }

    #[test]
    fn a_set_that_shrinks_takes_little_memory() {
        const ALL: usize = 100_000;
        let name = |number: usize| ByteString::from(format!("{number:010}"));
        let upwards: Vec<_> = (0..ALL).collect();
        let downwards: Vec<_> = (0..ALL).rev().collect();
        let anyhow: Vec<_> = (0..ALL).map(|number| number * 7_919 % ALL).collect();
        for order in [upwards, downwards, anyhow] {
            let mut set = NameSet::default();
            (0..ALL).for_each(|number| assert!(set.insert(name(number))));
            assert_eq!(set.chunks.len(), ALL.div_ceil(CHUNK), "full chunks");
            let go = order.into_iter().filter(|number| number % CHUNK != 0);
            go.for_each(|number| assert!(set.remove(&name(number))));
            assert_eq!(set.len(), ALL.div_ceil(CHUNK));
            let room: usize = set.chunks.iter().map(VecDeque::capacity).sum();
            assert!(room < 8 * set.len(), "{room} places for {}", set.len());
        }
    }
}
