//! Requests about identity: auth and sasl.

use zk_wire::{AuthView, ByteString, ErrorCode, SaslResponse, SaslView};

use crate::core::Core;
use crate::core::access::digest::digest_id;
use crate::core::access::requester::Identity;
use crate::core::requests::call::{Answer, Call, Failure, Reply};

impl Core {
    /// Adds an identity to a connection. The connection is closed if it is not accepted.
    pub(crate) fn auth(&mut self, call: &Call, request: &AuthView<'_>) -> Answer {
        let peer = self.peers.get_mut(&call.conn).ok_or(Failure::Close)?;
        let accepted = match (request.scheme.as_deref(), request.auth) {
            // The address is known already.
            (Some("ip"), _) => true,
            (Some("digest"), Some(credentials)) => {
                let id = digest_id(credentials);
                // The super user is known by both identities.
                if self.config.super_digest.as_deref() == Some(&*id) {
                    let scheme = ByteString::from_static("super");
                    peer.add_identity(Identity { scheme, id: ByteString::new() }, &self.config);
                }
                let scheme = ByteString::from_static("digest");
                peer.add_identity(Identity { scheme, id: ByteString::from(id) }, &self.config)
            }
            _ => false,
        };
        if accepted { Ok(Reply::Header) } else { Err(Failure::LastCode(ErrorCode::AUTH_FAILED)) }
    }

    /// Answers as a server without SASL: an empty token, which no mechanism accepts as success.
    pub(crate) fn sasl(&mut self, _: &Call, request: &SaslView<'_>) -> Answer {
        match request.token {
            Some(_) => Ok(Reply::Body(self.outputs.record(&SaslResponse { token: None }))),
            None => Err(Failure::Close),
        }
    }
}
