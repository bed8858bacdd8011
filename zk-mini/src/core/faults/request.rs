//! Requests as rules see them: operations and paths, read from the body before it is handled.

use std::borrow::Cow;

use zk_wire::{Fields, MultiOpView, OpCode, PathsView, RequestView, SetWatchesView};

/// Operation and paths of a request. A body that cannot be read has no paths.
#[derive(Debug)]
pub(crate) struct RequestInfo<'a> {
    pub(crate) op: OpCode,
    /// Each path, with the operation that names it: the request's own, or one in a multi.
    paths: Vec<(OpCode, Cow<'a, str>)>,
}

impl<'a> RequestInfo<'a> {
    pub(crate) fn read(op: OpCode, mut body: Fields<'a>) -> Self {
        let mut paths = Vec::new();
        match op {
            _ if op.begins_with_path() => {
                paths.extend(body.text("path").ok().flatten().map(|path| (op, path)));
            }
            OpCode::MULTI | OpCode::MULTI_READ => {
                let items = MultiOpView::read_all(body).unwrap_or_default();
                let path = |item: MultiOpView<'a>| Some((item.op(), item.into_path()?));
                paths.extend(items.into_iter().filter_map(path));
            }
            OpCode::SET_WATCHES | OpCode::SET_WATCHES2 => {
                if let Ok(view) = SetWatchesView::read(op, &mut body) {
                    let lists: [PathsView<'a>; 5] = [
                        view.data_watches,
                        view.exist_watches,
                        view.child_watches,
                        view.persistent_watches,
                        view.persistent_recursive_watches,
                    ];
                    paths.extend(lists.into_iter().flatten().flatten().flatten().map(|path| (op, path)));
                }
            }
            _ => {}
        }
        Self { op, paths }
    }

    /// Returns the first path, if there is one.
    pub(crate) fn first_path(&self) -> Option<&str> {
        self.paths.first().map(|(_, path)| &**path)
    }

    /// Returns the first path for which `holds` is true of it and of its operation.
    pub(crate) fn path_where(&self, holds: impl Fn(OpCode, &str) -> bool) -> Option<&str> {
        self.paths.iter().find(|(op, path)| holds(*op, path)).map(|(_, path)| &**path)
    }
}
