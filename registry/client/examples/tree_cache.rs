//! A tree cache: one recursive watch keeps a copy of all nodes below a path.
//!
//! `cargo run -p zk-client --example tree_cache`

use std::collections::BTreeMap;
use std::error::Error;

use zk_client::{
    Client, CreateMode, Error as ZkError, ErrorCode, EventType, Expected, PersistentWatch, WatchUpdate,
};
use zk_mini::ZkMini;

/// Copy of a node and all nodes below it.
struct TreeCache {
    client: Client,
    root: String,
    watch: PersistentWatch,
    nodes: BTreeMap<String, String>,
}

impl TreeCache {
    async fn new(client: Client, root: &str) -> Result<Self, ZkError> {
        // Watched first and read then: a change in between is told.
        let watch = client.watch_recursive(root).await?;
        let mut cache = Self { client, root: root.to_owned(), watch, nodes: BTreeMap::new() };
        cache.load().await?;
        Ok(cache)
    }

    /// Reads all nodes anew.
    async fn load(&mut self) -> Result<(), ZkError> {
        self.nodes.clear();
        let mut left = vec![self.root.clone()];
        while let Some(path) = left.pop() {
            self.read(&path).await?;
            let children = found(self.client.children(&path).await)?;
            let names = children.into_iter().flat_map(|(names, _)| names);
            left.extend(names.map(|name| format!("{path}/{name}")));
        }
        Ok(())
    }

    async fn read(&mut self, path: &str) -> Result<(), ZkError> {
        match found(self.client.get(path).await)? {
            Some((data, _)) => {
                self.nodes.insert(path.to_owned(), String::from_utf8_lossy(&data).into_owned())
            }
            None => self.nodes.remove(path),
        };
        Ok(())
    }

    /// Waits for the next change and takes it over. Returns false once the client is closed.
    async fn update(&mut self) -> Result<bool, ZkError> {
        match self.watch.next().await {
            None => return Ok(false),
            Some(WatchUpdate::Missed) => self.load().await?,
            Some(WatchUpdate::Changed(event)) if event.event == EventType::NODE_DELETED => {
                self.nodes.remove(&*event.path);
            }
            Some(WatchUpdate::Changed(event)) => self.read(&event.path).await?,
        }
        Ok(true)
    }
}

/// Makes `None` of the error that there is no such node.
fn found<T>(read: Result<T, ZkError>) -> Result<Option<T>, ZkError> {
    match read {
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(None),
        read => read.map(Some),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::start().await?;
    let admin = Client::connect(&zk.connect_string()).await?;
    admin.create("/app", "v1", CreateMode::Persistent).await?;
    let mut cache = TreeCache::new(Client::connect(&zk.connect_string()).await?, "/app").await?;

    admin.create("/app/db", "db.internal:5432", CreateMode::Persistent).await?;
    admin.create("/app/cache", "", CreateMode::Persistent).await?;
    admin.set("/app", "v2", Expected::Any).await?;
    admin.delete("/app/cache", Expected::Any).await?;
    let expected = BTreeMap::from([("/app", "v2"), ("/app/db", "db.internal:5432")]);
    while !cache.nodes.iter().map(|(path, data)| (path.as_str(), data.as_str())).eq(expected.clone()) {
        assert!(cache.update().await?, "the client is open");
        println!("{:?}", cache.nodes);
    }
    Ok(())
}
