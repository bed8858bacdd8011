//! Access control list of a node: one copy for all nodes that have it, with an index if it is long.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use ::core::net::IpAddr;
use foldhash::HashMap;
use zk_wire::{Acl, AclListView, ErrorCode, Perms};

use crate::core::access::network::Network;
use crate::core::access::requester::{Identity, Requester};
use crate::core::access::sasl;

/// Maximum number of entries that are checked one by one.
const SHORT: usize = 8;

/// List that many nodes can have.
#[derive(Clone, Debug)]
pub(crate) struct SharedAcl(Arc<List>);

#[derive(Debug)]
struct List {
    entries: Arc<[Acl]>,
    /// Entries as clients send them.
    encoded: Box<[u8]>,
    /// Permissions that everybody has: most lists need no look at their entries.
    anyone: Perms,
    /// Index of a long list, built at its first check.
    index: OnceLock<Index>,
}

impl SharedAcl {
    pub(crate) fn new(entries: &Arc<[Acl]>) -> Self {
        let of_anyone = entries.iter().filter(|entry| entry.scheme == "world" && entry.id == "anyone");
        let anyone = of_anyone.fold(Perms::default(), |anyone, entry| anyone | entry.perms);
        let encoded = AclListView::encoded(entries)[..].into();
        Self(Arc::new(List { entries: Arc::clone(entries), encoded, anyone, index: OnceLock::new() }))
    }

    /// Returns the entries as clients send them.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.0.encoded
    }

    pub(crate) fn entries(&self) -> &Arc<[Acl]> {
        &self.0.entries
    }

    /// Returns `true` if it is the same copy: a quick answer, which may miss an equal list.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns `true` if no node holds the list.
    pub(crate) fn is_unused(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Returns `true` if an entry gives any of `perms` to everybody.
    #[inline]
    pub(crate) fn allows_anyone(&self, perms: Perms) -> bool {
        self.0.anyone.intersects(perms)
    }

    /// Fails unless the list gives any of `perms` to a requester.
    pub(crate) fn check(&self, requester: &Requester<'_>, perms: Perms) -> Result<(), ErrorCode> {
        let allowed = self.allows(requester, perms)
            || requester.unchecked
            // Lists from a snapshot can be empty; ZooKeeper allows everything then.
            || self.is_empty()
            || requester.identities.iter().any(|identity| identity.scheme == "super");
        if allowed { Ok(()) } else { Err(ErrorCode::NO_AUTH) }
    }

    /// Returns `true` if an entry gives any of `perms` to a requester.
    fn allows(&self, requester: &Requester<'_>, perms: Perms) -> bool {
        if self.allows_anyone(perms) {
            return true;
        }
        if self.0.entries.len() <= SHORT {
            return self.0.entries.iter().any(|entry| entry.perms.intersects(perms) && requester.is(entry));
        }
        self.0.index.get_or_init(|| Index::of(&self.0.entries)).allows(requester, perms)
    }
}

impl Deref for SharedAcl {
    type Target = [Acl];

    fn deref(&self) -> &[Acl] {
        &self.0.entries
    }
}

/// Lists are looked up by their entries.
impl Borrow<[Acl]> for SharedAcl {
    fn borrow(&self) -> &[Acl] {
        self
    }
}

impl Hash for SharedAcl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq for SharedAcl {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SharedAcl {}

/// Permissions of each identity, from all entries.
#[derive(Debug, Default)]
struct Index {
    /// Permissions by number of leading bits, then by these bits of the address.
    v4: BTreeMap<u32, HashMap<u128, Perms>>,
    v6: BTreeMap<u32, HashMap<u128, Perms>>,
    named: HashMap<Identity, Perms>,
    /// Permissions of any SASL user.
    sasl: Perms,
}

impl Index {
    fn of(entries: &[Acl]) -> Self {
        let mut index = Self::default();
        for Acl { perms, scheme, id } in entries {
            let known = match &**scheme {
                // Its permissions are those of anyone, if it has any.
                "world" => continue,
                "ip" => {
                    // IPv6 entries are always indexed; the check skips them if necessary.
                    let Some(network) = Network::parse(id, true) else { continue };
                    let of_family = if network.address.is_ipv4() { &mut index.v4 } else { &mut index.v6 };
                    let prefix = prefix(network.address, network.bits);
                    of_family.entry(network.bits).or_default().entry(prefix).or_default()
                }
                _ => index.named.entry(Identity { scheme: scheme.clone(), id: id.clone() }).or_default(),
            };
            *known = *known | *perms;
            if scheme == sasl::SCHEME {
                index.sasl = index.sasl | *perms;
            }
        }
        index
    }

    fn allows(&self, requester: &Requester<'_>, perms: Perms) -> bool {
        let allows = |known: Option<&Perms>| known.is_some_and(|known| known.intersects(perms));
        let (ip, config) = (requester.peer.ip, requester.config);
        let networks = match ip {
            IpAddr::V4(_) => Some(&self.v4),
            IpAddr::V6(_) => Some(&self.v6).filter(|_| requester.ip_v6),
        };
        let any_user = config
            .any_sasl_user
            .as_ref()
            .map(|id| Identity { scheme: sasl::SCHEME.into(), id: (&**id).into() });
        let any_user = any_user.is_some_and(|any| allows(self.named.get(&any)));
        networks.into_iter().flatten().any(|(bits, known)| allows(known.get(&prefix(ip, *bits))))
            || requester.identities.iter().any(|identity| {
                (config.sasl_scheme || identity.scheme != sasl::SCHEME)
                    && (allows(self.named.get(identity))
                        || (identity.is_every_sasl_user() && self.sasl.intersects(perms))
                        || (any_user && identity.scheme == sasl::SCHEME))
            })
    }
}

/// Returns the leading bits of an address.
fn prefix(address: IpAddr, bits: u32) -> u128 {
    let (all, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    all.checked_shr(width - bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zk_wire::ByteString;

    use super::*;
    use crate::core::config::Config;
    use crate::core::message::Peer;

    fn entry() -> impl Strategy<Value = Acl> {
        let named = prop::sample::select(vec![
            ("world", "anyone"),
            ("world", "me"),
            ("digest", "a:1"),
            ("digest", "b:2"),
            ("digest", "c:3"),
            ("sasl", "ann"),
            ("sasl", "bob"),
            ("super", ""),
            ("ip", "10.0.0.1"),
            ("ip", "10.0.0.1/31"),
            ("ip", "10.1.2.3/8"),
            ("ip", "0.0.0.0/0"),
            ("ip", "192.168.0.0/16"),
            ("ip", "fe80::1"),
            ("ip", "fe80::/10"),
            ("ip", "::/0"),
            ("ip", "nonsense"),
        ]);
        (0..32_i32, named).prop_map(|(perms, (scheme, id))| Acl {
            perms: Perms(perms),
            scheme: scheme.into(),
            id: id.into(),
        })
    }

    fn peer() -> impl Strategy<Value = IpAddr> {
        let addresses =
            ["10.0.0.1", "10.0.0.0", "10.9.9.9", "192.168.1.1", "8.8.8.8", "fe80::1", "fe80::2", "2001::1"];
        prop::sample::select(addresses.map(|address| address.parse().unwrap()).to_vec())
    }

    proptest! {
        #[test]
        fn an_index_allows_what_its_entries_allow(
            entries in prop::collection::vec(entry(), SHORT + 1..20),
            ip in peer(),
            names in prop::collection::vec(prop::sample::select(vec!["a:1", "b:2", "d:4", "ann", "super"]), 0..3),
            sasl in any::<bool>(),
            any_sasl_user in prop::option::of(prop::sample::select(vec!["ann", "bob", "cid"])),
            perms in 0..32_i32,
            ip_v6 in any::<bool>(),
        ) {
            let name = |id: &str| {
                let scheme = if id.contains(':') { "digest" } else { "sasl" };
                Identity { scheme: ByteString::from_static(scheme), id: id.into() }
            };
            let identities: Vec<_> = names.iter().map(|id| name(id)).collect();
            let any_sasl_user = any_sasl_user.map(str::to_owned);
            let config = Config { sasl_scheme: sasl, any_sasl_user, ..Config::default() };
            let peer = Peer { ip, port: 1 };
            let requester =
                Requester { peer: &peer, identities: &identities, unchecked: false, ip_v6, config: &config };
            let one_by_one = entries.iter().any(|entry| entry.perms.intersects(Perms(perms)) && requester.is(entry));
            let list = SharedAcl::new(&entries.into());
            prop_assert_eq!(list.allows(&requester, Perms(perms)), one_by_one);
        }
    }
}
