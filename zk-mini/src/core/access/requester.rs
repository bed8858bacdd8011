//! Requesters: identities of a connection, for access checks.

use zk_wire::{Acl, ByteString};

use crate::core::access::network::Network;
use crate::core::access::sasl;
use crate::core::config::Config;
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
    pub(crate) peer: &'a Peer,
    pub(crate) identities: &'a [Identity],
    /// Allows everything.
    pub(crate) unchecked: bool,
    /// Accepts IPv6 addresses in ACLs of the `ip` scheme.
    pub(crate) ip_v6: bool,
    /// Has the schemes that the server knows, and the limits of lists. Most accesses ask nothing of it.
    pub(crate) config: &'a Config,
}

impl Requester<'_> {
    /// Returns `true` if an entry names this requester.
    pub(crate) fn is(&self, entry: &Acl) -> bool {
        match &*entry.scheme {
            "world" => entry.id == "anyone",
            "ip" => Network::parse(&entry.id, self.ip_v6).is_some_and(|network| network.holds(self.peer.ip)),
            sasl::SCHEME if !self.config.sasl_scheme => false,
            scheme => self.identities.iter().any(|identity| {
                identity.scheme == scheme
                    && (identity.id == entry.id
                        || identity.is_every_sasl_user()
                        || scheme == sasl::SCHEME && self.config.any_sasl_user.as_deref() == Some(&*entry.id))
            }),
        }
    }
}
