//! `count core|server OPERATION TIMES [HISTORY]`: repeats one operation, for callgrind to count its instructions, in the core alone
//! or through a whole server in memory, with a history of so many entries.
#![forbid(unsafe_code)]

use anyhow::{Context, bail};
use bench_micro::{Batch, DEPTH, Served, Server, operations};
use zk_mini::ZkMini;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().context("in the core or the server?")?;
    let name = arguments.next().context("which operation?")?;
    let times: usize = arguments.next().context("how often?")?.parse()?;
    let history: usize = arguments.next().map_or(Ok(0), |entries| entries.parse())?;
    let operation = operations().into_iter().find(|operation| operation.name == name);
    let operation = operation.with_context(|| format!("no operation {name}"))?;
    match place.as_str() {
        "core" => {
            let mut server = Server::with_history(history);
            (0..times).for_each(|_| server.run(&operation));
        }
        "server" => {
            let mut served = Served::start(ZkMini::builder().in_memory().history(history))?;
            let batch = Batch::of_operation(&operation);
            (0..times / DEPTH).for_each(|_| served.run(&batch));
        }
        _ => bail!("core or server, not {place}"),
    }
    Ok(())
}
