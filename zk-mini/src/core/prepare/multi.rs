//! The rules of multi: all or none, each operation on what the earlier ones made.

use foldhash::{HashMap, HashMapExt};
use zk_wire::{ErrorCode, OpCode};

use super::create::SentLists;
use super::{CreateRequest, Item, Prepare, Unreadable};
use crate::core::size::MultiSize;
use crate::core::txn::Change;

impl Prepare<'_> {
    /// Decides on a multi: one change an operation; if one was refused all are errors.
    ///
    /// # Errors
    /// The request as a whole has an operation that cannot be meant, or would be more than a transaction may be.
    pub(crate) fn multi(&mut self, items: &[Item<'_>]) -> Result<Vec<Change>, Unreadable> {
        if items.iter().any(Item::has_null_path) {
            return Err(Unreadable::NullPath);
        }
        self.overlay = Some(HashMap::new());
        let mut changes = Vec::with_capacity(items.len());
        let (mut size, mut lists) = (MultiSize::new(), SentLists::new());
        let mut failed = false;
        for item in items {
            let change = if failed {
                Change::Error(ErrorCode::RUNTIME_INCONSISTENCY)
            } else {
                self.multi_op(item, &mut lists)?
            };
            if !size.add(&change, self.config) {
                return Err(Unreadable::TakesZxid);
            }
            failed |= matches!(change, Change::Error(_));
            changes.push(change);
        }
        if failed {
            // Those before the one that failed answer that they did not.
            for change in &mut changes {
                match change {
                    Change::Error(_) => break,
                    other => *other = Change::Error(ErrorCode::OK),
                }
            }
        }
        Ok(changes)
    }

    /// A null that is stumbled over is the fault of the whole request, as is a read.
    fn multi_op<'i>(&mut self, item: &'i Item<'i>, lists: &mut SentLists<'i>) -> Result<Change, Unreadable> {
        let prepared = match item {
            Item::Create(request) if request.lacks_ttl() => return Err(Unreadable::TakesZxid),
            Item::Create(request) => self.create(request, Some(lists)),
            Item::Delete(request) => self.delete(request),
            Item::SetData(request) => self.set_data(request),
            Item::Check(request) => self.check(request),
            Item::Read { .. } => return Err(Unreadable::TakesZxid),
        };
        match prepared {
            Ok(change) => Ok(change),
            Err(ErrorCode::MARSHALLING_ERROR) => Err(Unreadable::TakesZxid),
            Err(code) => Ok(Change::Error(code)),
        }
    }
}

impl Item<'_> {
    /// The operation that the result is written as.
    pub(crate) fn op(&self) -> OpCode {
        match self {
            Self::Create(request) => request.op,
            Self::Delete(_) => OpCode::DELETE,
            Self::SetData(_) => OpCode::SET_DATA,
            Self::Check(_) => OpCode::CHECK,
            Self::Read { op, .. } => *op,
        }
    }
}

impl CreateRequest<'_> {
    /// Whether the flags ask for a time to live that the record has no place for.
    fn lacks_ttl(&self) -> bool {
        self.op == OpCode::CREATE_TTL && self.ttl.is_none()
    }
}
