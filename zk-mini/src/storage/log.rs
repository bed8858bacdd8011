//! The transaction log: one file after another, each a header and records with a checksum, and zeros to its end.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use adler2::Adler32;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use zk_wire::{Decode, Encode, FileHeader, TooLong, length};

use super::disk::{Disk, DiskFile};
use super::error::StorageError;
use super::txn;
use crate::core::Txn;

/// `ZKLG`.
const MAGIC: i32 = 0x5A4B_4C47;
const FORMAT: i32 = 2;
const HEADER: u64 = 16;

/// Checksum and length before a record, the mark behind it.
const BEFORE: usize = 12;
const MARK: u8 = 0x42;

/// No more than this is written before a sync, but for a single record that is longer. So what a crash has left in
/// pieces lies within so many bytes of the end.
pub(super) const MAX_UNSYNCED: usize = 1 << 20;

/// What a disk writes in one piece.
const SECTOR: usize = 512;

/// A log that is being written.
#[derive(Debug)]
pub(super) struct LogFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Where the next record goes; what lies behind is zeros, or the rest of a write that failed.
    end: u64,
    /// How far the file has been extended.
    size: u64,
    /// How much it grows at a time, so that a sync seldom has to write its length, too.
    block: u64,
}

impl LogFile {
    /// Begins a log, in place of one of that name, which has no record: it would be among those that were read.
    pub(super) fn create(disk: &dyn Disk, path: PathBuf, block: u64) -> io::Result<Self> {
        let mut file = disk.create(&path)?;
        file.write_at(0, &header())?;
        file.sync()?;
        Ok(Self { file, path, end: HEADER, size: HEADER, block })
    }

    /// Appends records that were made by [`put`], and has the disk take them if `sync` is set.
    pub(super) fn append(&mut self, records: &[u8], sync: bool) -> io::Result<()> {
        let end = self.end + records.len() as u64;
        if end > self.size {
            let size = end.next_multiple_of(self.block);
            self.file.set_len(size)?;
            self.size = size;
        }
        self.file.write_at(self.end, records)?;
        if sync {
            self.file.sync()?;
        }
        self.end = end;
        Ok(())
    }

    /// Takes off what lies behind the last record that was appended: what a failed write has left there would be taken
    /// for records one day, or zeros when nothing more will be written.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.size = self.end;
        self.file.sync()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length without what lies behind the last record.
    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

fn header() -> BytesMut {
    let mut header = BytesMut::new();
    FileHeader { magic: MAGIC, version: FORMAT, dbid: 0 }.encode(&mut header);
    header
}

/// Appends the record of a transaction to `out`.
///
/// # Errors
/// It is longer than a record can be, which whoever has made it should have seen before; `out` is as it was.
pub(super) fn put(transaction: &Txn, out: &mut BytesMut) -> Result<(), TooLong> {
    let start = out.len();
    out.put_bytes(0, BEFORE);
    txn::encode(transaction, out);
    let sum = adler2::adler32_slice(&out[start + BEFORE..]);
    let len = length(out.len() - start - BEFORE).inspect_err(|_| out.truncate(start))?;
    let mut before = &mut out[start..start + BEFORE];
    before.put_i64(sum.into());
    before.put_i32(len);
    out.put_u8(MARK);
    Ok(())
}

/// How a log ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tail {
    /// With its last record, and perhaps zeros.
    Whole,
    /// With so many bytes, zeros behind them aside, that were meant to become a record, from this offset on.
    Torn { offset: u64, bytes: u64 },
}

/// Reads a log, record by record, or so many bytes of it.
pub(super) fn read(
    disk: &dyn Disk,
    file: &Path,
    limit: Option<u64>,
    mut each: impl FnMut(Txn),
) -> Result<Tail, StorageError> {
    let mut content = disk.read(file).map_err(|source| StorageError::io("read", file, source))?;
    if let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) {
        content.truncate(limit);
    }
    let content = Bytes::from(content);
    let mut input = content.clone();
    let offset = |input: &Bytes| content.len() - input.len();
    let corrupt = |at, reason| StorageError::Log { file: file.into(), offset: at as u64, reason };
    match FileHeader::decode(&mut input, "header") {
        Ok(FileHeader { magic: MAGIC, version: FORMAT, .. }) => {}
        // Half a header, which the server had no time to finish.
        _ if is_half_a_header(&content) => {
            return Ok(Tail::Torn { offset: 0, bytes: content.len() as u64 });
        }
        _ => return Err(corrupt(0, "not a transaction log".into())),
    }
    loop {
        let at = offset(&input);
        match next_record(&mut input) {
            Record::None => return Ok(Tail::Whole),
            Record::Some(record) => {
                each(txn::decode(record).map_err(|error| corrupt(at, error.to_string()))?);
            }
            Record::Bad { rest, .. }
                if is_in_pieces(&content, at)
                    || is_zeros(&rest) && !is_followed_by_a_record(&content, at) =>
            {
                return Ok(Tail::Torn { offset: at as u64, bytes: (end_of(&content) - at) as u64 });
            }
            Record::Bad { reason, .. } => return Err(corrupt(at, reason.into())),
        }
    }
}

/// Cuts a log where it was torn.
pub(super) fn cut(disk: &dyn Disk, file: &Path, offset: u64) -> io::Result<()> {
    if offset < HEADER {
        return disk.remove(file);
    }
    let mut log = disk.open(file)?;
    log.set_len(offset)?;
    log.sync()
}

/// Whether a bad record and what lies behind it can be what a power failure has left of the last write: no more than is
/// written before a sync, and a sector of the record is missing. Disks write sectors in any order.
fn is_in_pieces(content: &[u8], at: usize) -> bool {
    let end = end_of(content);
    let header_end = at + BEFORE;
    let record_end = content.get(at..header_end).and_then(|mut header| {
        header.advance(8);
        usize::try_from(header.get_i32())
            .ok()?
            .checked_add(header_end + 1)
            .filter(|end| *end <= content.len())
    });
    // Of a record whose length is not to be believed, that is the sector to be missing.
    let record_end = record_end.unwrap_or(header_end);
    let next =
        |sector: &usize| Some((sector / SECTOR + 1) * SECTOR).filter(|next| *next < end.min(record_end));
    // The checksum of a record begins with four zeros, wherever that is.
    let mut sectors = std::iter::successors(Some(at + 4).filter(|from| *from < end), next);
    (end - at <= MAX_UNSYNCED || record_end >= end)
        && sectors.any(|from| is_zeros(&content[from..end.min((from / SECTOR + 1) * SECTOR)]))
}

/// Whether there is a whole record somewhere behind an offset: then what is there has been damaged, in its length
/// perhaps, and is not the end. In one pass: a client may have sent what looks like many long records, one in another.
fn is_followed_by_a_record(content: &[u8], at: usize) -> bool {
    // By their ends: where they start, the sum of all before that, and their checksums.
    let mut awaited: BTreeSet<(usize, usize, u32, u32)> = BTreeSet::new();
    let (mut sum, mut summed) = (Adler32::new(), at);
    for offset in at + 1 + BEFORE..end_of(content) {
        let mut sum_here = || {
            sum.write_slice(&content[summed..offset]);
            summed = offset;
            sum.checksum()
        };
        while let Some(&(end, start, before, checksum)) = awaited.first()
            && end == offset
        {
            awaited.pop_first();
            if sum_between(before, sum_here(), end - start) == checksum {
                return true;
            }
        }
        let mut header = &content[offset - BEFORE..offset];
        let (checksum, len) = (u32::try_from(header.get_i64()), usize::try_from(header.get_i32()));
        if let (Ok(checksum), Ok(len @ 1..)) = (checksum, len)
            && content[offset..].get(len) == Some(&MARK)
        {
            awaited.insert((offset + len, offset, sum_here(), checksum));
        }
    }
    false
}

/// The checksum of so many bytes, from the sums of all that is before them and of that with them.
fn sum_between(before: u32, with: u32, len: usize) -> u32 {
    const MODULUS: u64 = 65_521;
    let halves = |sum: u32| (u64::from(sum & 0xffff), u64::from(sum >> 16));
    let ((low, high), (low_with, high_with)) = (halves(before), halves(with));
    // The low half is one more than the sum of the bytes, the high one the sum of the low ones after each.
    let len = len as u64 % MODULUS;
    let low_between = (1 + low_with + MODULUS - low) % MODULUS;
    let high_between = (high_with + MODULUS - high + len * (1 + MODULUS - low)) % MODULUS;
    u32::try_from(high_between << 16 | low_between).unwrap_or(u32::MAX)
}

/// Where the zeros at the end begin.
fn end_of(content: &[u8]) -> usize {
    content.len() - content.iter().rev().take_while(|byte| **byte == 0).count()
}

enum Record {
    None,
    Some(Bytes),
    /// Not a record; the rest is what lies behind it, as far as can be told.
    Bad {
        reason: &'static str,
        rest: Bytes,
    },
}

fn next_record(input: &mut Bytes) -> Record {
    if is_zeros(&input[..input.len().min(BEFORE)]) {
        // A record has bytes, so its length is not zero.
        return if is_zeros(input) {
            Record::None
        } else {
            bad("zeros before further records", input.clone())
        };
    }
    if input.len() < BEFORE {
        return bad("it ends in a record", Bytes::new());
    }
    let (sum, len) = (input.get_i64(), input.get_i32());
    let Some(len) = usize::try_from(len).ok().filter(|len| *len > 0) else {
        return bad("a record of an impossible length", input.clone());
    };
    if len >= input.len() {
        return bad("it ends in a record", Bytes::new());
    }
    // Copied: what a node keeps of it must not hold on to the whole file.
    let record = Bytes::copy_from_slice(&input[..len]);
    input.advance(len);
    let mark = input.get_u8();
    if sum != i64::from(adler2::adler32_slice(&record)) {
        return bad("the checksum of a record does not fit", input.clone());
    }
    if mark != MARK {
        return bad("a record without its mark", input.clone());
    }
    Record::Some(record)
}

fn bad(reason: &'static str, rest: Bytes) -> Record {
    Record::Bad { reason, rest }
}

/// Whether a header has been begun and nothing else, zeros aside.
fn is_half_a_header(content: &[u8]) -> bool {
    let same = content.iter().zip(header()).take_while(|(byte, wanted)| **byte == *wanted).count();
    is_zeros(&content[same..])
}

/// In pieces without a way out in the middle, so that many bytes are looked at at once: the end of a log that was not
/// ended in order is 64 MiB of zeros.
fn is_zeros(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(body: &[u8]) -> Vec<u8> {
        let sum = i64::from(adler2::adler32_slice(body)).to_be_bytes();
        [&sum[..], &i32::try_from(body.len()).unwrap().to_be_bytes(), body, &[MARK]].concat()
    }

    /// As it is defined: every place is tried.
    fn has_a_record_behind(content: &[u8], at: usize) -> bool {
        (at + 1..content.len()).any(|offset| {
            let rest = &content[offset..];
            let ends = (BEFORE + 1..rest.len()).filter(|end| rest[*end] == MARK);
            ends.map(|end| &rest[..=end]).any(|piece| record(&piece[BEFORE..piece.len() - 1]) == piece)
        })
    }

    proptest! {
        #[test]
        fn a_record_is_found_wherever_it_is(
            pieces in proptest::collection::vec(prop_oneof![
                proptest::collection::vec(prop_oneof![Just(0), Just(0), Just(1), Just(MARK), any::<u8>()], 0..40),
                proptest::collection::vec(any::<u8>(), 1..40).prop_map(|body| record(&body)),
                // One that has another in it, and is none itself.
                proptest::collection::vec(any::<u8>(), 1..9).prop_map(|body| {
                    let mut outer = record(&record(&body));
                    outer[7] ^= 1;
                    outer
                }),
                Just(vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 20]),
            ], 0..5),
            at in 0..60_usize,
            flip in any::<proptest::sample::Index>(),
        ) {
            let mut content = pieces.concat();
            if let Some(last) = content.len().checked_sub(1) {
                content[flip.index(last + 1)] ^= 1;
            }
            prop_assert_eq!(is_followed_by_a_record(&content, at), has_a_record_behind(&content, at));
        }

        #[test]
        fn sums_can_be_subtracted(before in ".*", between in "\\PC*", ones in 0..70_000_usize) {
            let between = [between.as_bytes(), &vec![255; ones]].concat();
            let with = [before.as_bytes(), &between].concat();
            let [before, sum, with] = [before.as_bytes(), &between, &with].map(adler2::adler32_slice);
            prop_assert_eq!(sum_between(before, with, between.len()), sum);
        }
    }
}
