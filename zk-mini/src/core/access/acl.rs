//! Access control: identities, which ACL allows them what, and which ACLs may be set.

use std::sync::Arc;

use ::core::net::IpAddr;
use foldhash::{HashSet, HashSetExt};
use zk_wire::{Acl, AclView, ByteString, ErrorCode, Perms};

use crate::core::Peer;
use crate::core::access::address;
use crate::core::access::shared_acl::SharedAcl;

/// An identity that a connection has shown, beside its address.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Identity {
    pub(crate) scheme: ByteString,
    pub(crate) id: ByteString,
}

/// Who asks, as far as access is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester<'a> {
    pub(crate) peer: Peer,
    pub(crate) identities: &'a [Identity],
    /// Whether everything is allowed (`skipACL`).
    pub(crate) unchecked: bool,
    /// Whether ACLs of the `ip` scheme may name IPv6 addresses.
    pub(crate) ip_v6: bool,
    /// Maximum number of entries of a list, and of those among them that `auth` stands for.
    pub(crate) max_entries: usize,
    pub(crate) max_own_entries: usize,
}

impl Requester<'_> {
    /// Whether `acl` gives any of `perms` to this requester.
    pub(crate) fn check(&self, acl: &SharedAcl, perms: Perms) -> Result<(), ErrorCode> {
        let allowed = self.unchecked
            || acl.is_empty()
            || acl.allows(self, perms)
            || self.identities.iter().any(|identity| identity.scheme == "super");
        if allowed { Ok(()) } else { Err(ErrorCode::NO_AUTH) }
    }

    /// Whether this requester is whom an entry names.
    pub(crate) fn is(&self, entry: &Acl) -> bool {
        match &*entry.scheme {
            "world" => entry.id == "anyone",
            "ip" => Network::parse(&entry.id, self.ip_v6).is_some_and(|network| network.holds(self.peer.ip)),
            scheme => {
                self.identities.iter().any(|identity| identity.scheme == scheme && identity.id == entry.id)
            }
        }
    }

    /// The list as it is to be kept: without duplicates, `auth` replaced by the requester's own identities.
    /// Strings are copied, so that the list does not hold on to the request that it came in.
    pub(crate) fn fix(&self, acl: Option<&[AclView<'_>]>, known: &AclTable) -> Result<Arc<[Acl]>, ErrorCode> {
        let acl = acl.filter(|acl| !acl.is_empty()).ok_or(ErrorCode::INVALID_ACL)?;
        if let Some(latest) = known.latest(acl) {
            return Ok(latest);
        }
        let acl = without_duplicates(acl)?;
        if acl.len() > self.max_entries {
            return Err(ErrorCode::INVALID_ACL);
        }
        let (mut fixed, mut own) = (Vec::with_capacity(acl.len()), 0);
        for AclView { perms, scheme, id } in acl {
            let scheme = scheme.as_deref().ok_or(ErrorCode::INVALID_ACL)?;
            if scheme == "auth" {
                let before = fixed.len();
                fixed.extend(self.own_entries(*perms)?);
                own += fixed.len() - before;
                // A few of them may stand for very many.
                if own > self.max_own_entries {
                    return Err(ErrorCode::INVALID_ACL);
                }
            } else {
                let id = self.valid_id(scheme, id.as_deref())?;
                fixed.push(Acl { perms: *perms, scheme: scheme.into(), id: id.into() });
            }
        }
        if fixed.len() > self.max_entries { Err(ErrorCode::INVALID_ACL) } else { Ok(fixed.into()) }
    }

    /// What `auth` stands for: the identities that were proven. An address proves nothing.
    fn own_entries(&self, perms: Perms) -> Result<Vec<Acl>, ErrorCode> {
        let own: Vec<_> = self
            .identities
            .iter()
            .filter(|identity| identity.scheme == "digest")
            .map(|identity| Acl { perms, scheme: identity.scheme.clone(), id: identity.id.clone() })
            .collect();
        if own.is_empty() { Err(ErrorCode::INVALID_ACL) } else { Ok(own) }
    }

    /// The id, if it is one of this scheme. A null is looked at, and stumbled over, only where the scheme is known.
    fn valid_id<'a>(&self, scheme: &str, id: Option<&'a str>) -> Result<&'a str, ErrorCode> {
        if !matches!(scheme, "world" | "digest" | "ip") {
            return Err(ErrorCode::INVALID_ACL);
        }
        let id = id.ok_or(ErrorCode::MARSHALLING_ERROR)?;
        let is_valid = match scheme {
            "world" => id == "anyone",
            "digest" => is_digest_id(id),
            _ => Network::parse(id, self.ip_v6).is_some(),
        };
        if is_valid { Ok(id) } else { Err(ErrorCode::INVALID_ACL) }
    }
}

/// The first of each kind. ZooKeeper compares an entry with those before it part by part, and stumbles over a null
/// that is its turn.
fn without_duplicates<'a>(acl: &'a [AclView<'_>]) -> Result<Vec<&'a AclView<'a>>, ErrorCode> {
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(acl.len());
    for entry in acl {
        let (perms, scheme) = (entry.perms, entry.scheme.as_deref());
        let id = scheme.and(entry.id.as_deref());
        if !seen.contains(&(perms, scheme, id)) {
            seen.extend([(perms, None, None), (perms, scheme, None), (perms, scheme, id)]);
            kept.push(entry);
        } else if id.is_none() {
            return Err(ErrorCode::MARSHALLING_ERROR);
        }
    }
    Ok(kept)
}

/// Exactly two parts by Java's `split(":")`, which drops empty parts at the end.
fn is_digest_id(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

/// An address with the number of leading bits that count.
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) bits: u32,
}

impl Network {
    /// Reads `address` or `address/bits`.
    pub(crate) fn parse(text: &str, v6: bool) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(address::parse_int(bits, 10)?)),
            None => (text, None),
        };
        let address = address::parse(address, v6)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(all), |bits| u32::try_from(bits).ok().filter(|&bits| bits <= all))?;
        Some(Self { address, bits })
    }

    fn holds(&self, peer: IpAddr) -> bool {
        let same_prefix =
            |a: u128, b: u128, width: u32| self.bits == 0 || (a ^ b) >> (width - self.bits) == 0;
        match (self.address, peer) {
            (IpAddr::V4(own), IpAddr::V4(peer)) => {
                same_prefix(own.to_bits().into(), peer.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(peer)) => same_prefix(own.to_bits(), peer.to_bits(), 128),
            _ => false,
        }
    }
}

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

/// Weight of unused lists that may be kept in any case.
const UNUSED: usize = 32;

impl AclTable {
    /// Whether some node may have this list.
    pub(crate) fn contains(&self, acl: &[Acl]) -> bool {
        self.lists.contains(acl)
    }

    /// The list that a node got last, if that is what was sent. It was valid, and has no duplicates.
    fn latest(&self, sent: &[AclView<'_>]) -> Option<Arc<[Acl]>> {
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
