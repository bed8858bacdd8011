//! Connections as a connect string asks for them: with TLS or without.

use std::sync::Arc;

use crate::connect::Connect;
use crate::error::Error;
use crate::tls_files::TlsFiles;

/// Speaks TLS over the connections of `below`, if files for it are named.
#[cfg(feature = "tls")]
pub(crate) fn secured(below: Arc<dyn Connect>, files: Option<&TlsFiles>) -> Result<Arc<dyn Connect>, Error> {
    use crate::tls::{Pem, TlsConfig, TlsConnect};

    let Some(TlsFiles { ca, certificate, server_name }) = files else { return Ok(below) };
    let mut config = TlsConfig::new(Pem::file(ca));
    if let Some((certificate, key)) = certificate {
        config = config.certificate(Pem::file(certificate), Pem::file(key));
    }
    if let Some(name) = server_name {
        config = config.server_name(name);
    }
    let tls = config.load().map_err(|error| Error::Tls { reason: error.to_string() })?;
    Ok(Arc::new(TlsConnect::over(below, tls)))
}

/// Refuses files for TLS: there is none in this build.
#[cfg(not(feature = "tls"))]
pub(crate) fn secured(below: Arc<dyn Connect>, files: Option<&TlsFiles>) -> Result<Arc<dyn Connect>, Error> {
    match files {
        None => Ok(below),
        Some(_) => {
            let reason = "this program was built without the feature `tls` of zk-client".to_owned();
            Err(Error::Tls { reason })
        }
    }
}
