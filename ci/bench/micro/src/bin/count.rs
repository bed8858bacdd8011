//! `count OPERATION TIMES`: repeats one operation, for callgrind to count its instructions.
#![forbid(unsafe_code)]

use anyhow::Context;
use bench_micro::{Server, operations};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().context("which operation?")?;
    let times: u64 = arguments.next().context("how often?")?.parse()?;
    let operation = operations().into_iter().find(|operation| operation.name == name);
    let operation = operation.with_context(|| format!("no operation {name}"))?;
    let mut server = Server::small();
    for _ in 0..times {
        server.run(&operation);
    }
    Ok(())
}
