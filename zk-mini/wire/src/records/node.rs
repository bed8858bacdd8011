//! Operations on nodes: create, read, write, delete, list.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use crate::acl::Acl;
use crate::codec::{Encode, decoded_records, records};
use crate::numbers::{Expected, Zxid};
use crate::stat::Stat;

/// Creates that differ in their op code only.
macro_rules! creates {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        records! {$(
            $(#[$meta])*
            $name {
                /// Path, without the counter that a sequential node gets.
                path: ByteString,
                /// Data of the node. Null and empty are kept apart.
                data: Option<Bytes>,
                /// ACL of the node. Null and empty are refused.
                acl: Option<Vec<Acl>>,
                /// Kind of node, see [`CreateMode`](crate::CreateMode).
                flags: i32,
            }
        )*}
    };
}

creates! {
    /// Creates a node; answers with its path.
    Create;
    /// Creates a node; answers with its path and [`Stat`].
    Create2;
    /// Creates a container; answers as [`Create2`].
    CreateContainer;
}

records! {
    /// Creates a node with a time to live; answers as [`Create2`].
    CreateTtl {
        /// Path, without the counter that a sequential node gets.
        path: ByteString,
        /// Data of the node.
        data: Option<Bytes>,
        /// ACL of the node.
        acl: Option<Vec<Acl>>,
        /// Kind of node.
        flags: i32,
        /// Time to live in milliseconds, without change and children.
        ttl: i64,
    }

    /// Answer to [`Create`].
    CreateResponse {
        /// Path of the created node.
        path: ByteString,
    }

    /// Answer to the other creates.
    Create2Response {
        /// Path of the created node.
        path: ByteString,
        /// `Stat` of the node.
        stat: Stat,
    }

    /// Deletes a node without children.
    Delete {
        /// Path of the node.
        path: ByteString,
        /// Data version that the node must have.
        version: Expected,
    }

    /// Deletes an empty container. The server refuses it from clients.
    DeleteContainer {
        /// Path of the node.
        path: ByteString,
    }

    /// Reads a node's `Stat`. The watch is set even if the node does not exist.
    Exists {
        /// Path of the node.
        path: ByteString,
        /// `true` to watch for the next creation, deletion or change of data.
        watch: bool,
    }

    /// `Stat` of a node.
    #[derive(Copy)]
    StatResponse {
        /// `Stat` of the node.
        stat: Stat,
    }

    /// Reads a node's data and `Stat`.
    GetData {
        /// Path of the node.
        path: ByteString,
        /// `true` to watch for the deletion or the next change of data.
        watch: bool,
    }

    /// Sets a node's data.
    SetData {
        /// Path of the node. Null is a bad argument.
        path: Option<ByteString>,
        /// New data.
        data: Option<Bytes>,
        /// Data version that the node must have.
        version: Expected,
    }

    /// Reads a node's ACL and `Stat`.
    GetAcl {
        /// Path of the node.
        path: ByteString,
    }

    /// ACL and `Stat` of a node.
    GetAclResponse {
        /// ACL of the node.
        acl: Vec<Acl>,
        /// `Stat` of the node.
        stat: Stat,
    }

    /// Sets a node's ACL.
    SetAcl {
        /// Path of the node. Null is a bad argument.
        path: Option<ByteString>,
        /// New ACL. Null and empty are refused.
        acl: Option<Vec<Acl>>,
        /// ACL version (`aversion`) that the node must have.
        version: Expected,
    }

    /// Reads the names of a node's children.
    GetChildren {
        /// Path of the node.
        path: ByteString,
        /// `true` to watch for the deletion or the next change of children.
        watch: bool,
    }

    /// Names of a node's children.
    GetChildrenResponse {
        /// Names, in no order.
        children: Vec<ByteString>,
    }

    /// Reads the names of a node's children and its `Stat`.
    GetChildren2 {
        /// Path of the node.
        path: ByteString,
        /// `true` to watch for the deletion or the next change of children.
        watch: bool,
    }

    /// Names of a node's children, and its `Stat`.
    GetChildren2Response {
        /// Names, in no order.
        children: Vec<ByteString>,
        /// `Stat` of the node.
        stat: Stat,
    }

    /// Counts the nodes below a node.
    GetAllChildrenNumber {
        /// Path of the node.
        path: ByteString,
    }

    /// Number of nodes below a node.
    #[derive(Copy)]
    GetAllChildrenNumberResponse {
        /// Number of nodes.
        total_number: i32,
    }

    /// Lists the ephemeral nodes of the session.
    GetEphemerals {
        /// Prefix of their paths, as plain text. Null lists all.
        prefix_path: Option<ByteString>,
    }

    /// Paths of ephemeral nodes.
    GetEphemeralsResponse {
        /// Paths.
        ephemerals: Vec<ByteString>,
    }

    /// Waits until the connected server has caught up with its leader.
    Sync {
        /// Path that the answer repeats, unchecked.
        path: Option<ByteString>,
    }

    /// Answer to [`Sync`].
    SyncResponse {
        /// Path of the request.
        path: Option<ByteString>,
    }

    /// Checks that a node exists and has a version. Only allowed in a multi.
    Check {
        /// Path of the node. Null is a bad argument.
        path: Option<ByteString>,
        /// Data version that the node must have.
        version: Expected,
    }

    /// Changes the members of an ensemble. Answers as [`GetData`].
    Reconfig {
        /// Servers to add.
        joining_servers: Option<ByteString>,
        /// Servers to remove.
        leaving_servers: Option<ByteString>,
        /// All servers, instead of the two lists above.
        new_members: Option<ByteString>,
        /// Configuration that is changed, -1 for any.
        current_config_id: Zxid,
    }
}

decoded_records! {
    /// Data and `Stat` of a node.
    GetDataResponse {
        /// Data of the node.
        data: Option<Bytes>,
        /// `Stat` of the node.
        stat: Stat,
    }
}

impl Encode for GetDataResponse {
    fn encode(&self, out: &mut BytesMut) {
        GetDataResponseView { data: self.data.as_deref(), stat: self.stat }.encode(out);
    }
}

/// Borrowed form of [`GetDataResponse`], which is written without a copy of the data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GetDataResponseView<'a> {
    /// Data of the node.
    pub data: Option<&'a [u8]>,
    /// `Stat` of the node.
    pub stat: Stat,
}

impl Encode for GetDataResponseView<'_> {
    fn encode(&self, out: &mut BytesMut) {
        self.data.encode(out);
        self.stat.encode(out);
    }
}
