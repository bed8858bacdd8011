//! TLS.

use std::net::SocketAddr;

use common::tls::ServerTls;

use super::Builder;
use crate::error::Error;
use crate::shell::security::TlsSetup;

impl Builder {
    /// Takes TLS on every address, and from every stream in memory, told from the other protocols by its first byte
    /// (`client.portUnification`), with this certificate. HTTP and four-letter words work inside, too. A client with a certificate has
    /// the identity `x509` of its name, for ACLs, as with Apache ZooKeeper's `X509AuthenticationProvider`. With the feature
    /// `tls`.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::net::Ipv4Addr;
    /// use zk_mini::{Pem, TlsConfig, ZkMini};
    ///
    /// let tls = TlsConfig::new(Pem::file("server.pem"), Pem::file("server.key"))
    ///     .client_ca(Pem::file("ca.pem")) // `ssl.clientAuth=need`
    ///     .load()?;
    /// let zk = ZkMini::builder().tls(tls).listen_tls((Ipv4Addr::LOCALHOST, 0)).start().await?;
    /// println!("{} takes both, {:?} TLS only", zk.connect_string(), zk.tls_addr());
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls(mut self, tls: ServerTls) -> Self {
        let is_unified = self.tls.is_none_or(|setup| setup.is_unified);
        self.tls = Some(TlsSetup { tls, is_unified });
        self
    }

    /// Adds an address for TLS only (`secureClientPort`), beside those of [`listen`](Self::listen); after
    /// [`in_memory`](Self::in_memory) there are no others. Port 0 lets the system choose: see
    /// [`Handle::tls_addr`](crate::Handle::tls_addr). Of several [`servers`](Self::servers) it is that of the first one; the
    /// others get the next ports, or free ones. With the feature `tls`.
    pub fn listen_tls(mut self, addr: impl Into<SocketAddr>) -> Self {
        self.listen_tls.push(addr.into());
        self
    }

    /// Sets the addresses for TLS only of each of several [`servers`](Self::servers). Port 0 is a free one, the same on all
    /// addresses of a server. With the feature `tls`.
    pub fn tls_servers_at(mut self, addrs: impl IntoIterator<Item = Vec<SocketAddr>>) -> Self {
        self.each_tls = addrs.into_iter().collect();
        self
    }

    /// Sets `client.portUnification`: the addresses of [`listen`](Self::listen) take TLS, too. On unless set; it comes after
    /// [`tls`](Self::tls), without which it has no effect. With the feature `tls`.
    pub fn port_unification(mut self, takes_both: bool) -> Self {
        if let Some(setup) = &mut self.tls {
            setup.is_unified = takes_both;
        }
        self
    }

    /// Sets `X509AuthenticationProvider.superUser`, the name in a client's certificate that has all permissions, such as
    /// `CN=admin,O=Example`: as RFC 2253 has it, the last part first. Unless set, no name has them. With the feature `tls`.
    pub fn x509_super_user(mut self, name: impl Into<String>) -> Self {
        self.core.x509_super_user = Some(name.into());
        self
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Checks that what needs a certificate has one.
    pub(super) fn prepare_tls(&mut self) -> Result<(), Error> {
        self.core.x509 = self.tls.is_some();
        let (servers, given) = (self.count()?, self.each_tls.len());
        if given > servers {
            return Err(Error::TlsAddresses { servers, given });
        }
        match (&self.tls, self.listen_tls.first().or(self.each_tls.iter().flatten().next())) {
            (None, Some(addr)) => Err(Error::NoCertificate { addr: *addr }),
            _ => Ok(()),
        }
    }
}
