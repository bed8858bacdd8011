//! The rules of multi: all or none, each operation on what the earlier ones made.

use foldhash::{HashMap, HashMapExt};
use zk_wire::{CreateView, DecodeError, ErrorCode, MultiOpView, OpCode};

use super::Prepare;
use super::create::SentLists;
use crate::core::size::MultiSize;
use crate::core::txn::Change;

/// Why a multi is answered as one that cannot be read, whatever its operations are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unreadable {
    /// It is one, or turned out to be one when it was tried.
    TakesZxid,
    /// It was found to be one before a number was taken.
    TakesNoZxid,
    /// A path is null. That is looked for before anything is tried, but after a number was taken.
    NullPath,
}

impl From<DecodeError> for Unreadable {
    /// A null is one of an ACL: no other is refused while a multi is read.
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Null { .. } => Self::TakesNoZxid,
            _ => Self::TakesZxid,
        }
    }
}

impl Prepare<'_> {
    /// Decides on a multi: one change an operation; if one was refused all are errors.
    ///
    /// # Errors
    /// The request as a whole has an operation that cannot be meant, or would be more than a transaction may be.
    pub(crate) fn multi(&mut self, items: &[MultiOpView<'_>]) -> Result<Vec<Change>, Unreadable> {
        if items.iter().any(|item| item.path().is_none()) {
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
    fn multi_op<'i>(
        &mut self,
        item: &'i MultiOpView<'i>,
        lists: &mut SentLists<'i>,
    ) -> Result<Change, Unreadable> {
        let prepared = match item {
            MultiOpView::Create(request) if lacks_ttl(request) => return Err(Unreadable::TakesZxid),
            MultiOpView::Create(request) => self.create(request, Some(lists)),
            MultiOpView::Delete(request) => self.delete(request),
            MultiOpView::SetData(request) => self.set_data(request),
            MultiOpView::Check(request) => self.check(request),
            MultiOpView::Read { .. } => return Err(Unreadable::TakesZxid),
        };
        match prepared {
            Ok(change) => Ok(change),
            Err(ErrorCode::MARSHALLING_ERROR) => Err(Unreadable::TakesZxid),
            Err(code) => Ok(Change::Error(code)),
        }
    }
}

/// Returns whether the flags ask for a time to live that the record has no place for.
fn lacks_ttl(request: &CreateView<'_>) -> bool {
    request.op == OpCode::CREATE_TTL && request.ttl.is_none()
}
