//! Operations on watches.

use bytestring::ByteString;

use crate::codec::records;
use crate::error_code::ErrorCode;
use crate::numbers::Zxid;

records! {
    /// Sets the watches of an earlier connection again and learns what they missed.
    SetWatches {
        /// The last transaction that the client has seen.
        relative_zxid: Zxid,
        /// Nodes with data watches, set by getData or a successful exists.
        data_watches: Vec<ByteString>,
        /// Nodes with exists watches that did not exist.
        exist_watches: Vec<ByteString>,
        /// Nodes with child watches.
        child_watches: Vec<ByteString>,
    }

    /// [`SetWatches`] with the persistent ones.
    SetWatches2 {
        /// The last transaction that the client has seen.
        relative_zxid: Zxid,
        /// Nodes with data watches, set by getData or a successful exists.
        data_watches: Vec<ByteString>,
        /// Nodes with exists watches that did not exist.
        exist_watches: Vec<ByteString>,
        /// Nodes with child watches.
        child_watches: Vec<ByteString>,
        /// Nodes with persistent watches.
        persistent_watches: Vec<ByteString>,
        /// Nodes with persistent recursive watches.
        persistent_recursive_watches: Vec<ByteString>,
    }

    /// Adds a watch that stays.
    AddWatch {
        /// The node, existing or not.
        path: ByteString,
        /// 0 persistent, 1 persistent recursive.
        mode: i32,
    }

    /// The answer to [`AddWatch`]: the error code once more.
    #[derive(Copy)]
    AddWatchResponse {
        /// `OK`.
        err: ErrorCode,
    }

    /// Asks whether a watch is set.
    CheckWatches {
        /// The node.
        path: ByteString,
        /// 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
        watcher_type: i32,
    }

    /// Removes watches.
    RemoveWatches {
        /// The node.
        path: ByteString,
        /// 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
        watcher_type: i32,
    }
}
