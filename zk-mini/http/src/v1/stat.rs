//! `Stat` of a node.

use serde::Serialize;
use utoipa::ToSchema;

use crate::hex::Hex;

/// `Stat` of a node, with ZooKeeper's names.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stat {
    /// Transaction that created the node.
    czxid: Hex,
    /// Transaction that last set its data.
    mzxid: Hex,
    /// Time of the creation, in milliseconds since 1970.
    ctime: i64,
    /// Time at which its data was last set, in milliseconds since 1970.
    mtime: i64,
    /// Number of changes of the data.
    version: i32,
    /// Number of children created and deleted.
    cversion: i32,
    /// Number of changes of the access control list.
    aversion: i32,
    /// Session that owns an ephemeral node; otherwise `0x0`.
    ephemeral_owner: Hex,
    /// Number of bytes of the data.
    data_length: i32,
    /// Number of children.
    num_children: i32,
    /// Transaction that last created or deleted a child.
    pzxid: Hex,
}

impl From<zk_wire::Stat> for Stat {
    fn from(stat: zk_wire::Stat) -> Self {
        Self {
            czxid: stat.czxid.into(),
            mzxid: stat.mzxid.into(),
            ctime: stat.ctime.0,
            mtime: stat.mtime.0,
            version: stat.version.0,
            cversion: stat.cversion.0,
            aversion: stat.aversion.0,
            ephemeral_owner: stat.ephemeral_owner.into(),
            data_length: stat.data_length,
            num_children: stat.num_children,
            pzxid: stat.pzxid.into(),
        }
    }
}
