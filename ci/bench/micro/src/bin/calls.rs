//! `calls one|joined|all TIMES`: reads a node so many times by a client in the process of its server: one at a time, 100 at once as
//! futures of their own, or 100 at once by `get_all`. Prints the time of a read; callgrind counts its instructions.
#![forbid(unsafe_code)]

use std::time::Instant;

use anyhow::{Context, bail};
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use zk_client::{Client, CreateMode, connect_fn};
use zk_mini::ZkMini;

/// Number of reads at once.
const DEPTH: usize = 100;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let way = arguments.next().context("one, joined or all?")?;
    let times: u32 = arguments.next().context("how often?")?.parse()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (_zk, client) = runtime.block_on(async {
        let zk = ZkMini::builder().in_memory().start().await?;
        let connector = zk.connector();
        let via = connect_fn(move || std::future::ready(connector.connect()));
        let client = Client::builder().via(via).connect().await?;
        client.create("/node", [7; 100].as_slice(), CreateMode::Persistent).await?;
        anyhow::Ok((zk, client))
    })?;
    let began = Instant::now();
    repeat(&runtime, &client, &way, times.try_into()?)?;
    println!("{:?}", began.elapsed() / times);
    Ok(())
}

#[inline(never)]
fn repeat(runtime: &Runtime, client: &Client, way: &str, times: usize) -> anyhow::Result<()> {
    let paths = vec!["/node".to_owned(); DEPTH];
    let each = if way == "one" { 1 } else { DEPTH };
    runtime.block_on(async {
        for _ in 0..times / each {
            match way {
                "one" => drop(client.get("/node").await?),
                "joined" => {
                    let reads = join_all(paths.iter().map(|path| client.get(path))).await;
                    reads.into_iter().collect::<Result<Vec<_>, _>>()?;
                }
                "all" => {
                    client.get_all(&paths).await.into_iter().collect::<Result<Vec<_>, _>>()?;
                }
                _ => bail!("one, joined or all, not {way}"),
            }
        }
        Ok(())
    })
}
