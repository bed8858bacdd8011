//! Layer that a server takes below the other protocols: TLS, no TLS, or both.

#[cfg(feature = "tls")]
use common::tls::ServerTls;

/// Protocols below the others that a listening address takes.
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "without TLS all is plain"))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Security {
    /// None: its connections have no TLS, or have it already.
    #[default]
    Plain,
    /// TLS or none, as the first byte tells.
    Either,
    /// TLS only.
    Tls,
}

impl Security {
    /// Returns true if other protocols may come without TLS.
    pub(crate) fn takes_plain(self) -> bool {
        self != Self::Tls
    }
}

/// TLS of a server.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub(crate) struct TlsSetup {
    pub(crate) tls: ServerTls,
    /// Addresses that are not for TLS only take it, too, told by its first byte.
    pub(crate) is_unified: bool,
}
