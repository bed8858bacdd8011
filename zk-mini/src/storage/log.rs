//! The transaction log: a sequence of files, each with a header, records with checksums, and zeros to its end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use simd_adler32::adler32;
use zk_wire::{Decode, DecodeError, Encode, FileHeader, TooLong, Zxid, length};

use super::disk::{Disk, DiskFile};
use super::error::{Loss, StorageError};
use super::tail::{self, BEFORE, MARK, end_of, is_zeros};
use super::txn;
use crate::core::Txn;

/// `ZKLG`.
const MAGIC: i32 = 0x5A4B_4C47;
const FORMAT: i32 = 2;
pub(super) const HEADER: u64 = 16;

/// A log that is being written.
#[derive(Debug)]
pub(super) struct LogFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Offset of the next record. Behind it are zeros, or the rest of a write that failed.
    end: u64,
    /// Offset up to which the log is durable. A snapshot may sync the log, too.
    durable: Arc<AtomicU64>,
    /// Length of the file, with the zeros behind the last record.
    size: u64,
    /// Number of bytes by which it grows, so that a sync rarely writes the length, too.
    block: u64,
}

impl LogFile {
    /// Begins a log. A log of the same name is replaced: it has no record, because otherwise it would have been read.
    pub(super) fn create(disk: &dyn Disk, path: PathBuf, block: u64) -> io::Result<Self> {
        let mut file = disk.create(&path)?;
        file.write_at(0, &header())?;
        file.sync()?;
        let durable = Arc::new(AtomicU64::new(HEADER));
        Ok(Self { file, path, end: HEADER, durable, size: HEADER, block })
    }

    /// Appends records that were made by [`put`], and syncs them if `sync` is set.
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
            self.durable.store(end, Ordering::Relaxed);
        }
        if !self.file.is_at(&self.path)? {
            return Err(io::Error::other(
                "it has been deleted or moved away, and another start would not find it",
            ));
        }
        self.end = end;
        Ok(())
    }

    /// Cuts the file off behind the last record that was appended. The rest of a failed write would be read as
    /// records one day; zeros only take room.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.size = self.end;
        self.file.sync()?;
        self.durable.store(self.end, Ordering::Relaxed);
        Ok(())
    }

    /// Returns true if the file still has its name.
    pub(super) fn is_there(&self) -> io::Result<bool> {
        self.file.is_at(&self.path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the offset behind the last record.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Returns the offset up to which the log is durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Relaxed)
    }

    /// Returns the log as it is now, for another writer that is going to sync it.
    pub(super) fn unsynced(&self) -> Unsynced {
        Unsynced { path: self.path.clone(), end: self.end, durable: Arc::clone(&self.durable) }
    }

    /// Loses the records that are not durable, as a machine does that loses its power.
    pub(super) fn lose_unsynced(&mut self) -> io::Result<()> {
        self.end = self.durable();
        self.trim()
    }
}

/// Log with records that may not be durable.
#[derive(Clone, Debug)]
pub(super) struct Unsynced {
    path: PathBuf,
    end: u64,
    durable: Arc<AtomicU64>,
}

impl Unsynced {
    /// Makes the records durable.
    pub(super) fn sync(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        disk.sync_file(&self.path).map_err(|source| StorageError::io("sync", &self.path, source))?;
        self.durable.fetch_max(self.end, Ordering::Relaxed);
        Ok(())
    }
}

fn header() -> BytesMut {
    let mut header = BytesMut::new();
    FileHeader { magic: MAGIC, version: FORMAT, dbid: 0 }.encode(&mut header);
    header
}

/// Appends the record of a transaction to `out`, for a log that is durable up to this offset.
///
/// # Errors
/// [`TooLong`] if it is longer than a record can be; transactions are checked for this when they are made. `out` is
/// unchanged.
pub(super) fn put(transaction: &Txn, durable: u64, out: &mut BytesMut) -> Result<(), TooLong> {
    let start = out.len();
    out.put_bytes(0, BEFORE);
    txn::encode(transaction, out);
    out.put_u64(durable);
    let sum = adler32(&&out[start + BEFORE..]);
    let len = length(out.len() - start - BEFORE).inspect_err(|_| out.truncate(start))?;
    let mut before = &mut out[start..start + BEFORE];
    before.put_i64(sum.into());
    before.put_i32(len);
    out.put_u8(MARK);
    Ok(())
}

/// End of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tail {
    /// The log ends with its last record, and perhaps zeros.
    Whole,
    /// The log ends with a part of a record: this many bytes from this offset on, without the zeros behind them.
    Torn { offset: u64, bytes: u64 },
}

/// A transaction with its place in a log. Its texts are parts of the log, which lies in memory as long as one of them.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) txn: Txn,
    pub(super) offset: u64,
    /// Length of its record, without checksum, length and mark.
    pub(super) len: usize,
}

/// Reads a log, record by record, up to `limit` bytes.
pub(super) fn read(
    disk: &dyn Disk,
    file: &Path,
    limit: Option<u64>,
    each: impl FnMut(Logged) -> Result<(), StorageError>,
) -> Result<Tail, StorageError> {
    let mut content = disk.read(file).map_err(|source| StorageError::io("read", file, source))?;
    if let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) {
        content.truncate(limit);
    }
    read_content(file, &content.into(), each)
}

fn read_content(
    file: &Path,
    content: &Bytes,
    mut each: impl FnMut(Logged) -> Result<(), StorageError>,
) -> Result<Tail, StorageError> {
    let mut input = content.clone();
    match FileHeader::decode(&mut input, "header") {
        Ok(FileHeader { magic: MAGIC, version: FORMAT, .. }) => {}
        // A crash has left a part of a header.
        _ if is_half_a_header(content) => {
            let bytes = if is_begun(content) { 0 } else { content.len() as u64 };
            return Ok(Tail::Torn { offset: 0, bytes });
        }
        _ => return Err(damaged(file, content, 0, "not a transaction log".into())),
    }
    loop {
        let at = content.len() - input.len();
        match next_record(&mut input) {
            NextRecord::None => return Ok(Tail::Whole),
            NextRecord::Some(record) => {
                let len = record.len();
                let (txn, _) =
                    split(record).map_err(|error| damaged(file, content, at, error.to_string()))?;
                each(Logged { txn, offset: at as u64, len })?;
            }
            NextRecord::Bad(reason) => {
                let behind = tail::whole_records(content, at);
                if tail::is_torn(content, at, &behind, |record| split(Bytes::copy_from_slice(record)).ok()?.1)
                {
                    return Ok(Tail::Torn { offset: at as u64, bytes: (end_of(content) - at) as u64 });
                }
                return Err(damaged(file, content, at, reason.into()));
            }
        }
    }
}

/// Returns the zxid of the first transaction in a log, if there is a whole one.
pub(super) fn first_zxid(disk: &dyn Disk, file: &Path) -> Option<Zxid> {
    const START: u64 = 1 << 10;
    let mut start = disk.read_start(file, START).ok()?;
    let head = usize::try_from(HEADER).ok()?;
    let len = i32::from_be_bytes(*start.get(head + BEFORE - 4..)?.first_chunk()?);
    let end = HEADER + u64::try_from(BEFORE + 1).ok()? + u64::try_from(len).ok()?;
    if end > START {
        start = disk.read_start(file, end).ok()?;
    }
    let mut input = Bytes::from(start).split_off(head);
    match next_record(&mut input) {
        NextRecord::Some(record) => Some(split(record).ok()?.0.zxid),
        NextRecord::None | NextRecord::Bad(_) => None,
    }
}

/// Reads a record: the transaction, and the offset up to which the log was durable before it.
fn split(mut record: Bytes) -> Result<(Txn, Option<u64>), DecodeError> {
    let txn = txn::decode(&mut record)?;
    Ok((txn, Some(record).filter(|rest| rest.len() == txn::DURABLE).map(|mut rest| rest.get_u64())))
}

fn damaged(file: &Path, content: &[u8], at: usize, reason: String) -> StorageError {
    let behind = tail::whole_records(content, at);
    let zxids = behind
        .iter()
        .filter_map(|record| Some(split(Bytes::copy_from_slice(&content[record.clone()])).ok()?.0.zxid));
    let loss = Loss {
        bytes: end_of(content).saturating_sub(at) as u64,
        transactions: zxids.clone().count(),
        last: zxids.max(),
    };
    StorageError::Log { file: file.into(), offset: at as u64, reason, loss }
}

/// Result of looking for the next record.
enum NextRecord {
    None,
    Some(Bytes),
    /// Bytes that are not a record, and the reason.
    Bad(&'static str),
}

fn next_record(input: &mut Bytes) -> NextRecord {
    if is_zeros(&input[..input.len().min(BEFORE)]) {
        // No record has a length of zero.
        return if is_zeros(input) {
            NextRecord::None
        } else {
            NextRecord::Bad("zeros before further records")
        };
    }
    if input.len() < BEFORE {
        return NextRecord::Bad("it ends inside a record");
    }
    let (sum, len) = (input.get_i64(), input.get_i32());
    let Some(len) = usize::try_from(len).ok().filter(|len| *len > 0) else {
        return NextRecord::Bad("a record of an impossible length");
    };
    if len >= input.len() {
        return NextRecord::Bad("it ends inside a record");
    }
    let record = input.split_to(len);
    let mark = input.get_u8();
    if sum != i64::from(adler32(&&*record)) {
        return NextRecord::Bad("the checksum of a record does not fit");
    }
    if mark != MARK {
        return NextRecord::Bad("a record without its mark");
    }
    NextRecord::Some(record)
}

/// Returns true if a log is a header, or the beginning of one, and nothing more.
pub(super) fn is_begun(content: &[u8]) -> bool {
    content.len() as u64 <= HEADER && is_half_a_header(content)
}

/// Returns true if a log begins like a header and has nothing else, zeros aside.
fn is_half_a_header(content: &[u8]) -> bool {
    let same = content.iter().zip(header()).take_while(|(byte, wanted)| **byte == *wanted).count();
    is_zeros(&content[same..])
}

#[cfg(test)]
mod tests {
    use zk_wire::{Acl, ByteString, ErrorCode, Millis, Perms, SessionId, UnixMillis, Version, Xid};

    use super::*;
    use crate::core::{Change, Config, Core, CreateNode, NodeKind, Now};

    fn create(path: &'static str, kind: NodeKind) -> Change {
        let data = Some(Bytes::from_static(b"count=7,bytes=-1"));
        let acl = Acl { perms: Perms::ALL, scheme: "digest".into(), id: path.into() };
        Change::Create(CreateNode { path: path.into(), data, acl: [acl].into(), kind, parent_cversion: 1 })
    }

    #[test]
    fn a_state_keeps_nothing_of_the_log_that_it_comes_from() -> Result<(), StorageError> {
        let path = || ByteString::from_static("/a");
        let acl = Acl { perms: Perms::READ, scheme: "ip".into(), id: "10.0.0.0/8".into() };
        let ephemeral = NodeKind::Ephemeral(SessionId(1));
        let changes = [
            Change::CreateSession { timeout: Millis(4_000) },
            create("/a", NodeKind::Persistent),
            create("/a/container", NodeKind::Container),
            create("/a/ttl", NodeKind::Ttl(Millis(9))),
            create("/a/ephemeral", ephemeral),
            create("/zookeeper/quota/a", NodeKind::Persistent),
            create("/zookeeper/quota/a/zookeeper_limits", NodeKind::Persistent),
            Change::SetData { path: path(), data: Some(Bytes::from_static(b"new")), version: Version(1) },
            Change::SetAcl { path: path(), acl: [acl].into(), version: Version(1) },
            Change::Multi(vec![
                create("/a/b", ephemeral),
                create("/a/c", ephemeral),
                Change::Check { path: path() },
            ]),
            Change::Delete { path: "/a/b".into() },
            Change::Error(ErrorCode::NO_NODE),
        ];
        let mut log = header();
        for (zxid, change) in (1..).map(Zxid).zip(changes) {
            let (time, session, xid) = (UnixMillis(1), SessionId(1), Xid(0));
            let txn = Txn { zxid, time, session, xid, change, digest: Some(1) };
            assert!(put(&txn, HEADER, &mut log).is_ok());
        }
        let log = log.freeze();
        let mut core = Core::new(Config { digests: true, ..Config::default() });
        read_content(Path::new("log.1"), &log, |Logged { txn, .. }| {
            core.replay(Now::default(), txn);
            Ok(())
        })?;
        assert!(!core.recovered(Now::default()));
        assert_eq!((core.last_zxid(), core.node_count()), (Zxid(12), 11));
        assert!(log.is_unique(), "a part of it is still in use");
        Ok(())
    }
}
