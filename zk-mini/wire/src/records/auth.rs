//! Operations on identity.

use bytes::Bytes;
use bytestring::ByteString;

use crate::codec::records;

records! {
    /// Adds an identity to the connection; its header carries [`Xid::AUTH`](crate::Xid::AUTH).
    Auth {
        /// Always 0.
        auth_type: i32,
        /// Scheme of the identity: `digest`, `ip`, …
        scheme: Option<ByteString>,
        /// Credentials; `user:password` for `digest`.
        auth: Option<Bytes>,
    }

    /// Client's step of a SASL exchange.
    Sasl {
        /// Token of the mechanism.
        token: Option<Bytes>,
    }

    /// Server's step of a SASL exchange.
    SaslResponse {
        /// Token of the mechanism.
        token: Option<Bytes>,
    }

    /// Lists the identities of the connection.
    #[derive(Copy)]
    WhoAmI {}

    /// Identities of a connection, without secrets.
    WhoAmIResponse {
        /// Identities.
        client_info: Vec<ClientInfo>,
    }

    /// Identity of a connection.
    ClientInfo {
        /// Scheme of the identity.
        auth_scheme: ByteString,
        /// Name of the user, or the address.
        user: ByteString,
    }
}
