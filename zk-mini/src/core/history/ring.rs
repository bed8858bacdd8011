//! Ring of records and of their texts, in a fixed amount of memory.

use crate::core::history::record::Record;

/// Bytes of text per record. Most paths are shorter.
const TEXT: usize = 64;

/// Maximum length of a path that is kept whole.
pub(super) const LONGEST_PATH: usize = 1_024;

/// Maximum number of bytes behind the path.
const LONGEST_TAIL: usize = 512;

/// Bounds of the memory for texts.
const SMALLEST: usize = 8_192;
const LARGEST: usize = 1 << 31;

/// Mark in the place of what is cut out of a longer path.
const CUT: &[u8] = "…".as_bytes();

/// The last records. New ones push out the oldest, also when the texts fill their memory. The memory is asked for at
/// the first record; the system provides it as it is used.
#[derive(Debug)]
pub(super) struct Ring {
    records: Vec<Record>,
    /// Maximum number of records.
    room: usize,
    /// Slot of the oldest record, and number of records.
    oldest: usize,
    len: usize,
    /// Begin of the text of the oldest record.
    oldest_text: u32,
    /// Records have been pushed out.
    is_cut: bool,
    texts: Vec<u8>,
    /// Maximum number of bytes of texts: a power of two.
    text_room: u32,
    /// Number of bytes that were written to `texts`, with those skipped at its end. It wraps around.
    written: u32,
}

impl Ring {
    /// Creates a ring for so many records.
    pub(super) fn new(room: usize) -> Self {
        let text_room = room.saturating_mul(TEXT).clamp(SMALLEST, LARGEST).next_power_of_two();
        Self {
            records: Vec::new(),
            room: room.max(1),
            oldest: 0,
            len: 0,
            oldest_text: 0,
            is_cut: false,
            texts: Vec::new(),
            text_room: u32::try_from(text_room).unwrap_or(1 << 31),
            written: 0,
        }
    }

    /// Adds a record with a path and what belongs behind it. A long path is cut in the middle.
    pub(super) fn push(&mut self, record: Record, path: &[u8], tail: &[u8]) {
        if path.len() > LONGEST_PATH {
            return self.push(record, &cut(path), tail);
        }
        let tail = &tail[..tail.len().min(LONGEST_TAIL)];
        let (at, place) = self.add(record, path.len(), tail.len());
        match place {
            Some(place) => {
                let (front, back) = place.split_at_mut(path.len());
                front.copy_from_slice(path);
                back.copy_from_slice(tail);
            }
            None => self.append_text(at, &[path, tail].concat()),
        }
    }

    /// Adds a record with a path: the common case.
    #[inline]
    pub(super) fn push_path(&mut self, record: Record, path: &[u8]) {
        if path.len() > LONGEST_PATH {
            return self.push(record, path, &[]);
        }
        match self.add(record, path.len(), 0) {
            (_, Some(place)) => place.copy_from_slice(path),
            (at, None) => self.append_text(at, path),
        }
    }

    /// Adds a record, and returns the place of its text; `None` if it is to be appended.
    #[inline]
    fn add(&mut self, mut record: Record, path: usize, tail: usize) -> (usize, Option<&mut [u8]>) {
        let mut begin = self.written;
        let mut at = begin & (self.text_room - 1);
        // Both are short.
        let bytes = (path + tail) as u32;
        if at + bytes > self.text_room {
            // A text is in one piece: the end of the memory stays unused.
            begin = begin.wrapping_add(self.text_room - at);
            at = 0;
        }
        let end = begin.wrapping_add(bytes);
        self.written = end;
        while self.len == self.room || (self.len > 0 && end.wrapping_sub(self.oldest_text) > self.text_room) {
            self.drop_oldest();
        }
        if self.len == 0 {
            self.oldest_text = begin;
        }
        (record.text, record.path, record.tail) = (begin, path as u16, tail as u16);
        let slot = self.slot(self.len);
        self.len += 1;
        match self.records.get_mut(slot) {
            Some(slot) => *slot = record,
            None => self.append(record),
        }
        (at as usize, self.texts.get_mut(at as usize..(at + bytes) as usize))
    }

    #[inline]
    fn drop_oldest(&mut self) {
        self.oldest = if self.oldest + 1 == self.room { 0 } else { self.oldest + 1 };
        self.len -= 1;
        self.is_cut = true;
        if let Some(oldest) = self.records.get(self.oldest) {
            self.oldest_text = oldest.text;
        }
    }

    /// Returns the records from a number on, in order, with their texts.
    pub(super) fn since(&self, seq: u64) -> impl DoubleEndedIterator<Item = (&Record, &[u8])> {
        let first = self.first_since(seq);
        (first..self.len).filter_map(|position| {
            let record = self.records.get(self.slot(position))?;
            let at = (record.text & (self.text_room - 1)) as usize;
            let text = self.texts.get(at..at + usize::from(record.path) + usize::from(record.tail))?;
            Some((record, text))
        })
    }

    /// Returns `true` if records have been pushed out.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Writes a text where none has been written yet.
    #[cold]
    fn append_text(&mut self, at: usize, text: &[u8]) {
        if self.texts.capacity() == 0 {
            self.texts.reserve_exact(self.text_room as usize);
        }
        self.texts.resize(at, 0);
        self.texts.extend_from_slice(text);
    }

    #[cold]
    fn append(&mut self, record: Record) {
        if self.records.capacity() == 0 {
            self.records.reserve_exact(self.room);
        }
        self.records.push(record);
    }

    /// Returns the position of the first record with this number or a later one.
    fn first_since(&self, seq: u64) -> usize {
        let (mut from, mut to) = (0, self.len);
        while from < to {
            let middle = from.midpoint(to);
            let is_before = self.records.get(self.slot(middle)).is_some_and(|record| record.seq < seq);
            if is_before { from = middle + 1 } else { to = middle }
        }
        from
    }

    /// Returns the slot of the record at a position.
    fn slot(&self, position: usize) -> usize {
        let slot = self.oldest + position;
        if slot >= self.room { slot - self.room } else { slot }
    }
}

/// Returns a path as it is kept: a long one loses its middle, at the borders of characters.
pub(super) fn cut(path: &[u8]) -> Vec<u8> {
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
            let mut ring = Ring::new(room);
            let mut all = Vec::new();
            for (seq, (path, tail)) in (1..).zip(texts) {
                let letter = b'a' + u8::try_from(seq % 26).unwrap();
                let (path, tail) = (vec![letter; path], vec![letter + 1; tail]);
                let record = Record { seq, ..Record::EMPTY };
                if seq % 2 == 0 {
                    ring.push(record, &path, &tail);
                    all.push((seq, [cut(&path), tail[..tail.len().min(LONGEST_TAIL)].to_vec()].concat()));
                } else {
                    ring.push_path(record, &path);
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
        let mut ring = Ring { written: u32::MAX - 10_000, ..Ring::new(100) };
        for seq in 1..1_000 {
            ring.push_path(Record { seq, ..Record::EMPTY }, seq.to_string().repeat(20).as_bytes());
            for (record, text) in ring.since(0) {
                assert_eq!(text, record.seq.to_string().repeat(20).as_bytes());
            }
        }
        assert!(ring.since(0).count() > 50);
    }
}
