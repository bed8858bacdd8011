//! Requests about identity: auth and sasl.

use zk_wire::{AuthView, ByteString, ErrorCode, Perms, SaslResponse, SaslView};

use crate::core::Core;
use crate::core::access::credentials::{AccessError, Credentials};
use crate::core::access::digest::digest_id;
use crate::core::access::requester::Identity;
use crate::core::config::Config;
use crate::core::message::Peer;
use crate::core::peer::PeerState;
use crate::core::requests::call::{Answer, Call, Failure, Reply};

impl Core {
    /// Adds an identity to a connection. The connection is closed if it is not accepted.
    pub(crate) fn auth(&mut self, call: &Call, request: &AuthView<'_>) -> Answer {
        let peer = self.peers.get_mut(&call.conn).ok_or(Failure::Close)?;
        let identities = identities(&self.config, request.scheme.as_deref(), request.auth);
        let accepted = identities.is_some_and(|identities| {
            identities.into_iter().all(|identity| peer.add_identity(identity, &self.config))
        });
        if accepted { Ok(Reply::Header) } else { Err(Failure::LastCode(ErrorCode::AUTH_FAILED)) }
    }

    /// Checks that a node's ACL gives each of `perms` to a peer that shows credentials, without a connection.
    pub(crate) fn authorize(
        &self,
        peer: Peer,
        credentials: Credentials<'_>,
        path: &str,
        perms: Perms,
    ) -> Result<(), AccessError> {
        let Credentials { scheme, secret } = credentials;
        let identities =
            identities(&self.config, Some(scheme), secret).ok_or(AccessError::NotAuthenticated)?;
        let mut state = PeerState::new(peer, None);
        identities.into_iter().for_each(|identity| {
            state.add_identity(identity, &self.config);
        });
        let node = self.tree.get(path).ok_or(AccessError::NoNode)?;
        let requester = state.requester(&self.config, self.rules);
        // A list gives permissions one by one.
        let mut singles = (0..i32::BITS).map(|bit| Perms(1 << bit)).filter(|single| single.intersects(perms));
        let allowed = singles.all(|single| node.acl.check(&requester, single).is_ok());
        if allowed { Ok(()) } else { Err(AccessError::NotAuthorized) }
    }

    /// Answers as a server without SASL: an empty token, which no mechanism accepts as success.
    pub(crate) fn sasl(&mut self, _: &Call, request: &SaslView<'_>) -> Answer {
        match request.token {
            Some(_) => Ok(Reply::Body(self.outputs.record(&SaslResponse { token: None }))),
            None => Err(Failure::Close),
        }
    }
}

/// Returns the identities that credentials prove, beside the address; `None` if they prove nothing.
fn identities(config: &Config, scheme: Option<&str>, credentials: Option<&[u8]>) -> Option<Vec<Identity>> {
    match (scheme, credentials) {
        // The address is known already.
        (Some("ip"), _) => Some(Vec::new()),
        (Some("digest"), Some(credentials)) => {
            let id = digest_id(credentials);
            let mut identities = Vec::new();
            // The super user is known by both identities.
            if config.super_digest.as_deref() == Some(&*id) {
                let scheme = ByteString::from_static("super");
                identities.push(Identity { scheme, id: ByteString::new() });
            }
            identities.push(Identity { scheme: ByteString::from_static("digest"), id: ByteString::from(id) });
            Some(identities)
        }
        _ => None,
    }
}
