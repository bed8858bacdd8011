//! ZooKeeper's own client in C, by its command line `cli_mt`.

use std::path::Path;

use integration_tests::wait::PATIENCE;

use super::{CommandLine, Servers};

/// Place where Debian's package `zookeeper-bin` has it.
const PROGRAM: &str = "/usr/lib/zookeeper/bin/cli_mt";

struct Client(CommandLine);

impl Client {
    fn start(hosts: &str, options: &str) -> Self {
        Self(CommandLine::start(Path::new(PROGRAM), &format!("-h {hosts} {options}"), "run ci/setup"))
    }

    /// Waits until its session is in a state.
    fn until(&mut self, state: &str) {
        self.0.process.line_with(&format!("SESSION_EVENT state = {state}_STATE"));
    }

    /// Returns the id of the session that it has got.
    fn session(&mut self) -> i64 {
        let line = self.0.process.line_with("Got a new session id: 0x");
        i64::from_str_radix(line.rsplit_once("0x").unwrap().1.trim(), 16).unwrap()
    }

    /// Runs a command. Returns it with the code of its result.
    fn run(&mut self, command: &str) -> String {
        self.0.say(command);
        let line = self.0.process.line_that(command, PATIENCE, |line| line.contains("rc = "));
        let code = line.split("rc = ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
        format!("{command}: {code}")
    }

    /// Runs a command that prints a stat. Returns its owner, too.
    fn owner(&mut self, command: &str) -> (String, i64) {
        let ran = self.run(command);
        let line = self.0.process.line_with("ephemeralOwner = ");
        (ran, i64::from_str_radix(line.rsplit_once(" = ").unwrap().1.trim(), 16).unwrap())
    }

    fn quit(mut self) {
        self.0.say("quit");
        assert!(self.0.process.wait().success(), "{}", self.0.process);
    }
}

/// Returns what the client has seen.
pub(super) async fn scenario(servers: &mut Servers) -> Vec<String> {
    let mut seen = Vec::new();
    let hosts = servers.hosts();

    // A server goes under it, and its session moves to another.
    let mut client = Client::start(&hosts, "");
    client.until("CONNECTED");
    let session = client.session();
    seen.extend([client.run("create /kept-c"), client.run("create +e /mine-c")]);
    let first = servers.serving(session);
    servers.stop(first).await;
    client.until("CONNECTING");
    client.until("CONNECTED");
    assert_ne!(servers.serving(session), first);
    let (ran, owner) = client.owner("get /mine-c");
    seen.push(format!("{ran}, owned: {}", owner == session));
    seen.push(client.run("set /kept-c moved"));
    servers.start(first).await;
    seen.push(client.run("sync /kept-c"));

    // The members, which only the super user changes.
    let joining = "server.9=127.0.0.1:19:20:observer;127.0.0.1:21";
    seen.push(client.run("config"));
    let members = |client: &Client| client.0.process.stdout().matches("\nserver.").count();
    seen.push(format!("members: {}", members(&client)));
    seen.push(client.run(&format!("reconfig -add {joining}")));
    client.0.say("addauth digest super:test");
    seen.push(client.run("get /kept-c"));
    seen.push(client.run(&format!("reconfig -add {joining}")));
    seen.push(client.run("reconfig -remove 9"));
    seen.push(client.run("reconfig -remove 9 -version 1"));
    client.quit();

    // Without a quorum, who asks for it reads, and the others wait.
    servers.lose_quorum().await;
    let mut strict = Client::start(&hosts, "");
    let mut reader = Client::start(&hosts, "-r");
    reader.until("READONLY");
    seen.extend(
        ["get /kept-c", "ls /", "get /mine-c", "set /kept-c late", "create /late-c", "sync /kept-c"]
            .map(|command| reader.run(command)),
    );
    assert!(!strict.0.process.stdout().contains("state = CONNECTED_STATE"), "{}", strict.0.process);
    servers.regain_quorum().await;
    for client in [&mut strict, &mut reader] {
        client.until("CONNECTED");
        seen.push(client.run("set /kept-c late"));
    }
    seen.push(reader.run("delete /kept-c"));
    strict.quit();
    reader.quit();
    seen
}
