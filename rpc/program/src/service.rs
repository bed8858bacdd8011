//! The options that name a service, and connections to the registry and to the service.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::Duration;

use clap::Args;
use registry::{Instance, Registry};
use rpc_client::{Client, ClientBuilder, direct_addr};
use serde::Serialize;
use tokio::runtime;

use crate::error::CliError;
use crate::parse::some_seconds;
use crate::tls::TlsArgs;

/// Maximum time for the end of the session: the command is done.
const CLOSING: Duration = Duration::from_secs(1);

/// Options of commands that look into the registry.
#[derive(Args, Debug)]
pub(crate) struct RegistryArgs {
    /// Maximum time to wait for the registry, and for a result
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = some_seconds)]
    pub(crate) timeout: Duration,

    /// Print JSON: one value, or one line for each message or event
    #[arg(long)]
    pub(crate) json: bool,

    /// Servers, and a chroot behind the last one [default: $ZK_HOSTS, else 127.0.0.1:2181]
    ///
    /// Example: zk1:2181,zk2:2181,zk3:2181/app.
    #[arg(long, short, value_name = "HOST:PORT[,…][/CHROOT]", help_heading = "Registry options")]
    server: Option<String>,

    /// Node below which services are registered [default: /, as in /shop]
    #[arg(long, value_name = "PATH", help_heading = "Registry options")]
    root: Option<String>,
}

/// Address at which instances can be asked.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) addr: String,
    /// Ids of the instances that share it; empty if the address was given.
    instances: Vec<String>,
}

/// Options of commands that call a service.
#[derive(Args, Debug)]
pub(crate) struct ServiceArgs {
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    /// Address of the service, in place of the registry; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    addr: Vec<String>,

    #[command(flatten)]
    tls: TlsArgs,
}

impl RegistryArgs {
    pub(crate) async fn connect(&self) -> Result<Registry, CliError> {
        let servers = self.server.clone().or_else(|| env::var("ZK_HOSTS").ok());
        let servers = servers.unwrap_or_else(|| "127.0.0.1:2181".to_owned());
        let mut builder = Registry::builder().servers(servers).connect_timeout(self.timeout);
        if let Some(root) = &self.root {
            builder = builder.root(root.trim_matches('/'));
        }
        Ok(builder.connect().await?)
    }
}

impl ServiceArgs {
    /// Calls a service with a client made by `configure`, and closes the session with the registry.
    pub(crate) async fn with_client<T>(
        &self,
        service: &str,
        configure: impl FnOnce(ClientBuilder) -> ClientBuilder,
        work: impl AsyncFnOnce(Client) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        if self.addr.is_empty() {
            let registry = self.registry.connect().await?;
            let done = async {
                // A name that is misspelt is told at once, and not when the time is over.
                if registry.discover(service).await?.is_empty() {
                    return Err(CliError::NoService(service.to_owned()));
                }
                let client = self.configured(Client::builder(registry.clone(), service))?;
                work(configure(client).connect().await?).await
            };
            let done = done.await;
            let _ = registry.close_within(CLOSING).await;
            done
        } else {
            let client = self.configured(Client::direct(service, &self.addr))?;
            work(configure(client).connect().await?).await
        }
    }

    /// Returns a client of one address.
    pub(crate) fn direct(&self, service: &str, addr: &str) -> Result<ClientBuilder, CliError> {
        self.configured(Client::direct(service, [addr]))
    }

    fn configured(&self, builder: ClientBuilder) -> Result<ClientBuilder, CliError> {
        self.tls.configured(builder.deadline(self.registry.timeout))
    }

    /// Returns the addresses at which instances can be asked, each one once.
    pub(crate) async fn targets(&self, service: &str) -> Result<Vec<Target>, CliError> {
        if !self.addr.is_empty() {
            let addrs: BTreeSet<_> = self.addr.iter().cloned().collect();
            return Ok(addrs.into_iter().map(|addr| Target { addr, instances: Vec::new() }).collect());
        }
        let registry = self.registry.connect().await?;
        let members = registry.discover(service).await;
        let _ = registry.close_within(CLOSING).await;
        let mut targets = BTreeMap::<_, Vec<_>>::new();
        for (id, instance) in &members?.instances {
            targets.entry(own_addr(instance)).or_default().push(id.as_str().to_owned());
        }
        if targets.is_empty() {
            return Err(CliError::NoService(service.to_owned()));
        }
        Ok(targets.into_iter().map(|(addr, instances)| Target { addr, instances }).collect())
    }
}

impl Target {
    /// Returns the number of instances for a person.
    pub(crate) fn count(&self) -> String {
        if self.instances.is_empty() { "-".to_owned() } else { self.instances.len().to_string() }
    }
}

/// Returns the address of a process, or the one that it shares with others.
fn own_addr(instance: &Instance) -> String {
    direct_addr(instance).unwrap_or_else(|| instance.addr())
}

/// Runs a command on a runtime of its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let done = runtime.block_on(work);
    // A read of standard input may still wait.
    runtime.shutdown_background();
    done
}
