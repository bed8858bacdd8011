//! Rules of multi: all operations or none, and each sees the changes of earlier ones.

use zk_wire::{CreateView, DecodeError, ErrorCode, MultiOpView, OpCode};

use super::create::SentLists;
use super::{Prepare, Prepared};
use crate::core::size::MultiSize;
use crate::core::txn::Change;

/// Reason why a multi is answered as unreadable as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unreadable {
    /// Unreadable; the refusal takes a zxid.
    TakesZxid,
    /// Refused before it takes a zxid.
    TakesNoZxid,
    /// Null path. Paths are checked before the operations, but after a zxid is taken.
    NullPath,
}

impl From<DecodeError> for Unreadable {
    /// A null is the ACL of a create: no other null is refused while a multi is read.
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Null { .. } => Self::TakesNoZxid,
            _ => Self::TakesZxid,
        }
    }
}

impl Prepare<'_> {
    /// Decides on a multi: one change for each operation, in the empty list `changes`. If one is refused, all changes are errors.
    ///
    /// # Errors
    /// The request as a whole is refused: for an operation that is not allowed, or because the transaction would be
    /// too long.
    pub(crate) fn multi(
        &mut self,
        items: &[MultiOpView<'_>],
        mut changes: Vec<Change>,
    ) -> Result<Vec<Change>, Unreadable> {
        if items.iter().any(|item| item.path().is_none()) {
            return Err(Unreadable::NullPath);
        }
        // From here on the rules see earlier operations of the multi.
        self.overlay = Some(Box::default());
        changes.reserve_exact(items.len());
        let (mut size, mut lists) = (MultiSize::new(), SentLists::default());
        let mut failed = false;
        for item in items {
            let prepared =
                if failed { Err(ErrorCode::RUNTIME_INCONSISTENCY) } else { self.multi_op(item, &mut lists) };
            failed |= prepared.is_err();
            let change = match prepared {
                Err(ErrorCode::MARSHALLING_ERROR) => return Err(Unreadable::TakesZxid),
                Err(code) => Change::Error(code),
                Ok(change) => change,
            };
            if !size.add(&change, self.config) {
                return Err(Unreadable::TakesZxid);
            }
            changes.push(change);
        }
        if failed {
            // Operations before the failed one answer `OK`, but have no effect.
            for change in &mut changes {
                match change {
                    Change::Error(_) => break,
                    other => *other = Change::Error(ErrorCode::OK),
                }
            }
        }
        Ok(changes)
    }

    /// Decides on one operation. A null where it is not allowed refuses the whole request, and so does a read: with the code of
    /// a request that cannot be read.
    #[inline]
    fn multi_op<'i>(&mut self, item: &'i MultiOpView<'i>, lists: &mut SentLists<'i>) -> Prepared {
        match item {
            MultiOpView::Create(request) if lacks_ttl(request) => Err(ErrorCode::MARSHALLING_ERROR),
            MultiOpView::Create(request) => self.create(request, Some(lists)),
            MultiOpView::Delete(request) => self.delete(request),
            MultiOpView::SetData(request) => self.set_data(request),
            MultiOpView::Check(request) => self.check(request),
            MultiOpView::Read { .. } => Err(ErrorCode::MARSHALLING_ERROR),
        }
    }
}

/// Returns `true` if the flags ask for a time to live, and the record has no field for it.
fn lacks_ttl(request: &CreateView<'_>) -> bool {
    request.op == OpCode::CREATE_TTL && request.ttl.is_none()
}
