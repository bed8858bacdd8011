//! TLS of servers and clients, of RPC and of ZooKeeper's protocol: certificates and keys in PEM, what is wrong with them, when they
//! change, and the handshakes.

#[cfg(feature = "tls-authority")]
mod authority;
mod client;
mod client_verifier;
mod error;
mod jks;
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
use jks::Jks;
use pem::Contents;

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
    let chain = match certificate.read()? {
        Contents::Store(Jks { own: Some((_, chain)), .. }) => chain,
        _ => certificates(certificate)?,
    };
    let leaf = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    if let Some((_, leaf)) = leaf
        && !leaf.validity().is_valid()
    {
        let (from, to) = (leaf.validity().not_before, leaf.validity().not_after.to_string());
        let (begins, from) = (from.timestamp(), from.to_string());
        return Err(TlsError::NotValidNow { pem: certificate.to_string(), from, to, begins });
    }
    let text = match key.read()? {
        Contents::Pem(text) => text,
        Contents::Store(Jks { own: Some((key, _)), .. }) => return Ok((chain, key.into())),
        Contents::Store(_) => return Err(TlsError::NoKey { pem: key.to_string() }),
    };
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
    let text = match pem.read()? {
        Contents::Pem(text) => text,
        Contents::Store(Jks { trusted, .. }) if !trusted.is_empty() => return Ok(trusted),
        // The chain of a key is whom others trust, not whom its owner does.
        Contents::Store(_) => return Err(TlsError::NoAuthority { pem: pem.to_string() }),
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str, password: &str) -> Pem {
        Pem::key_store(format!("{}/tests/stores/{name}", env!("CARGO_MANIFEST_DIR")), password)
    }

    #[test]
    fn a_key_store_of_javas_gives_its_key_and_its_certificates() {
        let key = store("key.jks", "apassword");
        let (chain, _) = own_certificate(&key, &key).unwrap();
        let expected = certificates(&store("certificate.pem", "")).unwrap();
        assert_eq!(chain, expected);
        assert_eq!(certificates(&store("trust.jks", "apassword")).unwrap(), expected);
        assert_eq!(roots(&store("trust.jks", "apassword")).unwrap().len(), 1);
        let error = roots(&key).unwrap_err().to_string();
        assert!(error.contains("no trusted certificate"), "{error}");
        // The certificate and the key belong together.
        ServerTlsConfig::new(key.clone(), key).client_ca(store("trust.jks", "apassword")).load().unwrap();
    }

    #[test]
    fn a_server_may_have_a_certificate_of_version_1_as_kazoos_suite_makes_them() {
        let key = store("version1.pem", "");
        ServerTlsConfig::new(key.clone(), key.clone()).load().unwrap();
        let other = ServerTlsConfig::new(store("certificate.pem", ""), key).load();
        assert!(other.unwrap_err().to_string().contains("the key is of another certificate"));
    }

    #[test]
    fn a_store_that_cannot_be_opened_says_why() {
        let why = |pem: &Pem| own_certificate(pem, pem).unwrap_err().to_string();
        assert!(why(&store("key.jks", "wrong")).contains("the password is wrong"));
        assert!(why(&store("trust.jks", "apassword")).contains("has no private key"));
        let bytes = std::fs::read(env!("CARGO_MANIFEST_DIR").to_owned() + "/tests/stores/key.jks").unwrap();
        for len in 0..bytes.len() {
            assert!(Jks::open(&bytes[..len], "apassword").is_err(), "{len}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(Jks::open(&damaged, "apassword").is_err(), "{at}");
        }
    }
}
