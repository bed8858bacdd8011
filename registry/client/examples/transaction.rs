//! Transactions: money moves from one account to another, all or nothing, while others move it as well.
//!
//! `cargo run -p zk-client --example transaction`

use std::error::Error;

use tokio::task::JoinSet;
use zk_client::{Client, CreateMode, Error as ZkError, ErrorCode, Expected, OpResult};
use zk_mini::ZkMini;

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let zk = ZkMini::start().await?;
    let client = Client::connect(&zk.connect_string()).await?;
    let opened = client
        .transaction()
        .create("/accounts", "", CreateMode::Persistent)
        .create("/accounts/ada", "100", CreateMode::Persistent)
        .create("/accounts/bob", "0", CreateMode::Persistent)
        .create("/log", "", CreateMode::Persistent)
        .commit()
        .await?;
    assert_eq!(opened[1], OpResult::Created("/accounts/ada".to_owned()));

    let mut transfers = JoinSet::new();
    for _ in 0..10 {
        transfers.spawn(transfer(client.clone(), "/accounts/ada", "/accounts/bob", 7));
    }
    let mut retries = 0;
    while let Some(done) = transfers.join_next().await {
        retries += done??;
    }

    let (ada, bob) = (balance(&client, "/accounts/ada").await?.0, balance(&client, "/accounts/bob").await?.0);
    let transfers = client.children("/log").await?.0.len();
    println!("{transfers} transfers, {retries} retries: ada has {ada}, bob has {bob}");
    assert_eq!((ada, bob, transfers), (30, 70, 10));
    Ok(())
}

/// Moves an amount and logs it; tries again when another transfer was faster. Returns the number of retries.
async fn transfer(client: Client, from: &str, to: &str, amount: i64) -> Result<u32, AnyError> {
    for retries in 0.. {
        let (paid, paid_version) = balance(&client, from).await?;
        let (got, got_version) = balance(&client, to).await?;
        let moved = client
            .transaction()
            .set(from, (paid - amount).to_string(), paid_version)
            .set(to, (got + amount).to_string(), got_version)
            .create("/log/transfer-", amount.to_string(), CreateMode::PersistentSequential)
            .commit()
            .await;
        match moved {
            Err(ZkError::Transaction { code: ErrorCode::BAD_VERSION, .. }) => {}
            moved => return Ok(moved.map(|_| retries)?),
        }
    }
    Err("no number of retries was enough".into())
}

/// Reads a balance, and the version that a write must find.
async fn balance(client: &Client, account: &str) -> Result<(i64, Expected), AnyError> {
    let (data, stat) = client.get(account).await?;
    Ok((std::str::from_utf8(&data)?.parse()?, Expected::Exactly(stat.version)))
}
