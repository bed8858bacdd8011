//! Our registry, and our bare client.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::ensure;
use registry::codec::{Codec, Curator, Json};
use registry::{Registry, SubscribeOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zk_client::Client;

use crate::SERVICE;
use crate::row::Seen;
use crate::server::Server;

/// A registry whose service of this name is [`SERVICE`].
async fn connect(server: &Server) -> anyhow::Result<Registry> {
    Ok(Registry::builder().servers(&server.addr).root("bench").connect().await?)
}

pub fn one_format() -> SubscribeOptions {
    SubscribeOptions::default()
}

/// Reads Curator's format, too, in which no instance is published.
pub fn two_formats() -> SubscribeOptions {
    let formats: [Arc<dyn Codec>; 2] = [Arc::new(Curator::at("/curator")), Arc::new(Json)];
    SubscribeOptions::default().codecs(formats)
}

pub async fn resolve(
    server: &Server,
    options: &SubscribeOptions,
    times: usize,
    count: usize,
) -> anyhow::Result<Vec<f64>> {
    let registry = connect(server).await?;
    let mut millis = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        let found = registry.discover_with("service", options.clone()).await?;
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(found.len() == count, "{} found", found.len());
    }
    Ok(millis)
}

/// Opens subscribers, each over a session of its own.
pub async fn subscribe(server: &Server, options: &SubscribeOptions, count: usize) -> anyhow::Result<Seen> {
    let (sender, at) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let registry = connect(server).await?;
        let mut subscription = registry.subscribe_with("service", options.clone()).await?;
        ensure!(subscription.current().len() == 1, "there is one");
        let sender = sender.clone();
        tasks.spawn(async move {
            while subscription.changed().await.is_some() && sender.send(SystemTime::now()).is_ok() {}
            drop(registry);
        });
    }
    Ok(Seen::new(at, tasks))
}

/// Waits for the bare events: of the list, and of the node `n-0` once it exists.
pub async fn watch(server: &Server, count: usize) -> anyhow::Result<Seen> {
    let (sender, at) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let client = Client::connect(&server.addr).await?;
        let (_, _, mut list) = client.children_and_watch(SERVICE).await?;
        let sender = sender.clone();
        tasks.spawn(async move {
            let node = format!("{SERVICE}/n-0");
            let mut data = None;
            loop {
                let watched = async {
                    match &mut data {
                        Some(data) => {
                            let data: &mut zk_client::Watch = data;
                            data.changed().await.is_ok()
                        }
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    changed = list.changed() => {
                        if changed.is_err() || sender.send(SystemTime::now()).is_err() { break }
                        let Ok((_, _, next)) = client.children_and_watch(SERVICE).await else { break };
                        list = next;
                        if data.is_none() {
                            let Ok((_, _, watch)) = client.get_and_watch(&node).await else { break };
                            data = Some(watch);
                        }
                    }
                    changed = watched => {
                        if !changed || sender.send(SystemTime::now()).is_err() { break }
                        let Ok((_, _, watch)) = client.get_and_watch(&node).await else { break };
                        data = Some(watch);
                    }
                }
            }
        });
    }
    Ok(Seen::new(at, tasks))
}
