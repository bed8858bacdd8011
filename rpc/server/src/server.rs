//! Accepting connections, and leaving in good order.

use crate::{
    Limits, Service,
    acceptor::Acceptor,
    clock,
    connection::{Connection, End, Shared},
    log::{PeerLines, say},
    peers::{PeerKey, Peers},
    quota::Quota,
};
use nix::sys::resource::{Resource, getrlimit};
use rpc_wire::{CallId, Code, Frame, GoAway, Shown};
use socket2::{SockRef, TcpKeepalive};
use std::{
    io,
    net::SocketAddr,
    pin::pin,
    process,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Handle, RuntimeFlavor},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Serves a [`Service`] on a listener.
///
/// ```
/// use rpc_server::{Context, Server, Service, Status};
/// use tokio::{net::TcpListener, sync::oneshot};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
/// let service = Service::builder("echo").method("echo", echo).build();
///
/// let (stop, stopped) = oneshot::channel::<()>();
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let server = tokio::spawn(Server::new(service).serve(listener, async { drop(stopped.await) }));
///
/// drop(stop);
/// assert_eq!(server.await??.cut, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "call serve"]
pub struct Server {
    service: Service,
    instance: String,
    limits: Limits,
    shared_listener: bool,
    quota: Option<Arc<Quota>>,
    open: watch::Sender<usize>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that were cut because their calls did not end within [`Limits::drain_timeout`].
    pub cut: usize,
}

impl Server {
    /// A server with default limits and the identity of this process.
    pub fn new(service: Service) -> Self {
        Self {
            service,
            instance: process_identity(),
            limits: Limits::default(),
            shared_listener: false,
            quota: None,
            open: watch::Sender::new(0),
        }
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the identity that clients are told, at most 255 bytes; by default process id and start time, so
    /// that no two processes on one port have the same.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = instance.into();
        self
    }

    /// Says whether other processes accept from the same listener. If so, this one lets those go first that
    /// have no connection yet, which costs a client up to 2 ms once. Default: no.
    pub fn shared_listener(mut self, shared: bool) -> Self {
        self.shared_listener = shared;
        self
    }

    /// Counts calls.
    pub(crate) fn quota(mut self, quota: Option<Arc<Quota>>) -> Self {
        self.quota = quota;
        self
    }

    /// The identity that clients are told.
    pub fn identity(&self) -> &str {
        &self.instance
    }

    /// How many connections are open, now and later.
    pub fn open_connections(&self) -> watch::Receiver<usize> {
        self.open.subscribe()
    }

    /// Serves until `shutdown` completes; then accepts no more, tells clients to go, lets what runs finish
    /// within [`Limits::drain_timeout`], and returns.
    ///
    /// Dropping the future ends everything at once.
    ///
    /// # Errors
    /// The runtime cannot wait for the listener.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let Self { service, instance, limits, shared_listener, quota, open } = self;
        let peers = Arc::new(Peers::new(&limits, descriptors(), clock::now()));
        let turns = Arc::new(Semaphore::new(turns()));
        let shared = Arc::new(Shared { service, instance, limits, quota, turns });
        let lines = Arc::new(Lines::default());
        let (drain, draining) = watch::channel(false);
        let mut acceptor = Acceptor::new(listener)?;
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            open.send_replace(connections.len());
            let reluctant = shared_listener && !connections.is_empty();
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = acceptor.accept(reluctant) => match accepted {
                    Ok((stream, peer)) => match peers.seat(peer.ip(), clock::now()) {
                        Ok(seat) => {
                            if let Err(error) = prepare(&stream) {
                                say(|| tracing::debug!(%peer, %error, "socket options"));
                            }
                            let connection = Connection::new(shared.clone(), seat, stream, peer);
                            connections.spawn(serve_one(connection, peer, draining.clone(), lines.clone()));
                        }
                        Err(full) => refuse(&SockRef::from(&stream), peer, &full.to_string(), &lines),
                    },
                    Err(error) if is_out_of_descriptors(&error) && !peers.make_room(clock::now()) => {
                        let why = "no descriptors left on this server";
                        if !acceptor.turn_away(|stream, peer| refuse(&SockRef::from(stream), peer, why, &lines)) {
                            pause_after(&error, &lines).await;
                        }
                    }
                    Err(error) => pause_after(&error, &lines).await,
                },
            }
        }
        drop(acceptor);
        drain.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(shared.limits.drain_timeout, all).await.is_err() {
            let connections = connections.len();
            say(|| tracing::warn!(connections, "calls did not end in time and were cut"));
        }
        Ok(Drained { cut: connections.len() })
    }
}

async fn serve_one(
    connection: Connection,
    peer: SocketAddr,
    draining: watch::Receiver<bool>,
    lines: Arc<Lines>,
) {
    match connection.run(draining).await {
        Ok(()) => {}
        Err(End::Io(error)) => say(|| tracing::debug!(%peer, %error, "connection ended")),
        Err(End::Refused(status)) => {
            let shown = status.to_string();
            lines.say(peer, |left_out| match status.code {
                // Strangers who speak something else may be many, and are no concern of ours; nor who says nothing.
                Code::INVALID_ARGUMENT | Code::UNAVAILABLE => {
                    tracing::debug!(%peer, status = %Shown(&shown), left_out, "connection refused");
                }
                _ => tracing::warn!(%peer, status = %Shown(&shown), left_out, "connection refused"),
            });
        }
        Err(End::Evicted) => lines.say(peer, |left_out| {
            tracing::warn!(%peer, left_out, "connection closed to make room for others");
        }),
    }
}

/// Lines about peers, so many for each.
#[derive(Debug, Default)]
struct Lines(Mutex<PeerLines>);

impl Lines {
    /// `line` gets the number of lines that were left out.
    fn say(&self, peer: SocketAddr, line: impl FnOnce(u32)) {
        // Nothing that can panic runs under the lock.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = lines.may_say(PeerKey::new(peer.ip()), clock::now());
        drop(lines);
        if let Some(left_out) = left_out {
            say(|| line(left_out));
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A host that vanished without a word does not keep its connection for ever; an idle one is left alone.
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

/// Says why, if the socket takes it at once, and closes.
fn refuse(stream: &SockRef<'_>, peer: SocketAddr, why: &str, lines: &Lines) {
    lines.say(peer, |left_out| tracing::warn!(%peer, left_out, "connection refused: {why}"));
    let mut out = Vec::new();
    let go_away = Frame::GoAway(GoAway { last: CallId(0), code: Code::RESOURCE_EXHAUSTED, message: why });
    if go_away.encode(&mut out, rpc_wire::DEFAULT_MAX_FRAME).is_ok() {
        let _ = stream.send(&out);
    }
}

/// Most failures of `accept` concern one connection; the others (no descriptors left) need a pause.
async fn pause_after(error: &io::Error, lines: &Lines) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        // Nobody in particular is to blame.
        lines.say(SocketAddr::from(([0; 4], 0)), |left_out| {
            tracing::warn!(%error, left_out, "cannot accept connections; trying again");
        });
        sleep(ACCEPT_PAUSE).await;
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// Number of connections that may handle long calls at a time: on one thread they have to let each other read. With
/// several threads others read meanwhile, and a handler may give its thread up by `block_in_place`.
fn turns() -> usize {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => 1,
        _ => Semaphore::MAX_PERMITS,
    }
}

/// Number of descriptors that this process may have.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Process id and start time.
pub(crate) fn process_identity() -> String {
    format!("{}-{:x}", process::id(), clock::since_epoch().as_micros())
}

const KEEPALIVE: Duration = Duration::from_secs(60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
