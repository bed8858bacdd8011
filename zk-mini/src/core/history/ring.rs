//! Ring of records and of their texts, in a fixed amount of memory.

use crate::core::history::record::Record;

/// Maximum number of records. While one is in its slot, less than 4 GiB of texts are written, also if each is as long as
/// can be: so 32 bits tell its text from later ones.
pub(super) const MOST: usize = 1 << 21;

/// Maximum length of a path that is kept whole.
pub(super) const LONGEST_PATH: usize = 1_024;

/// Maximum number of bytes behind the path.
const LONGEST_TAIL: usize = 512;

/// Bounds of the memory for texts.
const SMALLEST: usize = 8_192;
const LARGEST: usize = 1 << 31;

/// Mark in the place of what is cut out of a longer path.
const CUT: &[u8] = "…".as_bytes();

/// Bytes of memory that are filled at once, before they are used.
const STEP: usize = 4_096;

/// The last records. New ones push out the oldest, also when the texts fill their memory. The memory is asked for at
/// the first record; the system provides it as it is used.
///
/// A record that was pushed out may still be in its slot: its text has been overwritten, which its place shows.
#[derive(Debug)]
pub(super) struct Ring {
    records: Vec<Record>,
    /// Maximum number of records.
    room: usize,
    /// Slot of the next record.
    next: usize,
    /// Number of all records.
    pushed: usize,
    texts: Vec<u8>,
    /// Maximum number of bytes of texts: a power of two.
    text_room: u32,
    /// Number of bytes that were written to `texts`, with those skipped at its end. It wraps around.
    written: u32,
}

impl Ring {
    /// Creates a ring for so many records, [`MOST`] at most, with so many bytes of text for each.
    pub(super) fn new(room: usize, text: usize) -> Self {
        let room = room.clamp(1, MOST);
        let text_room = room.saturating_mul(text).clamp(SMALLEST, LARGEST).next_power_of_two();
        Self {
            records: Vec::new(),
            room,
            next: 0,
            pushed: 0,
            texts: Vec::new(),
            text_room: u32::try_from(text_room).unwrap_or(1 << 31),
            written: 0,
        }
    }

    /// Adds a record with a path, and numbers and short data behind it: the common case. `record` is made where it stays.
    #[inline(always)]
    pub(super) fn push_path<const N: usize>(
        &mut self,
        path: &[u8],
        numbers: [[u8; 8]; N],
        data: &[u8],
        record: impl Fn() -> Record,
    ) {
        if path.len() > LONGEST_PATH || !self.put(path, numbers, data, &record) {
            self.push(record(), path, &[numbers.as_flattened(), data].concat());
        }
    }

    /// Adds a record with a path and what belongs behind it. A long path is cut in the middle.
    #[cold]
    pub(super) fn push(&mut self, record: Record, path: &[u8], tail: &[u8]) {
        if path.len() > LONGEST_PATH {
            return self.push(record, &cut(path), tail);
        }
        let tail = &tail[..tail.len().min(LONGEST_TAIL)];
        self.make_room(path.len() + tail.len());
        self.put(path, [], tail, || record);
    }

    /// Writes a record and its texts, which are short. Returns `false` if there is no memory for them yet, or it is not
    /// in one piece.
    #[inline(always)]
    fn put<const N: usize>(
        &mut self,
        path: &[u8],
        numbers: [[u8; 8]; N],
        data: &[u8],
        record: impl Fn() -> Record,
    ) -> bool {
        let at = self.place(self.written);
        let tail = numbers.as_flattened().len() + data.len();
        let bytes = path.len() + tail;
        let (Some(slot), Some(text)) = (self.records.get_mut(self.next), self.texts.get_mut(at..at + bytes))
        else {
            return false;
        };
        *slot = Record { text: self.written, path: path.len() as u16, tail: tail as u16, ..record() };
        self.written = self.written.wrapping_add(bytes as u32);
        self.next = if self.next + 1 == self.room { 0 } else { self.next + 1 };
        self.pushed += 1;
        // Last: a call in between would cost as much as the rest. Numbers need none.
        let (front, back) = text.split_at_mut(path.len());
        let (middle, back) = back.split_at_mut(numbers.as_flattened().len());
        middle.copy_from_slice(numbers.as_flattened());
        front.copy_from_slice(path);
        if !data.is_empty() {
            back.copy_from_slice(data);
        }
        true
    }

    /// Returns the latest record.
    #[inline]
    pub(super) fn last_mut(&mut self) -> Option<&mut Record> {
        self.records.get_mut(self.next.checked_sub(1).unwrap_or(self.room - 1))
    }

    /// Prepares the memory for the next record and a text of so many bytes.
    fn make_room(&mut self, bytes: usize) {
        let (mut at, room) = (self.place(self.written), self.text_room as usize);
        if at + bytes > room {
            // A text is in one piece: the end of the memory stays unused.
            self.written = self.written.wrapping_add((room - at) as u32);
            at = 0;
        }
        fill(&mut self.records, self.next + 1, self.room, Record::EMPTY);
        fill(&mut self.texts, at + bytes, room, 0);
    }

    /// Returns the records from a number on, in order, with their texts.
    pub(super) fn since(&self, seq: u64) -> impl DoubleEndedIterator<Item = (&Record, &[u8])> {
        let first = self.first_since(seq);
        (first..self.len()).filter_map(|position| {
            let record = self.records.get(self.slot(position))?;
            let at = self.place(record.text);
            let text = self.texts.get(at..at + usize::from(record.path) + usize::from(record.tail))?;
            Some((record, text))
        })
    }

    /// Returns `true` if records have been pushed out.
    pub(super) fn is_cut(&self) -> bool {
        self.len() - self.first_since(0) < self.pushed
    }

    /// Returns the place of a text in the memory.
    #[inline]
    fn place(&self, text: u32) -> usize {
        (text & (self.text_room - 1)) as usize
    }

    /// Returns the number of records in slots.
    fn len(&self) -> usize {
        self.pushed.min(self.room)
    }

    /// Returns the slot of the record at a position, from the oldest on.
    fn slot(&self, position: usize) -> usize {
        let slot = if self.pushed < self.room { position } else { self.next + position };
        if slot >= self.room { slot - self.room } else { slot }
    }

    /// Returns the position of the first record that is kept and has this number or a later one.
    fn first_since(&self, seq: u64) -> usize {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            let is_before = self.records.get(self.slot(middle)).is_some_and(|record| {
                record.seq < seq || self.written.wrapping_sub(record.text) > self.text_room
            });
            if is_before { from = middle + 1 } else { to = middle }
        }
        from
    }
}

/// Makes a vector long enough, and a little longer, but never longer than `room`.
fn fill<T: Copy>(vector: &mut Vec<T>, needed: usize, room: usize, with: T) {
    if vector.len() < needed {
        if vector.capacity() == 0 {
            vector.reserve_exact(room);
        }
        vector.resize(room.min(needed + STEP / size_of::<T>()), with);
    }
}

/// Returns a path as it is kept: a long one loses its middle, at the borders of characters.
pub(crate) fn cut(path: &[u8]) -> Vec<u8> {
    if path.len() <= LONGEST_PATH {
        return path.to_vec();
    }
    let begins = |byte: u8| byte & 0xC0 != 0x80;
    let half = (LONGEST_PATH - CUT.len()) / 2;
    let front = (0..=half).rev().find(|at| begins(path[*at])).unwrap_or(0);
    let back = (path.len() - half..path.len()).find(|at| begins(path[*at])).unwrap_or(path.len());
    [&path[..front], CUT, &path[back..]].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ring_keeps_the_last_records_with_their_texts(
            room in 1..20_usize,
            texts in prop::collection::vec((0..1_300_usize, 0..600_usize), 0..200),
        ) {
            let mut ring = Ring::new(room, 64);
            let mut all = Vec::new();
            for (seq, (path, tail)) in (1..).zip(texts) {
                let letter = b'a' + u8::try_from(seq % 26).unwrap();
                let (path, tail) = (vec![letter; path], vec![letter + 1; tail]);
                let record = Record { seq, ..Record::EMPTY };
                if seq % 2 == 0 {
                    ring.push(record, &path, &tail);
                    all.push((seq, [cut(&path), tail[..tail.len().min(LONGEST_TAIL)].to_vec()].concat()));
                } else {
                    ring.push_path(&path, [], &[], || record);
                    all.push((seq, cut(&path)));
                }
                let kept: Vec<_> = ring.since(0).map(|(record, text)| (record.seq, text.to_vec())).collect();
                prop_assert!(all.ends_with(&kept));
                prop_assert!(!kept.is_empty() && kept.len() <= room);
                // Nothing goes that there is room for.
                let bytes: usize = all.iter().rev().take(kept.len() + 1).map(|(_, text)| text.len()).sum();
                let is_full = kept.len() == room || bytes + LONGEST_PATH + LONGEST_TAIL > ring.text_room as usize;
                prop_assert!(is_full || kept.len() == all.len());
                prop_assert_eq!(ring.is_cut(), kept.len() < all.len());
                let later: Vec<_> = ring.since(seq - 1).map(|(record, _)| record.seq).collect();
                prop_assert!(later.iter().all(|kept| *kept + 1 >= seq) && later.contains(&seq));
            }
        }
    }

    #[test]
    fn texts_are_kept_when_their_count_of_bytes_wraps_around() {
        let mut ring = Ring { written: u32::MAX - 10_000, ..Ring::new(100, 64) };
        for seq in 1..1_000 {
            ring.push_path(seq.to_string().repeat(20).as_bytes(), [], &[], || Record {
                seq,
                ..Record::EMPTY
            });
            for (record, text) in ring.since(0) {
                assert_eq!(text, record.seq.to_string().repeat(20).as_bytes());
            }
        }
        assert!(ring.since(0).count() > 50);
    }
}
