//! Stands for TLS in a build without it, for systems without a C compiler.

use std::convert::Infallible;
use std::net::SocketAddr;

use clap::Args;
use zk_mini::{Builder, ZkMini};

use crate::listen::Host;
use crate::servers::{ServersArgs, ServersError};

/// Remark on keys; there is none.
pub(crate) const UNUSED: &str = "is ignored: this build has no TLS";

/// No options.
#[derive(Args, Debug)]
pub(crate) struct TlsOptions {}

/// No failure.
pub(crate) type TlsOptionsError = Infallible;

/// No keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsKeys {}

/// No TLS.
#[derive(Debug, Default)]
pub(crate) struct TlsPlan {
    /// Addresses; none.
    pub(crate) addrs: Vec<Vec<SocketAddr>>,
}

impl TlsOptions {
    #[expect(clippy::unused_async, reason = "with TLS it is async")]
    pub(crate) async fn plan(self, TlsKeys {}: TlsKeys) -> Result<TlsPlan, TlsOptionsError> {
        Ok(TlsPlan::default())
    }
}

impl TlsPlan {
    #[expect(clippy::unnecessary_wraps, reason = "with TLS it may fail")]
    pub(crate) fn spread(self, _: ServersArgs) -> Result<Self, ServersError> {
        Ok(self)
    }

    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    pub(crate) fn apply(&self, builder: Builder) -> Builder {
        builder
    }

    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    pub(crate) fn tell(&self, _: Option<&SocketAddr>) {}

    pub(crate) fn first_of(_: &ZkMini, _: usize) -> Option<SocketAddr> {
        None
    }
}

impl TlsKeys {
    /// Refuses keys that open a port for TLS; others are no keys here.
    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, &'static str> {
        match (key, value.eq_ignore_ascii_case("true")) {
            ("secureClientPort", _) | ("client.portUnification", true) => {
                Err("left out: this build has no TLS")
            }
            _ => Ok(false),
        }
    }

    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    pub(crate) fn secure_listen(&self) -> Option<(Host, u16)> {
        None
    }

    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    pub(crate) fn has_tls(&self) -> bool {
        true
    }
}
