//! A partition of a simulated network: a leader is cut off, its session expires, and a standby takes over. When the network
//! heals, the old leader learns of it. Half a minute in milliseconds, the same in every run.
//!
//! It finds the bug of a leader that goes on leading while it hears nothing: two leaders at once.
//!
//! `cargo run -p zk-mini --example partition`

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use turmoil::net::{TcpListener, TcpStream};
use zk_client::{Client, CreateMode, EventType, SessionState};
use zk_mini::{Handle, ZkMini};

fn main() -> turmoil::Result {
    let limit = Duration::from_secs(120);
    let mut sim = turmoil::Builder::new().rng_seed(7).simulation_duration(limit).build();
    let server = Arc::new(OnceLock::<Handle>::new());

    let started = Arc::clone(&server);
    sim.host("zookeeper", move || serve(Arc::clone(&started)));

    let seen = Arc::clone(&server);
    sim.client("leader", async move {
        let client = connect().await?;
        let (first, mut states) = (client.state(), client.states());
        client.create("/leader", "one", CreateMode::Ephemeral).await?;

        // It notices silence after two thirds of its session timeout, and steps down: in time.
        states.wait_for(|state| matches!(state, SessionState::Disconnected(_))).await.ok_or("closed")?;
        assert_eq!(leader(&seen), "one", "nobody else leads yet");
        let silence = tokio::time::Instant::now();

        // Only a server can tell it that its session has expired.
        let renewed = states.wait_for(|state| matches!(state, SessionState::Connected(_))).await;
        assert_ne!(renewed, Some(first), "the session is a new one");
        assert_eq!(leader(&seen), "two");
        println!("one stepped down, and learned {} s later that two leads", silence.elapsed().as_secs());
        Ok(())
    });

    sim.client("standby", async move {
        let client = connect().await?;
        let (exists, mut watch) = client.exists_and_watch("/leader").await?;
        if exists.is_none() {
            watch.changed().await?;
            watch = client.exists_and_watch("/leader").await?.1;
        }
        turmoil::partition("leader", "zookeeper");
        assert_eq!(watch.changed().await?.event, EventType::NODE_DELETED);
        client.create("/leader", "two", CreateMode::Ephemeral).await?;
        turmoil::repair("leader", "zookeeper");

        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(leader(&server), "two", "also after the other is back");
        Ok(())
    });
    sim.run()
}

async fn serve(started: Arc<OnceLock<Handle>>) -> turmoil::Result {
    let zk = ZkMini::builder().in_memory().auto_advance().seed(7).start().await?;
    started.get_or_init(|| (*zk).clone());
    let listener = TcpListener::bind("0.0.0.0:2181").await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        zk.serve_stream(stream, peer)?;
    }
}

/// Looks into the server, past the network.
fn leader(server: &OnceLock<Handle>) -> String {
    let data = server.get().and_then(|zk| zk.get("/leader")).map(|(data, _)| data);
    String::from_utf8_lossy(&data.unwrap_or_default()).into_owned()
}

async fn connect() -> Result<Client, zk_client::Error> {
    let via = zk_client::connect_fn(|| TcpStream::connect("zookeeper:2181"));
    let timeout = Duration::from_secs(6);
    Client::builder().servers("zookeeper:2181").via(via).session_timeout(timeout).seed(7).connect().await
}
