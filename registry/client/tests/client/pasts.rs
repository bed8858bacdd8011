//! Servers that come back with older data, other data or none.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use zk_client::{Client, CreateMode, EventType, SessionState, connect_fn};
use zk_mini::{Builder, Connector, ZkMini};

use crate::support::{soon, until};

const SESSION_TIMEOUT: Duration = Duration::from_secs(3);

/// Connector to the current server.
#[derive(Clone, Default)]
struct Way(Arc<Mutex<Option<Connector>>>);

impl Way {
    fn leads_to(&self, zk: &ZkMini) {
        *self.0.lock().unwrap() = Some(zk.connector());
    }

    async fn client(&self) -> Client {
        let way = self.clone();
        let via = connect_fn(move || {
            let connector = way.0.lock().unwrap().clone();
            async move { connector.ok_or(io::ErrorKind::ConnectionRefused)?.connect() }
        });
        soon(Client::builder().via(via).session_timeout(SESSION_TIMEOUT).connect()).await.unwrap()
    }
}

/// Configures a server in real time: its zxids begin with the time of its start.
fn server() -> Builder {
    ZkMini::builder().in_memory().tick(Duration::from_millis(50)).max_session_timeout(SESSION_TIMEOUT)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("version-2")).unwrap();
    for file in fs::read_dir(from.join("version-2")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join("version-2").join(file.file_name())).unwrap();
    }
}

/// Waits until the client has a session other than `old`.
async fn another_session(client: &Client, old: zk_client::SessionId) {
    until(client, |state| matches!(state, SessionState::Connected(id) if *id != old)).await;
}

#[tokio::test]
async fn a_client_goes_on_at_once_after_a_restart_of_a_server_in_memory() {
    let (way, before) = (Way::default(), server().start().await.unwrap());
    way.leads_to(&before);
    let client = way.client().await;
    client.create("/a", "x", CreateMode::Persistent).await.unwrap();
    let old = client.credentials().unwrap().id;
    before.stop().await;
    let after = server().start().await.unwrap();
    way.leads_to(&after);
    let begun = Instant::now();
    another_session(&client, old).await;
    assert!(begun.elapsed() < SESSION_TIMEOUT, "faster than the session timeout");
    assert_eq!(client.exists("/a").await.unwrap(), None);
}

#[tokio::test]
async fn older_data_with_the_session_does_not_lock_the_client_out() {
    let dir = tempfile::tempdir().unwrap();
    let (data, older) = (dir.path().join("data"), dir.path().join("older"));
    let way = Way::default();
    let zk = server().data_dir(&data).start().await.unwrap();
    way.leads_to(&zk);
    let client = way.client().await;
    client.create("/mine", "", CreateMode::Ephemeral).await.unwrap();
    let old = client.credentials().unwrap().id;
    copy(&data, &older);
    client.create("/later", "", CreateMode::Persistent).await.unwrap();
    let (_, mut gone) = client.exists_and_watch("/later").await.unwrap();
    zk.stop().await;

    let zk = server().data_dir(&older).start().await.unwrap();
    assert_eq!(zk.get("/mine").unwrap().1.ephemeral_owner, old);
    way.leads_to(&zk);
    another_session(&client, old).await;
    assert!(soon(gone.changed()).await.is_err(), "a watch of the old session is lost");
    assert_eq!(client.exists("/later").await.unwrap(), None);
    // The client does not renew the old session: it ends, and its node goes.
    if let (Some(_), mut watch) = client.exists_and_watch("/mine").await.unwrap() {
        assert_eq!(soon(watch.changed()).await.unwrap().event, EventType::NODE_DELETED);
    }
    assert_eq!(zk.sessions().len(), 1);
}

#[tokio::test]
async fn a_server_with_an_empty_directory_takes_the_client_too() {
    let dir = tempfile::tempdir().unwrap();
    let (way, zk) = (Way::default(), server().data_dir(dir.path().join("0")).start().await.unwrap());
    way.leads_to(&zk);
    let client = way.client().await;
    let mut last = zk;
    for n in 1..4 {
        for _ in 0..5 {
            client.create("/n-", "", CreateMode::PersistentSequential).await.unwrap();
        }
        let old = client.credentials().unwrap().id;
        last.stop().await;
        last = server().data_dir(dir.path().join(n.to_string())).start().await.unwrap();
        way.leads_to(&last);
        another_session(&client, old).await;
        assert_eq!(last.sessions().len(), 1, "no other session is left behind");
    }
}
