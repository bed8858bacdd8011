//! Access control lists from clients: their checks and stored form.

use std::sync::Arc;

use foldhash::{HashSet, HashSetExt};
use zk_wire::{Acl, AclListView, AclView, ErrorCode, Perms};

use crate::core::access::acl_table::AclTable;
use crate::core::access::network::Network;
use crate::core::access::requester::Requester;
use crate::core::access::sasl;
use crate::core::access::x509;

impl Requester<'_> {
    /// Returns the list in stored form: without duplicates, and with the requester's identities in place of `auth`.
    /// Strings are copied, so that the list does not keep the request in memory.
    pub(crate) fn normalize_acl(
        &self,
        acl: Option<&AclListView<'_>>,
        known: &AclTable,
    ) -> Result<Arc<[Acl]>, ErrorCode> {
        let acl = acl.filter(|acl| !acl.as_bytes().is_empty()).ok_or(ErrorCode::INVALID_ACL)?;
        // The common case: the same list as that of the latest node.
        if let Some(latest) = known.latest(acl) {
            return Ok(latest);
        }
        let acl: Vec<_> = acl.iter().collect();
        let acl = without_duplicates(&acl)?;
        // Before the expansion, so that a long list costs nothing.
        if acl.len() > self.config.max_acl_entries {
            return Err(ErrorCode::INVALID_ACL);
        }
        let (mut fixed, mut own) = (Vec::with_capacity(acl.len()), 0);
        for AclView { perms, scheme, id } in acl {
            let scheme = scheme.as_deref().ok_or(ErrorCode::INVALID_ACL)?;
            if scheme == "auth" {
                let before = fixed.len();
                fixed.extend(self.own_entries(*perms)?);
                own += fixed.len() - before;
                // A few `auth` entries can expand to very many.
                if own > self.config.max_auth_ids {
                    return Err(ErrorCode::INVALID_ACL);
                }
            } else {
                let id = self.valid_id(scheme, id.as_deref())?;
                fixed.push(Acl { perms: *perms, scheme: scheme.into(), id: id.into() });
            }
        }
        if fixed.len() > self.config.max_acl_entries { Err(ErrorCode::INVALID_ACL) } else { Ok(fixed.into()) }
    }

    /// Returns the entries that `auth` stands for: proven identities. An address is not one.
    fn own_entries(&self, perms: Perms) -> Result<Vec<Acl>, ErrorCode> {
        let own: Vec<_> = self
            .identities
            .iter()
            .filter(|identity| match &*identity.scheme {
                "digest" | "x509" => true,
                scheme => self.config.sasl_scheme && scheme == sasl::SCHEME,
            })
            .map(|identity| Acl { perms, scheme: identity.scheme.clone(), id: identity.id.clone() })
            .collect();
        if own.is_empty() { Err(ErrorCode::INVALID_ACL) } else { Ok(own) }
    }

    /// Returns the id if it is valid for the scheme. Null is checked only if the scheme is known, as in ZooKeeper.
    fn valid_id<'a>(&self, scheme: &str, id: Option<&'a str>) -> Result<&'a str, ErrorCode> {
        let is_known = match scheme {
            "world" | "digest" | "ip" => true,
            "x509" => self.config.x509,
            scheme => self.config.sasl_scheme && scheme == sasl::SCHEME,
        };
        if !is_known {
            return Err(ErrorCode::INVALID_ACL);
        }
        let id = id.ok_or(ErrorCode::MARSHALLING_ERROR)?;
        let is_valid = match scheme {
            "world" => id == "anyone",
            "digest" => is_digest_id(id),
            sasl::SCHEME => sasl::is_valid_id(id),
            "x509" => x509::is_name(id),
            _ => Network::parse(id, self.ip_v6).is_some(),
        };
        if is_valid { Ok(id) } else { Err(ErrorCode::INVALID_ACL) }
    }
}

/// Returns the list without duplicates. ZooKeeper compares an entry with earlier ones part by part, and fails at a
/// null in the part that it compares.
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

/// Returns `true` if the id has exactly two parts by Java's `split(":")`, which drops empty parts at the end.
fn is_digest_id(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}
