//! The part of a tree that is kept. Pure.

use std::fmt;
use std::sync::Arc;

use super::tree::names_below;

/// Decides by the path of a node.
pub(super) type Filter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Part of a tree below a node, at most so many levels deep.
#[derive(Clone)]
pub(crate) struct Scope {
    root: String,
    depth: usize,
    filter: Option<Filter>,
}

impl Scope {
    pub(super) fn new(root: &str, depth: usize, filter: Option<Filter>) -> Self {
        Self { root: root.to_owned(), depth, filter }
    }

    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Returns true for the root and the nodes below it that are kept if their parents are.
    pub(super) fn contains(&self, path: &str) -> bool {
        match self.depth_of(path) {
            None => false,
            Some(0) => true,
            Some(depth) => depth <= self.depth && self.filter.as_ref().is_none_or(|filter| filter(path)),
        }
    }

    /// Returns true if children of this node are kept.
    pub(super) fn reaches_below(&self, path: &str) -> bool {
        self.depth_of(path).is_some_and(|depth| depth < self.depth)
    }

    fn depth_of(&self, path: &str) -> Option<usize> {
        names_below(&self.root, path).map(Iterator::count)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { root, depth, filter } = self;
        let mut shown = f.debug_struct("Scope");
        shown.field("root", root).field("depth", depth).field("filtered", &filter.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_ends_at_its_depth_and_leaves_out_what_the_filter_does() {
        let filter: Filter = Arc::new(|path| !path.ends_with("/tmp"));
        let scope = Scope::new("/app", 2, Some(filter));
        for path in ["/app", "/app/a", "/app/a/b"] {
            assert!(scope.contains(path), "{path}");
        }
        for path in ["/", "/apple", "/other", "/app/a/b/c", "/app/tmp"] {
            assert!(!scope.contains(path), "{path}");
        }
        assert!(scope.reaches_below("/app/a") && !scope.reaches_below("/app/a/b"));
        assert!(Scope::new("/app/tmp", 0, scope.filter).contains("/app/tmp"), "the root is always kept");
        assert!(Scope::new("/", 1, None).contains("/a"));
    }
}
