//! TLS of servers and clients, of RPC and of ZooKeeper's protocol: certificates and keys in PEM, what is wrong with them, when they
//! change, and the handshakes.

#[cfg(feature = "tls-authority")]
mod authority;
mod client;
mod error;
mod pem;
mod server;
mod subject;
mod watched;
mod words;

#[cfg(feature = "tls-authority")]
pub use authority::{Authority, Issued};
pub use client::{ClientHandshake, ClientStream, ClientTls, ClientTlsConfig};
pub use error::TlsError;
pub use pem::Pem;
pub use server::{ServerTls, ServerTlsConfig, TlsVersion};
pub use subject::subject;
pub use watched::{Load, Watched};
pub use words::{RefusedClient, refused_client};

use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::Identity;
use crate::log::quietly;

/// Protocol that both sides of RPC name in the handshake (ALPN), so that no connection of another protocol is taken for one of RPC.
/// Its version is agreed later, by the hello.
pub const RPC: &[u8] = b"zk-rpc";

/// Certificate of this process, with those between it and the CA, and its key.
pub type OwnCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads the certificate of this process and its key.
///
/// # Errors
/// A source cannot be read, has none of what it should have, or the certificate has expired.
pub fn own_certificate(certificate: &Pem, key: &Pem) -> Result<OwnCertificate, TlsError> {
    let chain = certificates(certificate)?;
    let leaf = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    if let Some((_, leaf)) = leaf
        && !leaf.validity().is_valid()
    {
        let (from, to) = (leaf.validity().not_before, leaf.validity().not_after.to_string());
        let (begins, from) = (from.timestamp(), from.to_string());
        return Err(TlsError::NotValidNow { pem: certificate.to_string(), from, to, begins });
    }
    let text = key.read()?;
    let parsed = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let pem = key.to_string();
        if is_encrypted(&text) { TlsError::EncryptedKey { pem } } else { TlsError::NoKey { pem } }
    })?;
    Ok((chain, parsed))
}

/// Returns what is loaded, and logs why a changed file cannot be used.
fn current<C: Load>(watched: &Watched<C>) -> Arc<C::Loaded> {
    let (loaded, failed) = watched.current();
    if let Some(error) = failed {
        quietly(|| tracing::warn!(%error, "the changed certificates cannot be used; the last ones stay"));
    }
    loaded
}

/// Reads the certificates of authorities.
///
/// # Errors
/// The source cannot be read, or has no certificate of an authority.
pub fn roots(pem: &Pem) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::Unusable { pem: pem.to_string(), reason: error.to_string() })?;
    }
    Ok(roots)
}

/// Returns true for a key that needs a password.
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = pem.read()?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(TlsError::NoCertificate { pem: pem.to_string() }),
        Err(error) => Err(TlsError::Unusable { pem: pem.to_string(), reason: error.to_string() }),
    }
}

/// Returns the names in a certificate; none of one that cannot be read.
#[must_use]
pub fn identity(certificate: &CertificateDer<'_>) -> Identity {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Identity::default() };
    let common_name = certificate.subject().iter_common_name().find_map(|name| name.as_str().ok());
    let mut identity = Identity { common_name: common_name.map(str::to_owned), ..Identity::default() };
    let names = certificate.subject_alternative_name().ok().flatten();
    for name in names.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => identity.dns_names.push((*name).to_owned()),
            GeneralName::URI(uri) => identity.uris.push((*uri).to_owned()),
            _ => {}
        }
    }
    identity
}
