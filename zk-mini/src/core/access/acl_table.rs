//! The table of access control lists, one copy of each.

use std::sync::Arc;

use foldhash::HashSet;
use zk_wire::{Acl, AclView};

use crate::core::access::shared_acl::SharedAcl;

/// Weight of unused lists that may be kept in any case.
const UNUSED: usize = 32;

/// Each list in use, once, however many nodes have it.
#[derive(Debug, Default)]
pub(crate) struct AclTable {
    lists: HashSet<SharedAcl>,
    /// The list that a node got last: the next one mostly gets the same.
    latest: Option<SharedAcl>,
    /// Entries of all of them, and one more for each.
    weight: usize,
    /// From this weight on those that no node has any more are looked for.
    sweep_at: usize,
}

impl AclTable {
    /// Whether some node may have this list.
    pub(crate) fn contains(&self, acl: &[Acl]) -> bool {
        self.lists.contains(acl)
    }

    /// The list that a node got last, if that is what was sent. It was valid, and has no duplicates.
    pub(crate) fn latest(&self, sent: &[AclView<'_>]) -> Option<Arc<[Acl]>> {
        let latest = self.latest.as_ref()?;
        let same =
            sent.len() == latest.len() && sent.iter().zip(&**latest).all(|(sent, entry)| sent == entry);
        same.then(|| Arc::clone(latest.entries()))
    }

    /// The copy of a list that all nodes share.
    pub(crate) fn share(&mut self, acl: &Arc<[Acl]>) -> SharedAcl {
        if let Some(latest) = self.latest.as_ref().filter(|latest| Arc::ptr_eq(latest.entries(), acl)) {
            return latest.clone();
        }
        let shared = match self.lists.get(&**acl) {
            Some(known) => known.clone(),
            None => {
                self.sweep();
                let shared = SharedAcl::new(acl);
                self.lists.insert(shared.clone());
                self.weight += acl.len() + 1;
                shared
            }
        };
        self.latest = Some(shared.clone());
        shared
    }

    /// Forgets the lists that nobody else holds, when all together weigh twice as much as what was left the last time: so
    /// there is no need to count, for each, how many nodes have it.
    fn sweep(&mut self) {
        if self.weight >= self.sweep_at {
            self.lists.retain(|list| !list.is_unused());
            self.weight = self.lists.iter().map(|list| list.len() + 1).sum();
            self.sweep_at = 2 * self.weight + UNUSED;
        }
    }
}

#[cfg(test)]
mod tests {
    use zk_wire::Perms;

    use super::*;

    #[test]
    fn lists_that_no_node_has_any_more_are_forgotten() {
        let mut table = AclTable::default();
        let list = |id: usize| -> Arc<[Acl]> {
            [Acl { perms: Perms::ALL, scheme: "digest".into(), id: format!("{id}:hash").into() }].into()
        };
        let kept: Vec<_> = (0..100).map(|id| table.share(&list(id))).collect();
        (100..10_000).for_each(|id| drop(table.share(&list(id))));
        assert!(table.lists.len() < 300);
        for (id, kept) in kept.iter().enumerate() {
            assert!(Arc::ptr_eq(table.share(&list(id)).entries(), kept.entries()), "one copy for all");
        }
    }

    #[test]
    fn long_lists_that_no_node_has_any_more_are_forgotten_sooner() {
        let mut table = AclTable::default();
        let entry =
            |id: usize| Acl { perms: Perms::ALL, scheme: "digest".into(), id: format!("{id}:x").into() };
        let short = |id: usize| -> Arc<[Acl]> { [entry(id)].into() };
        let kept: Vec<_> = (0..1_000).map(|id| table.share(&short(id))).collect();
        for id in 0..1_000 {
            drop(table.share(&(0..1_000).map(|n| entry(1_000 * id + n)).collect()));
            let entries: usize = table.lists.iter().map(|list| list.len()).sum();
            // Twice what is in use, the latest included, and the one that has just come.
            assert!(entries < 2 * (2 * kept.len() + 1_001) + UNUSED + 1_000, "{entries}");
        }
    }
}
