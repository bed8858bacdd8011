//! Commands that read and write nodes once.

use std::fs;
use std::process::Stdio;

use serde_json::json;

use super::Server;

#[test]
fn nodes_are_created_read_changed_and_deleted() {
    let zk = Server::start();
    assert_eq!(zk.run(&["create", "/a", "one"]), "/a\n");
    assert_eq!(zk.run(&["get", "/a"]), "one");
    assert_eq!(zk.run(&["set", "/a", "two"]), "version 1\n");
    assert_eq!(zk.run(&["set", "/a", "-3", "--version", "1"]), "version 2\n");
    assert_eq!(zk.run(&["get", "/a"]), "-3");
    assert_eq!(zk.run(&["ls"]), "a\nzookeeper\n");
    assert_eq!(zk.run(&["rm", "/a", "--version", "2"]), "");
    assert_eq!(zk.run(&["ls", "/"]), "zookeeper\n");
}

#[test]
fn every_kind_of_node_can_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let zk = Server::with(&["--extended-types", "--data-dir", dir]);
    assert_eq!(zk.run(&["create", "/p/q/r", "--parents"]), "/p/q/r\n");
    assert_eq!(zk.run(&["create", "/p/n-", "--sequential"]), "/p/n-0000000001\n");
    assert_eq!(zk.run(&["create", "/p/", "--sequential"]), "/p/0000000002\n");
    assert_eq!(zk.run(&["create", "/box", "--container"]), "/box\n");
    assert_eq!(zk.run(&["create", "/brief", "x", "--ttl", "2.5"]), "/brief\n");
    assert_eq!(zk.json(&["stat", "/p"])["kind"], "persistent");
    let dumped = zk.run(&["dump", dir]);
    assert!(dumped.contains(r#""/box" "" container"#), "{dumped}");
    assert!(dumped.contains(r#""/brief" "x" time to live 2500 ms"#), "{dumped}");
}

#[test]
fn data_is_the_same_byte_by_byte_through_files_and_pipes() {
    let zk = Server::start();
    let bytes: Vec<u8> = (0..=255).chain([b'\r', b'\n', 0]).collect();
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::write(&from, &bytes).unwrap();
    zk.run(&["create", "/a", &format!("@{}", from.display())]);
    assert_eq!(zk.bytes(&["get", "/a"]), bytes);
    zk.with_input(&["set", "/a", "-"], b"@text\n");
    assert_eq!(zk.bytes(&["get", "/a"]), b"@text\n");
    zk.with_input(&["create", "/b", "-"], &bytes);
    assert_eq!(zk.run(&["get", "/b", "--output", to.to_str().unwrap()]), "");
    assert_eq!(fs::read(&to).unwrap(), bytes);
    let node = zk.json(&["get", "/b"]);
    assert_eq!(node["encoding"], "base64");
    assert!(node["data"].as_str().unwrap().starts_with("AAECAwQF"), "{node}");
    assert_eq!(node["stat"]["dataLength"], bytes.len());
}

#[test]
fn a_tree_is_listed_as_paths_in_a_pipe_and_nested_in_json() {
    let zk = Server::start();
    for path in ["/t/b/2", "/t/b/1", "/t/a", "/t/with space", "/t/é日", "/t/quote\"'\\"] {
        zk.run(&["create", "--parents", path]);
    }
    let paths = zk.run(&["ls", "-r", "/t"]);
    let all = ["/t", "/t/a", "/t/b", "/t/b/1", "/t/b/2", "/t/quote\"'\\", "/t/with space", "/t/é日"];
    assert_eq!(paths.lines().collect::<Vec<_>>(), all);
    let tree = zk.json(&["ls", "-r", "/t"]);
    assert_eq!(tree["name"], "t");
    assert_eq!(tree["children"][1]["children"][1]["path"], "/t/b/2");
    assert_eq!(tree["children"][1]["stat"]["numChildren"], 2);
    assert_eq!(tree["children"][2]["name"], "quote\"'\\");
    let flat = zk.json(&["ls", "/t/b"]);
    assert_eq!(flat["children"], json!([{"path": "/t/b/1", "name": "1"}, {"path": "/t/b/2", "name": "2"}]));
    let long = zk.run(&["ls", "-l", "/t"]);
    let line = long.lines().nth(1).unwrap();
    assert!(
        line.starts_with("persistent     v0        0 B      2 below  20") && line.ends_with("  b"),
        "{line}"
    );
    for path in all {
        assert_eq!(zk.run(&["get", path]), "");
    }
}

#[test]
fn a_tree_is_deleted_with_one_command() {
    let zk = Server::start();
    for n in 0..3 {
        zk.run(&["create", "--parents", &format!("/t/{n}/a/b/c")]);
    }
    assert_eq!(zk.json(&["rm", "-r", "/t"]), json!({"path": "/t", "deleted": 13}));
    assert_eq!(zk.run(&["ls", "/"]), "zookeeper\n");
    let (status, said) = zk.fail(&["rm", "-r", "/"]);
    assert_eq!((status, said.as_str()), (2, "zk-mini: / cannot be deleted; name the nodes below it\n"));
}

#[test]
fn a_chroot_is_seen_as_the_root() {
    let zk = Server::start();
    let below = format!("{}/app/blue", zk.address);
    let (status, said) = zk.fail(&["ls", "-s", &below]);
    assert!(status == 4 && said.contains("the chroot of the list of servers does not exist"), "{said}");
    assert_eq!(zk.run(&["create", "-s", &below, "--parents", "/x/n-", "--sequential"]), "/x/n-0000000000\n");
    assert_eq!(zk.run(&["ls", "-r", "-s", &below]), "/\n/x\n/x/n-0000000000\n");
    assert_eq!(zk.run(&["ls", "-r", "/app"]), "/app\n/app/blue\n/app/blue/x\n/app/blue/x/n-0000000000\n");
    assert_eq!(zk.json(&["rm", "-r", "-s", &below, "/x"])["deleted"], 2);
}

#[test]
fn an_acl_is_shown_and_set_and_keeps_strangers_out() {
    let zk = Server::start();
    zk.run(&["create", "/a", "secret"]);
    assert_eq!(zk.run(&["acl", "/a"]), "world:anyone:cdrwa\n");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("identities");
    fs::write(&file, "# of the tests\ndigest:ann:pass:word\n").unwrap();
    let as_ann = ["--auth-file", file.to_str().unwrap()];
    let set = ["acl", "/a", "--set", "auth::cdrwa,ip:127.0.0.1:w", "--version", "0"];
    assert_eq!(zk.run(&[&set[..], &as_ann].concat()), "version 1\n");
    let (status, said) = zk.fail(&["get", "/a"]);
    assert!(status == 8 && said.contains("not allowed by the ACL"), "{said}");
    assert_eq!(zk.run(&[&["get", "/a"][..], &as_ann].concat()), "secret");
    let output = zk.command(&["get", "/a"]).env("ZK_AUTH", "digest:ann:pass:word").output().unwrap();
    assert_eq!(output.stdout, b"secret", "{output:?}");
    assert_eq!(zk.run(&["get", "/a", "--auth", "digest:ann:pass:word"]), "secret");
    let shown = zk.run(&[&["acl", "/a"][..], &as_ann].concat());
    assert!(shown.starts_with("digest:ann:") && shown.ends_with("\nip:127.0.0.1:w\n"), "{shown}");
    let list = zk.json(&[&["acl", "/a"][..], &as_ann].concat());
    assert_eq!(list["acl"][1], json!({"perms": 2, "scheme": "ip", "id": "127.0.0.1"}));
    assert_eq!(zk.run(&["set", "/a", "open", "--version", "0"]), "version 1\n");

    let output = zk.command(&["ls", "-r", "/"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(8), "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("/\n/a\n/zookeeper\n"));
    assert!(said.contains("/a: its ACL hides its children"), "{said}");
}

#[test]
fn a_stat_is_told_in_words_and_in_zookeepers_names() {
    let zk = Server::start();
    zk.run(&["create", "/a", "12345"]);
    let words = zk.run(&["stat", "/a"]);
    assert!(
        words.starts_with("/a is a persistent node. It has 5 bytes of data and 0 children.\n"),
        "{words}"
    );
    let node = zk.json(&["stat", "/a"]);
    let fields: Vec<&String> = node["stat"].as_object().unwrap().keys().collect();
    let names = [
        "aversion",
        "ctime",
        "cversion",
        "czxid",
        "dataLength",
        "ephemeralOwner",
        "mtime",
        "mzxid",
        "numChildren",
        "pzxid",
        "version",
    ];
    assert_eq!(fields, names);
    assert!(node["stat"]["czxid"].as_str().unwrap().starts_with("0x"), "{node}");
    let output = zk.command(&["get", "/a", "--stat"]).output().unwrap();
    assert_eq!(output.stdout, b"12345");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), words);
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_quietly() {
    let zk = Server::start();
    for _ in 0..3 {
        zk.run(&["create", "--sequential", "/n-"]);
    }
    for args in
        [&["ls", "-r", "/"][..], &["ls", "-r", "--json", "/"], &["stat", "/"], &["completions", "bash"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = zk.command(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{args:?}");
    }
}
