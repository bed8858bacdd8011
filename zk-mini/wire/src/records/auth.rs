//! Operations on identity.

use bytes::Bytes;
use bytestring::ByteString;

use crate::codec::records;

records! {
    /// Adds an identity to the connection; its header carries [`Xid::AUTH`](crate::Xid::AUTH).
    Auth {
        /// 0.
        auth_type: i32,
        /// How the identity is established: `digest`, `ip`, …
        scheme: Option<ByteString>,
        /// What it is established from: `user:password` for `digest`.
        auth: Option<Bytes>,
    }

    /// A step of a SASL exchange.
    Sasl {
        /// The mechanism's token.
        token: Option<Bytes>,
    }

    /// The server's step of a SASL exchange.
    SaslResponse {
        /// The mechanism's token.
        token: Option<Bytes>,
    }

    /// Asks which identities the connection has.
    #[derive(Copy)]
    WhoAmI {}

    /// Identities, without secrets.
    WhoAmIResponse {
        /// They.
        client_info: Vec<ClientInfo>,
    }

    /// One identity.
    ClientInfo {
        /// Its scheme.
        auth_scheme: ByteString,
        /// The user's name, or the address.
        user: ByteString,
    }
}
