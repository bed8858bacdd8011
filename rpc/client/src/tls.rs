//! Connections in TLS, over those of another connector.

use std::sync::Arc;

use common::tls::{ClientTls, RPC};
use registry::{Connecting, Stream};

use crate::connector::Connect;

/// Connects by another connector, and speaks TLS.
pub(crate) struct TlsConnect {
    below: Arc<dyn Connect>,
    tls: ClientTls,
}

impl TlsConnect {
    pub(crate) fn new(below: Arc<dyn Connect>, tls: ClientTls) -> Self {
        Self { below, tls }
    }
}

impl Connect for TlsConnect {
    fn connect<'a>(&'a self, addr: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let handshake = self.tls.handshake(addr, Some(RPC))?;
            let stream = self.below.connect(addr).await?;
            Ok(Box::new(handshake.over(stream).await?) as Box<dyn Stream>)
        })
    }
}
