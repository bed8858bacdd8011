//! Certificates of a server, and the authorities of its clients.

use std::sync::Arc;

use common::log::quietly;
use common::tls::{ALPN, Load, Pem, TlsError, Watched, own_certificate, roots};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};

/// Configures TLS for a server; finish with [`load`](Self::load).
///
/// ```no_run
/// use rpc_server::{Pem, Server, Service, TlsConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let service = Service::builder("shop").build();
/// let tls = TlsConfig::new(Pem::file("server.pem"), Pem::file("server.key"))
///     .client_ca(Pem::file("clients.pem")) // mutual TLS: `Context::identity` tells who calls
///     .load()?;
/// let server = Server::new(service).tls(tls);
/// # drop(server);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "call load"]
pub struct TlsConfig {
    certificate: Pem,
    key: Pem,
    client_ca: Option<Pem>,
    is_optional: bool,
}

/// TLS of a server. Clones share its certificates, which follow their files: a change takes effect at the next handshake, and no
/// connection is lost. With a file that cannot be used, for example because its key has not been written yet, the last ones stay.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Watched<TlsConfig>>);

impl TlsConfig {
    /// Takes the certificate of the server, with those between it and its CA, and its key.
    pub fn new(certificate: Pem, key: Pem) -> Self {
        Self { certificate, key, client_ca: None, is_optional: false }
    }

    /// Demands a certificate of each client, issued by one of these authorities.
    pub fn client_ca(mut self, authorities: Pem) -> Self {
        self.client_ca = Some(authorities);
        self
    }

    /// Lets clients in that have no certificate; those that have one must prove it.
    pub fn optional_client_certificate(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// Reads the certificates and the key.
    ///
    /// # Errors
    /// One of them cannot be used; the error names it.
    pub fn load(self) -> Result<Tls, TlsError> {
        Ok(Tls(Arc::new(Watched::new(self)?)))
    }
}

impl Tls {
    /// Reads the files again now, also if they have not changed.
    ///
    /// # Errors
    /// One of them cannot be used; the certificates stay.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.0.reload()
    }

    /// Takes other certificates for handshakes from now on.
    ///
    /// # Errors
    /// One of them cannot be used; the certificates stay.
    pub fn replace(&self, config: TlsConfig) -> Result<(), TlsError> {
        self.0.replace(config)
    }

    /// Returns the configuration for a handshake.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        let (config, failed) = self.0.current();
        if let Some(error) = failed {
            quietly(|| tracing::warn!(%error, "the changed certificates cannot be used; the last ones stay"));
        }
        config
    }
}

impl Load for TlsConfig {
    type Loaded = ServerConfig;

    fn sources(&self) -> Vec<&Pem> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).collect()
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let unusable = |pem: String, reason: String| TlsError::Unusable { pem, reason };
        let provider = Arc::new(ring::default_provider());
        let (chain, key) = own_certificate(&self.certificate, &self.key)?;
        let verifier = match &self.client_ca {
            None => Arc::new(NoClientAuth),
            Some(pem) => {
                let builder =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), Arc::clone(&provider));
                let builder = if self.is_optional { builder.allow_unauthenticated() } else { builder };
                builder.build().map_err(|error| unusable(pem.to_string(), error.to_string()))?
            }
        };
        let both = || format!("{} with {}", self.certificate, self.key);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(both(), error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| unusable(both(), error.to_string()))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}
