//! The options of `serve` for TLS, and what they make of the keys of a `zoo.cfg`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use zk_mini::{Builder, Pem, Tls, TlsConfig, TlsError, ZkMini};

use crate::listen::{Listen, ResolveError};
use crate::servers::{ServersArgs, ServersError};
use crate::tls_dev::{DevError, DevFiles};
use crate::zoo_tls::{ClientAuth, TlsKeys};

/// Port for TLS only, unless one is named. Many ensembles have it.
const DEFAULT_PORT: u16 = 2281;

/// Option for addresses that are for TLS only.
const LISTEN: &str = "--tls-listen";

/// Options of `serve` for TLS.
#[derive(Args, Debug)]
#[command(next_help_heading = "TLS options")]
pub(crate) struct TlsOptions {
    /// Certificate of the server in PEM, with those between it and its authority
    ///
    /// Every port then takes TLS, too, told from the other protocols by its first byte.
    /// A client with a certificate has the identity x509 in ACLs: its name, as in
    /// x509:CN=billing,O=Example:cdrwa. Changed files are used for the next connection.
    #[arg(long, value_name = "FILE", conflicts_with = "tls_dev", verbatim_doc_comment)]
    tls_cert: Option<PathBuf>,

    /// Key of the certificate in PEM [default: in the file of the certificate]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Authorities that issue the certificates of clients, in PEM; clients then need one
    #[arg(long, value_name = "FILE", conflicts_with = "tls_dev")]
    tls_ca: Option<PathBuf>,

    /// Certificates of clients [default: need with authorities, else none]
    #[arg(long, value_name = "WHETHER", value_enum)]
    tls_client_auth: Option<ClientAuth>,

    /// Further address, for TLS only; the port is 2281 unless given
    ///
    /// Forms as of --listen. The chosen address is printed in a further line,
    /// `tls on HOST:PORT`. May be repeated, to listen on several; with --servers for one
    /// server each. If it is given once, the next servers get the next ports, or, for
    /// port 0, free ones.
    #[arg(long, value_name = "HOST:PORT", verbatim_doc_comment)]
    tls_listen: Vec<Listen>,

    /// Make throw-away certificates in this directory, to try clients with
    ///
    /// An authority (ca.pem), and of it a certificate with its key for this server on
    /// localhost (server.pem) and one for clients (client.pem, its key also in client.key).
    /// If they are there, they are used again. How clients use them is printed on
    /// standard error.
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    tls_dev: Option<PathBuf>,
}

/// Reason why TLS cannot be had as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsOptionsError {
    #[error(
        "{0} needs a certificate of the server: --tls-cert FILE, or ssl.keyStore.location in a zoo.cfg; --tls-dev DIR makes one"
    )]
    NoCertificate(&'static str),
    #[error(
        "{0} is for a port that speaks TLS, and none does: add --tls-cert FILE or --tls-listen HOST:PORT, or \
         secureClientPort or client.portUnification=true in a zoo.cfg"
    )]
    NoPort(&'static str),
    #[error(
        "clients need a certificate, and the authorities that issue them are missing: name their file with --tls-ca or \
         ssl.trustStore.location, or ask for none with --tls-client-auth none or ssl.clientAuth=none"
    )]
    NoAuthorities,
    #[error(transparent)]
    Files(#[from] TlsError),
    #[error(transparent)]
    Dev(#[from] DevError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

/// TLS of a server that is about to start.
#[derive(Debug, Default)]
pub(crate) struct TlsPlan {
    tls: Option<Tls>,
    is_unified: bool,
    super_user: Option<String>,
    dev: Option<DevFiles>,
    /// Addresses for TLS only, of each time that the option was given, and later of each server.
    pub(crate) addrs: Vec<Vec<SocketAddr>>,
}

impl TlsOptions {
    /// Reads the certificates, and finds the addresses. Options override the keys of a file.
    pub(crate) async fn plan(self, keys: TlsKeys) -> Result<TlsPlan, TlsOptionsError> {
        let auth = self.client_auth(&keys);
        let Self { mut tls_cert, tls_key, mut tls_ca, tls_client_auth, tls_listen, tls_dev } = self;
        let dev = tls_dev.as_deref().map(DevFiles::prepare).transpose()?;
        if let Some(files) = &dev {
            (tls_cert, tls_ca) = (Some(files.server()), Some(files.ca()));
        }
        // An option for a certificate is a wish for TLS; a key alone is not, in ZooKeeper.
        let is_unified = tls_cert.is_some() || keys.port_unification == Some(true);
        let (by, listens) = match (&tls_listen[..], keys.secure_listen()) {
            ([], None) if !is_unified => {
                // Whoever asks for a check of clients must not get a server that checks none.
                let ca = tls_ca.map(|_| "--tls-ca");
                let asks = tls_client_auth.filter(|auth| *auth != ClientAuth::None);
                if let Some(option) = ca.or(asks.map(|_| "--tls-client-auth")) {
                    let has_certificate = keys.key_store().is_some();
                    let error = if has_certificate {
                        TlsOptionsError::NoPort
                    } else {
                        TlsOptionsError::NoCertificate
                    };
                    return Err(error(option));
                }
                return Ok(TlsPlan { super_user: keys.super_user, ..TlsPlan::default() });
            }
            ([], None) => ("client.portUnification", Vec::new()),
            ([], Some(listen)) => ("secureClientPort", vec![listen]),
            _ => {
                let listen = |Listen { host, port }| (host, port.unwrap_or(DEFAULT_PORT));
                (LISTEN, tls_listen.into_iter().map(listen).collect())
            }
        };
        let certificate = tls_cert.map(Pem::file).or_else(|| keys.key_store());
        let certificate = certificate.ok_or(TlsOptionsError::NoCertificate(by))?;
        let key = tls_key.map_or_else(|| certificate.clone(), Pem::file);
        let mut config = TlsConfig::new(certificate, key);
        if auth != ClientAuth::None {
            let ca = tls_ca.map(Pem::file).or_else(|| keys.trust_store());
            config = config.client_ca(ca.ok_or(TlsOptionsError::NoAuthorities)?);
        }
        if auth == ClientAuth::Want {
            config = config.optional_client_certificate();
        }
        if let Some(versions) = keys.protocols.or(keys.protocol) {
            config = config.versions(versions);
        }
        let mut addrs = Vec::new();
        for (host, port) in listens {
            addrs.push(host.addrs(port).await?);
        }
        Ok(TlsPlan { tls: Some(config.load()?), is_unified, super_user: keys.super_user, dev, addrs })
    }

    /// Returns what clients have to show: what the options say, or else the file. If neither says anything: a certificate if
    /// there are authorities, and always if the server's own certificate is that of the file, as in ZooKeeper.
    fn client_auth(&self, keys: &TlsKeys) -> ClientAuth {
        let by_authorities = self.tls_ca.as_ref().map(|_| ClientAuth::Need);
        let said = self.tls_client_auth.or(by_authorities).or(keys.client_auth);
        let may_be_open = self.tls_cert.is_some() && keys.trust_store().is_none();
        said.unwrap_or(if may_be_open { ClientAuth::None } else { ClientAuth::Need })
    }
}

impl TlsPlan {
    /// Gives each server its addresses.
    pub(crate) fn spread(mut self, servers: ServersArgs) -> Result<Self, ServersError> {
        self.addrs = servers.spread(LISTEN, self.addrs)?;
        Ok(self)
    }

    /// Returns the first address for TLS only of a server, counted from 0, with the port that it has got.
    pub(crate) fn first_of(zk: &ZkMini, server: usize) -> Option<SocketAddr> {
        match zk.server(server + 1) {
            Ok(server) => server.tls_addr(),
            // A single server.
            Err(_) => zk.tls_addr(),
        }
    }

    /// Configures a server.
    pub(crate) fn apply(&self, mut builder: Builder) -> Builder {
        if let Some(name) = &self.super_user {
            builder = builder.x509_super_user(name);
        }
        let Some(tls) = &self.tls else { return builder };
        builder = builder.tls(tls.clone()).port_unification(self.is_unified);
        builder.tls_servers_at(self.addrs.clone())
    }

    /// Prints how clients use throw-away certificates, if there are any, with a server that listens on `addr`.
    pub(crate) fn tell(&self, addr: Option<&SocketAddr>) {
        if let (Some(files), Some(addr)) = (&self.dev, addr) {
            files.tell(addr.port());
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        tls: TlsOptions,
    }

    fn client_auth(options: &[&str], file: &[(&str, &str)]) -> ClientAuth {
        let mut keys = TlsKeys::default();
        for (key, value) in file {
            assert_eq!(keys.set(key, value), Ok(true));
        }
        Options::parse_from([&["zk-mini"], options].concat()).tls.client_auth(&keys)
    }

    #[test]
    fn clients_need_a_certificate_where_there_are_authorities_unless_somebody_says_otherwise() {
        use ClientAuth::{Need, None, Want};
        let (stores, own) =
            ([("ssl.keyStore.location", "k"), ("ssl.trustStore.location", "t")], "--tls-cert=s");
        assert_eq!(client_auth(&[], &stores), Need, "as in ZooKeeper");
        assert_eq!(client_auth(&[own], &stores), Need, "another certificate changes nothing for clients");
        assert_eq!(client_auth(&[own], &[]), None);
        assert_eq!(client_auth(&[own, "--tls-ca=a"], &[]), Need);
        assert_eq!(client_auth(&["--tls-dev=d"], &[]), Need);
        for (word, said) in [("none", None), ("want", Want)] {
            let file = [stores[0], stores[1], ("ssl.clientAuth", word)];
            assert_eq!(client_auth(&[own], &file), said);
            assert_eq!(client_auth(&[own, "--tls-ca=a"], &file), Need, "options override the file");
            assert_eq!(client_auth(&["--tls-ca=a", "--tls-client-auth", word], &file), said);
        }
    }
}
