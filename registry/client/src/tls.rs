//! Connections in TLS, over those of another connector.

use std::sync::Arc;

pub use common::tls::{ClientTls as Tls, ClientTlsConfig as TlsConfig, Pem, TlsError};

use crate::connect::{Connect, Connecting, Resolving, Stream};

/// Connects by another connector, and speaks TLS. The name that a server's certificate must have is the host of its entry in
/// the list, unless [`TlsConfig::server_name`] sets another. [`Builder::tls`](crate::Builder::tls) uses it; others need it for
/// [`close_session_via`](crate::close_session_via).
pub struct TlsConnect {
    below: Arc<dyn Connect>,
    tls: Tls,
}

impl TlsConnect {
    /// Speaks TLS over the connections of `below`, for example [`TcpConnect`](crate::TcpConnect).
    pub fn new(below: impl Connect, tls: Tls) -> Self {
        Self::over(Arc::new(below), tls)
    }

    pub(crate) fn over(below: Arc<dyn Connect>, tls: Tls) -> Self {
        Self { below, tls }
    }
}

impl Connect for TlsConnect {
    fn resolve<'a>(&'a self, server: &'a str) -> Resolving<'a> {
        self.below.resolve(server)
    }

    fn connect<'a>(&'a self, server: &'a str, address: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let handshake = self.tls.handshake(server, None)?;
            let stream = self.below.connect(server, address).await?;
            Ok(Box::new(handshake.over(stream).await?) as Box<dyn Stream>)
        })
    }
}

impl std::fmt::Debug for TlsConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConnect").field("tls", &self.tls).finish_non_exhaustive()
    }
}
