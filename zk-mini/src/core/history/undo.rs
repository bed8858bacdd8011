//! Undo: the values that transactions have replaced, so that the tree can be shown as it was.
//!
//! They stand in the record of the change, behind its path: so they cost a few bytes, and no memory of their own. Beside the
//! records is only what is long, and ACLs, which many nodes share.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use zk_wire::{Acl, ByteString, UnixMillis, Version, Zxid};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::history::record::{By, Record, What};
use crate::core::history::ring::{LONGEST_PATH, Ring};
use crate::core::image::ImageNode;
use crate::core::txn::NodeKind;

/// Maximum length of data that stand in the record.
const SHORT: usize = 128;

/// Marks of a record: its data were null, or are beside the records; so is its path, of which the record has only a part.
const NULL: i32 = 1;
const DATA_BESIDE: i32 = 2;
const PATH_BESIDE: i32 = 4;

/// Replaced values beside the records, oldest first, in a bounded number of bytes.
#[derive(Debug)]
pub(super) struct Undo {
    /// Number of the first record that can be undone. Earlier ones are about a state that was replaced.
    first_seq: u64,
    /// Last transaction that cannot be undone, as far as this does not follow from the records.
    floor: Zxid,
    long: VecDeque<Kept<Bytes>>,
    /// ACLs, each with the first change that replaced it; the changes up to the next one replaced the same.
    acls: VecDeque<Kept<SharedAcl>>,
    bytes: usize,
    room: usize,
}

/// Replaced value.
#[derive(Debug)]
struct Kept<T> {
    /// Number of the first change that replaced it.
    seq: u64,
    /// Transaction of the last one.
    zxid: Zxid,
    weight: usize,
    value: T,
}

/// Change to undo, with the values before it.
#[derive(Debug)]
pub(super) enum Undone {
    /// There was no node. The numbers are the parent's.
    Created { path: ByteString, pzxid: Zxid, created_children: i32 },
    /// The node, and a number of its parent.
    Deleted { node: ImageNode, pzxid: Zxid },
    /// Data and what belongs to them.
    Data { path: ByteString, data: Option<Bytes>, version: Version, mzxid: Zxid, mtime: UnixMillis },
    /// Counts of a quota.
    Quietly { path: ByteString, data: Option<Bytes> },
    /// ACL.
    Acl { path: ByteString, acl: Arc<[Acl]>, version: Version },
}

impl Undo {
    pub(super) fn new(room: usize, floor: Zxid) -> Self {
        Self { first_seq: 0, floor, long: VecDeque::new(), acls: VecDeque::new(), bytes: 0, room }
    }

    /// Forgets all: states before the one after `zxid` cannot be shown. `next_seq` is the number of the next record.
    pub(super) fn forget(&mut self, zxid: Zxid, next_seq: u64) {
        *self = Self { first_seq: next_seq, ..Self::new(self.room, zxid) };
    }

    /// Keeps what the record of a change has no room for: a long path, and long data. Returns the marks of the record, and the
    /// data that it has.
    #[inline(always)]
    pub(super) fn keep<'a>(
        &mut self,
        (seq, zxid): (u64, Zxid),
        path: &str,
        data: Option<&'a Bytes>,
    ) -> (i32, &'a [u8]) {
        let mut marks = 0;
        if path.len() > LONGEST_PATH {
            marks |= PATH_BESIDE;
            self.keep_long(seq, zxid, Bytes::copy_from_slice(path.as_bytes()));
        }
        match data {
            None => (marks | NULL, &[]),
            Some(data) if data.len() > SHORT => {
                self.keep_long(seq, zxid, data.clone());
                (marks | DATA_BESIDE, &[])
            }
            Some(data) => (marks, data),
        }
    }

    #[cold]
    fn keep_long(&mut self, seq: u64, zxid: Zxid, value: Bytes) {
        let weight = size_of::<Kept<Bytes>>() + value.len();
        self.long.push_back(Kept { seq, zxid, weight, value });
        self.make_room(weight);
    }

    /// Keeps the ACL that a change replaces.
    #[inline]
    pub(super) fn keep_acl(&mut self, seq: u64, zxid: Zxid, acl: &SharedAcl) {
        match self.acls.back_mut() {
            Some(last) if last.value.is_same(acl) => last.zxid = zxid,
            _ => {
                let weight = size_of::<Kept<SharedAcl>>() + weight_of(acl);
                self.acls.push_back(Kept { seq, zxid, weight, value: acl.clone() });
                self.make_room(weight);
            }
        }
    }

    /// Drops the oldest values if there is no room for so many bytes more. The last ACL stays, for the changes to come.
    fn make_room(&mut self, weight: usize) {
        self.bytes += weight;
        while self.bytes > self.room {
            let long = self.long.front().map(|kept| (kept.zxid, kept.weight));
            let acl = self.acls.front().filter(|_| self.acls.len() > 1).map(|kept| (kept.zxid, kept.weight));
            let Some((zxid, weight)) = long.into_iter().chain(acl).min() else { break };
            if long == Some((zxid, weight)) {
                self.long.pop_front();
            } else {
                self.acls.pop_front();
            }
            self.bytes -= weight;
            self.floor = self.floor.max(zxid);
        }
    }

    /// Returns the last transaction that cannot be undone; `last` is the last of all.
    pub(super) fn floor(&self, records: &Ring, last: Zxid) -> Zxid {
        let oldest = records.since(0).next();
        if !records.is_cut() || oldest.is_some_and(|(record, _)| record.seq < self.first_seq) {
            return self.floor;
        }
        // Those pushed out are older than the oldest one here; of the same transaction, perhaps.
        let of_records = self.changes(records).next().map_or(last, |(record, _)| record.zxid);
        self.floor.max(of_records)
    }

    /// Returns the changes after a transaction that is not before the floor, the latest first.
    pub(super) fn since(&self, records: &Ring, zxid: Zxid) -> impl Iterator<Item = Undone> {
        let later = self.changes(records).rev().take_while(move |(record, _)| record.zxid > zxid);
        later.filter_map(|(record, text)| self.undone(record, text))
    }

    /// Returns the records of changes that can be undone.
    fn changes<'a>(&self, records: &'a Ring) -> impl DoubleEndedIterator<Item = (&'a Record, &'a [u8])> {
        records.since(self.first_seq).filter(|(record, _)| {
            let is_change = record.what.is_change() || record.what == What::SetQuietly;
            is_change && record.by != By::Server
        })
    }

    /// Returns the values before a change from its record.
    fn undone(&self, record: &Record, text: &[u8]) -> Option<Undone> {
        let (path, saved) = text.split_at_checked(usize::from(record.path))?;
        Some(match record.what {
            What::Created => {
                let (Numbers([pzxid, last]), _) = Numbers::read(saved)?;
                let (created_children, marks) = halves(last);
                let (path, _) = self.path_and_data(record.seq, marks, path, &[])?;
                Undone::Created { path, pzxid: Zxid(pzxid), created_children }
            }
            What::Deleted => {
                let (numbers, data) = Numbers::read(saved)?;
                let Numbers([parent_pzxid, owner, czxid, mzxid, pzxid, ctime, mtime, versions, last]) =
                    numbers;
                let ((version, aversion), (created_children, marks)) = (halves(versions), halves(last));
                let (path, data) = self.path_and_data(record.seq, marks, path, data)?;
                let node = ImageNode {
                    path,
                    data,
                    acl: self.acl_of(record.seq)?,
                    kind: NodeKind::of_owner(owner),
                    czxid: Zxid(czxid),
                    mzxid: Zxid(mzxid),
                    pzxid: Zxid(pzxid),
                    ctime: UnixMillis(ctime),
                    mtime: UnixMillis(mtime),
                    version: Version(version),
                    aversion: Version(aversion),
                    created_children,
                };
                Undone::Deleted { node, pzxid: Zxid(parent_pzxid) }
            }
            What::DataSet => {
                let (Numbers([mzxid, mtime, last]), data) = Numbers::read(saved)?;
                let (version, marks) = halves(last);
                let (path, data) = self.path_and_data(record.seq, marks, path, data)?;
                let (version, mzxid, mtime) = (Version(version), Zxid(mzxid), UnixMillis(mtime));
                Undone::Data { path, data, version, mzxid, mtime }
            }
            What::SetQuietly => {
                let (Numbers([last]), data) = Numbers::read(saved)?;
                let (path, data) = self.path_and_data(record.seq, halves(last).1, path, data)?;
                Undone::Quietly { path, data }
            }
            What::AclSet => {
                let (Numbers([last]), _) = Numbers::read(saved)?;
                let (version, marks) = halves(last);
                let (path, _) = self.path_and_data(record.seq, marks, path, &[])?;
                Undone::Acl { path, acl: self.acl_of(record.seq)?, version: Version(version) }
            }
            _ => return None,
        })
    }

    /// Returns the path and the data of a change: those in its record, or those beside it.
    fn path_and_data(
        &self,
        seq: u64,
        marks: i32,
        path: &[u8],
        data: &[u8],
    ) -> Option<(ByteString, Option<Bytes>)> {
        let mut beside = self.long_of(seq);
        let path =
            if marks & PATH_BESIDE == 0 { Bytes::copy_from_slice(path) } else { beside.next()?.clone() };
        let data = match marks {
            marks if marks & NULL != 0 => None,
            marks if marks & DATA_BESIDE != 0 => beside.next().cloned(),
            _ => Some(Bytes::copy_from_slice(data)),
        };
        Some((ByteString::try_from(path).ok()?, data))
    }

    /// Returns the long values of a change: its path, then its data.
    fn long_of(&self, seq: u64) -> impl Iterator<Item = &Bytes> {
        let first = self.long.partition_point(|kept| kept.seq < seq);
        self.long.range(first..).take_while(move |kept| kept.seq == seq).map(|kept| &kept.value)
    }

    /// Returns the ACL that a change replaced.
    fn acl_of(&self, seq: u64) -> Option<Arc<[Acl]>> {
        let next = self.acls.partition_point(|kept| kept.seq <= seq);
        Some(Arc::clone(self.acls.get(next.checked_sub(1)?)?.value.entries()))
    }
}

/// Numbers of a change, as they stand in its record behind the path. The last one has the marks.
pub(super) struct Numbers<const N: usize>(pub(super) [i64; N]);

impl<const N: usize> Numbers<N> {
    pub(super) fn bytes(self) -> [[u8; 8]; N] {
        self.0.map(i64::to_le_bytes)
    }

    /// Reads numbers, and returns what is behind them, too.
    fn read(saved: &[u8]) -> Option<(Self, &[u8])> {
        let (numbers, behind) = saved.split_at_checked(N * 8)?;
        let numbers: [_; N] = numbers.as_chunks().0.try_into().ok()?;
        Some((Self(numbers.map(i64::from_le_bytes)), behind))
    }
}

/// Returns one number made of two.
pub(super) fn whole(upper: i32, lower: i32) -> i64 {
    i64::from(upper) << 32 | i64::from(lower.cast_unsigned())
}

/// Returns the two numbers that one is made of.
fn halves(whole: i64) -> (i32, i32) {
    ((whole >> 32) as i32, whole as i32)
}

#[cold]
fn weight_of(acl: &[Acl]) -> usize {
    acl.iter().map(|entry| size_of::<Acl>() + entry.scheme.len() + entry.id.len()).sum()
}
