//! kazoo, in a Python process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::SERVICE;
use crate::row::Seen;
use crate::server::Server;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kazoo_rows.py");

fn start(python: &Path, arguments: &[&str]) -> anyhow::Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut command = Command::new(python);
    command.arg(SCRIPT).args(arguments).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| python.display().to_string())?;
    let stdout = child.stdout.take().context("no standard output")?;
    Ok((child, BufReader::new(stdout).lines()))
}

pub async fn resolve(python: &Path, server: &Server, times: usize, count: usize) -> anyhow::Result<Vec<f64>> {
    let arguments = ["resolve", &server.addr, SERVICE, &times.to_string(), &count.to_string()];
    let (_child, mut lines) = start(python, &arguments)?;
    let mut millis = Vec::new();
    while let Some(line) = lines.next_line().await? {
        millis.push(line.parse()?);
    }
    ensure!(millis.len() == times, "kazoo measured {} of {times} times", millis.len());
    Ok(millis)
}

pub async fn subscribe(python: &Path, server: &Server, count: usize) -> anyhow::Result<Seen> {
    let (child, mut lines) = start(python, &["subscribe", &server.addr, SERVICE, &count.to_string()])?;
    let ready = lines.next_line().await?;
    ensure!(ready.as_deref() == Some("ready"), "kazoo does not subscribe");
    let (sender, at) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(nanos) = line.parse() else { break };
            if sender.send(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)).is_err() {
                break;
            }
        }
    });
    Ok(Seen::new(at, child))
}
