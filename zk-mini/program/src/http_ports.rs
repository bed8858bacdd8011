//! HTTP beside the server: its ports are bound before the server starts, so that a port in use is told of at once.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};
use zk_mini::{Builder, Handle};
use zk_mini_http::{Face, Http};

use crate::http_options::{Access, Part};
use crate::listen::{ResolveError, with_port};
use crate::zoo_http::HttpKeys;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Maximum number of attempts to find a port that is free on every address.
const TRIES: usize = 64;

/// Way to have HTTP beyond loopback, in messages.
const TURN_ON: &str =
    "--http-token-file FILE turns it on there, and --http-open metrics,commands these two alone";

/// Reason why HTTP cannot be had as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("cannot listen on {addr} for {what}: {}; {advice}", reason(source))]
    Listen { addr: SocketAddr, what: &'static str, advice: &'static str, source: io::Error },
    #[error("{addr} is the ZooKeeper port, and not free for {what}; {advice}")]
    Shared { addr: SocketAddr, what: &'static str, advice: &'static str },
    #[error("--http {0}: HTTP is off on an address that is not loopback; {TURN_ON}")]
    Off(SocketAddr),
    #[error("cannot serve HTTP: {0}")]
    Serve(#[source] io::Error),
}

impl HttpError {
    /// Returns true if the options or the file are to blame.
    pub(crate) fn is_of_the_options(&self) -> bool {
        matches!(self, Self::Resolve(_) | Self::Off(_) | Self::Shared { .. })
    }
}

/// HTTP of a server that is about to start.
#[derive(Debug)]
pub(crate) struct HttpPorts {
    http: Http,
    access: Access,
    ports: Vec<Port>,
}

/// Port for HTTP alone.
#[derive(Debug)]
struct Port {
    what: &'static str,
    face: Face,
    listeners: Vec<TcpListener>,
    addrs: Vec<SocketAddr>,
}

/// HTTP of a server that has started.
#[derive(Debug, Default)]
pub(crate) struct HttpAt {
    /// Address at which everything is, if there is one.
    pub(crate) url: Option<String>,
    /// The same of each server after the first.
    pub(crate) others: Vec<Option<String>>,
    /// Address on the port of `--http` at which everything is, if there is one.
    pub(crate) own_url: Option<String>,
    /// Addresses of the port of `--http`.
    pub(crate) own: Vec<SocketAddr>,
    /// Addresses of the AdminServer and of the metrics that a `zoo.cfg` asks for.
    pub(crate) admin: Vec<String>,
}

impl HttpPorts {
    /// Binds the ports that the options and the file ask for. The ZooKeeper port is to be at `shared`.
    pub(crate) async fn bind(
        access: Access,
        keys: &HttpKeys,
        shared: &[SocketAddr],
    ) -> Result<Self, HttpError> {
        let mut ports = Vec::new();
        if let Some(own) = &access.own {
            let addrs = own.host.addrs(own.port.unwrap_or_default()).await?;
            if let Some(addr) =
                addrs.iter().find(|addr| !access.shows(**addr, &[Part::Metrics, Part::Commands]))
            {
                return Err(HttpError::Off(*addr));
            }
            let advice = "choose another port for --http, 0 lets the system choose; the ZooKeeper port answers HTTP anyway";
            check_apart(&addrs, shared, "HTTP", advice)?;
            ports.push(Port::bind("HTTP", advice, Face::Full, &addrs)?);
        }
        for admin in keys.ports() {
            let addrs = admin.host.addrs(admin.port).await?;
            check_apart(&addrs, shared, admin.what, admin.advice)?;
            match addrs.iter().find(|addr| !access.shows(**addr, &[admin.part])) {
                Some(addr) => tracing::warn!(
                    "{addr} is not loopback, so there is no port for {} there: {TURN_ON}",
                    admin.what
                ),
                None => ports.push(Port::bind(admin.what, admin.advice, admin.face, &addrs)?),
            }
        }
        let http = Http::new(access.settings.clone());
        Ok(Self { http, access, ports })
    }

    /// Lets the ZooKeeper port answer HTTP.
    pub(crate) fn share_port(&self, builder: Builder) -> Builder {
        self.http.share_port(builder)
    }

    /// Serves the ports beside servers, which listen on `shared`.
    pub(crate) fn serve(self, server: &Handle, shared: &[Vec<SocketAddr>]) -> Result<HttpAt, HttpError> {
        let mut at = HttpAt::default();
        shared.iter().for_each(|addrs| self.tell_of_the_shared_port(addrs));
        let mut urls = shared.iter().map(|addrs| {
            let open = addrs.first().filter(|addr| self.access.shows_everything(**addr));
            open.map(|addr| url(*addr))
        });
        at.url = urls.next().flatten();
        at.others = urls.collect();
        for port in self.ports {
            let Port { what, face, listeners, addrs } = port;
            for listener in listeners {
                self.http.serve(server, listener, &face).map_err(HttpError::Serve)?;
            }
            let Some(first) = addrs.first().copied() else { continue };
            let path = match face {
                Face::Admin { commands: Some(path), .. } => path,
                Face::Admin { commands: None, .. } => "/metrics".into(),
                _ => {
                    at.own_url = self.access.shows_everything(first).then(|| url(first));
                    at.url = at.url.or_else(|| at.own_url.clone());
                    at.own = addrs;
                    continue;
                }
            };
            let path = format!("{}{path}", url(first));
            tracing::info!("HTTP for {what}: {path}");
            at.admin.push(path);
        }
        Ok(at)
    }

    fn tell_of_the_shared_port(&self, shared: &[SocketAddr]) {
        let Some(addr) = shared.first().copied() else { return };
        let open: Vec<_> = self.access.open.iter().map(ToString::to_string).collect();
        if self.access.has_token {
            tracing::info!("HTTP on the same port asks for the token: {}", url(addr));
        } else if self.access.shows_everything(addr) {
            tracing::info!("HTTP on the same port: {}", url(addr));
        } else if open.is_empty() {
            tracing::info!("HTTP is off on {addr}, which is not loopback: {TURN_ON}");
        } else {
            let open = open.join(" and ");
            tracing::info!(
                "HTTP shows {open} only on {addr}, which is not loopback: --http-token-file FILE turns all of it on"
            );
        }
    }
}

impl Port {
    fn bind(
        what: &'static str,
        advice: &'static str,
        face: Face,
        addrs: &[SocketAddr],
    ) -> Result<Self, HttpError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match bind_all(addrs) {
                Ok(listeners) => {
                    let chosen = listeners.first().and_then(|listener| listener.local_addr().ok());
                    let addrs = with_port(addrs.to_vec(), chosen);
                    return Ok(Self { what, face, listeners, addrs });
                }
                // A port that the system chose is in use on another address.
                Err((addr, source))
                    if source.kind() == io::ErrorKind::AddrInUse
                        && !addrs.contains(&addr)
                        && tries < TRIES => {}
                Err((addr, source)) => return Err(HttpError::Listen { addr, what, advice, source }),
            }
        }
    }
}

/// Refuses the ZooKeeper port, which would otherwise be refused to ZooKeeper.
fn check_apart(
    addrs: &[SocketAddr],
    shared: &[SocketAddr],
    what: &'static str,
    advice: &'static str,
) -> Result<(), HttpError> {
    match addrs.iter().find(|addr| addr.port() != 0 && shared.contains(addr)) {
        Some(addr) => Err(HttpError::Shared { addr: *addr, what, advice }),
        None => Ok(()),
    }
}

/// Listens on all of these addresses. Those with port 0 get the same port.
fn bind_all(addrs: &[SocketAddr]) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for wish in addrs {
        let chosen = listeners.first().and_then(|listener| listener.local_addr().ok());
        let addr = with_port(vec![*wish], chosen).into_iter().next().unwrap_or(*wish);
        listeners.push(listen(addr, addrs.len() > 1).map_err(|error| (addr, error))?);
    }
    Ok(listeners)
}

fn listen(addr: SocketAddr, beside_others: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted program gets its port back while old connections end.
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() && beside_others {
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Returns an address as a URL that this machine can use: no connection goes to "every address".
fn url(mut addr: SocketAddr) -> String {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{addr}")
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "the address is in use".into(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".into(),
        io::ErrorKind::PermissionDenied => "permission denied, ports below 1024 are for root".into(),
        _ => error.to_string(),
    }
}
