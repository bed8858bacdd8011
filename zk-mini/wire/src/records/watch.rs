//! Operations on watches.

use bytestring::ByteString;

use crate::codec::records;
use crate::error_code::ErrorCode;
use crate::numbers::Zxid;

records! {
    /// Sets the watches of an earlier connection again. The server sends events for changes since then.
    SetWatches {
        /// Last transaction that the client has seen.
        relative_zxid: Zxid,
        /// Nodes with data watches, set by getData or a successful exists.
        data_watches: Vec<ByteString>,
        /// Nodes with exists watches that did not exist.
        exist_watches: Vec<ByteString>,
        /// Nodes with child watches.
        child_watches: Vec<ByteString>,
    }

    /// [`SetWatches`] with persistent watches.
    SetWatches2 {
        /// Last transaction that the client has seen.
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

    /// Adds a watch that stays until it is removed.
    AddWatch {
        /// Path to watch; the node need not exist.
        path: ByteString,
        /// 0 persistent, 1 persistent recursive.
        mode: i32,
    }

    /// Answer to [`AddWatch`]: the error code once more.
    #[derive(Copy)]
    AddWatchResponse {
        /// Always `OK`.
        err: ErrorCode,
    }

    /// Checks that a watch is set.
    CheckWatches {
        /// Path of the watch.
        path: ByteString,
        /// 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
        watcher_type: i32,
    }

    /// Removes watches.
    RemoveWatches {
        /// Path of the watch.
        path: ByteString,
        /// 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
        watcher_type: i32,
    }
}
