//! Distinguishes the end of a log that a crash has left from damage.
//!
//! Of bytes that were written and not yet synced, a disk keeps each sector or leaves zeros in its place, in any
//! order, and the file may end anywhere in them. So a record that a crash has torn lacks a whole sector or its end,
//! and no whole record behind it is of a later write: each record says up to which offset the log was durable when it
//! was written.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Buf;
use simd_adler32::{Adler32, adler32};

/// Length of the checksum and the length before a record. A mark stands behind it.
pub(super) const BEFORE: usize = 12;
pub(super) const MARK: u8 = 0x42;

/// Maximum number of bytes that are written before a sync, unless a single record is longer. So the pieces that a
/// crash leaves lie within this many bytes of the end.
pub(super) const MAX_UNSYNCED: usize = 1 << 20;

/// Number of bytes that a disk writes in one piece.
const SECTOR: usize = 512;

/// Length of the shortest record: checksum and length, the header of a transaction, the mark.
const SHORTEST: usize = BEFORE + 32 + 1;

/// Returns true if a crash can have left a bad record, given the whole records `behind` it. `durable` returns the
/// offset up to which the log was durable before a record, if the record has one.
pub(super) fn is_torn(
    content: &[u8],
    at: usize,
    behind: &[Range<usize>],
    durable: impl Fn(&[u8]) -> Option<u64>,
) -> bool {
    let end = end_of(content);
    if end.saturating_sub(at) < SHORTEST {
        // No whole record fits into so few bytes.
        return true;
    }
    let Some((sum, len)) = head(content, at) else { return false };
    let record_end = (at + BEFORE + 1).saturating_add(len);
    let is_new = |record: &Range<usize>| {
        record.start - BEFORE >= record_end
            && durable(&content[record.clone()]).is_some_and(|durable| durable <= at as u64)
    };
    if !behind.iter().all(is_new) || is_whole_but_for_its_length(content, at, sum, len) {
        return false;
    }
    let is_all_new = end - at <= MAX_UNSYNCED || record_end == end;
    record_end > end
        || is_all_new
            && lacks_a_sector(content, at, record_end)
            && !has_one_bit_flipped(content, at, record_end, sum)
}

/// Returns the whole records behind an offset, without what stands before and behind them. It takes one pass: a
/// client may have sent data that looks like many long, nested records.
pub(super) fn whole_records(content: &[u8], at: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // By the end of the record: its start, the checksum of all bytes before it, and its own.
    let mut awaited: BTreeSet<(usize, usize, u32, u32)> = BTreeSet::new();
    let (mut sum, mut summed) = (Adler32::new(), at);
    for offset in at + 1 + BEFORE..end_of(content) {
        let mut sum_here = || {
            sum.write(&content[summed..offset]);
            summed = offset;
            sum.finish()
        };
        while let Some(&(end, start, before, checksum)) = awaited.first()
            && end == offset
        {
            awaited.pop_first();
            if sum_between(before, sum_here(), end - start) == checksum {
                found.push(start..end);
            }
        }
        if let Some((checksum, len @ 1..)) = head(content, offset - BEFORE)
            && content[offset..].get(len) == Some(&MARK)
        {
            awaited.insert((offset + len, offset, sum_here(), checksum));
        }
    }
    outermost(found)
}

/// Removes records that lie in another one.
fn outermost(mut records: Vec<Range<usize>>) -> Vec<Range<usize>> {
    records.sort_unstable_by_key(|record| (record.start, std::cmp::Reverse(record.end)));
    let mut covered = 0;
    records.retain(|record| {
        let is_outermost = record.start >= covered;
        covered = covered.max(record.end);
        is_outermost
    });
    records
}

/// Returns the offset at which the zeros at the end begin.
pub(super) fn end_of(content: &[u8]) -> usize {
    content.len() - content.iter().rev().take_while(|byte| **byte == 0).count()
}

/// Returns true if all bytes are zeros. It works in pieces without an early exit in them, so that many bytes are
/// compared at once: a log that was not ended cleanly has 64 MiB of zeros.
pub(super) fn is_zeros(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

/// Returns the checksum and the length of a record, if they are possible ones.
fn head(content: &[u8], at: usize) -> Option<(u32, usize)> {
    let mut head = content.get(at..at + BEFORE)?;
    Some((u32::try_from(head.get_i64()).ok()?, usize::try_from(head.get_i32()).ok()?))
}

/// Returns true if a sector of a record, or the written part of a sector, is zeros.
fn lacks_a_sector(content: &[u8], at: usize, record_end: usize) -> bool {
    let end = end_of(content);
    let next =
        |sector: &usize| Some((sector / SECTOR + 1) * SECTOR).filter(|next| *next < end.min(record_end));
    // The checksum of a record begins with four zeros, wherever that is.
    let mut sectors = std::iter::successors(Some(at + 4).filter(|from| *from < end), next);
    sectors.any(|byte| is_lost(content, at, end, byte))
}

/// Returns true if the written part of a byte's sector is zeros, behind the checksum's own of a record.
fn is_lost(content: &[u8], at: usize, end: usize, byte: usize) -> bool {
    let sector = byte / SECTOR * SECTOR;
    content.get(sector.max(at + 4)..end.min(sector + SECTOR)).is_some_and(is_zeros)
}

/// Returns true if a record would be whole with one bit of its length flipped, or with the rest of the log as its
/// length. A crash changes no length.
fn is_whole_but_for_its_length(content: &[u8], at: usize, sum: u32, len: usize) -> bool {
    let flipped = (0..i32::BITS - 1).map(|bit| len ^ 1 << bit);
    let all = end_of(content).checked_sub(at + BEFORE + 1);
    flipped.chain(all).filter(|other| *other != len).any(|len| {
        let start = at + BEFORE;
        content.get(start + len) == Some(&MARK) && adler32(&&content[start..start + len]) == sum
    })
}

/// Returns true if a record, with its mark, would be whole with one bit of it or of its checksum flipped. A crash
/// flips no bit; but a bit that was the only one in the part of a sector goes with it, if the disk loses that. No bit is tried
/// out: flipping one changes the low half of the sum by a power of two, and the high half by that power times the number of
/// bytes from there to the end.
fn has_one_bit_flipped(content: &[u8], at: usize, record_end: usize, sum: u32) -> bool {
    let (start, end) = (at + BEFORE, end_of(content));
    let Some((mark, record)) = content.get(start..record_end).and_then(<[u8]>::split_last) else {
        return false;
    };
    let is = adler32(&record);
    if is == sum || *mark != MARK {
        return is == sum && *mark != 0;
    }
    if (is ^ sum).count_ones() == 1 {
        // The last byte of the checksum has its lowest bits.
        let byte = at + 7 - (is ^ sum).trailing_zeros() as usize / 8;
        return !is_lost(content, at, end, byte);
    }
    let ((low, high), (low_wanted, high_wanted)) = (halves(is), halves(sum));
    let (low, high) = ((low_wanted + MODULUS - low) % MODULUS, (high_wanted + MODULUS - high) % MODULUS);
    (0..8).any(|bit| {
        let step = 1_u64 << bit;
        [(step, 0), (MODULUS - step, 1)].into_iter().filter(|(change, _)| *change == low).any(
            |(change, was)| {
                // Number of bytes from the flipped one to the end, up to multiples of the modulus.
                let left = high * inverse(change) % MODULUS;
                let left = if left == 0 { MODULUS } else { left };
                let lefts = std::iter::successors(Some(left), |left| Some(left + MODULUS));
                let mut bytes = lefts.map_while(|left| record.len().checked_sub(usize::try_from(left).ok()?));
                bytes.any(|byte| record[byte] >> bit & 1 == was && !is_lost(content, at, end, start + byte))
            },
        )
    })
}

const MODULUS: u64 = 65_521;

fn halves(sum: u32) -> (u64, u64) {
    (u64::from(sum & 0xffff), u64::from(sum >> 16))
}

/// Returns the multiplicative inverse of a number: by Fermat, its power of the modulus less 2.
fn inverse(number: u64) -> u64 {
    let (mut result, mut power, mut exponent) = (1, number, MODULUS - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * power % MODULUS;
        }
        power = power * power % MODULUS;
        exponent >>= 1;
    }
    result
}

/// Returns the checksum of `len` bytes, from the checksum of all bytes before them and that of these together.
fn sum_between(before: u32, with: u32, len: usize) -> u32 {
    let ((low, high), (low_with, high_with)) = (halves(before), halves(with));
    // The low half is 1 plus the sum of the bytes; the high half is the sum of the low halves after each byte.
    let len = len as u64 % MODULUS;
    let low_between = (1 + low_with + MODULUS - low) % MODULUS;
    let high_between = (high_with + MODULUS - high + len * (1 + MODULUS - low)) % MODULUS;
    u32::try_from(high_between << 16 | low_between).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(body: &[u8]) -> Vec<u8> {
        let sum = i64::from(adler32(&body)).to_be_bytes();
        [&sum[..], &i32::try_from(body.len()).unwrap().to_be_bytes(), body, &[MARK]].concat()
    }

    /// Follows the definition: every offset is tried.
    fn has_a_record_behind(content: &[u8], at: usize) -> bool {
        (at + 1..content.len()).any(|offset| {
            let rest = &content[offset..];
            let ends = (BEFORE + 1..rest.len()).filter(|end| rest[*end] == MARK);
            ends.map(|end| &rest[..=end]).any(|piece| record(&piece[BEFORE..piece.len() - 1]) == piece)
        })
    }

    #[test]
    fn a_part_of_a_sector_with_a_single_bit_may_be_lost() {
        // The first sector ends behind the first byte of the checksum, which has one bit.
        let at = SECTOR - 5;
        let bodies = (40..80_usize).flat_map(|len| (0..=255_u8).map(move |byte| vec![byte; len]));
        let mut tried = 0;
        for body in bodies.filter(|body| (adler32(&&body[..]) >> 24).count_ones() == 1) {
            let mut content = [vec![1; at], record(&body)].concat();
            content[at + 4] = 0;
            assert!(is_torn(&content, at, &[], |_| None), "{body:?}");
            tried += 1;
        }
        assert!(tried > 100, "{tried}");
    }

    proptest! {
        #[test]
        fn a_whole_record_is_found_at_any_offset(
            pieces in proptest::collection::vec(prop_oneof![
                proptest::collection::vec(prop_oneof![Just(0), Just(0), Just(1), Just(MARK), any::<u8>()], 0..40),
                proptest::collection::vec(any::<u8>(), 1..40).prop_map(|body| record(&body)),
                // A bad record with a whole one in it.
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
            prop_assert_eq!(!whole_records(&content, at).is_empty(), has_a_record_behind(&content, at));
        }

        #[test]
        fn sums_can_be_subtracted(before in ".*", between in "\\PC*", ones in 0..70_000_usize) {
            let between = [between.as_bytes(), &vec![255; ones]].concat();
            let with = [before.as_bytes(), &between].concat();
            let [before, sum, with] = [before.as_bytes(), &between, &with].map(|bytes| adler32(&bytes));
            prop_assert_eq!(sum_between(before, with, between.len()), sum);
        }

        #[test]
        fn one_flipped_bit_is_never_taken_for_a_crash(
            body in proptest::collection::vec(prop_oneof![Just(0), any::<u8>()], 40..100),
            zeros in prop_oneof![0..2_000_usize, 130_000..140_000_usize],
            flip in any::<proptest::sample::Index>(),
            bit in 0..8_u8,
            preallocated in 0..2_000_usize,
        ) {
            let mut content = record(&[&body[..], &vec![0; zeros], &body].concat());
            let whole = content.len();
            let flip = flip.index(whole);
            content[flip] ^= 1 << bit;
            content.resize(whole + preallocated, 0);
            prop_assert!(!is_torn(&content, 0, &[], |_| None), "byte {} of {}", flip, whole);
        }

        #[test]
        fn a_record_that_lacks_its_end_or_a_sector_is_taken_for_torn(
            body in proptest::collection::vec(1..=255_u8, 1_600..3_000),
            at in 0..600_usize,
            cut in any::<proptest::sample::Index>(),
            sector in any::<proptest::sample::Index>(),
            preallocated in 0..2_000_usize,
        ) {
            let whole = [vec![1; at], record(&body)].concat();
            let mut content = whole[..at + cut.index(whole.len() - at)].to_vec();
            content.resize(content.len() + preallocated, 0);
            prop_assert!(is_torn(&content, at, &[], |_| None), "it lacks its end");
            let mut content = whole;
            let first = at.div_ceil(SECTOR);
            let sector = first + sector.index(content.len() / SECTOR - first);
            content[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
            // In one of 50,000 cases the sums change as by one flipped bit: then it counts as damage, as a flip must.
            let looks_flipped = head(&content, at).is_some_and(|(sum, len)| {
                let record_end = at + BEFORE + 1 + len;
                record_end <= end_of(&content) && has_one_bit_flipped(&content, at, record_end, sum)
            });
            prop_assert_eq!(is_torn(&content, at, &[], |_| None), !looks_flipped, "it lacks a sector");
        }
    }
}
