//! TLS of a server: its certificate, and the authorities of its clients.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::client_verifier::ClientVerifier;
use super::{Load, Pem, TlsError, Watched, certificates, current, own_certificate, roots};

/// Configures TLS for a server; finish with [`load`](Self::load).
#[derive(Clone, Debug)]
#[must_use = "call load"]
pub struct ServerTlsConfig {
    certificate: Pem,
    key: Pem,
    client_ca: Option<Pem>,
    is_optional: bool,
    versions: Vec<TlsVersion>,
}

/// Version of TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// TLS of a server. Clones share its certificates, which follow their files: a change takes effect at the next handshake, and no
/// connection is lost. With a file that cannot be used, for example because its key has not been written yet, the last ones stay.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<Watched<ServerTlsConfig>>);

impl ServerTlsConfig {
    /// Takes the certificate of the server, with those between it and its CA, and its key.
    pub fn new(certificate: Pem, key: Pem) -> Self {
        let versions = vec![TlsVersion::V1_2, TlsVersion::V1_3];
        Self { certificate, key, client_ca: None, is_optional: false, versions }
    }

    /// Demands a certificate of each client, issued by one of these authorities. As by Java's server, certificates of version 1 are
    /// accepted, too, if one of the authorities has issued them itself.
    pub fn client_ca(mut self, authorities: Pem) -> Self {
        self.client_ca = Some(authorities);
        self
    }

    /// Lets clients in that have no certificate; those that have one must prove it.
    pub fn optional_client_certificate(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// Speaks only these versions. Default: both.
    pub fn versions(mut self, versions: impl IntoIterator<Item = TlsVersion>) -> Self {
        self.versions = versions.into_iter().collect();
        self
    }

    /// Reads the certificates and the key.
    ///
    /// # Errors
    /// One of them cannot be used; the error names it.
    pub fn load(self) -> Result<ServerTls, TlsError> {
        Ok(ServerTls(Arc::new(Watched::new(self)?)))
    }
}

impl ServerTls {
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
    pub fn replace(&self, config: ServerTlsConfig) -> Result<(), TlsError> {
        self.0.replace(config)
    }

    /// Returns the configuration for a handshake of `protocol` (ALPN), if one is named.
    #[must_use]
    pub fn config(&self, protocol: Option<&[u8]>) -> Arc<ServerConfig> {
        let config = current(&self.0);
        match protocol {
            None => config,
            Some(protocol) => {
                // A copy shares the certificates and the sessions to resume.
                let mut config = ServerConfig::clone(&config);
                config.alpn_protocols = vec![protocol.to_vec()];
                Arc::new(config)
            }
        }
    }
}

impl Load for ServerTlsConfig {
    type Loaded = ServerConfig;

    fn sources(&self) -> Vec<&Pem> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).collect()
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let unusable = |pem: String, reason: String| TlsError::Unusable { pem, reason };
        let provider = Arc::new(ring::default_provider());
        let (chain, key) = own_certificate(&self.certificate, &self.key)?;
        let verifier: Arc<dyn ClientCertVerifier> = match &self.client_ca {
            None => Arc::new(NoClientAuth),
            Some(pem) => {
                let builder =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), Arc::clone(&provider));
                let builder = if self.is_optional { builder.allow_unauthenticated() } else { builder };
                let rustls = builder.build().map_err(|error| unusable(pem.to_string(), error.to_string()))?;
                let algorithms = provider.signature_verification_algorithms;
                Arc::new(ClientVerifier::new(rustls, certificates(pem)?, algorithms))
            }
        };
        let both = || format!("{} with {}", self.certificate, self.key);
        let key = provider.key_provider.load_private_key(key);
        // Java leaves the public half of EC keys out.
        let key = key.map_err(|error| {
            let advice = "an EC key needs its public half beside it, which `openssl pkey` writes";
            unusable(self.key.to_string(), format!("{error}; {advice}"))
        })?;
        if !belongs(&chain, &*key) {
            return Err(unusable(both(), "the key is of another certificate".to_owned()));
        }
        // Not by rustls's check of it: that refuses certificates of version 1, which clients may accept.
        let own = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
        let versions: Vec<_> = self.versions.iter().map(|version| version.of_rustls()).collect();
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| unusable(both(), error.to_string()))?;
        Ok(builder.with_client_cert_verifier(verifier).with_cert_resolver(own))
    }
}

/// Returns false for the key of another certificate.
fn belongs(chain: &[CertificateDer<'_>], key: &dyn SigningKey) -> bool {
    let Some((key, leaf)) = key.public_key().zip(chain.first()) else { return true };
    X509Certificate::from_der(leaf).is_ok_and(|(_, leaf)| leaf.public_key().raw == &*key)
}

impl TlsVersion {
    fn of_rustls(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::V1_2 => &TLS12,
            Self::V1_3 => &TLS13,
        }
    }
}
