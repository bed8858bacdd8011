//! The crate `zookeeper-client`, used in the obvious way.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use anyhow::ensure;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zookeeper_client::Client;

use crate::SERVICE;
use crate::row::Seen;
use crate::server::Server;

pub async fn resolve(server: &Server, times: usize, count: usize) -> anyhow::Result<Vec<f64>> {
    let client = Client::connect(&server.addr).await?;
    let mut millis = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        let mut found = HashMap::new();
        for name in client.list_children(SERVICE).await? {
            let (data, _) = client.get_data(&format!("{SERVICE}/{name}")).await?;
            found.insert(name, data);
        }
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(found.len() == count, "{} found", found.len());
    }
    Ok(millis)
}

pub async fn subscribe(server: &Server, count: usize) -> anyhow::Result<Seen> {
    let (sender, at) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let client = Client::connect(&server.addr).await?;
        let mut view = View { client, data: HashMap::new(), watches: JoinSet::new() };
        view.list().await?;
        ensure!(view.data.len() == 1, "there is one");
        let sender = sender.clone();
        tasks.spawn(async move {
            while let Some(Ok(changed)) = view.watches.join_next().await {
                let read = match changed {
                    Some(name) => view.read(name).await,
                    None => view.list().await,
                };
                if read.is_err() || sender.send(SystemTime::now()).is_err() {
                    break;
                }
            }
        });
    }
    Ok(Seen::new(at, tasks))
}

/// State of one subscriber.
struct View {
    client: Client,
    data: HashMap<String, Vec<u8>>,
    /// Watches; each yields the name of the node that has changed, or `None` if the list has.
    watches: JoinSet<Option<String>>,
}

impl View {
    /// Lists the nodes, and reads new ones.
    async fn list(&mut self) -> Result<(), zookeeper_client::Error> {
        let (names, watcher) = self.client.list_and_watch_children(SERVICE).await?;
        self.watches.spawn(async move {
            watcher.changed().await;
            None
        });
        for name in names {
            if !self.data.contains_key(&name) {
                self.read(name).await?;
            }
        }
        Ok(())
    }

    async fn read(&mut self, name: String) -> Result<(), zookeeper_client::Error> {
        let (data, _, watcher) = self.client.get_and_watch_data(&format!("{SERVICE}/{name}")).await?;
        self.data.insert(name.clone(), data);
        self.watches.spawn(async move {
            watcher.changed().await;
            Some(name)
        });
        Ok(())
    }
}
