//! Requesters: the identities by which access is decided.

use zk_wire::{Acl, ByteString};

use crate::core::access::network::Network;
use crate::core::message::Peer;

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
}
