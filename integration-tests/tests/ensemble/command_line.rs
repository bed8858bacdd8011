//! The client of `zk-mini` on the command line, with a real Apache ZooKeeper.

use integration_tests::ensemble::{RealZooKeeper, Release};
use integration_tests::process::Process;
use integration_tests::programs;
use integration_tests::wait::{PATIENCE, eventually};
use serde_json::{Value, json};

/// Runs a command, and returns its status, standard output and standard error.
#[track_caller]
fn run(servers: &str, args: &[&str]) -> (i32, String, String) {
    let mut process = start(servers, args);
    let status = process.wait().code().expect("no signal");
    (status, process.stdout(), process.stderr())
}

/// Runs a command that succeeds, and returns its standard output.
#[track_caller]
fn done(servers: &str, args: &[&str]) -> String {
    let (status, stdout, stderr) = run(servers, args);
    assert_eq!(status, 0, "{args:?}: {stderr}");
    stdout
}

fn start(servers: &str, args: &[&str]) -> Process {
    let mut command = programs::zk_mini();
    command.args(args).env("ZK_HOSTS", servers).env_remove("ZK_AUTH").env_remove("RUST_LOG");
    Process::start(&mut command)
}

#[test]
fn every_command_works_on_each_release() {
    for release in [Release::V3_8, Release::V3_9] {
        let extended = "-Dzookeeper.extendedTypesEnabled=true";
        let zk = RealZooKeeper::builder().release(release).jvm_option(extended).start().unwrap();
        let (root, below) = (zk.connect_string(), format!("{}/app", zk.connect_string()));
        assert_eq!(done(&below, &["create", "--parents", "/t/a", "one"]), "/t/a\n");
        assert_eq!(done(&root, &["get", "/app/t/a"]), "one");
        assert_eq!(done(&below, &["set", "/t/a", "two", "--version", "0"]), "version 1\n");
        assert_eq!(done(&below, &["create", "-q", "/t/n-"]), "/t/n-0000000001\n");
        assert_eq!(done(&below, &["create", "/t/box", "--container"]), "/t/box\n");
        assert_eq!(done(&below, &["create", "/t/brief", "--ttl", "60"]), "/t/brief\n");
        assert_eq!(done(&below, &["ls", "/t"]), "a\nbox\nbrief\nn-0000000001\n");
        assert_eq!(done(&below, &["ls", "-r", "/"]), "/\n/t\n/t/a\n/t/box\n/t/brief\n/t/n-0000000001\n");
        let node: Value = serde_json::from_str(&done(&below, &["get", "/t/a", "--json"])).unwrap();
        assert_eq!((&node["data"], &node["stat"]["version"]), (&json!("two"), &json!(1)));
        assert!(done(&below, &["stat", "/t/a"]).starts_with("/t/a is a persistent node. It has 3 bytes"));

        let secret = ["--auth", "digest:ann:secret"];
        let set = ["acl", "/t/a", "--set", "auth::cdrwa"];
        assert_eq!(done(&below, &[&set[..], &secret].concat()), "version 1\n");
        assert_eq!(done(&below, &[&["get", "/t/a"][..], &secret].concat()), "two");
        assert!(done(&below, &[&["acl", "/t/a"][..], &secret].concat()).starts_with("digest:ann:"));
        for (args, status, words) in [
            (&["get", "/t/a"][..], 8, "not allowed by the ACL"),
            (&["get", "/none"], 4, "/none: no such node"),
            (&["create", "/t/a"], 5, "the node exists"),
            (&["rm", "/t"], 6, "-r deletes them"),
            (&["set", "/t/box", "x", "--version", "9"], 7, "not the expected one"),
            (&["acl", "/t/box", "--set", "nobody:ann:r"], 1, "does not accept the ACL"),
            (
                &["explain", "/t"],
                9,
                &format!("is Apache ZooKeeper {}; this command needs zk-mini", release.version()),
            ),
            (&["tail"], 9, &format!("is Apache ZooKeeper {}; this command needs zk-mini", release.version())),
        ] {
            let (found, _, stderr) = run(&below, args);
            assert!(found == status && stderr.contains(words), "{release:?} {args:?}: {found} {stderr}");
        }

        let mut watch = start(&below, &["watch", "-r", "/t", "--count", "2", "--json"]);
        eventually("the watch is set", PATIENCE, || watch.stderr().contains("watching /t and below"));
        let mut held = start(&below, &["create", "-e", "/t/up"]);
        held.line_with("/t/up");
        assert_eq!(held.terminate().code(), Some(0), "{held}");
        assert_eq!(watch.wait().code(), Some(0), "{watch}");
        let events =
            [r#"{"event":"NodeCreated","path":"/t/up"}"#, r#"{"event":"NodeDeleted","path":"/t/up"}"#];
        assert_eq!(watch.stdout().lines().collect::<Vec<_>>(), events);

        let deleted = done(&below, &["rm", "-r", "/t", "--json"]);
        assert_eq!(deleted, "{\"path\":\"/t\",\"deleted\":5}\n");
    }
}

#[test]
fn a_held_node_and_a_watch_outlive_the_server_that_they_are_connected_to() {
    let mut zk = RealZooKeeper::ensemble().unwrap();
    let servers = zk.connect_string();
    let mut watch = start(&servers, &["watch", "/late"]);
    eventually("the watch is set", PATIENCE, || watch.stderr().contains("watching /late"));
    let mut held = start(&servers, &["create", "-e", "/up"]);
    held.line_with("/up");
    // Every server in turn: one of them serves the node's session, and one the watch.
    for member in 0..3 {
        zk.kill(member);
        done(&servers, &["set", "/up", &member.to_string(), "--timeout", "20"]);
        zk.restart(member).unwrap();
    }
    for process in [&held, &watch] {
        let count = |words: &str| process.stderr().matches(words).count();
        let is_back = || count("connected again") > 0 && count("connected again") == count("connection lost");
        eventually("another server takes it over", PATIENCE, is_back);
    }
    assert_eq!(done(&servers, &["get", "/up"]), "2");
    done(&servers, &["create", "/late"]);
    watch.line_with("created  /late");
    assert_eq!(held.terminate().code(), Some(0), "{held}");
    assert_eq!(run(&servers, &["stat", "/up"]).0, 4);
}
