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
                /// The node, without the counter that a sequential one will get.
                path: ByteString,
                /// Its data; null and empty are kept apart.
                data: Option<Bytes>,
                /// Its ACL; null and empty are refused.
                acl: Option<Vec<Acl>>,
                /// What kind of node, see [`CreateMode`](crate::CreateMode).
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
        /// The node, without the counter that a sequential one will get.
        path: ByteString,
        /// Its data.
        data: Option<Bytes>,
        /// Its ACL.
        acl: Option<Vec<Acl>>,
        /// What kind of node.
        flags: i32,
        /// How long it lives without change and children, in milliseconds.
        ttl: i64,
    }

    /// The answer to [`Create`].
    CreateResponse {
        /// The node as created.
        path: ByteString,
    }

    /// The answer to the other creates.
    Create2Response {
        /// The node as created.
        path: ByteString,
        /// Its `Stat`.
        stat: Stat,
    }

    /// Deletes a node without children.
    Delete {
        /// The node.
        path: ByteString,
        /// The data version that it must have.
        version: Expected,
    }

    /// Deletes an empty container; refused from clients.
    DeleteContainer {
        /// The node.
        path: ByteString,
    }

    /// Asks for a node's `Stat`. The watch is set also when the node does not exist.
    Exists {
        /// The node.
        path: ByteString,
        /// Whether to tell of its next creation, deletion or change of data.
        watch: bool,
    }

    /// Just a `Stat`.
    #[derive(Copy)]
    StatResponse {
        /// It.
        stat: Stat,
    }

    /// Asks for a node's data.
    GetData {
        /// The node.
        path: ByteString,
        /// Whether to tell of its deletion or next change of data.
        watch: bool,
    }

    /// Sets a node's data.
    SetData {
        /// The node; null is a bad argument.
        path: Option<ByteString>,
        /// The new data.
        data: Option<Bytes>,
        /// The data version that it must have.
        version: Expected,
    }

    /// Asks for a node's ACL.
    GetAcl {
        /// The node.
        path: ByteString,
    }

    /// ACL and `Stat`.
    GetAclResponse {
        /// The node's ACL.
        acl: Vec<Acl>,
        /// Its `Stat`.
        stat: Stat,
    }

    /// Sets a node's ACL.
    SetAcl {
        /// The node; null is a bad argument.
        path: Option<ByteString>,
        /// The new ACL; null and empty are refused.
        acl: Option<Vec<Acl>>,
        /// The ACL version (`aversion`) that it must have.
        version: Expected,
    }

    /// Asks for the names of a node's children.
    GetChildren {
        /// The node.
        path: ByteString,
        /// Whether to tell of its deletion or next change of children.
        watch: bool,
    }

    /// The names, in no order.
    GetChildrenResponse {
        /// They.
        children: Vec<ByteString>,
    }

    /// Asks for the names of a node's children and its `Stat`.
    GetChildren2 {
        /// The node.
        path: ByteString,
        /// Whether to tell of its deletion or next change of children.
        watch: bool,
    }

    /// Names and `Stat`.
    GetChildren2Response {
        /// The children's names, in no order.
        children: Vec<ByteString>,
        /// The node's `Stat`.
        stat: Stat,
    }

    /// Asks how many nodes are below a node.
    GetAllChildrenNumber {
        /// The node.
        path: ByteString,
    }

    /// A number of nodes.
    #[derive(Copy)]
    GetAllChildrenNumberResponse {
        /// It.
        total_number: i32,
    }

    /// Asks for the session's own ephemeral nodes.
    GetEphemerals {
        /// The plain string that their paths begin with; null is all.
        prefix_path: Option<ByteString>,
    }

    /// Paths of ephemeral nodes.
    GetEphemeralsResponse {
        /// They.
        ephemerals: Vec<ByteString>,
    }

    /// Waits until the connected server has caught up with its leader.
    Sync {
        /// Echoed without a look.
        path: Option<ByteString>,
    }

    /// The answer to [`Sync`].
    SyncResponse {
        /// As asked.
        path: Option<ByteString>,
    }

    /// Asks that a node exists and has a version; meant for multis.
    Check {
        /// The node; null is a bad argument.
        path: Option<ByteString>,
        /// The data version that it must have.
        version: Expected,
    }

    /// Changes the members of an ensemble; answers as [`GetData`].
    Reconfig {
        /// Servers to add.
        joining_servers: Option<ByteString>,
        /// Servers to remove.
        leaving_servers: Option<ByteString>,
        /// All servers, instead of the two above.
        new_members: Option<ByteString>,
        /// The configuration that it changes, -1 for any.
        current_config_id: Zxid,
    }
}

decoded_records! {
    /// Data and `Stat`.
    GetDataResponse {
        /// The node's data.
        data: Option<Bytes>,
        /// Its `Stat`.
        stat: Stat,
    }
}

impl Encode for GetDataResponse {
    fn encode(&self, out: &mut BytesMut) {
        GetDataResponseView { data: self.data.as_deref(), stat: self.stat }.encode(out);
    }
}

/// Borrowed form of [`GetDataResponse`], to be written without a copy of the data.
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
