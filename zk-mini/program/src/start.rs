//! The start of a server, as all commands do it.

use std::net::SocketAddr;
use std::thread;

use tokio::sync::oneshot;
use zk_mini::blocking::Wait;
use zk_mini::{Builder, Error, ZkMini};

use crate::error::CliError;
use crate::http_options::Access;
use crate::http_ports::{HttpAt, HttpPorts};
use crate::listen;
use crate::load::Loading;
use crate::tls_options::TlsPlan;
use crate::zoo_http::HttpKeys;

/// Content of a server at its start, beside its settings.
#[derive(Debug)]
pub(crate) struct Start {
    /// Addresses of each server; none of a server for TLS only.
    pub(crate) servers: Vec<Vec<SocketAddr>>,
    /// Number of observers, which are the last servers.
    pub(crate) observers: usize,
    pub(crate) tls: TlsPlan,
    pub(crate) loading: Option<Loading>,
    /// `None` if there is to be no HTTP.
    pub(crate) access: Option<Access>,
    /// Keys of a `zoo.cfg`.
    pub(crate) keys: HttpKeys,
}

/// A server that serves.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) zk: ZkMini,
    /// Addresses of each server, with the port that it has got.
    pub(crate) servers: Vec<Vec<SocketAddr>>,
    /// Addresses for TLS only of each server, likewise.
    pub(crate) tls: Vec<Vec<SocketAddr>>,
    pub(crate) http: HttpAt,
}

impl Start {
    /// Starts a server, which has the nodes of the tree before its first client comes. If the future is dropped, the start goes on in
    /// the background; a data directory survives the end of the process at any moment of it.
    pub(crate) async fn server(self, builder: Builder) -> Result<Started, CliError> {
        let Self { servers, observers, tls, loading, access, keys } = self;
        let mut builder = tls.apply(builder.servers_at(servers.clone()).observers(observers));
        let ports = match access {
            Some(access) => Some(HttpPorts::bind(access, &keys, &servers.concat()).await?),
            None => None,
        };
        if let Some(ports) = &ports {
            builder = ports.share_port(builder);
        }
        if let Some(loading) = &loading {
            builder = builder.load(&loading.tree);
        }
        let zk = start_apart(builder).await.map_err(|error| match (error, loading) {
            (CliError::Server(Error::Load(error)), Some(loading)) => loading.refused(error).into(),
            (error, _) => error,
        })?;
        let chosen = |at: usize| match zk.server(at + 1) {
            Ok(server) => server.addr(),
            // A single server.
            Err(_) => zk.addr(),
        };
        let with_port = |(at, addrs)| listen::with_port(addrs, chosen(at));
        let servers: Vec<_> = servers.into_iter().enumerate().map(with_port).collect();
        let with_port = |(at, addrs)| listen::with_port(addrs, TlsPlan::first_of(&zk, at));
        let tls_addrs: Vec<_> = tls.addrs.iter().cloned().enumerate().map(with_port).collect();
        let http = ports.map(|ports| ports.serve(&zk, &servers)).transpose()?.unwrap_or_default();
        tls.tell(tls_addrs.iter().chain(&servers).flatten().next());
        Ok(Started { zk, servers, tls: tls_addrs, http })
    }
}

/// Starts a server on a thread of its own, which stands still while a large data directory is read. It is none of the runtime's, whose
/// end would wait for that.
async fn start_apart(builder: Builder) -> Result<ZkMini, CliError> {
    let (sender, started) = oneshot::channel();
    let start = move || {
        // Nobody waits for it any more if that fails.
        let _ = sender.send(builder.start().wait());
    };
    thread::Builder::new().name("start".into()).spawn(start).map_err(CliError::Runtime)?;
    Ok(started.await.map_err(|_| CliError::Ended)??)
}
