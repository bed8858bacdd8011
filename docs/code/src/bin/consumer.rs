//! Watches a service: prints the addresses of its instances as a line of JSON, at the start and after each change.

use serde_json::Value;
use tokio::signal::ctrl_c;
use zk_client::{Client, Error, ErrorCode, Watch, WatchLost};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1).ok_or("usage: consumer HOST:PORT")?;
    let zk = Client::connect(&servers).await?;
    tokio::select! {
        ended = follow(&zk, "/demo") => ended?,
        stopped = ctrl_c() => stopped?,
    }
    zk.close().await?;
    Ok(())
}

async fn follow(zk: &Client, path: &str) -> Result<(), Box<dyn std::error::Error>> {
    loop {
        // A watch fires once, so each look sets the next one.
        let mut watch = match look(zk, path).await {
            // Its session has expired, or its connection was lost: the next call waits for another one.
            Err(error) if error.is_retryable() => continue,
            looked => looked?,
        };
        match watch.changed().await {
            // An expired session takes its watches along; the client has opened a new one.
            Ok(_) | Err(WatchLost::SessionExpired) => {}
            Err(closed) => return Err(closed.into()),
        }
    }
}

/// Prints the addresses, and watches for the next change.
async fn look(zk: &Client, path: &str) -> Result<Watch, Error> {
    // Each time: a server that has lost its data has lost this node, too.
    zk.ensure_path(path).await?;
    let (children, _, watch) = zk.children_and_watch(path).await?;
    let mut addresses = Vec::new();
    for child in children {
        addresses.extend(address_of(zk, &format!("{path}/{child}")).await?);
    }
    addresses.sort();
    println!("{}", Value::from(addresses));
    Ok(watch)
}

async fn address_of(zk: &Client, path: &str) -> Result<Option<String>, Error> {
    let data = match zk.get(path).await {
        Ok((data, _)) => data,
        // Deleted between the list and the read; the watch has fired.
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => return Ok(None),
        Err(error) => return Err(error),
    };
    let instance: Value = serde_json::from_slice(&data).unwrap_or_default();
    Ok(instance["host"].as_str().zip(instance["port"].as_u64()).map(|(host, port)| format!("{host}:{port}")))
}
