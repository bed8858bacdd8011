//! `rpc list`: services and their instances in the registry.

use clap::Args;
use registry::{Instance, Registry, Status, Value};
use serde::Serialize;
use serde_json::Map;

use crate::error::CliError;
use crate::output::{Output, shown};
use crate::service::{RegistryArgs, block_on};
use crate::table::Table;

/// Print the services in the registry, or the instances of one
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// A service; all of them without it
    service: Option<String>,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

#[derive(Serialize)]
struct Service<'a> {
    service: &'a str,
    instances: usize,
    up: usize,
}

/// Instance as JSON.
#[derive(Serialize)]
pub(crate) struct Listed<'a> {
    id: &'a str,
    addr: String,
    status: &'static str,
    weight: u32,
    fields: Map<String, Value>,
}

impl<'a> Listed<'a> {
    pub(crate) fn new(id: &'a str, instance: &Instance) -> Self {
        let fields = instance.fields().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let (addr, status) = (instance.addr(), instance.status().as_str());
        Self { id, addr, status, weight: instance.weight(), fields }
    }

    /// Returns the further fields in one line, for a person.
    pub(crate) fn fields(&self) -> String {
        let field =
            |(name, value): (&String, &Value)| format!("{}={}", shown(name), shown(&value.to_string()));
        self.fields.iter().map(field).collect::<Vec<_>>().join(" ")
    }
}

pub(crate) fn run(args: &ListArgs) -> Result<(), CliError> {
    let mut out = Output::new(args.registry.json);
    block_on(async {
        let registry = args.registry.connect().await?;
        match &args.service {
            None => services(&registry, &mut out).await,
            Some(service) => instances(&registry, service, &mut out).await,
        }
    })
}

async fn services(registry: &Registry, out: &mut Output) -> Result<(), CliError> {
    let names = registry.services().await?.current();
    let mut services = Vec::new();
    for name in &names.names {
        let members = registry.discover(name).await?;
        let up = members.instances.values().filter(|instance| instance.status() == Status::Up).count();
        services.push(Service { service: name, instances: members.len(), up });
    }
    let mut table = Table::new(["SERVICE", "INSTANCES", "UP"]);
    for Service { service, instances, up } in &services {
        table.row([shown(service), instances.to_string(), up.to_string()]);
    }
    out.print(&services, table)
}

async fn instances(registry: &Registry, service: &str, out: &mut Output) -> Result<(), CliError> {
    let members = registry.discover(service).await?;
    if members.is_empty() {
        return Err(CliError::NoService(service.to_owned()));
    }
    let listed: Vec<_> =
        members.instances.iter().map(|(id, instance)| Listed::new(id.as_str(), instance)).collect();
    let mut table = Table::new(["INSTANCE", "ADDRESS", "STATUS", "WEIGHT", "FIELDS"]);
    for instance in &listed {
        let Listed { id, addr, status, weight, .. } = instance;
        table.row([shown(id), shown(addr), (*status).to_owned(), weight.to_string(), instance.fields()]);
    }
    out.print(&listed, table)
}
