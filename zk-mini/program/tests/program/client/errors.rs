//! Messages of commands that fail, and their statuses.

use std::time::Duration;

use super::{Server, command, failure};

#[test]
fn each_refusal_has_a_status_and_a_way_out() {
    let zk = Server::start();
    zk.run(&["create", "--parents", "/a/b"]);
    let failures: [(&[&str], i32, &str); 16] = [
        (&["get", "/none"], 4, "/none: no such node"),
        (&["stat", "/none"], 4, "/none: no such node"),
        (&["ls", "/none"], 4, "/none: no such node"),
        (&["rm", "/none"], 4, "/none: no such node"),
        (&["rm", "-r", "/none"], 4, "/none: no such node"),
        (&["create", "/x/y"], 4, "/x/y: its parent does not exist; --parents creates"),
        (&["create", "/a"], 5, "/a: the node exists; `zk-mini set`"),
        (&["rm", "/a"], 6, "/a: the node has children; -r deletes them"),
        (&["set", "/a", "x", "--version", "7"], 7, "/a: the version is not the expected one"),
        (&["rm", "/a/b", "--version", "7"], 7, "/a/b: the version is not the expected one"),
        (&["get", "a"], 2, "a: path does not begin with \"/\""),
        (&["get", "/a/"], 2, "/a/: path ends with \"/\""),
        (&["set", "/a", "@/none/at/all"], 2, "cannot read /none/at/all: No such file"),
        (&["ls", "-s", "http://x"], 2, "has a scheme; write host:port without one"),
        (&["ls", "--auth", "secret"], 2, "--auth: an identity is SCHEME:CREDENTIALS"),
        (&["acl", "/a", "--set", "nobody:ann:r"], 1, "/a: the server does not accept the ACL"),
    ];
    for (args, expected, words) in failures {
        let (status, said) = zk.fail(args);
        assert_eq!(status, expected, "{args:?}: {said}");
        assert!(said.starts_with("zk-mini: ") && said.contains(words), "{args:?}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn bad_options_are_told_what_is_allowed() {
    let zk = Server::start();
    for (args, words) in [
        (&["ls", "--timeout", "soon"][..], "a number of seconds, such as 10 or 0.5"),
        (&["acl", "/a", "--set", "world:anyone:x"], "r (read), w (write), c (create), d (delete), a (admin)"),
        (&["tail", "-n", "x"], "a number, 0 to 10000"),
        (&["set", "/a", "x", "--version=-1"], "a version, as `stat` shows it"),
        (&["create", "/a", "--container", "--ephemeral"], "cannot be used with"),
    ] {
        let (status, said) = zk.fail(args);
        assert!(status == 2 && said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_soon_with_what_to_do() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    // Within the limit for a server that is silent, but long before it.
    let mut command = command(&["ls", "--timeout", "3600", "--server", &address]);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(command.output()));
    let (status, said) = failure(receiver.recv_timeout(Duration::from_secs(20)).expect("an end").unwrap());
    assert_eq!(status, 3, "{said}");
    assert!(said.contains(&format!("tried {address} (Connection refused")), "{said}");
    assert!(said.contains("start one with `zk-mini serve`, or name another with --server"), "{said}");
}

#[test]
fn a_path_that_names_no_node_is_refused_before_a_server_is_looked_for() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    for args in [&["ls", "a"][..], &["ls", "/a/"], &["create", "/a/"], &["explain", "a"]] {
        let (status, said) = failure(command(&[args, &["-s", &address]].concat()).output().unwrap());
        assert_eq!(status, 2, "{args:?}: {said}");
        assert!(said.starts_with(&format!("zk-mini: {}: path ", args[1])), "{args:?}: {said}");
    }
    let zk = Server::start();
    zk.run(&["create", "/a"]);
    assert_eq!(zk.run(&["create", "--sequential", "/a/"]), "/a/0000000000\n", "a number is a name");
}

#[test]
fn a_server_that_is_silent_is_given_up_after_the_limit() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (status, said) = failure(command(&["ls", "--timeout", "0.3", "-s", &address]).output().unwrap());
    assert_eq!(status, 3, "{said}");
    assert!(said.contains("within 300.0ms; tried "), "{said}");
}
