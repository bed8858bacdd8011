//! Views of operations on watches.

use std::borrow::Cow;

use super::{Field, RequestView, views};
use crate::codec::DecodeError;
use crate::fields::Fields;
use crate::numbers::Zxid;
use crate::op::OpCode;

/// List of paths as sent: the list or paths in it can be null.
pub type PathsView<'a> = Option<Vec<Option<Cow<'a, str>>>>;

/// Borrowed form of [`SetWatches`](crate::SetWatches) and [`SetWatches2`](crate::SetWatches2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetWatchesView<'a> {
    /// Last transaction that the client has seen.
    pub relative_zxid: Zxid,
    /// Nodes with data watches, set by getData or a successful exists.
    pub data_watches: PathsView<'a>,
    /// Nodes with exists watches that did not exist.
    pub exist_watches: PathsView<'a>,
    /// Nodes with child watches.
    pub child_watches: PathsView<'a>,
    /// Nodes with persistent watches; empty in a `SetWatches`.
    pub persistent_watches: PathsView<'a>,
    /// Nodes with persistent recursive watches; empty in a `SetWatches`.
    pub persistent_recursive_watches: PathsView<'a>,
}

impl<'a> RequestView<'a> for SetWatchesView<'a> {
    fn read(op: OpCode, fields: &mut Fields<'a>) -> Result<Self, DecodeError> {
        let mut view = Self {
            relative_zxid: Field::read(fields, "SetWatches.relative_zxid")?,
            data_watches: Field::read(fields, "SetWatches.data_watches")?,
            exist_watches: Field::read(fields, "SetWatches.exist_watches")?,
            child_watches: Field::read(fields, "SetWatches.child_watches")?,
            persistent_watches: Some(Vec::new()),
            persistent_recursive_watches: Some(Vec::new()),
        };
        if op == OpCode::SET_WATCHES2 {
            view.persistent_watches = Field::read(fields, "SetWatches2.persistent_watches")?;
            view.persistent_recursive_watches =
                Field::read(fields, "SetWatches2.persistent_recursive_watches")?;
        }
        Ok(view)
    }
}

views! {
    /// Borrowed form of [`AddWatch`](crate::AddWatch).
    AddWatchView {
        /// Path to watch; null is refused.
        path: Cow<'a, str>,
        /// 0 persistent, 1 persistent recursive.
        mode: i32,
    }

    /// Borrowed form of [`CheckWatches`](crate::CheckWatches) and [`RemoveWatches`](crate::RemoveWatches).
    WatcherTypeView {
        /// Watched path.
        path: Option<Cow<'a, str>>,
        /// 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
        watcher_type: i32,
    }
}
