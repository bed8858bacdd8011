//! The crate `zookeeper-client` as a command line for tests: a command a line, and one line for its result. A line tells each change of
//! the session's state, too.
//!
//! usage: rust-client HOSTS [readonly] [timeout MS]

use std::env;
use std::fmt::Debug;
use std::io;
use std::time::Duration;

use tokio::runtime::Runtime;
use zookeeper_client::{Acls, Client, Connector, CreateMode, EnsembleUpdate, Error, SessionState, Stat};

/// Session timeout; the client tries for as long to find a server.
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> Result<(), Error> {
    let runtime = Runtime::new().expect("threads");
    let mut arguments = env::args().skip(1);
    let hosts = arguments.next().expect("HOSTS");
    let mut connector = connector();
    while let Some(argument) = arguments.next() {
        connector = match argument.as_str() {
            "readonly" => connector.with_readonly(true),
            "timeout" => {
                let millis = arguments.next().and_then(|millis| millis.parse().ok()).expect("MS");
                connector.with_session_timeout(Duration::from_millis(millis))
            }
            other => panic!("{other}"),
        };
    }
    let mut client = runtime.block_on(connect(connector, &hosts))?;
    for line in io::stdin().lines() {
        let line = line.expect("text");
        let words: Vec<_> = line.split(' ').collect();
        if let ["move", hosts] = words[..] {
            // The session goes on with another client.
            client = runtime.block_on(connect(connector_of(client), hosts))?;
            continue;
        }
        let result = runtime.block_on(run(&client, &words));
        println!("{line}: {}", result.unwrap_or_else(|error| format!("{error:?}")));
    }
    Ok(())
}

fn connector() -> Connector {
    // A session outlives its client: the tests hand it on.
    Client::connector().with_session_timeout(TIMEOUT).with_detached()
}

fn connector_of(client: Client) -> Connector {
    connector().with_session(client.into_session())
}

/// Connects, and prints the id of the session and its states from now on.
async fn connect(connector: Connector, hosts: &str) -> Result<Client, Error> {
    let connected = connector.connect(hosts).await;
    let client = connected.inspect_err(|error| println!("not connected: {error:?}"))?;
    println!("session {:x} {:?}", client.session_id().0, client.state());
    let mut states = client.state_watcher();
    tokio::spawn(async move {
        let mut last = states.state();
        while !matches!(last, SessionState::Closed | SessionState::Expired | SessionState::AuthFailed) {
            last = states.changed().await;
            println!("state {last:?}");
        }
    });
    Ok(client)
}

/// Runs a command. Returns what it gave.
async fn run(client: &Client, words: &[&str]) -> Result<String, Error> {
    let all = Acls::anyone_all();
    let mode = |ephemeral| if ephemeral { CreateMode::Ephemeral } else { CreateMode::Persistent };
    Ok(match *words {
        ["create", path] => shown(client.create(path, b"", &mode(false).with_acls(all)).await?.0.version),
        ["ephemeral", path] => shown(client.create(path, b"", &mode(true).with_acls(all)).await?.0.version),
        ["get", path] => String::from_utf8_lossy(&client.get_data(path).await?.0).into_owned(),
        ["set", path, data] => shown(client.set_data(path, data.as_bytes(), None).await?.version),
        ["delete", path] => shown(client.delete(path, None).await?),
        ["children", path] => shown(client.list_children(path).await?.is_empty()),
        ["owner", path] => client.check_stat(path).await?.map_or_else(String::new, owner),
        ["sync", path] => shown(client.sync(path).await?),
        ["auth", scheme, id] => shown(client.auth(scheme, id.as_bytes()).await?),
        ["config"] => members(&client.get_config().await?.0),
        ["join", server] => update(client, &[server], &[], None).await?,
        ["leave", server, version] => update(client, &[], &[server], version.parse().ok()).await?,
        ["members", server] => {
            let update = EnsembleUpdate::New { ensemble: [server].into_iter() };
            members(&client.update_ensemble(update, None).await?.0)
        }
        _ => panic!("{words:?}"),
    })
}

async fn update(
    client: &Client,
    joinings: &[&str],
    leavings: &[&str],
    version: Option<i64>,
) -> Result<String, Error> {
    let (joinings, leavings) = (joinings.iter().copied(), leavings.iter().copied());
    let update = EnsembleUpdate::Incremental { joinings, leavings };
    Ok(members(&client.update_ensemble(update, version).await?.0))
}

fn shown(value: impl Debug) -> String {
    format!("{value:?}")
}

fn owner(stat: Stat) -> String {
    format!("{:x}", stat.ephemeral_owner)
}

/// Returns the numbers and the roles of a configuration, sorted: a real server lists them as its hash table has them, which
/// differs between the leader and those who have read the text.
fn members(config: &[u8]) -> String {
    let text = String::from_utf8_lossy(config);
    let members = text.lines().filter_map(|line| {
        let (name, address) = line.strip_prefix("server.")?.split_once('=')?;
        Some(format!("{name} {}", if address.contains(":observer") { "observer" } else { "participant" }))
    });
    let mut members: Vec<_> = members.collect();
    members.sort();
    members.join(", ")
}
