//! The network in memory: ways to the registry's server that can be cut, and ways to the instances by their addresses.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use registry::{Registry, connect_fn};
use rpc_server::MemoryConnector;
use zk_mini::Handle;

use super::plan::TIMEOUT;

/// Way of one process to the registry's server.
#[derive(Clone, Default)]
pub(crate) struct Way {
    is_cut: Arc<AtomicBool>,
}

impl Way {
    /// Connects to the registry, however long it takes.
    pub(crate) async fn registry(&self, zk: &Handle, seed: u64) -> Registry {
        loop {
            let (connector, is_cut) = (zk.connector(), Arc::clone(&self.is_cut));
            let open = move || {
                let refused = is_cut.load(Ordering::Relaxed);
                let opened =
                    if refused { Err(io::ErrorKind::ConnectionRefused.into()) } else { connector.connect() };
                std::future::ready(opened)
            };
            let builder = Registry::builder().via(connect_fn(open)).session_timeout(TIMEOUT).seed(seed);
            if let Ok(registry) = builder.connect().await {
                return registry;
            }
        }
    }

    /// Cuts the process off for ever: its session is not closed, and nothing of it reaches the server any more.
    pub(crate) async fn cut(&self, zk: &Handle, registry: &Registry) {
        self.is_cut.store(true, Ordering::Relaxed);
        let own = registry.credentials().map(|credentials| credentials.session_id());
        zk.sessions_where(|session| Some(session.id.to_string()) == own).disconnect().await;
    }
}

/// Instances by address.
#[derive(Clone, Default)]
pub(crate) struct Addresses {
    servers: Arc<Mutex<BTreeMap<String, MemoryConnector>>>,
}

impl Addresses {
    /// Listens at an address, instead of the process that was there before.
    pub(crate) fn listen(&self, addr: String, connector: MemoryConnector) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).insert(addr, connector);
    }

    /// Returns the way of RPC clients to all of them.
    pub(crate) fn via(&self) -> impl rpc_client::Connect {
        let servers = Arc::clone(&self.servers);
        rpc_client::connect_fn(move |addr| {
            let servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
            let refused = || Err(io::ErrorKind::ConnectionRefused.into());
            std::future::ready(servers.get(&addr).map_or_else(refused, MemoryConnector::connect))
        })
    }
}
