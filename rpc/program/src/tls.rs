//! Options for services that speak TLS.

use std::env;
use std::path::{Path, PathBuf};

use clap::Args;
use rpc_client::{ClientBuilder, Pem, TlsConfig};

use crate::error::CliError;

/// Files in which systems keep the authorities that they trust: Debian, Fedora, Alpine and macOS.
const OF_SYSTEMS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Options of commands that call a service over TLS.
#[derive(Args, Debug)]
pub(crate) struct TlsArgs {
    /// Speak TLS with the service; so does any other option of this kind
    #[arg(long, help_heading = "TLS options")]
    tls: bool,

    /// Authorities that issue the certificates of services, in PEM [default: $SSL_CERT_FILE, else those of the system]
    #[arg(long, value_name = "FILE", help_heading = "TLS options")]
    ca: Option<PathBuf>,

    /// Own certificate in PEM, with those between it and its authority
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "TLS options")]
    cert: Option<PathBuf>,

    /// Key of the own certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS options")]
    key: Option<PathBuf>,

    /// Name that the service's certificate must have [default: the host of the address]
    ///
    /// A DNS name or an IP address; or a URI, as in spiffe://example.org/shop.
    #[arg(long, value_name = "NAME", help_heading = "TLS options")]
    server_name: Option<String>,
}

impl TlsArgs {
    /// Makes the client speak TLS, if that is wanted.
    pub(crate) fn configured(&self, builder: ClientBuilder) -> Result<ClientBuilder, CliError> {
        let Self { tls, ca, cert, key, server_name } = self;
        if !(*tls || ca.is_some() || cert.is_some() || server_name.is_some()) {
            return Ok(builder);
        }
        let ca = match ca {
            Some(ca) => ca.clone(),
            None => of_system().ok_or(CliError::NoAuthorities)?,
        };
        let mut config = TlsConfig::new(Pem::file(ca));
        if let (Some(cert), Some(key)) = (cert, key) {
            config = config.certificate(Pem::file(cert), Pem::file(key));
        }
        config = match server_name {
            Some(uri) if uri.contains("://") => config.server_uri(uri),
            Some(name) => config.server_name(name),
            None => config,
        };
        Ok(builder.tls(config.load()?))
    }
}

fn of_system() -> Option<PathBuf> {
    let named = env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| OF_SYSTEMS.iter().map(Path::new).find(|path| path.is_file()).map(Path::to_owned))
}
