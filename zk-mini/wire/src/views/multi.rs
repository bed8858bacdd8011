//! Views of operations in a multi or a multiRead. Both are one record, so both can hold writes or reads.

use std::borrow::Cow;

use super::{CreateView, RequestView, SetDataView, VersionedPathView};
use crate::codec::DecodeError;
use crate::create_mode::CreateMode;
use crate::fields::Fields;
use crate::op::OpCode;

/// Borrowed form of an operation in a [`Multi`](crate::Multi) or a [`MultiRead`](crate::MultiRead).
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each variant is documented by the view that it holds")]
pub enum MultiOpView<'a> {
    Create(CreateView<'a>),
    Delete(VersionedPathView<'a>),
    SetData(SetDataView<'a>),
    Check(VersionedPathView<'a>),
    /// A getData or a getChildren. The server ignores its watch flag.
    Read {
        /// Operation.
        op: OpCode,
        /// Path of the node.
        path: Option<Cow<'a, str>>,
    },
}

/// Number of operations for which there is room at once: as many as fit 1 KB, which allocators have at hand.
const FIRST: usize = 1_000 / size_of::<MultiOpView<'_>>();

impl<'a> MultiOpView<'a> {
    /// Reads operations until the end marker.
    ///
    /// # Errors
    /// [`DecodeError`] of the first operation that the server cannot read or refuses while it reads:
    /// [`DecodeError::Null`] for a create without an ACL, [`DecodeError::BadFlags`] for bad flags of a create,
    /// [`DecodeError::UnexpectedType`] for an operation that is not allowed here or for a mix of reads and writes.
    pub fn read_all(mut fields: Fields<'a>) -> Result<Vec<Self>, DecodeError> {
        let mut ops: Vec<Self> = Vec::with_capacity(FIRST);
        loop {
            let op = OpCode(fields.int("MultiHeader.op")?);
            let done = fields.boolean("MultiHeader.done")?;
            fields.int("MultiHeader.err")?;
            if done {
                return Ok(ops);
            }
            let view = Self::read(op, &mut fields)?;
            if ops.first().is_some_and(|first| first.is_read() != view.is_read()) {
                return Err(unexpected(op));
            }
            ops.push(view);
        }
    }

    fn read(op: OpCode, fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
                let mut view = CreateView::read(op, fields)?;
                view.check_in_multi()?;
                view.op = view.op_by_flags();
                Self::Create(view)
            }
            OpCode::DELETE => Self::Delete(RequestView::read(op, fields)?),
            OpCode::SET_DATA => Self::SetData(RequestView::read(op, fields)?),
            OpCode::CHECK => Self::Check(RequestView::read(op, fields)?),
            OpCode::GET_DATA | OpCode::GET_CHILDREN => {
                let path = fields.text("Multi.path")?;
                fields.boolean("Multi.watch")?;
                Self::Read { op, path }
            }
            op => return Err(unexpected(op)),
        })
    }

    fn is_read(&self) -> bool {
        matches!(self, Self::Read { .. })
    }

    /// Returns the operation that names the result.
    #[must_use]
    pub fn op(&self) -> OpCode {
        match self {
            Self::Create(view) => view.op,
            Self::Delete(_) => OpCode::DELETE,
            Self::SetData(_) => OpCode::SET_DATA,
            Self::Check(_) => OpCode::CHECK,
            Self::Read { op, .. } => *op,
        }
    }

    /// Returns the path as sent, without the rest.
    #[must_use]
    pub fn into_path(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Create(view) => view.path,
            Self::Delete(view) | Self::Check(view) => view.path,
            Self::SetData(view) => view.path,
            Self::Read { path, .. } => path,
        }
    }

    /// Returns the path as sent.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Create(view) => view.path.as_deref(),
            Self::Delete(view) | Self::Check(view) => view.path.as_deref(),
            Self::SetData(view) => view.path.as_deref(),
            Self::Read { path, .. } => path.as_deref(),
        }
    }
}

impl CreateView<'_> {
    /// Refuses a create that the server refuses while it reads a multi. A create with a time to live passes.
    fn check_in_multi(&self) -> Result<(), DecodeError> {
        if self.ttl.is_some() {
            return Ok(());
        }
        let bad_flags = DecodeError::BadFlags { what: "Create.flags", flags: self.flags };
        let mode = CreateMode::from_flags(self.flags).ok_or(bad_flags)?;
        if self.acl.is_none() {
            return Err(DecodeError::Null { what: "Create.acl" });
        }
        if mode.has_ttl() { Err(bad_flags) } else { Ok(()) }
    }

    /// Returns the op code of a create in a multi: there the flags make a container, not the op code.
    fn op_by_flags(&self) -> OpCode {
        match CreateMode::from_flags(self.flags) {
            Some(CreateMode::Container) => OpCode::CREATE_CONTAINER,
            Some(mode) if mode.has_ttl() => OpCode::CREATE_TTL,
            _ if self.ttl.is_some() => OpCode::CREATE,
            _ => self.op,
        }
    }
}

fn unexpected(OpCode(op): OpCode) -> DecodeError {
    DecodeError::UnexpectedType { what: "Multi.op", op }
}
