//! A real server and zk-mini in the same state, with a client each.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use integration_tests::ensemble::{Builder, RealZooKeeper, Release};
use integration_tests::ports::Port;
use tempfile::TempDir;
use zk_client::{Client, CreateMode, Expected, Watch};
use zk_mini::{Compat, ZkMini};
use zk_mini_http::{Http, Settings};

/// Tick of both servers.
pub(crate) const TICK: Duration = Duration::from_secs(2);

pub(crate) fn release(compat: Compat) -> Release {
    if compat == Compat::V3_8 { Release::V3_8 } else { Release::V3_9 }
}

/// A real server with HTTP on a port.
pub(crate) struct Real {
    pub(crate) zk: RealZooKeeper,
    pub(crate) http: SocketAddr,
    _port: Port,
}

impl Real {
    /// Starts the real server with lines of `zoo.cfg` that give it an HTTP port.
    pub(crate) fn start(compat: Compat, settings: impl FnOnce(Builder, u16) -> Builder) -> Self {
        let port = Port::reserve().unwrap();
        let number = port.number();
        let zk = settings(RealZooKeeper::builder().release(release(compat)).tick(TICK), number);
        let zk = zk.setting("maxSessionTimeout", 40_000).setting("maxClientCnxns", 60).start().unwrap();
        Self { zk, http: (Ipv4Addr::LOCALHOST, number).into(), _port: port }
    }
}

/// Starts zk-mini with HTTP on its port, and a data directory.
pub(crate) async fn mini(compat: Compat) -> (ZkMini, SocketAddr, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let builder = ZkMini::builder().compat(compat).data_dir(dir.path()).tick(TICK);
    let zk = Http::new(Settings::default()).share_port(builder).start().await.unwrap();
    let addr = zk.addr().unwrap();
    (zk, addr, dir)
}

/// A client that has done something of each kind.
pub(crate) struct Guest {
    pub(crate) client: Client,
    _watch: Watch,
}

/// Brings a server into the state that is compared.
pub(crate) async fn visit(servers: &str) -> Guest {
    let client = Client::connect(servers).await.unwrap();
    client.create("/a", "data", CreateMode::Persistent).await.unwrap();
    client.create("/a/e", "", CreateMode::Ephemeral).await.unwrap();
    let (_, _, fired) = client.get_and_watch("/a").await.unwrap();
    client.set("/a", "more", Expected::Any).await.unwrap();
    drop(fired);
    let (_, _, watch) = client.get_and_watch("/a").await.unwrap();
    client.get("/none").await.unwrap_err();
    Guest { client, _watch: watch }
}
