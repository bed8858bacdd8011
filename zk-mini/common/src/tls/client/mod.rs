//! TLS of a client: authorities of servers, its own certificate, and the name that a server must have.

mod stream;
mod uri;

pub use stream::{ClientHandshake, ClientStream};

use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Load, Pem, TlsError, Watched, current, own_certificate, roots};
use uri::UriVerifier;

/// Configures TLS for a client; finish with [`load`](Self::load). The certificate of a server must have been issued by one of
/// the authorities, for the host that the client connects to.
#[derive(Clone, Debug)]
#[must_use = "call load"]
pub struct ClientTlsConfig {
    authorities: Pem,
    own: Option<(Pem, Pem)>,
    expected: Expected,
}

/// Name that a server's certificate must show.
#[derive(Clone, Debug)]
enum Expected {
    /// The host of its address.
    Host,
    Name(String),
    Uri(String),
}

/// TLS of a client. Clones share its certificates, which follow their files: a change takes effect at the next connection. With a
/// file that cannot be used, for example because its key has not been written yet, the last ones stay.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<Watched<ClientTlsConfig>>);

/// Configuration of handshakes.
#[derive(Debug)]
pub struct LoadedClient {
    pub(super) config: Arc<ClientConfig>,
    /// Fixed name of the server.
    pub(super) name: Option<ServerName<'static>>,
    /// Source of the authorities, for errors.
    pub(super) authorities: Pem,
}

impl ClientTlsConfig {
    /// Takes the authorities that issue the certificates of servers. Those of the system are not used.
    pub fn new(authorities: Pem) -> Self {
        Self { authorities, own: None, expected: Expected::Host }
    }

    /// Sets the certificate of this client, with those between it and its CA, and its key.
    pub fn certificate(mut self, certificate: Pem, key: Pem) -> Self {
        self.own = Some((certificate, key));
        self
    }

    /// Sets the name that the certificate of every server must have, a DNS name or an IP address. Default: the host of its
    /// address.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.expected = Expected::Name(name.into());
        self
    }

    /// Sets the URI that the certificate of every server must have in place of a name, for example
    /// `spiffe://example.org/shop`.
    pub fn server_uri(mut self, uri: impl Into<String>) -> Self {
        self.expected = Expected::Uri(uri.into());
        self
    }

    /// Reads the certificates and the key.
    ///
    /// # Errors
    /// One of them cannot be used; the error names it.
    pub fn load(self) -> Result<ClientTls, TlsError> {
        Ok(ClientTls(Arc::new(Watched::new(self)?)))
    }
}

impl ClientTls {
    /// Reads the files again now, also if they have not changed.
    ///
    /// # Errors
    /// One of them cannot be used; the certificates stay.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.0.reload()
    }

    /// Takes other certificates for connections from now on.
    ///
    /// # Errors
    /// One of them cannot be used; the certificates stay.
    pub fn replace(&self, config: ClientTlsConfig) -> Result<(), TlsError> {
        self.0.replace(config)
    }

    pub(super) fn current(&self) -> Arc<LoadedClient> {
        current(&self.0)
    }
}

impl Load for ClientTlsConfig {
    type Loaded = LoadedClient;

    fn sources(&self) -> Vec<&Pem> {
        let own = self.own.iter().flat_map(|(certificate, key)| [certificate, key]);
        [&self.authorities].into_iter().chain(own).collect()
    }

    fn load(&self) -> Result<LoadedClient, TlsError> {
        let unusable = |pem: &Pem, reason: String| TlsError::Unusable { pem: pem.to_string(), reason };
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(roots(&self.authorities)?);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&self.authorities, error.to_string()))?;
        let builder = match &self.expected {
            Expected::Uri(uri) => {
                let verifier = UriVerifier::new(roots, uri.clone(), &provider);
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            Expected::Host | Expected::Name(_) => builder.with_root_certificates(roots),
        };
        let config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let (chain, own_key) = own_certificate(certificate, key)?;
                builder.with_client_auth_cert(chain, own_key).map_err(|error| TlsError::Unusable {
                    pem: format!("{certificate} with {key}"),
                    reason: error.to_string(),
                })?
            }
        };
        let name = match &self.expected {
            Expected::Name(name) => {
                Some(ServerName::try_from(name.clone()).map_err(|_| TlsError::Unusable {
                    pem: format!("the server name {name:?}"),
                    reason: "it is neither a DNS name nor an IP address".to_owned(),
                })?)
            }
            Expected::Host | Expected::Uri(_) => None,
        };
        Ok(LoadedClient { config: Arc::new(config), name, authorities: self.authorities.clone() })
    }
}
