//! Requests about identity: auth and sasl.

use bytes::Bytes;
use common::digest_md5::Refusal;
use zk_wire::{AuthView, ByteString, ErrorCode, Perms, ReplyHeader, SaslResponse, SaslView, Zxid};

use crate::core::Core;
use crate::core::access::credentials::{AccessError, Credentials};
use crate::core::access::digest::digest_id;
use crate::core::access::password::SessionSecret;
use crate::core::access::requester::Identity;
use crate::core::access::sasl::{self, SaslRefusal, SaslStep};
use crate::core::config::Config;
use crate::core::message::{Note, Peer};
use crate::core::peers::PeerState;
use crate::core::requests::call::{Answer, Call, Failure, Reply};

impl Core {
    /// Adds an identity to a connection. The connection is closed if it is not accepted.
    pub(crate) fn auth(&mut self, call: &Call, request: &AuthView<'_>) -> Answer {
        let peer = self.peers.get_mut(call.conn).ok_or(Failure::Close)?;
        // The certificate is known already, if there is one.
        if self.config.x509 && request.scheme.as_deref() == Some("x509") && peer.has_identity("x509") {
            return Ok(Reply::Header);
        }
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

    /// Handles a token of SASL. A server without SASL answers with an empty one, which no mechanism accepts as success.
    pub(crate) fn sasl(&mut self, call: &Call, request: &SaslView<'_>) -> Answer {
        let token = request.token.ok_or(Failure::Close)?;
        let Some(users) = &self.config.sasl_users else { return Ok(self.sasl_reply(None)) };
        let peer = self.peers.get_mut(call.conn).ok_or(Failure::Close)?;
        let (config, conn) = (&self.config, call.conn);
        let new_nonce = || match &config.nonce_secret {
            Some(secret) => sasl::nonce(secret, conn.0),
            None => sasl::nonce(&SessionSecret::from_seed(config.seed), conn.0),
        };
        let reason = match peer.sasl.step(token, users, new_nonce) {
            Ok(SaslStep::Challenge(token)) => return Ok(self.sasl_reply(Some(token))),
            Ok(SaslStep::Verified(user, token)) => {
                let is_super = config.sasl_super_users.contains(&user);
                let super_user = is_super.then(|| (ByteString::from_static("super"), ByteString::new()));
                let user = (ByteString::from_static(sasl::SCHEME), ByteString::from(user));
                let identities = std::iter::once(user).chain(super_user);
                let mut identities = identities.map(|(scheme, id)| Identity { scheme, id });
                if identities.all(|identity| peer.add_identity(identity, config)) {
                    return Ok(self.sasl_reply(Some(token)));
                }
                SaslRefusal::TooManyIdentities
            }
            Err(reason) => reason,
        };
        self.note(Note::NotAuthenticated { conn, reason });
        self.refuse_sasl(reason)
    }

    fn refuse_sasl(&mut self, reason: SaslRefusal) -> Answer {
        let required = self.config.requires_sasl();
        match reason {
            // It ends the connection in Java by mistake.
            SaslRefusal::Answer(Refusal::BadMaxBuf) => Err(Failure::Close),
            _ if self.config.allow_sasl_failed_clients && !required => Ok(self.sasl_reply(None)),
            _ => {
                let code = if required {
                    ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH
                } else {
                    ErrorCode::AUTH_FAILED
                };
                let body = self.outputs.record(&SaslResponse { token: None });
                Ok(Reply::LastErrorAndBody(code, body))
            }
        }
    }

    fn sasl_reply(&mut self, token: Option<Vec<u8>>) -> Reply {
        Reply::Body(self.outputs.record(&SaslResponse { token: token.map(Bytes::from) }))
    }

    /// Fails if the connection must authenticate before it may do anything else.
    #[cold]
    pub(crate) fn check_authentication(&self, call: &Call) -> Result<(), Failure> {
        let peer = self.peers.get(call.conn).ok_or(Failure::Close)?;
        let schemes = &self.config.required_schemes;
        if peer.has_identity_of(schemes) { Ok(()) } else { Err(Failure::NotAuthenticated) }
    }

    /// Tells a client that it must authenticate first, and closes its connection. The session lives on.
    #[cold]
    pub(super) fn demand_authentication(&mut self, call: &Call) {
        let err = ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH;
        self.outputs.reply(call.conn, ReplyHeader { xid: call.xid, zxid: Zxid(0), err }, None);
        self.close(call.conn);
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
