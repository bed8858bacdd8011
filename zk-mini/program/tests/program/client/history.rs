//! `explain` and `tail`, which ask the history of `zk-mini serve` over HTTP.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::Server;

fn json(line: Option<String>) -> Value {
    let line = line.expect("a line");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn a_node_that_is_gone_is_explained() {
    let zk = Server::start();
    zk.run(&["create", "/a b", "x"]);
    zk.run(&["set", "/a b", "y"]);
    zk.run(&["rm", "/a b"]);
    let text = zk.run(&["explain", "/a b"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, "/a b does not exist"), "{text}");
    for (line, what) in lines[1..].iter().zip(["created", "set", "deleted"]) {
        assert!(line.contains(what) && line.contains("  0x") && line.starts_with("  20"), "{line}");
    }
    let explanation = zk.json(&["explain", "/a b"]);
    assert_eq!((&explanation["path"], &explanation["exists"]), (&"/a b".into(), &false.into()));
    let whats =
        explanation["history"].as_array().unwrap().iter().map(|change| change["what"].as_str().unwrap());
    assert_eq!(whats.collect::<Vec<_>>(), ["created", "changed", "deleted"]);
    let text = zk.run(&["explain", "/never"]);
    assert_eq!(text, "/never does not exist\n  nothing in the history has to do with it\n");
}

#[test]
fn a_bad_argument_of_explain_or_tail_has_the_status_of_bad_arguments() {
    let zk = Server::start();
    for (args, wrong) in [
        (&["explain", "none"][..], "none"),
        (&["tail", "--no-follow", "--kind", "birth"], "birth"),
        (&["tail", "--no-follow", "--session", "5"], "\"5\""),
    ] {
        let (status, message) = zk.fail(args);
        assert_eq!(status, 2, "{message}");
        assert!(message.contains(wrong), "{message}");
    }
}

#[test]
fn a_chroot_is_seen_as_the_root_in_the_history() {
    let zk = Server::start();
    let below = format!("{}/app", zk.address);
    zk.run(&["create", "--parents", "-s", &below, "/x"]);
    zk.run(&["create", "/elsewhere"]);
    let explanation = zk.json(&["explain", "/x", "-s", &below]);
    assert_eq!((&explanation["path"], &explanation["exists"]), (&"/x".into(), &true.into()));
    let past = zk.run(&["tail", "--no-follow", "--json", "-s", &below]);
    let entries: Vec<Value> = past.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<&str> = entries.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/x"]);
}

#[test]
fn a_tail_begins_with_the_past_and_goes_on_with_what_happens() {
    let zk = Server::start();
    zk.run(&["create", "/a", "x"]);
    let tail = zk.start_command(&["tail", "/a", "-n", "1", "--count", "2", "--json"]);
    assert_eq!(json(tail.line())["what"], "created");
    zk.run(&["create", "/other"]);
    zk.run(&["set", "/a", "y"]);
    let entry = json(tail.line());
    assert_eq!((&entry["path"], &entry["kind"]), (&"/a".into(), &"transaction".into()), "{entry}");
    zk.run(&["rm", "/a"]);
    assert_eq!(json(tail.line())["what"], "deleted");
    assert_eq!((tail.line(), tail.status().code()), (None, Some(0)));
    let text = zk.run(&["tail", "/a", "--no-follow"]);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().all(|line| line.contains("  transaction  /a ")), "{text}");
}

#[test]
fn the_end_of_a_dead_client_is_seen_and_explains_its_node() {
    let zk = Server::with(&["--tick-ms", "50", "--max-session-timeout-ms", "300"]);
    let tail = zk.start_command(&["tail", "-n", "0", "--kind", "expiry", "--count", "1"]);
    let held = zk.start_command(&["create", "/up", "--ephemeral"]);
    assert_eq!(held.line().as_deref(), Some("/up"));
    held.signal(Signal::SIGKILL);
    let line = tail.line().expect("the expiry");
    assert!(line.contains("  expiry       session 0x"), "{line}");
    assert_eq!(tail.status().code(), Some(0));
    let text = zk.run(&["explain", "/up"]);
    assert!(text.starts_with("/up does not exist\n") && text.contains("expired"), "{text}");
}

#[test]
fn a_tail_survives_the_restart_of_its_server_and_ends_by_a_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut zk = Server::start();
        zk.run(&["create", "/a"]);
        let mut tail = zk.start_command(&["tail", "/**", "-n", "1"]);
        assert!(tail.line().is_some_and(|line| line.contains("/a created")));
        zk.restart();
        assert_eq!(tail.error_line(), "zk-mini: connection lost; trying again");
        assert_eq!(tail.error_line(), "zk-mini: connected again");
        zk.run(&["create", "/b"]);
        while !tail.line().expect("the new node").contains("/b created") {}
        tail.signal(signal);
        assert_eq!((tail.line(), tail.status().code()), (None, Some(0)));
    }
}

#[test]
fn a_tail_loses_nothing_if_its_server_is_replaced_before_anything_happens() {
    let mut zk = Server::start();
    zk.run(&["create", "/a"]);
    let tail = zk.start_command(&["tail", "/**", "-n", "1", "--kind", "transaction"]);
    assert!(tail.line().is_some_and(|line| line.contains("/a created")));
    tail.signal(Signal::SIGSTOP);
    zk.restart();
    zk.run(&["create", "/b"]);
    zk.run(&["create", "/c"]);
    tail.signal(Signal::SIGCONT);
    for name in ["/b", "/c"] {
        let line = tail.line().expect("an entry");
        assert!(line.contains(&format!("{name} created")), "{line}");
    }
}

#[test]
fn a_tail_that_sees_too_little_in_its_time_says_so_by_its_status() {
    let zk = Server::start();
    let (status, said) = zk.fail(&["tail", "/none", "--for", "0.3", "--count", "1"]);
    assert_eq!((status, said.as_str()), (3, "zk-mini: 0 of 1 events within 300.0ms\n"));
    assert_eq!(zk.run(&["tail", "/none", "--for", "0.3"]), "");
}

#[test]
fn a_server_with_a_token_wants_it_and_one_without_http_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let token = ["--http-token-file", token.to_str().unwrap()];
    let zk = Server::with(&token);
    let (status, said) = zk.fail(&["explain", "/"]);
    assert!(status == 8 && said.contains("--http-token-file"), "{said}");
    zk.run(&[&["explain", "/"][..], &token].concat());
    zk.run(&[&["tail", "--no-follow"][..], &token].concat());

    let zk = Server::with(&["--http", "off"]);
    let (status, said) = zk.fail(&["tail"]);
    assert!(status == 9 && said.contains(&format!("{} is a zk-mini without HTTP", zk.address)), "{said}");
}
