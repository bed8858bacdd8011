//! Names of children in replies.

use bytes::{Bytes, BytesMut};
use zk_wire::{ByteString, Encode, Zxid, put_len};

use crate::core::tree::name_set::NameSet;
use crate::core::tree::node::Node;

/// Minimum length of a list that is kept. Shorter ones are written in less time than a lookup takes.
const LONG: usize = 64;

/// Names of a node's children.
pub(crate) enum Names<'a> {
    /// Set of names, which is written without a copy.
    Each(&'a NameSet),
    /// Names in written form.
    Written { names: &'a Bytes, count: usize },
}

impl Names<'_> {
    /// Returns the number of bytes of all names.
    pub(crate) fn text_len(&self) -> usize {
        match self {
            Self::Each(names) => names.bytes(),
            // The written form has a length before each name, and the number of names at its front.
            Self::Written { names, count } => names.len().saturating_sub(4 + 4 * count),
        }
    }
}

impl Encode for Names<'_> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Each(names) => {
                out.reserve(4 + 4 * names.len() + names.bytes());
                put_len(names.len(), out);
                for name in names.iter() {
                    name.encode(out);
                }
            }
            Self::Written { names, .. } => out.extend_from_slice(names),
        }
    }
}

/// Cache of the long list that was read last, in written form. After a change every watcher reads the same list.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    path: ByteString,
    /// State of the node at that time. Every change of children changes one of these numbers.
    pzxid: Zxid,
    count: usize,
    written: Option<Bytes>,
}

impl Listing {
    /// Returns the names of a node's children.
    pub(crate) fn names<'a>(&'a mut self, path: &str, node: &'a Node) -> Names<'a> {
        let (pzxid, count) = (node.pzxid(), node.children().len());
        if count < LONG {
            return Names::Each(node.children());
        }
        if (self.pzxid, self.count) != (pzxid, count) || self.path != path {
            // The list is written only when it is asked for again.
            *self = Self { path: path.into(), pzxid, count, written: None };
            return Names::Each(node.children());
        }
        let names = self.written.get_or_insert_with(|| {
            let mut written = BytesMut::new();
            Names::Each(node.children()).encode(&mut written);
            written.freeze()
        });
        Names::Written { names, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_name_does_not_make_room_for_all() {
        let mut names = NameSet::new();
        (0..1_000).for_each(|number| assert!(names.insert(&format!("{number:04}"))));
        assert!(names.insert(&"z".repeat(100_000)));
        let mut out = BytesMut::new();
        Names::Each(&names).encode(&mut out);
        assert_eq!(out.len(), 4 + 1_000 * 8 + 4 + 100_000);
        assert!(out.capacity() < 2 * out.len(), "{} bytes", out.capacity());
    }
}
