//! The client.

use std::time::Duration;

use registry::Registry;
use rpc_client::Client;

use crate::load::Load;
use crate::{ClientArgs, Result, print_line};

/// Makes the calls and prints their count. Fails if a call failed.
pub(crate) async fn run(args: ClientArgs) -> Result<()> {
    let registry = Registry::connect(&args.zookeeper).await?;
    let client = Client::builder(registry.clone(), &args.service).connect().await?;
    let tally = Load::start(&client, args.calls, args.concurrency, Duration::ZERO).finish().await;
    registry.close().await?;
    print_line(&serde_json::to_string(&tally)?)?;
    match tally.first_failure {
        None => Ok(()),
        Some(cause) => {
            Err(format!("{} of {} calls failed; the first: {cause}", tally.failed, tally.calls).into())
        }
    }
}
