//! `rpc health`: the health of each instance.

use clap::Args;
use rpc_client::ClientBuilder;
use rpc_wire::{HealthReport, HealthRequest, HealthStatus};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::error::{CliError, Failure};
use crate::output::{Output, shown};
use crate::service::{ServiceArgs, Target, block_on};
use crate::table::Table;

/// Print the health of each instance of a service
///
/// SERVING, NOT_SERVING, SERVICE_UNKNOWN, or the error of one that does not answer.
/// Instances that share an address, and have none of their own, share a line: any of
/// them may answer. Succeeds if all serve.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct HealthArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    name: String,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

#[derive(Serialize)]
struct Health {
    #[serde(flatten)]
    target: Target,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<HealthStatus>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

pub(crate) fn run(args: &HealthArgs) -> Result<(), CliError> {
    let mut out = Output::new(args.service.registry.json);
    let mut answers = block_on(async {
        let mut checks = JoinSet::new();
        for target in args.service.targets(&args.name).await? {
            let client = args.service.direct(&args.name, &target.addr)?;
            checks.spawn(check(client, target, args.name.clone()));
        }
        Ok(checks.join_all().await)
    })?;
    answers.sort_by(|a, b| a.target.addr.cmp(&b.target.addr));
    let mut table = Table::new(["ADDRESS", "INSTANCES", "STATUS"]);
    for Health { target, status, failure } in &answers {
        let status = match (status, failure) {
            (Some(status), _) => status.to_string(),
            (None, failure) => failure.as_ref().map_or_else(String::new, |failure| shown(&failure.error)),
        };
        table.row([shown(&target.addr), target.count(), status]);
    }
    out.print(&answers, table)?;
    let failing = answers.iter().filter(|health| health.status != Some(HealthStatus::Serving)).count();
    if failing == 0 {
        return Ok(());
    }
    Err(CliError::Unhealthy { service: args.name.clone(), failing, all: answers.len() })
}

async fn check(client: ClientBuilder, target: Target, service: String) -> Health {
    let asked = async {
        let client = client.connect().await?;
        client.call("rpc.health/check", &HealthRequest { service }).idempotent().await
    };
    match asked.await {
        Ok(HealthReport { status }) => Health { target, status: Some(status), failure: None },
        Err(error) => Health { target, status: None, failure: Some(CliError::Rpc(error).failure()) },
    }
}
