//! Commands that go on: `watch`, and `create --ephemeral`.

use nix::sys::signal::Signal;

use super::Server;

#[test]
fn a_watch_prints_changes_as_they_come_and_ends_after_a_number() {
    let zk = Server::start();
    let mut watch = zk.start_command(&["watch", "/a", "--count", "4"]);
    assert_eq!(watch.error_line(), "zk-mini: watching /a");
    zk.run(&["create", "/a"]);
    assert_eq!(watch.line().as_deref(), Some("created  /a"));
    zk.run(&["set", "/a", "x"]);
    assert_eq!(watch.line().as_deref(), Some("changed  /a"));
    zk.run(&["create", "/a/b"]);
    assert_eq!(watch.line().as_deref(), Some("children /a"));
    zk.run(&["rm", "-r", "/a"]);
    assert_eq!(watch.line().as_deref(), Some("children /a"));
    assert_eq!((watch.line(), watch.status().code()), (None, Some(0)));
}

#[test]
fn a_recursive_watch_prints_a_line_of_json_for_each_node_until_a_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let zk = Server::start();
        let below = format!("{}/app", zk.address);
        zk.run(&["create", "/app"]);
        let mut watch = zk.start_command(&["watch", "--recursive", "--json", "-s", &below]);
        assert_eq!(watch.error_line(), "zk-mini: watching / and below");
        zk.run(&["create", "--parents", "/app/x/y"]);
        zk.run(&["rm", "/app/x/y"]);
        for line in [
            r#"{"event":"NodeCreated","path":"/x"}"#,
            r#"{"event":"NodeCreated","path":"/x/y"}"#,
            r#"{"event":"NodeDeleted","path":"/x/y"}"#,
        ] {
            assert_eq!(watch.line().as_deref(), Some(line));
        }
        watch.signal(signal);
        assert_eq!((watch.line(), watch.status().code()), (None, Some(0)));
    }
}

#[test]
fn a_watch_survives_the_restart_of_its_server() {
    let mut zk = Server::start();
    let mut watch = zk.start_command(&["watch", "/a"]);
    assert_eq!(watch.error_line(), "zk-mini: watching /a");
    zk.restart();
    assert_eq!(watch.error_line(), "zk-mini: connection lost; trying again");
    assert_eq!(watch.error_line(), "zk-mini: connected again");
    assert_eq!(watch.line().as_deref(), Some("missed   /a"));
    zk.run(&["create", "/a"]);
    assert_eq!(watch.line().as_deref(), Some("created  /a"));
}

#[test]
fn a_watch_that_sees_too_little_in_its_time_says_so_by_its_status() {
    let zk = Server::start();
    let output = zk.command(&["watch", "/a", "--for", "0.2", "--count", "2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("zk-mini: 0 of 2 events within 200.0ms\n"), "{said}");
    assert_eq!(zk.run(&["watch", "/a", "--for", "0.2"]), "");
    for command in ["watch", "tail"] {
        let output = zk.command(&[command, "--count", "0"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("a number, 1 or more"), "{command}");
    }
}

#[test]
fn an_ephemeral_node_is_held_until_a_signal_and_then_gone_at_once() {
    let zk = Server::start();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let node = zk.start_command(&["create", "/up-", "--ephemeral", "--sequential", "here"]);
        let path = node.line().expect("its path");
        assert_eq!(zk.run(&["get", &path]), "here");
        assert_eq!(zk.json(&["stat", &path])["kind"], "ephemeral");
        node.signal(signal);
        assert_eq!(node.status().code(), Some(0));
        assert_eq!(zk.fail(&["stat", &path]).0, 4);
    }
}

#[test]
fn a_node_whose_session_is_lost_is_reported() {
    let mut zk = Server::start();
    let node = zk.start_command(&["create", "/up", "--ephemeral"]);
    assert_eq!(node.line().as_deref(), Some("/up"));
    // In memory: the new server does not know the session.
    zk.restart();
    let (status, said) = node.end();
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(
        said.ends_with("/up: the session has expired, and the node is gone with it; create it again\n"),
        "{said}"
    );
}
