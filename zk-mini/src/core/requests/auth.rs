//! Requests about identity: auth and sasl. They are answered outside of the order of transactions, with the
//! zxid 0.

use bytes::Bytes;
use zk_wire::{Auth, ByteString, Decode, ErrorCode, Sasl, SaslResponse, Zxid};

use crate::core::Core;
use crate::core::access::acl::Identity;
use crate::core::access::digest::digest_id;
use crate::core::requests::Call;

impl Core {
    /// Adds an identity to a connection, or closes it.
    pub(crate) fn auth(&mut self, call: Call, mut body: Bytes) {
        let Ok(request) = Auth::decode(&mut body, "Auth") else {
            return self.close(call.conn);
        };
        let Some(connection) = self.conns.get_mut(&call.conn) else { return };
        let accepted = match (request.scheme.as_deref(), request.auth) {
            // Its address is known already.
            (Some("ip"), _) => true,
            (Some("digest"), Some(credentials)) => {
                let id = digest_id(&credentials);
                if self.config.super_digest.as_deref() == Some(&*id) {
                    let scheme = ByteString::from_static("super");
                    connection.add_identity(Identity { scheme, id: ByteString::new() }, &self.config);
                }
                let scheme = ByteString::from_static("digest");
                connection.add_identity(Identity { scheme, id: ByteString::from(id) }, &self.config)
            }
            _ => false,
        };
        let code = if accepted { ErrorCode::OK } else { ErrorCode::AUTH_FAILED };
        self.outbox.header(call.conn, call.xid, Zxid(0), code);
        if !accepted {
            self.close(call.conn);
        }
    }

    /// Answers as a server without SASL does: an empty token, which no mechanism takes for a success.
    pub(crate) fn sasl(&mut self, call: Call, mut body: Bytes) {
        match Sasl::decode(&mut body, "Sasl") {
            Ok(Sasl { token: Some(_) }) => {
                self.outbox.reply(call.conn, call.xid, Zxid(0), &SaslResponse { token: None });
            }
            Ok(Sasl { token: None }) | Err(_) => self.close(call.conn),
        }
    }
}
