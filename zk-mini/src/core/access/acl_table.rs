//! Table of access control lists, with one copy of each.

use std::sync::Arc;

use foldhash::HashSet;
use zk_wire::{Acl, AclListView};

use crate::core::access::shared_acl::SharedAcl;

/// Weight of unused lists that are kept without a sweep.
const UNUSED: usize = 32;

/// Lists in use, each once for all nodes that have it.
#[derive(Debug, Default)]
pub(crate) struct AclTable {
    lists: HashSet<SharedAcl>,
    /// List of the latest node. The next node usually gets the same.
    latest: Option<SharedAcl>,
    /// Number of lists and of their entries.
    weight: usize,
    /// Weight at which unused lists are removed.
    sweep_at: usize,
}

impl AclTable {
    /// Returns `true` if a node may have this list.
    pub(crate) fn contains(&self, acl: &[Acl]) -> bool {
        self.lists.contains(acl)
    }

    /// Returns the latest list if it equals the one sent. It is valid and has no duplicates, so no check is needed.
    pub(crate) fn latest(&self, sent: &AclListView<'_>) -> Option<Arc<[Acl]>> {
        let latest = self.latest.as_ref()?;
        (latest.encoded() == sent.as_bytes()).then(|| Arc::clone(latest.entries()))
    }

    /// Returns the shared copy of a list.
    pub(crate) fn share(&mut self, acl: &Arc<[Acl]>) -> SharedAcl {
        // The common case: the list comes from `latest` above, or from a log, where the one before is the same.
        let is_same = |latest: &&SharedAcl| Arc::ptr_eq(latest.entries(), acl) || ***latest == **acl;
        if let Some(latest) = self.latest.as_ref().filter(is_same) {
            return latest.clone();
        }
        let shared = match self.lists.get(&**acl) {
            Some(known) => known.clone(),
            None => {
                // Only a new list can make the table grow.
                self.sweep();
                // Copied, because the list of a replayed transaction is a part of its log.
                let shared = SharedAcl::new(&acl.iter().map(copied).collect());
                self.lists.insert(shared.clone());
                self.weight += acl.len() + 1;
                shared
            }
        };
        self.latest = Some(shared.clone());
        shared
    }

    /// Removes lists that no node has, once the weight has doubled since the last sweep. So no count of nodes per
    /// list is needed.
    fn sweep(&mut self) {
        if self.weight >= self.sweep_at {
            self.lists.retain(|list| !list.is_unused());
            self.weight = self.lists.iter().map(|list| list.len() + 1).sum();
            self.sweep_at = 2 * self.weight + UNUSED;
        }
    }
}

fn copied(entry: &Acl) -> Acl {
    Acl { perms: entry.perms, scheme: (&*entry.scheme).into(), id: (&*entry.id).into() }
}

#[cfg(test)]
mod tests {
    use zk_wire::Perms;

    use super::*;

    #[test]
    fn unused_lists_are_removed() {
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
    fn long_unused_lists_are_removed_sooner() {
        let mut table = AclTable::default();
        let entry =
            |id: usize| Acl { perms: Perms::ALL, scheme: "digest".into(), id: format!("{id}:x").into() };
        let short = |id: usize| -> Arc<[Acl]> { [entry(id)].into() };
        let kept: Vec<_> = (0..1_000).map(|id| table.share(&short(id))).collect();
        for id in 0..1_000 {
            drop(table.share(&(0..1_000).map(|n| entry(1_000 * id + n)).collect()));
            let entries: usize = table.lists.iter().map(|list| list.len()).sum();
            // At most twice the weight in use (with the latest list), and the new list.
            assert!(entries < 2 * (2 * kept.len() + 1_001) + UNUSED + 1_000, "{entries}");
        }
    }
}
