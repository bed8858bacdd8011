//! The question who a server is that does not answer HTTP.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Maximum length of the answer to the four-letter word; it has a few hundred bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// Returns a sentence about the server: what it is, as far as it tells.
pub(super) async fn identify(address: &str, limit: Duration) -> String {
    match timeout(limit, srvr(address)).await {
        Ok(Ok(answer)) => sentence(address, &answer),
        _ => format!("{address} does not answer HTTP"),
    }
}

/// Asks with the four-letter word that Apache ZooKeeper answers everywhere.
async fn srvr(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"srvr").await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn sentence(address: &str, answer: &str) -> String {
    let version = answer.lines().find_map(|line| line.strip_prefix("Zookeeper version: "));
    match version.map(|version| version.split([',', ' ', '-']).next().unwrap_or(version)) {
        Some(_) if answer.contains("zk-mini") => format!("{address} is a zk-mini without HTTP"),
        Some(number) => format!("{address} is Apache ZooKeeper {number}"),
        None => format!("{address} does not answer HTTP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_version() {
        let real =
            "Zookeeper version: 3.9.5-4bf1d2f, built on 2026-01-01 12:00 UTC\nLatency min/avg/max: 0/0/0\n";
        assert_eq!(sentence("h:1", real), "h:1 is Apache ZooKeeper 3.9.5");
        assert_eq!(sentence("h:1", "This ZooKeeper instance is not"), "h:1 does not answer HTTP");
    }
}
