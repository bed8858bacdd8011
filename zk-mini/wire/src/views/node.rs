//! Views of operations on nodes.

use std::borrow::Cow;

use bytes::BytesMut;

use super::{Field, RequestView, views};
use crate::acl::{Acl, Perms};
use crate::codec::{DecodeError, Encode};
use crate::fields::Fields;
use crate::numbers::Expected;
use crate::op::OpCode;

/// Borrowed form of every create: [`Create`](crate::Create), [`Create2`](crate::Create2),
/// [`CreateContainer`](crate::CreateContainer) and [`CreateTtl`](crate::CreateTtl).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CreateView<'a> {
    /// Op code of the request. In a multi it follows from the flags.
    pub op: OpCode,
    /// Path, without the counter that a sequential node gets.
    pub path: Option<Cow<'a, str>>,
    /// Data of the node.
    pub data: Option<&'a [u8]>,
    /// Access control list.
    pub acl: Option<AclListView<'a>>,
    /// Kind of node, see [`CreateMode`](crate::CreateMode).
    pub flags: i32,
    /// Time to live in milliseconds; `None` if the record has no such field.
    pub ttl: Option<i64>,
}

impl<'a> RequestView<'a> for CreateView<'a> {
    fn read(op: OpCode, fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            op,
            path: fields.text("Create.path")?,
            data: fields.buffer("Create.data")?,
            acl: Field::read(fields, "Create.acl")?,
            flags: fields.int("Create.flags")?,
            ttl: if op == OpCode::CREATE_TTL { Some(fields.long("CreateTtl.ttl")?) } else { None },
        })
    }
}

/// Access control list as it was sent. It has been checked to be whole; an entry is read when it is asked for, because most
/// clients send a list that the server knows already.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AclListView<'a> {
    entries: Cow<'a, [u8]>,
}

impl AclListView<'_> {
    /// Writes a list as a client sends it.
    #[must_use]
    pub fn of(list: &[Acl]) -> Self {
        Self { entries: Cow::Owned(Self::encoded(list).to_vec()) }
    }

    /// Returns the entries of a list as they are sent. Equal bytes are equal lists.
    #[must_use]
    pub fn encoded(list: &[Acl]) -> BytesMut {
        let mut entries = BytesMut::new();
        list.iter().for_each(|entry| entry.encode(&mut entries));
        entries
    }

    /// Returns the entries as they were sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.entries
    }

    /// Returns the entries.
    pub fn iter(&self) -> impl Iterator<Item = AclView<'_>> {
        let mut left = Fields::new(&self.entries);
        std::iter::from_fn(move || AclView::read(&mut left, "Acl").ok())
    }
}

impl<'a> Field<'a> for Option<AclListView<'a>> {
    fn read(fields: &mut Fields<'a>, what: &'static str) -> Result<Self, DecodeError> {
        let Some(count) = fields.item_count(what)? else { return Ok(None) };
        let entries = fields.span(|fields| {
            (0..count).try_for_each(|_| {
                fields.int("Acl.perms")?;
                fields.buffer("Acl.scheme")?;
                fields.buffer("Acl.id").map(|_| ())
            })
        })?;
        Ok(Some(AclListView { entries: Cow::Borrowed(entries) }))
    }
}

/// Borrowed form of [`Acl`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct AclView<'a> {
    /// Permissions.
    pub perms: Perms,
    /// Scheme of the identity.
    pub scheme: Option<Cow<'a, str>>,
    /// Identity, in the scheme's own form.
    pub id: Option<Cow<'a, str>>,
}

impl<'a> Field<'a> for AclView<'a> {
    fn read(fields: &mut Fields<'a>, _: &'static str) -> Result<Self, DecodeError> {
        Ok(Self {
            perms: Perms(fields.int("Acl.perms")?),
            scheme: fields.text("Acl.scheme")?,
            id: fields.text("Acl.id")?,
        })
    }
}

views! {
    /// Borrowed form of [`Delete`](crate::Delete) and [`Check`](crate::Check).
    VersionedPathView {
        /// Path of the node.
        path: Option<Cow<'a, str>>,
        /// Data version that the node must have.
        version: Expected,
    }

    /// Borrowed form of [`SetData`](crate::SetData).
    SetDataView {
        /// Path of the node.
        path: Option<Cow<'a, str>>,
        /// New data.
        data: Option<&'a [u8]>,
        /// Data version that the node must have.
        version: Expected,
    }

    /// Borrowed form of [`SetAcl`](crate::SetAcl).
    SetAclView {
        /// Path of the node.
        path: Option<Cow<'a, str>>,
        /// New access control list.
        acl: Option<AclListView<'a>>,
        /// ACL version (`aversion`) that the node must have.
        version: Expected,
    }

    /// Borrowed form of requests with a path only: [`GetAcl`](crate::GetAcl),
    /// [`GetAllChildrenNumber`](crate::GetAllChildrenNumber).
    PathView {
        /// Path of the node; null is refused.
        path: Cow<'a, str>,
    }

    /// Borrowed form of requests with a path or null: [`Sync`](crate::Sync), [`GetEphemerals`](crate::GetEphemerals).
    OptionalPathView {
        /// Path, or prefix of paths.
        path: Option<Cow<'a, str>>,
    }

    /// Borrowed form of reads that can set a watch: [`Exists`](crate::Exists), [`GetData`](crate::GetData),
    /// [`GetChildren`](crate::GetChildren), [`GetChildren2`](crate::GetChildren2).
    WatchedPathView {
        /// Path of the node; null is refused.
        path: Cow<'a, str>,
        /// `true` to set a watch.
        watch: bool,
    }

    /// Borrowed form of [`Reconfig`](crate::Reconfig).
    ReconfigView {
        /// Servers to add.
        joining_servers: Option<Cow<'a, str>>,
        /// Servers to remove.
        leaving_servers: Option<Cow<'a, str>>,
        /// All servers, instead of the two above.
        new_members: Option<Cow<'a, str>>,
        /// Configuration that it changes, -1 for any.
        current_config_id: i64,
    }
}
