//! Undo: the values that transactions have replaced, so that the tree can be shown as it was.
//!
//! They stand in the record of the change, behind its path: so they cost a few bytes, and no memory of their own. Beside the
//! records is only what is long, and ACLs, which many nodes share.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use zk_wire::{Acl, ByteString, UnixMillis, Version, Zxid};

use crate::core::access::shared_acl::SharedAcl;
use crate::core::history::record::{By, Record, What};
use crate::core::history::ring::{LONGEST_PATH, Ring};
use crate::core::image::ImageNode;
use crate::core::tree::before::Before;
use crate::core::txn::NodeKind;

/// Maximum length of data that stand in the record.
const SHORT: usize = 128;

/// Marks of a record: its data were null, or are beside the records; so is its path, of which the record has only a part.
const NULL: u8 = 1;
const DATA_BESIDE: u8 = 2;
const PATH_BESIDE: u8 = 4;

/// Maximum number of bytes before the data: the numbers of a node, and of its parent.
pub(super) const NUMBERS: usize = 77;

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

    /// Writes the values before a change to `out`, for its record, and keeps what the record has no room for. Returns the
    /// number of bytes written, and data to be written behind them.
    #[inline]
    pub(super) fn save<'a>(
        &mut self,
        (seq, zxid): (u64, Zxid),
        path: &str,
        before: Before<'a>,
        out: &mut [u8; NUMBERS],
    ) -> (usize, &'a [u8]) {
        let mut marks = 0;
        if path.len() > LONGEST_PATH {
            marks |= PATH_BESIDE;
            self.keep_long(seq, zxid, Bytes::copy_from_slice(path.as_bytes()));
        }
        let data = match before.data() {
            None => {
                marks |= NULL;
                &[]
            }
            Some(data) if data.len() > SHORT => {
                marks |= DATA_BESIDE;
                self.keep_long(seq, zxid, data.clone());
                &[]
            }
            Some(data) => &data[..],
        };
        let mut out = &mut out[..];
        out.put_u8(marks);
        match before {
            Before::Created { pzxid, created_children } => {
                out.put_i64(pzxid.0);
                out.put_i32(created_children);
            }
            Before::Deleted { node, pzxid } => {
                self.keep_acl(seq, zxid, &node.acl);
                for number in [pzxid.0, node.owner(), node.czxid.0, node.mzxid.0, node.pzxid().0] {
                    out.put_i64(number);
                }
                out.put_i64(node.ctime.0);
                out.put_i64(node.mtime.0);
                out.put_i32(node.version.0);
                out.put_i32(node.aversion.0);
                out.put_i32(node.created_children());
            }
            Before::Data { version, mzxid, mtime, .. } => {
                out.put_i32(version.0);
                out.put_i64(mzxid.0);
                out.put_i64(mtime.0);
            }
            Before::Quietly { .. } => {}
            Before::Acl { acl, version } => {
                self.keep_acl(seq, zxid, acl);
                out.put_i32(version.0);
            }
        }
        (NUMBERS - out.len(), data)
    }

    #[cold]
    fn keep_long(&mut self, seq: u64, zxid: Zxid, value: Bytes) {
        let weight = size_of::<Kept<Bytes>>() + value.len();
        self.long.push_back(Kept { seq, zxid, weight, value });
        self.make_room(weight);
    }

    #[inline]
    fn keep_acl(&mut self, seq: u64, zxid: Zxid, acl: &SharedAcl) {
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
        let (path, mut saved) = text.split_at_checked(usize::from(record.path))?;
        let mut beside = self.long_of(record.seq);
        let marks = saved.try_get_u8().ok()?;
        let path =
            if marks & PATH_BESIDE == 0 { Bytes::copy_from_slice(path) } else { beside.next()?.clone() };
        let path = ByteString::try_from(path).ok()?;
        let mut data = |short: &[u8]| match marks {
            marks if marks & NULL != 0 => None,
            marks if marks & DATA_BESIDE != 0 => beside.next().cloned(),
            _ => Some(Bytes::copy_from_slice(short)),
        };
        Some(match record.what {
            What::Created => Undone::Created {
                path,
                pzxid: Zxid(saved.try_get_i64().ok()?),
                created_children: saved.try_get_i32().ok()?,
            },
            What::Deleted => {
                let mut long = || saved.try_get_i64().ok();
                let (pzxid, kind) = (Zxid(long()?), NodeKind::of_owner(long()?));
                let [czxid, mzxid, own_pzxid] = [Zxid(long()?), Zxid(long()?), Zxid(long()?)];
                let [ctime, mtime] = [UnixMillis(long()?), UnixMillis(long()?)];
                let mut int = || saved.try_get_i32().ok();
                let [version, aversion, created_children] = [int()?, int()?, int()?];
                let node = ImageNode {
                    path,
                    data: data(saved),
                    acl: self.acl_of(record.seq)?,
                    kind,
                    czxid,
                    mzxid,
                    pzxid: own_pzxid,
                    ctime,
                    mtime,
                    version: Version(version),
                    aversion: Version(aversion),
                    created_children,
                };
                Undone::Deleted { node, pzxid }
            }
            What::DataSet => {
                let version = Version(saved.try_get_i32().ok()?);
                let mzxid = Zxid(saved.try_get_i64().ok()?);
                let mtime = UnixMillis(saved.try_get_i64().ok()?);
                Undone::Data { path, data: data(saved), version, mzxid, mtime }
            }
            What::SetQuietly => Undone::Quietly { path, data: data(saved) },
            What::AclSet => {
                let version = Version(saved.try_get_i32().ok()?);
                Undone::Acl { path, acl: self.acl_of(record.seq)?, version }
            }
            _ => return None,
        })
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

#[cold]
fn weight_of(acl: &[Acl]) -> usize {
    acl.iter().map(|entry| size_of::<Acl>() + entry.scheme.len() + entry.id.len()).sum()
}
