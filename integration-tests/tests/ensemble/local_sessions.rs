//! Local sessions (`localSessionsEnabled`): a real ensemble and a simulated one give the same answers.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::net::SocketAddr;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::raw::{RawClient, buffer};
use zk_client::{Client, CreateMode, Error, ErrorCode};
use zk_mini::ZkMini;

/// Three servers, one of which leads.
struct Servers {
    follower: SocketAddr,
    other: SocketAddr,
    leader: SocketAddr,
}

impl Servers {
    fn of_real(zk: &RealZooKeeper) -> Self {
        let leader = zk.leader().unwrap();
        let followers: Vec<usize> = (0..3).filter(|server| *server != leader).collect();
        Self { follower: zk.addr(followers[0]), other: zk.addr(followers[1]), leader: zk.addr(leader) }
    }

    fn of_mini(zk: &ZkMini) -> Self {
        let addr = |number| zk.server(number).unwrap().addr().unwrap();
        Self { follower: addr(1), other: addr(2), leader: addr(3) }
    }
}

/// Returns the last zxid of the ensemble, behind all that the leader has been asked for. The session for it takes none.
fn zxid(servers: &Servers) -> i64 {
    const SYNC: i32 = 9;
    let mut leader = RawClient::with_session(servers.leader);
    leader.request(1, SYNC, &buffer(b"/"));
    leader.reply().unwrap().zxid
}

fn code<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |code| code.to_string()),
    }
}

/// Returns what clients see of their sessions.
async fn transcript(servers: &Servers) -> Vec<String> {
    let mut seen = Vec::new();
    let places = [("follower", servers.follower, servers.other), ("leader", servers.leader, servers.other)];
    for (name, home, elsewhere) in places {
        let mut note = |what: &str, answer: String| seen.push(format!("{name}, {what}: {answer}"));
        let before = zxid(servers);
        let client = Client::builder().servers(home.to_string()).connect().await.unwrap();
        note("zxids of a session", (zxid(servers) - before).to_string());
        let path = |node: &str| format!("/{name}{node}");
        let make = async |node: &str, mode| code(client.create(&path(node), "x", mode).await);
        note("persistent", make("", CreateMode::Persistent).await);
        let before = zxid(servers);
        note("ephemeral without a parent", make("-none/e", CreateMode::Ephemeral).await);
        note("ephemeral", make("/e", CreateMode::Ephemeral).await);
        note("ephemeral sequential", make("/s", CreateMode::EphemeralSequential).await);
        note("zxids of that", (zxid(servers) - before).to_string());
        let multi = client.transaction().create(&path("/m"), "x", CreateMode::Persistent);
        note("multi", code(multi.create(&path("/me"), "x", CreateMode::Ephemeral).commit().await));
        let credentials = client.credentials().unwrap();
        let attach = |server| {
            let mut raw = RawClient::connect(server);
            raw.attach(credentials.id.0, &credentials.password, 10_000).is_some()
        };
        note("known elsewhere", attach(elsewhere).to_string());
        note("known at home", attach(home).to_string());
        // Its end is a transaction if it is a session of all.
        client.close().await.unwrap();
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_ensemble_and_a_simulated_one_have_the_same_local_sessions() {
    for upgrades in [false, true] {
        let real = RealZooKeeper::builder()
            .servers(3)
            .setting("localSessionsEnabled", "true")
            .setting("localSessionsUpgradingEnabled", upgrades)
            .start()
            .unwrap();
        let expected = transcript(&Servers::of_real(&real)).await;
        drop(real);
        let builder = ZkMini::builder().servers(3).local_sessions(true).local_session_upgrades(upgrades);
        let mini = builder.start().await.unwrap();
        let found = transcript(&Servers::of_mini(&mini)).await;
        assert_eq!(found, expected, "upgrades: {upgrades}");
        let refusal = format!("follower, ephemeral: {}", ErrorCode::EPHEMERAL_ON_LOCAL_SESSION);
        assert_eq!(expected.contains(&refusal), !upgrades, "{expected:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_server_has_none() {
    let real = RealZooKeeper::builder().setting("localSessionsEnabled", "true").start().unwrap();
    let mini = ZkMini::builder().local_sessions(true).start().await.unwrap();
    for servers in [real.connect_string(), mini.connect_string()] {
        let client = Client::connect(&servers).await.unwrap();
        client.create("/e", "", CreateMode::Ephemeral).await.unwrap();
    }
}
