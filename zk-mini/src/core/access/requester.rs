//! Requesters: identities of a connection, for access checks.

use zk_wire::{Acl, ByteString};

use crate::core::access::network::Network;
use crate::core::access::sasl;
use crate::core::message::Peer;

/// Identity of a connection beside its address.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Identity {
    pub(crate) scheme: ByteString,
    pub(crate) id: ByteString,
}

impl Identity {
    /// Returns `true` for the SASL user `super`, who is taken for every other one.
    pub(crate) fn is_every_sasl_user(&self) -> bool {
        self.scheme == sasl::SCHEME && self.id == "super"
    }
}

/// Requester of an access.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester<'a> {
    pub(crate) peer: Peer,
    pub(crate) identities: &'a [Identity],
    /// Allows everything (`skipACL`).
    pub(crate) unchecked: bool,
    /// Knows the `sasl` scheme in ACLs.
    pub(crate) sasl: bool,
    /// SASL user for whom every other one is taken, too.
    pub(crate) any_sasl_user: Option<&'a str>,
    /// Accepts ACLs of the `x509` scheme.
    pub(crate) x509: bool,
    /// Accepts IPv6 addresses in ACLs of the `ip` scheme.
    pub(crate) ip_v6: bool,
    /// Maximum number of entries of a list, and of those that `auth` stands for.
    pub(crate) max_entries: usize,
    pub(crate) max_own_entries: usize,
}

impl Requester<'_> {
    /// Returns `true` if an entry names this requester.
    pub(crate) fn is(&self, entry: &Acl) -> bool {
        match &*entry.scheme {
            "world" => entry.id == "anyone",
            "ip" => Network::parse(&entry.id, self.ip_v6).is_some_and(|network| network.holds(self.peer.ip)),
            sasl::SCHEME if !self.sasl => false,
            scheme => self.identities.iter().any(|identity| {
                identity.scheme == scheme
                    && (identity.id == entry.id
                        || identity.is_every_sasl_user()
                        || scheme == sasl::SCHEME && self.any_sasl_user == Some(&*entry.id))
            }),
        }
    }
}
