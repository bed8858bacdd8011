//! State of the peers: the core's record of each connection.

use zk_wire::{ByteString, ClientInfo, SessionId};

use crate::core::access::address;
use crate::core::access::requester::{Identity, Requester};
use crate::core::access::sasl::SaslExchange;
use crate::core::compat::Rules;
use crate::core::config::Config;
use crate::core::message::Peer;

/// State of the peer at the other end of a connection.
#[derive(Debug)]
pub(crate) struct PeerState {
    pub(crate) address: Peer,
    /// Index of the listening address that it came to.
    pub(crate) listener: Option<usize>,
    /// Session; `None` before the handshake.
    session: Option<SessionId>,
    /// `true` if a fault rule wants no frame of it to be handled any more. It has no session then.
    pub(crate) is_muted: bool,
    /// `true` if the handshake had the read-only byte; its answer has it, too.
    pub(crate) knows_read_only: bool,
    /// Identities beside the address. They belong to the connection, not to the session.
    identities: Vec<Identity>,
    /// The exchange by which it authenticates with SASL.
    pub(crate) sasl: SaslExchange,
}

impl PeerState {
    pub(crate) fn new(peer: Peer, listener: Option<usize>) -> Self {
        Self {
            address: peer,
            listener,
            session: None,
            is_muted: false,
            knows_read_only: true,
            identities: Vec::new(),
            sasl: SaslExchange::default(),
        }
    }

    /// Returns the session; `None` before the handshake.
    #[inline]
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Changes the session and returns the former one. [`Peers`](super::Peers) finds the peer by its session.
    pub(super) fn replace_session(&mut self, session: Option<SessionId>) -> Option<SessionId> {
        std::mem::replace(&mut self.session, session)
    }

    /// Returns the rights of the peer.
    pub(crate) fn requester<'a>(&'a self, config: &'a Config, rules: &Rules) -> Requester<'a> {
        Requester {
            peer: &self.address,
            identities: &self.identities,
            unchecked: config.skip_acl,
            ip_v6: rules.ip_acl_takes_v6,
            config,
        }
    }

    /// Returns `true` if the peer has an identity of the scheme.
    pub(crate) fn has_identity(&self, scheme: &str) -> bool {
        self.identities.iter().any(|identity| identity.scheme == scheme)
    }

    /// Adds an identity. Returns `false` if the peer has as many as allowed.
    pub(crate) fn add_identity(&mut self, identity: Identity, config: &Config) -> bool {
        if self.identities.contains(&identity) {
            return true;
        }
        let bytes: usize = self.identities.iter().chain([&identity]).map(|identity| identity.id.len()).sum();
        // All bytes count, with those of the new identity.
        let has_room = self.identities.len() < config.max_auth_ids && bytes <= config.max_auth_id_bytes;
        if has_room {
            self.identities.push(identity);
        }
        has_room
    }

    /// Returns `true` if the peer has proved an identity of one of these schemes. Its address is one.
    pub(crate) fn has_identity_of(&self, schemes: &[String]) -> bool {
        schemes.iter().any(|scheme| {
            scheme == "ip" || self.identities.iter().any(|identity| identity.scheme == scheme.as_str())
        })
    }

    /// Returns the identities of the peer, without secrets.
    pub(crate) fn client_info(&self) -> Vec<ClientInfo> {
        let address = ClientInfo {
            auth_scheme: ByteString::from_static("ip"),
            user: ByteString::from(address::to_java_string(self.address.ip)),
        };
        let others = self.identities.iter().map(|identity| ClientInfo {
            auth_scheme: identity.scheme.clone(),
            user: ByteString::from(match &*identity.scheme {
                // No provider has the scheme, so it has no name either.
                "super" => "",
                "digest" => identity.id.split(':').next().unwrap_or_default(),
                _ => &*identity.id,
            }),
        });
        std::iter::once(address).chain(others).collect()
    }
}
