//! Keys of `zoo.cfg` for TLS with clients.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use zk_mini::{Pem, TlsVersion};

use crate::listen::Host;

/// Remark on keys of stores, where no port speaks TLS.
pub(crate) const UNUSED: &str =
    "is ignored: no port speaks TLS without secureClientPort or client.portUnification=true";

/// Demand on clients, `ssl.clientAuth`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ClientAuth {
    /// Ask for no certificate
    None,
    /// Check the certificate of a client that has one
    Want,
    /// Refuse clients without a certificate
    Need,
}

/// Keys that were set; all others keep ZooKeeper's defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsKeys {
    secure_client_port: Option<u16>,
    secure_client_port_address: Option<Host>,
    key_store: Store,
    trust_store: Store,
    pub(crate) client_auth: Option<ClientAuth>,
    pub(crate) port_unification: Option<bool>,
    /// `ssl.enabledProtocols`, which counts for more than `ssl.protocol`.
    pub(crate) protocols: Option<Vec<TlsVersion>>,
    pub(crate) protocol: Option<Vec<TlsVersion>>,
    pub(crate) super_user: Option<String>,
}

impl TlsKeys {
    /// Sets an entry. Returns false for a key that is none of these; the error names the expected value.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, &'static str> {
        match key {
            "secureClientPort" => {
                self.secure_client_port = Some(value.parse().map_err(|_| "a port, 0 to 65535")?);
            }
            "secureClientPortAddress" => {
                self.secure_client_port_address = Some(value.parse().map_err(|_| "a host or an address")?);
            }
            "client.portUnification" => self.port_unification = Some(value.eq_ignore_ascii_case("true")),
            "ssl.keyStore.location" => self.key_store.file = Some(file(value)?),
            "ssl.trustStore.location" => self.trust_store.file = Some(file(value)?),
            // The content tells.
            "ssl.keyStore.type" | "ssl.trustStore.type" => store_type(value)?,
            "ssl.keyStore.password" => self.key_store.password = Some(value.to_owned()),
            "ssl.trustStore.password" => self.trust_store.password = Some(value.to_owned()),
            "ssl.keyStore.passwordPath" => self.key_store.password = Some(secret(value)?),
            "ssl.trustStore.passwordPath" => self.trust_store.password = Some(secret(value)?),
            "ssl.clientAuth" => self.client_auth = Some(client_auth(value)?),
            // It concerns connections that a server opens itself, to other servers.
            "ssl.hostnameVerification" => {}
            "ssl.enabledProtocols" => self.protocols = Some(protocols(value)?),
            "ssl.protocol" => self.protocol = Some(protocols(value)?),
            "X509AuthenticationProvider.superUser" => self.super_user = Some(value.to_owned()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns the key with its certificates, in one file.
    pub(crate) fn key_store(&self) -> Option<Pem> {
        self.key_store.source()
    }

    pub(crate) fn trust_store(&self) -> Option<Pem> {
        self.trust_store.source()
    }

    /// Returns where to listen for TLS only.
    pub(crate) fn secure_listen(&self) -> Option<(Host, u16)> {
        let host = self.secure_client_port_address.clone().unwrap_or_default();
        self.secure_client_port.map(|port| (host, port))
    }

    /// Returns true if a port speaks TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.secure_client_port.is_some() || self.port_unification == Some(true)
    }
}

/// File with its password.
#[derive(Clone, Default)]
struct Store {
    file: Option<PathBuf>,
    password: Option<String>,
}

impl Store {
    fn source(&self) -> Option<Pem> {
        let password = self.password.clone().unwrap_or_default();
        self.file.as_ref().map(|file| Pem::key_store(file, password))
    }
}

/// Leaves out the password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Reads a password from a file, as ZooKeeper does.
fn secret(file: &str) -> Result<String, &'static str> {
    let text = fs::read_to_string(file).map_err(|_| "a file that can be read, with the password")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn file(value: &str) -> Result<PathBuf, &'static str> {
    if value.is_empty() { Err("a file in PEM or JKS") } else { Ok(value.into()) }
}

fn store_type(value: &str) -> Result<(), &'static str> {
    let is_known = ["PEM", "JKS", "PKCS12"].iter().any(|known| known.eq_ignore_ascii_case(value));
    if is_known || value.is_empty() { Ok(()) } else { Err("PEM or JKS; others are to be converted") }
}

fn client_auth(value: &str) -> Result<ClientAuth, &'static str> {
    match value.to_ascii_lowercase().as_str() {
        "none" => Ok(ClientAuth::None),
        "want" => Ok(ClientAuth::Want),
        "need" | "" => Ok(ClientAuth::Need),
        _ => Err("none, want or need"),
    }
}

fn protocols(value: &str) -> Result<Vec<TlsVersion>, &'static str> {
    let version = |name: &str| match name.trim() {
        "TLSv1.2" => Ok(TlsVersion::V1_2),
        "TLSv1.3" => Ok(TlsVersion::V1_3),
        _ => Err("TLSv1.2, TLSv1.3, or both with a comma: older ones are not spoken"),
    };
    value.split(',').map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_zookeeper() {
        let mut keys = TlsKeys::default();
        for (key, value) in [
            ("secureClientPort", "2281"),
            ("ssl.keyStore.location", "/k.pem"),
            ("ssl.keyStore.type", "pem"),
            ("ssl.keyStore.password", "secret"),
            ("ssl.clientAuth", "WANT"),
            ("ssl.enabledProtocols", "TLSv1.2, TLSv1.3"),
            ("ssl.hostnameVerification", "false"),
        ] {
            assert_eq!(keys.set(key, value), Ok(true), "{key}");
        }
        assert_eq!(keys.secure_listen(), Some((Host::Loopback, 2281)));
        assert_eq!(keys.client_auth, Some(ClientAuth::Want));
        assert_eq!(keys.protocols, Some(vec![TlsVersion::V1_2, TlsVersion::V1_3]));
        assert_eq!(keys.set("ssl.ciphersuites", "x"), Ok(false));
    }

    #[test]
    fn a_bad_value_is_an_error_that_names_the_right_form() {
        for (key, value) in [
            ("secureClientPort", "many"),
            ("secureClientPortAddress", "not a host"),
            ("ssl.keyStore.location", ""),
            ("ssl.keyStore.type", "BCFKS"),
            ("ssl.clientAuth", "maybe"),
            ("ssl.protocol", "TLSv1.1"),
            ("ssl.enabledProtocols", "TLSv1.2,SSLv3"),
        ] {
            assert!(TlsKeys::default().set(key, value).is_err(), "{key}={value}");
        }
    }
}
