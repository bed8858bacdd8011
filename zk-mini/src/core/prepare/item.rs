//! The operations of multi and multiRead as sent, which are one record: it may hold writes or reads, and nulls are refused
//! only where they are looked at.

use std::borrow::Cow;

use zk_wire::{CreateMode, DecodeError, Fields, OpCode};

use super::{CreateRequest, SetDataRequest, VersionedRequest};

/// An operation of a multi or a multiRead.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    Create(CreateRequest<'a>),
    Delete(VersionedRequest<'a>),
    SetData(SetDataRequest<'a>),
    Check(VersionedRequest<'a>),
    /// Its watch flag means nothing.
    Read {
        op: OpCode,
        path: Option<Cow<'a, str>>,
    },
}

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
    fn from(_: DecodeError) -> Self {
        Self::TakesZxid
    }
}

impl<'a> Item<'a> {
    /// Reads items until the end marker. The first that makes no sense decides how all are refused.
    pub(crate) fn read_all(mut body: Fields<'a>) -> Result<Vec<Self>, Unreadable> {
        let mut items: Vec<Self> = Vec::new();
        loop {
            let op = OpCode(body.int("MultiHeader.op")?);
            let done = body.boolean("MultiHeader.done")?;
            body.int("MultiHeader.err")?;
            if done {
                return Ok(items);
            }
            let item = Self::read(op, &mut body)?;
            if items.first().is_some_and(|first| first.is_read() != item.is_read()) {
                return Err(Unreadable::TakesZxid);
            }
            items.push(item);
        }
    }

    fn read(op: OpCode, body: &mut Fields<'a>) -> Result<Self, Unreadable> {
        Ok(match op {
            OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
                let mut request = CreateRequest::read(op, body)?;
                request.check_strictly()?;
                request.retype();
                Self::Create(request)
            }
            OpCode::DELETE => Self::Delete(VersionedRequest::read(body)?),
            OpCode::SET_DATA => Self::SetData(SetDataRequest::read(body)?),
            OpCode::CHECK => Self::Check(VersionedRequest::read(body)?),
            OpCode::GET_DATA | OpCode::GET_CHILDREN => {
                let path = body.text("Multi.path")?;
                body.boolean("Multi.watch")?;
                Self::Read { op, path }
            }
            _ => return Err(Unreadable::TakesZxid),
        })
    }

    fn is_read(&self) -> bool {
        matches!(self, Self::Read { .. })
    }

    pub(crate) fn has_null_path(&self) -> bool {
        match self {
            Self::Create(request) => request.path.is_none(),
            Self::Delete(request) | Self::Check(request) => request.path.is_none(),
            Self::SetData(request) => request.path.is_none(),
            Self::Read { path, .. } => path.is_none(),
        }
    }
}

impl CreateRequest<'_> {
    /// Refuses what ZooKeeper refuses while it reads.
    fn check_strictly(&self) -> Result<(), Unreadable> {
        if self.ttl.is_some() {
            return Ok(());
        }
        let mode = CreateMode::from_flags(self.flags).ok_or(Unreadable::TakesZxid)?;
        if self.acl.is_none() {
            return Err(Unreadable::TakesNoZxid);
        }
        if mode.has_ttl() { Err(Unreadable::TakesZxid) } else { Ok(()) }
    }

    /// Takes a create inside a multi for what its flags say: they make a container, and not its op code.
    fn retype(&mut self) {
        self.op = match CreateMode::from_flags(self.flags) {
            Some(CreateMode::Container) => OpCode::CREATE_CONTAINER,
            Some(mode) if mode.has_ttl() => OpCode::CREATE_TTL,
            _ if self.ttl.is_some() => OpCode::CREATE,
            _ => self.op,
        };
    }
}
