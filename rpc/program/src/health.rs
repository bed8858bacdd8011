//! `rpc health`: the health of each instance.

use clap::Args;
use rpc_client::Client;
use rpc_wire::{HealthReport, HealthRequest, HealthStatus};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::error::CliError;
use crate::output::{Output, shown};
use crate::service::{ServiceArgs, block_on};
use crate::table::Table;

/// Print the health of each instance of a service
///
/// SERVING, NOT_SERVING, SERVICE_UNKNOWN, or the error of one that does not answer.
/// Succeeds if all instances serve.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct HealthArgs {
    /// The service
    service: String,

    #[command(flatten)]
    options: ServiceArgs,
}

#[derive(Serialize)]
struct Health {
    addr: String,
    status: String,
    #[serde(skip)]
    serves: bool,
}

pub(crate) fn run(args: &HealthArgs) -> Result<(), CliError> {
    let mut out = Output::new(args.options.registry.json);
    let mut instances = block_on(async {
        let mut checks = JoinSet::new();
        for addr in args.options.addrs(&args.service).await? {
            checks.spawn(check(addr, args.service.clone(), args.options.registry.timeout));
        }
        Ok(checks.join_all().await)
    })?;
    instances.sort_by(|a, b| a.addr.cmp(&b.addr));
    let mut table = Table::new(["ADDRESS", "STATUS"]);
    for health in &instances {
        if out.json {
            out.print(health, "")?;
        }
        table.row([shown(&health.addr), shown(&health.status)]);
    }
    if !out.json {
        out.line(table)?;
    }
    let failing = instances.iter().filter(|health| !health.serves).count();
    if failing == 0 {
        return Ok(());
    }
    Err(CliError::Unhealthy { service: args.service.clone(), failing, all: instances.len() })
}

async fn check(addr: String, service: String, timeout: std::time::Duration) -> Health {
    let asked = async {
        let client =
            Client::direct(&service, [&addr]).deadline(timeout).wait_for_instance(timeout).connect().await?;
        client.call("rpc.health/check", &HealthRequest { service: service.clone() }).idempotent().await
    };
    let (serves, status) = match asked.await {
        Ok(HealthReport { status }) => (status == HealthStatus::Serving, status.to_string()),
        Err(error) => (false, error.to_string()),
    };
    Health { addr, status, serves }
}
