//! Leader election: candidates queue up as ephemeral sequential nodes, and each watches only the one before it.
//!
//! `cargo run -p zk-client --example leader_election`

use std::error::Error;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zk_client::{Client, CreateMode};
use zk_mini::ZkMini;

const ELECTION: &str = "/election";

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let zk = ZkMini::start().await?;
    let admin = Client::connect(&zk.connect_string()).await?;
    admin.ensure_path(ELECTION).await?;

    let (terms, mut all_terms) = mpsc::unbounded_channel();
    let mut candidates = JoinSet::new();
    for name in ["ada", "bob", "cyd"] {
        candidates.spawn(campaign(zk.connect_string(), name, terms.clone()));
    }
    while let Some(ended) = candidates.join_next().await {
        ended??;
    }
    drop(terms);

    // Each has begun and ended its term before the next one began.
    let mut leaders = Vec::new();
    while let Some((begins, name)) = all_terms.recv().await {
        println!("{name} {}", if begins { "leads" } else { "steps down" });
        if begins {
            leaders.push(name);
        } else {
            assert_eq!(leaders.last(), Some(&name));
        }
    }
    leaders.sort_unstable();
    assert_eq!(leaders, ["ada", "bob", "cyd"]);
    Ok(())
}

/// Waits to lead, leads, and steps down by closing the session. A crash would end the term, too: with the session timeout.
async fn campaign(
    servers: String,
    name: &'static str,
    terms: mpsc::UnboundedSender<(bool, &'static str)>,
) -> Result<(), AnyError> {
    let client = Client::connect(&servers).await?;
    wait_to_lead(&client, name).await?;
    terms.send((true, name))?;
    tokio::task::yield_now().await;
    terms.send((false, name))?;
    Ok(client.close().await?)
}

/// Returns when this client leads. Fails if its session expires before, because its place in the queue goes with it.
async fn wait_to_lead(client: &Client, name: &'static str) -> Result<(), AnyError> {
    let node = client.create(&format!("{ELECTION}/n-"), name, CreateMode::EphemeralSequential).await?;
    loop {
        // The counter has ten digits, so that names sort as numbers do.
        let (mut queue, _) = client.children(ELECTION).await?;
        queue.retain(|other| format!("{ELECTION}/{other}") < node.path);
        let Some(before) = queue.into_iter().max() else { return Ok(()) };
        let (exists, mut watch) = client.exists_and_watch(&format!("{ELECTION}/{before}")).await?;
        if exists.is_some() {
            watch.changed().await?;
        }
    }
}
