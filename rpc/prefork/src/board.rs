//! The board of a worker: memory without a name that the worker writes and the parent reads, also after the worker's death.
//!
//! It holds two entries, and the worker overwrites the older one, so a worker that is killed while it writes leaves the
//! other. The parent looks only when somebody asks, and is never woken.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// Maximum length of an entry.
pub(crate) const MAX_ENTRY: usize = 1 << 20;

/// Name in `/proc/PID/fd`, for people.
const NAME: &CStr = c"rpc-prefork-metrics";

/// Number, length and checksum of an entry.
const HEADER: usize = 24;

/// The worker's end.
#[derive(Debug)]
pub(crate) struct BoardWriter {
    file: File,
    entries: AtomicU64,
}

/// The parent's end.
#[derive(Debug)]
pub(crate) struct BoardReader(File);

/// Makes a board. It does not survive an `exec`.
pub(crate) fn board() -> io::Result<(BoardReader, BoardWriter)> {
    let file = File::from(memfd_create(NAME, MFdFlags::MFD_CLOEXEC)?);
    Ok((BoardReader(file.try_clone()?), BoardWriter { file, entries: AtomicU64::new(0) }))
}

impl BoardWriter {
    /// Writes an entry, in place of the one before the last.
    pub(crate) fn write(&self, entry: &[u8]) -> io::Result<()> {
        if entry.len() > MAX_ENTRY {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the metrics are over 1 MiB"));
        }
        let number = self.entries.fetch_add(1, Relaxed) + 1;
        let mut bytes = Vec::with_capacity(HEADER + entry.len());
        for field in [number, entry.len() as u64, checksum(number, entry)] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(entry);
        self.file.write_all_at(&bytes, place(number))
    }
}

impl BoardReader {
    /// Returns the newest whole entry.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        let entries = [0, 1].into_iter().filter_map(|number| self.entry(number));
        entries.max_by_key(|(number, _)| *number).map(|(_, entry)| entry)
    }

    fn entry(&self, number: u64) -> Option<(u64, Vec<u8>)> {
        let (mut header, at) = ([0; HEADER], place(number));
        self.0.read_exact_at(&mut header, at).ok()?;
        let mut fields =
            header.chunks_exact(8).filter_map(|field| field.try_into().ok().map(u64::from_le_bytes));
        let (number, len, sum) = (fields.next()?, fields.next()?, fields.next()?);
        let mut entry = vec![0; usize::try_from(len).ok().filter(|len| *len <= MAX_ENTRY)?];
        self.0.read_exact_at(&mut entry, at + HEADER as u64).ok()?;
        (number > 0 && checksum(number, &entry) == sum).then_some((number, entry))
    }
}

/// Returns the offset of an entry.
fn place(number: u64) -> u64 {
    number % 2 * (HEADER + MAX_ENTRY) as u64
}

/// FNV-1a, which tells a torn entry from a whole one.
fn checksum(number: u64, entry: &[u8]) -> u64 {
    let add = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    entry.iter().fold(number.to_le_bytes().iter().fold(0xcbf2_9ce4_8422_2325, add), add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_entry_is_read() {
        let (reader, writer) = board().unwrap();
        assert_eq!(reader.read(), None);
        for entry in [&b"one"[..], b"", b"a longer one", b"x"] {
            writer.write(entry).unwrap();
            assert_eq!(reader.read().unwrap(), entry);
        }
        drop(writer);
        assert_eq!(reader.read().unwrap(), b"x");
    }

    #[test]
    fn a_torn_entry_leaves_the_one_before() {
        let (reader, writer) = board().unwrap();
        writer.write(b"first").unwrap();
        writer.write(b"second").unwrap();
        writer.file.write_all_at(b"torn", place(2) + HEADER as u64).unwrap();
        assert_eq!(reader.read().unwrap(), b"first");
        writer.file.write_all_at(&[0xff; HEADER], place(1)).unwrap();
        assert_eq!(reader.read(), None);
    }

    #[test]
    fn an_entry_that_is_too_long_is_refused_and_the_last_one_stays() {
        let (reader, writer) = board().unwrap();
        writer.write(&[7; MAX_ENTRY]).unwrap();
        assert!(writer.write(&[8; MAX_ENTRY + 1]).is_err());
        assert_eq!(reader.read().unwrap(), [7; MAX_ENTRY]);
    }
}
