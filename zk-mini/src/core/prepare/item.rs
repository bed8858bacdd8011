//! The operations of multi and multiRead as sent, which are one record: it may hold writes or reads, and nulls are refused
//! only where they are looked at.

use bytes::Bytes;
use zk_wire::{ByteString, Check, CreateMode, Decode, DecodeError, MultiHeader, OpCode, SetData};

use super::{CreateRequest, DeleteRequest};
use crate::core::compat::Rules;

/// An operation of a multi or a multiRead.
#[derive(Debug)]
pub(in crate::core) enum Item {
    Create(CreateRequest),
    Delete(DeleteRequest),
    SetData(SetData),
    Check(Check),
    /// Its watch flag means nothing.
    Read {
        op: OpCode,
        path: Option<ByteString>,
    },
}

/// Why a multi is answered as one that cannot be read, whatever its operations are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) enum Unreadable {
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

impl Item {
    /// Reads items until the end marker. The first that makes no sense decides how all are refused.
    pub(in crate::core) fn decode_all(body: &mut Bytes, rules: &Rules) -> Result<Vec<Self>, Unreadable> {
        let mut items: Vec<Self> = Vec::new();
        loop {
            let header = MultiHeader::decode(body, "MultiHeader")?;
            if header.done {
                return Ok(items);
            }
            let item = Self::decode(header.op, body, rules)?;
            if items.first().is_some_and(|first| first.is_read() != item.is_read()) {
                return Err(Unreadable::TakesZxid);
            }
            items.push(item);
        }
    }

    fn decode(op: OpCode, body: &mut Bytes, rules: &Rules) -> Result<Self, Unreadable> {
        Ok(match op {
            OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
                let mut request = CreateRequest::decode(op, body)?;
                if rules.strict_creates_in_multi {
                    request.check_strictly()?;
                }
                request.retype(rules);
                Self::Create(request)
            }
            OpCode::DELETE => Self::Delete(Decode::decode(body, "Delete")?),
            OpCode::SET_DATA => Self::SetData(Decode::decode(body, "SetData")?),
            OpCode::CHECK => Self::Check(Decode::decode(body, "Check")?),
            OpCode::GET_DATA | OpCode::GET_CHILDREN => {
                let path = Decode::decode(body, "Multi.path")?;
                bool::decode(body, "Multi.watch")?;
                Self::Read { op, path }
            }
            _ => return Err(Unreadable::TakesZxid),
        })
    }

    fn is_read(&self) -> bool {
        matches!(self, Self::Read { .. })
    }

    pub(super) fn has_null_path(&self) -> bool {
        match self {
            Self::Create(request) => request.path.is_none(),
            Self::Delete(request) => request.path.is_none(),
            Self::SetData(request) => request.path.is_none(),
            Self::Check(request) => request.path.is_none(),
            Self::Read { path, .. } => path.is_none(),
        }
    }
}

impl CreateRequest {
    /// Refuses what the newer line refuses while it reads.
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
    fn retype(&mut self, rules: &Rules) {
        self.op = match CreateMode::from_flags(self.flags) {
            Some(CreateMode::Container) => OpCode::CREATE_CONTAINER,
            Some(mode) if mode.has_ttl() => OpCode::CREATE_TTL,
            _ if self.ttl.is_some() || !rules.create2_in_multi_has_stat => OpCode::CREATE,
            _ => self.op,
        };
    }
}
