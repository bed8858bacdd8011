//! The options that name a service, and connections to the registry and to the service.

use std::env;
use std::time::Duration;

use clap::Args;
use registry::{Instance, Registry};
use rpc_client::{Client, ClientBuilder, direct_addr};
use tokio::runtime;

use crate::error::CliError;
use crate::parse::seconds;

/// Maximum time for the end of the session: the command is done.
const CLOSING: Duration = Duration::from_secs(1);

/// Options of commands that look into the registry.
#[derive(Args, Debug)]
#[command(next_help_heading = "Registry options")]
pub(crate) struct RegistryArgs {
    /// Servers, and a chroot behind the last one [default: $ZK_HOSTS, else 127.0.0.1:2181]
    ///
    /// As in zk1:2181,zk2:2181,zk3:2181/app. Services are below /services, or below
    /// the node that --root names.
    #[arg(long, short, value_name = "HOST:PORT[,…][/CHROOT]", verbatim_doc_comment)]
    server: Option<String>,

    /// Node below which services are registered
    #[arg(long, value_name = "PATH")]
    root: Option<String>,

    /// Maximum time to wait for the registry, and for a result
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Print JSON: one value, or one line for each event
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of commands that call a service.
#[derive(Args, Debug)]
pub(crate) struct ServiceArgs {
    /// Address of the service, in place of the registry; may be repeated
    #[arg(long, value_name = "HOST:PORT")]
    addr: Vec<String>,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

impl RegistryArgs {
    pub(crate) async fn connect(&self) -> Result<Registry, CliError> {
        let servers = self.server.clone().or_else(|| env::var("ZK_HOSTS").ok());
        let servers = servers.unwrap_or_else(|| "127.0.0.1:2181".to_owned());
        let mut builder = Registry::builder().servers(servers).connect_timeout(self.timeout);
        if let Some(root) = &self.root {
            builder = builder.root(root);
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
        let configure = |builder: ClientBuilder| {
            configure(builder.deadline(self.registry.timeout).wait_for_instance(self.registry.timeout))
        };
        if self.addr.is_empty() {
            let registry = self.registry.connect().await?;
            let client = configure(Client::builder(registry.clone(), service)).connect().await?;
            let done = work(client).await;
            let _ = registry.close_within(CLOSING).await;
            done
        } else {
            let client = configure(Client::direct(service, &self.addr)).connect().await?;
            work(client).await
        }
    }

    /// Returns the addresses of all instances.
    pub(crate) async fn addrs(&self, service: &str) -> Result<Vec<String>, CliError> {
        if !self.addr.is_empty() {
            return Ok(self.addr.clone());
        }
        let registry = self.registry.connect().await?;
        let members = registry.discover(service).await;
        let _ = registry.close_within(CLOSING).await;
        let mut addrs: Vec<_> = members?.instances.values().map(|instance| own_addr(instance)).collect();
        addrs.sort();
        addrs.dedup();
        if addrs.is_empty() { Err(CliError::NoService(service.to_owned())) } else { Ok(addrs) }
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
