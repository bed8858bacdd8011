//! An instance: an RPC server that registers itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use registry::{Instance, Registration, Registry};
use rpc_server::{Context, Drained, INSTANCE_FIELD, Server, Service, Status};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zk_mini::Handle;

use super::ledger::Ledger;
use super::network::{Addresses, Way};
use super::plan::Illness;

/// Name of the service.
pub(crate) const SERVICE: &str = "work";

/// A running instance.
pub(crate) struct Process {
    /// Name that no other process ever has.
    pub(crate) identity: String,
    pub(crate) registry: Registry,
    pub(crate) registration: Registration,
    health: Health,
    way: Way,
    port: u16,
    server: JoinHandle<std::io::Result<Drained>>,
    stop: oneshot::Sender<()>,
}

/// Illness of an instance, if it has one.
#[derive(Clone, Default)]
struct Health(Arc<Mutex<Option<Illness>>>);

impl Health {
    fn set(&self, illness: Option<Illness>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = illness;
    }

    fn get(&self) -> Option<Illness> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    /// Serves, and registers as soon as the registry lets it.
    pub(crate) async fn start(
        zk: Handle,
        addresses: Addresses,
        ledger: Ledger,
        port: u16,
        birth: u64,
        seed: u64,
    ) -> Self {
        let identity = format!("{port}-{birth}");
        let health = Health::default();
        let own_health = health.clone();
        let run = move |(number, takes): (u64, u64), _: Context| {
            let (ledger, illness) = (ledger.clone(), own_health.get());
            async move {
                ledger.ran(number);
                match illness {
                    Some(Illness::Fails) => return Err(Status::internal("it ails")),
                    Some(Illness::Slow(by)) => sleep(by).await,
                    None => {}
                }
                sleep(Duration::from_millis(takes)).await;
                Ok(number)
            }
        };
        let service = Service::builder(SERVICE).method("run", run).build();
        let (connector, listener) = rpc_server::in_memory();
        let (stop, stopped) = oneshot::channel();
        let server = Server::new(service).instance(identity.clone());
        let server = tokio::spawn(server.serve_in_memory(listener, async { drop(stopped.await) }));

        let way = Way::default();
        let registry = way.registry(&zk, seed).await;
        let instance = instance(port, &identity, 0);
        addresses.listen(instance.addr(), connector);
        let registration = loop {
            // An error tells that the instance is not registered.
            match registry.register(SERVICE, instance.clone()).await {
                Ok(registration) => break registration,
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        };
        Self { identity, registry, registration, health, way, port, server, stop }
    }

    /// Falls ill, or recovers.
    pub(crate) fn ail(&self, illness: Option<Illness>) {
        self.health.set(illness);
    }

    /// Publishes new data, as soon as the registry lets it: does not wait.
    pub(crate) async fn update(&self, revision: u64) {
        let updating = self.registration.update(instance(self.port, &self.identity, revision));
        let _ = timeout(Duration::ZERO, updating).await;
    }

    /// Leaves: withdraws, serves until callers have heard of it, finishes the calls that run, and closes.
    pub(crate) async fn stop(self) {
        let Self { registry, registration, server, stop, .. } = self;
        // Refused on bad days; closing the session does it, or its timeout.
        let _ = registration.drain(Duration::from_secs(1)).await;
        drop(stop);
        let _ = server.await;
        let _ = registry.close().await;
    }

    /// Dies at once, as by kill -9.
    pub(crate) async fn kill(self, zk: &Handle) {
        self.server.abort();
        self.way.cut(zk, &self.registry).await;
    }
}

fn instance(port: u16, identity: &str, revision: u64) -> Instance {
    Instance::new("instance", port).with(INSTANCE_FIELD, identity).with("revision", revision)
}
