//! The names of children, as replies have them.

use bytes::{Bytes, BytesMut};
use zk_wire::{ByteString, Encode, Zxid, put_len};

use crate::core::tree::name_set::NameSet;
use crate::core::tree::node::Node;

/// A list shorter than this is written sooner than looked for.
const LONG: usize = 64;

/// The names of a node's children.
pub(crate) enum Names<'a> {
    /// To be written without being collected.
    Each(&'a NameSet),
    /// Written before.
    Written { names: &'a Bytes, count: usize },
}

impl Names<'_> {
    /// Length of all names together.
    pub(crate) fn text_len(&self) -> usize {
        match self {
            Self::Each(names) => names.iter().map(|name| name.len()).sum(),
            // Each has its length before it, and all have their number.
            Self::Written { names, count } => names.len().saturating_sub(4 + 4 * count),
        }
    }
}

impl Encode for Names<'_> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Each(names) => {
                // Siblings are mostly of one length.
                out.reserve(4 + names.len() * (4 + names.last().map_or(0, |name| name.len())));
                put_len(names.len(), out);
                for name in names.iter() {
                    name.encode(out);
                }
            }
            Self::Written { names, .. } => out.extend_from_slice(names),
        }
    }
}

/// The long list that was asked for last, kept when it is asked for again: after a change everybody who watches a node
/// asks for the same one.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    path: ByteString,
    /// The node's when it was listed, with the number of its children: no change leaves both as they are.
    pzxid: Zxid,
    count: usize,
    written: Option<Bytes>,
}

impl Listing {
    /// The names of the children of a node.
    pub(crate) fn names<'a>(&'a mut self, path: &str, node: &'a Node) -> Names<'a> {
        let (pzxid, count) = (node.pzxid, node.children.len());
        if count < LONG {
            return Names::Each(&node.children);
        }
        if (self.pzxid, self.count) != (pzxid, count) || self.path != path {
            *self = Self { path: path.into(), pzxid, count, written: None };
            return Names::Each(&node.children);
        }
        let names = self.written.get_or_insert_with(|| {
            let mut written = BytesMut::new();
            Names::Each(&node.children).encode(&mut written);
            written.freeze()
        });
        Names::Written { names, count }
    }
}
