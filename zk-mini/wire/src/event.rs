//! Watch events: messages of the server that answer no request.

use std::fmt;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use crate::codec::{Decode, DecodeError, Encode, decoded_records};

macro_rules! open_enum {
    ($(#[$meta:meta])* $type:ident { $($(#[$value_meta:meta])* $name:ident = $code:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $type(
            /// Value as on the wire.
            pub i32,
        );
        impl $type {
            $($(#[$value_meta])* pub const $name: Self = Self($code);)*

            /// Every value that has a name.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the value with this name, in ZooKeeper's spelling; `None` for any other text.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name => f.write_str($text),)*
                    Self(other) => write!(f, "{} {other}", stringify!($type)),
                }
            }
        }
        impl Encode for $type {
            fn encode(&self, out: &mut BytesMut) {
                self.0.encode(out);
            }
        }
        impl Decode for $type {
            fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
                i32::decode(input, what).map(Self)
            }
        }
    };
}

open_enum! {
    /// Type of change at a watched node.
    EventType {
        /// No change at a node: the state of the connection changed.
        NONE = -1, "None";
        /// The node was created.
        NODE_CREATED = 1, "NodeCreated";
        /// The node was deleted.
        NODE_DELETED = 2, "NodeDeleted";
        /// The node's data was set, even if to the same value.
        NODE_DATA_CHANGED = 3, "NodeDataChanged";
        /// A child was created or deleted.
        NODE_CHILDREN_CHANGED = 4, "NodeChildrenChanged";
        /// A data watch was removed by its client.
        DATA_WATCH_REMOVED = 5, "DataWatchRemoved";
        /// A child watch was removed by its client.
        CHILD_WATCH_REMOVED = 6, "ChildWatchRemoved";
        /// A persistent watch was removed by its client.
        PERSISTENT_WATCH_REMOVED = 7, "PersistentWatchRemoved";
    }
}

open_enum! {
    /// State of the connection that delivers the event.
    KeeperState {
        /// No server is connected.
        DISCONNECTED = 0, "Disconnected";
        /// Connected to a server that serves writes; the state of every watch event.
        SYNC_CONNECTED = 3, "SyncConnected";
        /// Authentication failed.
        AUTH_FAILED = 4, "AuthFailed";
        /// Connected to a read-only server.
        CONNECTED_READ_ONLY = 5, "ConnectedReadOnly";
        /// The session has expired.
        EXPIRED = -112, "Expired";
    }
}

decoded_records! {
    /// Watch event: `WatcherEvent` of ZooKeeper's protocol. It follows a [`ReplyHeader`](crate::ReplyHeader) with
    /// [`Xid::NOTIFICATION`](crate::Xid::NOTIFICATION).
    WatchedEvent {
        /// Type of change.
        event: EventType,
        /// State of the connection.
        state: KeeperState,
        /// Path of the changed node.
        path: ByteString,
    }
}

impl Encode for WatchedEvent {
    fn encode(&self, out: &mut BytesMut) {
        WatchedEventView { event: self.event, state: self.state, path: &self.path }.encode(out);
    }
}

/// Borrowed form of [`WatchedEvent`], which is written without a copy of the path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WatchedEventView<'a> {
    /// Type of change.
    pub event: EventType,
    /// State of the connection.
    pub state: KeeperState,
    /// Path of the changed node.
    pub path: &'a str,
}

impl Encode for WatchedEventView<'_> {
    fn encode(&self, out: &mut BytesMut) {
        self.event.encode(out);
        self.state.encode(out);
        self.path.encode(out);
    }
}
