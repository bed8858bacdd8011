//! The crate `zookeeper-client`, by the command line in `integration-tests/rust-client`.

use std::path::PathBuf;

use integration_tests::programs;
use integration_tests::wait::PATIENCE;

use super::{CommandLine, Servers};

fn program() -> PathBuf {
    programs::target_dir().join("rust-client/debug/rust-client")
}

struct Client(CommandLine);

impl Client {
    fn start(hosts: &str, options: &str) -> Self {
        Self(CommandLine::start(&program(), &format!("{hosts} {options}"), "ci/ensemble builds it"))
    }

    fn until(&mut self, state: &str) {
        self.0.process.line_that(state, PATIENCE, |line| line == format!("state {state}"));
    }

    /// Returns the id and the state of the session that it has got.
    fn session(&mut self) -> (i64, String) {
        let line = self.0.process.line_with("session ");
        let mut words = line.split(' ').skip(1);
        let id = i64::from_str_radix(words.next().unwrap(), 16).unwrap();
        (id, words.next().unwrap().to_owned())
    }

    /// Runs a command. Returns it with its result.
    fn run(&mut self, command: &str) -> String {
        self.0.say(command);
        self.0.process.line_that(command, PATIENCE, |line| line.starts_with(&format!("{command}: ")))
    }
}

/// Returns what the client has seen.
pub(super) async fn scenario(servers: &mut Servers) -> Vec<String> {
    let mut seen = Vec::new();
    let hosts = servers.hosts();

    // A server goes under it, and its session moves to another.
    let mut client = Client::start(&hosts, "");
    let (session, state) = client.session();
    seen.push(state);
    seen.extend(
        ["create /kept-rust", "create /kept-rust", "ephemeral /mine-rust"].map(|command| client.run(command)),
    );
    let first = servers.serving(session);
    servers.stop(first).await;
    client.until("Disconnected");
    client.until("SyncConnected");
    let second = servers.serving(session);
    assert_ne!(second, first);
    let is_owned =
        |client: &mut Client| client.run("owner /mine-rust") == format!("owner /mine-rust: {session:x}");
    seen.push(format!("owned: {}", is_owned(&mut client)));
    seen.push(client.run("set /kept-rust moved"));
    servers.start(first).await;

    // Another client goes on with the session, at another server.
    let third = (0..3).find(|index| ![first, second].contains(index)).unwrap_or(first);
    client.0.say(&format!("move {}", servers.addr(third)));
    assert_eq!(client.session().0, session);
    seen.extend(["sync /", "set /mine-rust mine"].map(|command| client.run(command)));
    seen.push(format!("owned: {}, moved: {}", is_owned(&mut client), servers.serving(session) == third));

    // The members, which only the super user changes.
    let join = "join server.8=127.0.0.1:29:30:observer;127.0.0.1:31";
    seen.extend(
        [
            "config",
            join,
            "auth digest super:test",
            join,
            "leave 8 1",
            "leave 8 -1",
            "config",
            "members nothing",
        ]
        .map(|command| client.run(command)),
    );
    drop(client);

    // Without a quorum, who asks for it reads, and the others wait.
    servers.lose_quorum().await;
    let mut strict = Client::start(&hosts, "timeout 2000");
    seen.push(strict.0.process.line_with("not connected: "));
    let mut reader = Client::start(&hosts, "readonly");
    seen.push(reader.session().1);
    seen.extend(
        ["get /kept-rust", "children /", "set /kept-rust late", "create /late-rust", "sync /kept-rust"]
            .map(|command| reader.run(command)),
    );
    servers.regain_quorum().await;
    reader.until("SyncConnected");
    seen.extend(
        ["set /kept-rust late", "get /kept-rust", "delete /kept-rust"].map(|command| reader.run(command)),
    );
    seen
}
