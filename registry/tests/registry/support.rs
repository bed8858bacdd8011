//! A server in memory whose time is moved by hand, and ways to it that tests can cut and observe.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry::{Builder, Clock, Instance, Members, Registration, RegistrationState, Registry, Subscription};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use zk_client::{Client, connect_fn};
use zk_mini::history::{EntryKind, Mark};
use zk_mini::{Fault, Handle, On, Session, Then, ZkMini};
use zk_wire::OpCode;

/// Waits with a bound for a future that should take no time at all.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("done long ago")
}

pub(crate) fn at(port: u16) -> Instance {
    Instance::new("127.0.0.1", port)
}

pub(crate) async fn server() -> ZkMini {
    ZkMini::builder().in_memory().manual_clock().seed(7).start().await.unwrap()
}

/// Connects a registry whose pauses pass by themselves, and whose sessions expire when the server's time moves.
pub(crate) async fn registry(zk: &ZkMini) -> Registry {
    soon(builder(zk).connect()).await.unwrap()
}

/// Configures such a registry.
pub(crate) fn builder(zk: &ZkMini) -> Builder {
    Registry::builder().embedded(zk).clock(Clock::start())
}

/// Connects a client that knows nothing of registries.
pub(crate) async fn stranger(zk: &ZkMini) -> Client {
    let connector = zk.connector();
    let via = connect_fn(move || {
        let stream = connector.connect();
        async move { stream }
    });
    soon(Client::builder().via(via).connect()).await.unwrap()
}

/// Waits for members that `wanted` accepts.
pub(crate) async fn members(
    subscription: &mut Subscription,
    wanted: impl Fn(&Members) -> bool,
) -> Arc<Members> {
    soon(async {
        let mut members = subscription.current();
        while !wanted(&members) {
            members = subscription.changed().await.expect("the subscription has ended");
        }
        members
    })
    .await
}

/// Returns the ports of the members, in order.
pub(crate) fn ports(members: &Members) -> Vec<u16> {
    let mut ports: Vec<_> = members.instances.values().map(|instance| instance.port()).collect();
    ports.sort_unstable();
    ports
}

/// Returns the data of the service's nodes.
pub(crate) fn nodes(zk: &ZkMini) -> Vec<String> {
    let names = zk.children("/demo").unwrap_or_default();
    let data = |name: &String| zk.get(&format!("/demo/{name}")).expect("listed").0;
    names.iter().map(|name| String::from_utf8_lossy(&data(name)).into_owned()).collect()
}

/// Waits for a state that `wanted` accepts.
pub(crate) async fn reached(registration: &mut Registration, wanted: impl Fn(&RegistrationState) -> bool) {
    soon(async {
        while !wanted(&registration.state()) {
            registration.changed().await.expect("the registration has ended");
        }
    })
    .await;
}

/// Waits for another node than that at `path`.
pub(crate) async fn moved_from(registration: &mut Registration, path: &str) {
    reached(registration, |s| matches!(s, RegistrationState::Registered { paths } if paths[0] != path)).await;
}

/// The way of one registry to a server: an address of its own, by which the server can cut it off and tell what it asked.
#[derive(Clone)]
pub(crate) struct Way {
    zk: Handle,
    client: SocketAddr,
    refused: Arc<Mutex<Option<Fault>>>,
}

impl Way {
    pub(crate) fn to(zk: &ZkMini) -> Self {
        static NEXT_PORT: AtomicU16 = AtomicU16::new(1);
        let client = SocketAddr::from(([10, 0, 0, 1], NEXT_PORT.fetch_add(1, Ordering::Relaxed)));
        Self { zk: Handle::clone(zk), client, refused: Arc::default() }
    }

    pub(crate) async fn registry(&self) -> Registry {
        let (zk, client) = (self.zk.clone(), self.client);
        let via = connect_fn(move || {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let served = zk.serve_stream(theirs, client);
            async move { served.map(|_| ours).map_err(io::Error::other) }
        });
        soon(Registry::builder().via(via).connect()).await.unwrap()
    }

    /// Breaks the connection, and refuses others of the same session.
    pub(crate) async fn cut(&self) {
        if self.refused.lock().unwrap().is_some() {
            return;
        }
        let session = self.session().await;
        let refused = self.zk.fault(On::connect().session(session.id()), Then::refuse());
        *self.refused.lock().unwrap() = Some(refused);
        session.disconnect().await;
    }

    pub(crate) fn mend(&self) {
        self.refused.lock().unwrap().take();
    }

    /// Returns the number of requests of this kind since `mark`.
    pub(crate) async fn requests(&self, op: OpCode, mark: &Mark) -> usize {
        let session = self.session().await.id();
        let requests = self.zk.history().since(mark).session(session).kind(EntryKind::Request);
        requests.iter().filter(|entry| entry.op == Some(op)).count()
    }

    /// Returns the session, once it is connected.
    async fn session(&self) -> Session {
        let connected = |zk: &Handle| !zk.sessions_from(self.client).is_empty();
        self.zk.wait_for(connected, Duration::from_secs(60)).await.unwrap();
        self.zk.sessions_from(self.client).iter().next().unwrap()
    }
}

/// Subscriber of tracing that hands each event of this level, or a more severe one, to a function.
pub(crate) struct EachEvent<F>(pub(crate) Level, pub(crate) F);

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Subscriber for EachEvent<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.0
    }

    fn event(&self, event: &Event<'_>) {
        (self.1)(event);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
