//! Access control lists that clients send: which may be set, and as what they are kept.

use std::sync::Arc;

use foldhash::{HashSet, HashSetExt};
use zk_wire::{Acl, AclView, ErrorCode, Perms};

use crate::core::access::acl_table::AclTable;
use crate::core::access::network::Network;
use crate::core::access::requester::Requester;

impl Requester<'_> {
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
