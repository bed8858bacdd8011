//! Overlay: the nodes that a multi has changed so far, for its later operations.

use foldhash::HashMap;
use zk_wire::ByteString;

use super::NodeRecord;

/// Node after a change; `None` if it is deleted.
type Changed<'a> = Option<NodeRecord<'a>>;

/// Changed nodes.
#[derive(Default)]
pub(super) struct Overlay<'a> {
    /// The node that was changed last: the next operation is often about it, too.
    latest: Option<(ByteString, Changed<'a>)>,
    /// The others. An entry of the latest one is out of date.
    others: HashMap<ByteString, Changed<'a>>,
}

impl<'a> Overlay<'a> {
    /// Returns a node that was changed, with its path.
    #[inline]
    pub(super) fn get(&self, path: &str) -> Option<(&ByteString, &Changed<'a>)> {
        match &self.latest {
            Some((latest, changed)) if *latest == *path => Some((latest, changed)),
            _ if self.others.is_empty() => None,
            _ => self.others.get_key_value(path),
        }
    }

    /// Records a change of the node at `path`, which is a part of `whole`.
    #[inline]
    pub(super) fn note(&mut self, whole: &ByteString, path: &str, record: Changed<'a>) {
        match &mut self.latest {
            Some((latest, changed)) if *latest == *path => *changed = record,
            latest => {
                if let Some((former, changed)) = latest.replace((whole.slice_ref(path), record)) {
                    self.others.insert(former, changed);
                }
            }
        }
    }
}
