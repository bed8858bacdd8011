//! Views of requests about identity.

use std::borrow::Cow;

use super::views;

views! {
    /// Borrowed form of [`Auth`](crate::Auth).
    AuthView {
        /// 0; ignored by the server.
        auth_type: i32,
        /// Scheme of the identity. Null is refused as an unknown scheme.
        scheme: Option<Cow<'a, str>>,
        /// Credentials.
        auth: Option<&'a [u8]>,
    }

    /// Borrowed form of [`Sasl`](crate::Sasl).
    SaslView {
        /// Token of the mechanism.
        token: Option<&'a [u8]>,
    }
}
