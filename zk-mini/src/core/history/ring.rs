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
            texts: Vec::new(),
            text_room: u32::try_from(text_room).unwrap_or(1 << 31),
            written: 0,
        }
    }

    /// Adds a record with a path and what belongs behind it. A long path is cut in the middle.
    pub(super) fn push(&mut self, mut record: Record, path: &[u8], tail: &[u8]) {
        if path.len() > LONGEST_PATH {
            return self.push_long(record, path, tail);
        }
        let tail = &tail[..tail.len().min(LONGEST_TAIL)];
        let mut at = self.written & (self.text_room - 1);
        let mut begin = self.written;
        // Both are short.
        let bytes = (path.len() + tail.len()) as u32;
        if at + bytes > self.text_room {
            // A text is in one piece: the end of the memory stays unused.
            begin = begin.wrapping_add(self.text_room - at);
            at = 0;
        }
        let end = begin.wrapping_add(bytes);
        while self.len == self.room || self.is_overwritten(end) {
            self.oldest = if self.oldest + 1 == self.room { 0 } else { self.oldest + 1 };
            self.len -= 1;
        }
        self.written = end;
        record.text = begin;
        record.path = path.len() as u16;
        record.tail = tail.len() as u16;
        self.write(at as usize, path);
        self.write(at as usize + path.len(), tail);
        let slot = self.slot(self.len);
        match self.records.get_mut(slot) {
            Some(slot) => *slot = record,
            None => self.append(record),
        }
        self.len += 1;
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
        self.oldest > 0 || self.records.len() > self.len
    }

    /// Returns `true` if the text of the oldest record is lost when `end` bytes are written.
    fn is_overwritten(&self, end: u32) -> bool {
        let oldest = self.records.get(self.oldest).filter(|_| self.len > 0);
        oldest.is_some_and(|oldest| end.wrapping_sub(oldest.text) > self.text_room)
    }

    #[inline]
    fn write(&mut self, at: usize, text: &[u8]) {
        match self.texts.get_mut(at..at + text.len()) {
            Some(place) => place.copy_from_slice(text),
            None => self.append_text(at, text),
        }
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

    #[cold]
    fn push_long(&mut self, record: Record, path: &[u8], tail: &[u8]) {
        self.push(record, &cut(path), tail);
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
