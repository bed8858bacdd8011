//! Sorted set of names or paths.

use std::cmp::Ordering;

/// Maximum number of names in a chunk: few enough for quick insertions.
const CHUNK: usize = 128;

/// Bytes in a chunk after which a further name begins another one, so that insertions move few bytes.
const CHUNK_BYTES: usize = 8 << 10;

/// Number of bytes of text that a chunk keeps, however few are used.
const KEPT: usize = 1 << 10;

/// Maximum number of bytes, and of names, for which an empty set keeps memory.
const SMALL: usize = 64;

/// Sorted set for names that are usually numbered. A name after all others is appended after one comparison, and full
/// chunks stay full. A `BTreeSet` compares at every level, and its nodes stay half empty. Names lie side by side in the text
/// of their chunk: none has an allocation of its own, and a list of them is read in one go.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameSet {
    /// First names. It is empty if the set is. Most sets have no more chunks.
    first: Chunk,
    /// Further chunks in order, none of them empty.
    more: Vec<Chunk>,
    len: usize,
    /// Bytes of all names.
    bytes: usize,
}

/// Names in order.
#[derive(Clone, Debug, Default)]
struct Chunk {
    text: String,
    /// End of each name in the text. The text is far shorter than 4 GiB: a frame brings one name to a full chunk.
    ends: Vec<u32>,
    /// Number of names that are removed, though their text is still there. Removing the first name moves no other.
    gone: usize,
}

impl NameSet {
    /// Creates an empty set.
    pub(crate) const fn new() -> Self {
        Self { first: Chunk::new(), more: Vec::new(), len: 0, bytes: 0 }
    }

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

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.chunks().flat_map(|chunk| chunk.names_from(0))
    }

    /// Returns the names that begin with `prefix`.
    pub(crate) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let (chunk, Ok(at) | Err(at)) = self.position(prefix);
        let names = self
            .chunks()
            .skip(chunk)
            .enumerate()
            .flat_map(move |(n, chunk)| chunk.names_from(if n == 0 { at } else { 0 }));
        names.take_while(move |name| name.starts_with(prefix))
    }

    /// Returns the first name after `name`, or the first of all.
    pub(crate) fn after(&self, name: Option<&str>) -> Option<&str> {
        let Some(name) = name else { return self.iter().next() };
        let (chunk, position) = self.position(name);
        let next = self.chunk(chunk)?.get(position.map_or_else(|at| at, |at| at + 1));
        next.or_else(|| self.chunk(chunk + 1)?.get(0))
    }

    /// Adds a name. Returns `false` if it is in the set already.
    pub(crate) fn insert(&mut self, name: &str) -> bool {
        let last = self.more.last_mut().unwrap_or(&mut self.first);
        if last.last().is_some_and(|last| last >= name) {
            if !self.insert_between(name) {
                return false;
            }
        } else if last.has_room() {
            last.push(name);
        } else {
            // Behind a full chunk usually comes another one.
            let mut chunk = last.empty_one();
            chunk.push(name);
            self.more.push(chunk);
        }
        self.len += 1;
        self.bytes += name.len();
        true
    }

    fn insert_between(&mut self, name: &str) -> bool {
        let (chunk, Err(at)) = self.position(name) else { return false };
        let Some(names) = self.chunk_mut(chunk) else { return false };
        let has_room = names.has_room();
        names.insert(at, name);
        if !has_room {
            // Two halves, so that the next insertions find room.
            let upper = names.split_off(names.len() / 2);
            self.more.insert(chunk, upper);
        }
        true
    }

    /// Removes a name. Returns `false` if it is not in the set.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        if self.len == 1 && self.first.last() == Some(name) {
            // Sets of one name come and go: a lock has one holder, and a session one lock.
            self.remove_chunk(0);
            (self.len, self.bytes) = (0, 0);
            return true;
        }
        let (chunk, Ok(at)) = self.position(name) else { return false };
        let Some(names) = self.chunk_mut(chunk) else { return false };
        names.remove(at);
        let left = names.len();
        if left == 0 {
            self.remove_chunk(chunk);
        } else if left < CHUNK / 4 && !self.more.is_empty() {
            self.merge(chunk);
            self.merge(chunk.saturating_sub(1));
        }
        self.len -= 1;
        self.bytes -= name.len();
        true
    }

    fn remove_chunk(&mut self, chunk: usize) {
        match chunk.checked_sub(1) {
            Some(chunk) => {
                self.more.remove(chunk);
                if self.more.capacity() > 4 * self.more.len() {
                    self.more.shrink_to(2 * self.more.len());
                }
            }
            None if self.more.is_empty() => {
                self.first.clear();
                self.more = Vec::new();
            }
            None => self.first = self.more.remove(0),
        }
    }

    /// Merges a chunk with the next one if both are small. So a set that shrinks takes at most a few times the memory
    /// that its names need.
    fn merge(&mut self, chunk: usize) {
        let (Some(names), Some(next)) = (self.chunk(chunk), self.chunk(chunk + 1)) else { return };
        if names.len() + next.len() <= CHUNK / 2 && names.text.len() + next.text.len() <= CHUNK_BYTES {
            let next = self.more.remove(chunk);
            if let Some(names) = self.chunk_mut(chunk) {
                next.names_from(0).for_each(|name| names.push(name));
            }
        }
    }

    fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn chunk(&self, at: usize) -> Option<&Chunk> {
        at.checked_sub(1).map_or(Some(&self.first), |at| self.more.get(at))
    }

    fn chunk_mut(&mut self, at: usize) -> Option<&mut Chunk> {
        at.checked_sub(1).map_or(Some(&mut self.first), |at| self.more.get_mut(at))
    }

    /// Returns the chunk of a name and its index there; `Err` with the place to insert it if it is not in the set.
    /// The first name is compared first, because queues and sessions remove names in order.
    #[inline]
    fn position(&self, name: &str) -> (usize, Result<usize, usize>) {
        if self.more.is_empty() {
            return (0, self.first.position(name));
        }
        let begins_up_to = |chunk: &Chunk| chunk.first() <= name.as_bytes();
        let chunk = if self.more.first().is_some_and(begins_up_to) {
            self.more.partition_point(begins_up_to)
        } else {
            0
        };
        (chunk, self.chunk(chunk).map_or(Err(0), |names| names.position(name)))
    }
}

impl Chunk {
    const fn new() -> Self {
        Self { text: String::new(), ends: Vec::new(), gone: 0 }
    }

    /// Removes all names. A chunk that has been small keeps its memory for the next names: a queue is often empty.
    fn clear(&mut self) {
        if self.text.capacity() > SMALL || self.ends.capacity() > SMALL {
            *self = Self::new();
        } else {
            self.text.clear();
            self.ends.clear();
            self.gone = 0;
        }
    }

    /// Returns a chunk with room for the names of a full one.
    fn empty_one(&self) -> Self {
        let bytes = self.text.len().min(CHUNK_BYTES);
        Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(self.len()), gone: 0 }
    }

    fn len(&self) -> usize {
        self.ends.len() - self.gone
    }

    fn has_room(&self) -> bool {
        self.len() < CHUNK && self.text.len() < CHUNK_BYTES
    }

    /// Returns the offset of a name in the text.
    fn start(&self, at: usize) -> usize {
        self.start_of(self.gone + at)
    }

    fn start_of(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(self.gone + at)?;
        Some(&self.text[self.start(at)..end as usize])
    }

    /// Returns the bytes of the first name; none if there is no name.
    fn first(&self) -> &[u8] {
        let end = self.ends.get(self.gone).map_or(0, |end| *end as usize);
        self.text.as_bytes().get(self.start(0)..end).unwrap_or_default()
    }

    fn last(&self) -> Option<&str> {
        self.get(self.len().checked_sub(1)?)
    }

    fn names_from(&self, at: usize) -> impl Iterator<Item = &str> {
        let mut start = self.start(at);
        self.ends.iter().skip(self.gone + at).map(move |end| {
            let name = &self.text[start..*end as usize];
            start = *end as usize;
            name
        })
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        // Bytes, which are ordered as text is: where characters begin need not be checked.
        let (text, ends) = (self.text.as_bytes(), &self.ends[self.gone..]);
        let (mut low, mut high) = (0, ends.len());
        // The first one, then the middle of the rest.
        let mut at = 0;
        while low < high {
            match text[self.start(at)..ends[at] as usize].cmp(name.as_bytes()) {
                Ordering::Equal => return Ok(at),
                Ordering::Less => low = at + 1,
                Ordering::Greater => high = at,
            }
            at = low.midpoint(high);
        }
        Err(low)
    }

    fn push(&mut self, name: &str) {
        if self.ends.capacity() == 0 {
            // Cheaper than growth from nothing.
            (self.text, self.ends) = (String::with_capacity(name.len().max(16)), Vec::with_capacity(4));
        }
        self.text.push_str(name);
        self.ends.push(offset(self.text.len()));
    }

    fn insert(&mut self, at: usize, name: &str) {
        let start = self.start(at);
        self.text.insert_str(start, name);
        self.ends.insert(self.gone + at, offset(start));
        self.ends[self.gone + at..].iter_mut().for_each(|end| *end += offset(name.len()));
    }

    fn remove(&mut self, at: usize) {
        if at + 1 == self.len() {
            self.text.truncate(self.start(at));
            self.ends.pop();
        } else if at == 0 {
            self.gone += 1;
            if self.gone > self.len() {
                self.drop_gone();
            }
        } else {
            self.drop_names(self.gone + at, 1);
        }
        self.shrink();
    }

    /// Removes the text of the names that are gone.
    fn drop_gone(&mut self) {
        self.drop_names(0, self.gone);
        self.gone = 0;
    }

    /// Gives memory back if most of it is that of removed names: one of them may have filled a request.
    fn shrink(&mut self) {
        let (capacity, used) = (self.text.capacity(), self.text.len() - self.start(0));
        if capacity > KEPT && capacity > 4 * used {
            self.drop_gone();
            self.text.shrink_to(2 * used);
            self.ends.shrink_to(2 * self.ends.len());
        }
    }

    /// Removes `count` names with their text.
    fn drop_names(&mut self, first: usize, count: usize) {
        let (start, end) = (self.start_of(first), self.start_of(first + count));
        self.text.drain(start..end);
        self.ends.drain(first..first + count);
        self.ends[first..].iter_mut().for_each(|after| *after -= offset(end - start));
    }

    /// Removes the names from `at` on, and returns them.
    fn split_off(&mut self, at: usize) -> Self {
        let mut upper = Self::default();
        self.names_from(at).for_each(|name| upper.push(name));
        self.text.truncate(self.start(at));
        self.ends.truncate(self.gone + at);
        self.shrink();
        upper
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
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
                    prop_assert_eq!(set.insert(&name), model.insert(name));
                } else {
                    prop_assert_eq!(set.remove(&name), model.remove(&name));
                    let after = model.range::<str, _>((std::ops::Bound::Excluded(&*name), std::ops::Bound::Unbounded)).next();
                    prop_assert_eq!(set.after(Some(&name)), after.map(String::as_str));
                }
                prop_assert_eq!(set.len(), model.len());
            }
            prop_assert_eq!(set.bytes(), model.iter().map(String::len).sum::<usize>());
            for prefix in ["", "name-", "name-1", "name-12", "name-149", "name-9999", "other", "a"] {
                let expected = model.iter().filter(|name| name.starts_with(prefix)).map(String::as_str);
                prop_assert!(set.with_prefix(prefix).eq(expected), "{}", prefix);
            }
            prop_assert!(set.iter().eq(model.iter().map(String::as_str)));
            prop_assert_eq!(set.after(None), set.iter().next());
            for name in &model {
                prop_assert!(set.remove(name));
                prop_assert!(set.more.iter().all(|names| names.len() > 0));
            }
            prop_assert!(set.is_empty() && set.first.len() == 0 && set.more.is_empty());
        }
    }

    #[test]
    fn a_long_name_takes_no_memory_when_it_is_gone() {
        let long = |first: &str| first.repeat(1 << 20);
        for removed in ["a", "n", "z"] {
            let mut set = NameSet::default();
            ["b", "m", "y"].iter().for_each(|name| assert!(set.insert(name)));
            assert!(set.insert(&long(removed)) && set.remove(&long(removed)));
            assert!(set.iter().eq(["b", "m", "y"]));
            let room: usize = set.chunks().map(|chunk| chunk.text.capacity()).sum();
            assert!(room <= KEPT, "{room} bytes");
        }
    }

    #[test]
    fn a_set_that_shrinks_takes_little_memory() {
        const ALL: usize = 100_000;
        let name = |number: usize| format!("{number:010}");
        let upwards: Vec<_> = (0..ALL).collect();
        let downwards: Vec<_> = (0..ALL).rev().collect();
        let anyhow: Vec<_> = (0..ALL).map(|number| number * 7_919 % ALL).collect();
        for order in [upwards, downwards, anyhow] {
            let mut set = NameSet::default();
            (0..ALL).for_each(|number| assert!(set.insert(&name(number))));
            assert_eq!(set.chunks().count(), ALL.div_ceil(CHUNK), "full chunks");
            let go = order.into_iter().filter(|number| number % CHUNK != 0);
            go.for_each(|number| assert!(set.remove(&name(number))));
            assert_eq!(set.len(), ALL.div_ceil(CHUNK));
            let room: usize = set.chunks().map(|chunk| chunk.ends.capacity()).sum();
            assert!(room < 8 * set.len(), "{room} places for {}", set.len());
            let room: usize = set.chunks().map(|chunk| chunk.text.capacity()).sum();
            assert!(room < 8 * set.bytes(), "{room} bytes for {}", set.bytes());
            (0..ALL).step_by(CHUNK).for_each(|number| assert!(set.remove(&name(number))));
            assert!(set.is_empty() && set.more.capacity() == 0 && set.first.ends.capacity() <= SMALL);
        }
    }
}
