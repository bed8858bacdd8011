//! The audit log: the same changes and refusals have the same lines in Apache ZooKeeper and in zk-mini.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::programs::ServeProcess;
use integration_tests::raw::{RawClient, buffer};
use integration_tests::wait::{PATIENCE, eventually};

/// Fields of a line.
type Line = BTreeMap<String, String>;

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const SET_DATA: i32 = 5;
const SET_ACL: i32 = 7;
const MULTI: i32 = 14;
const CHECK: i32 = 13;
const CREATE2: i32 = 15;
const RECONFIG: i32 = 16;
const CREATE_CONTAINER: i32 = 19;
const CREATE_TTL: i32 = 21;
const AUTH: i32 = 100;
const CLOSE: i32 = -11;

fn string(text: &str) -> Vec<u8> {
    buffer(text.as_bytes())
}

/// A list with one entry.
fn acl(perms: i32, scheme: &str, id: &str) -> Vec<u8> {
    [&1_i32.to_be_bytes()[..], &perms.to_be_bytes(), &string(scheme), &string(id)].concat()
}

fn create_with(path: &str, flags: i32, acl: &[u8]) -> Vec<u8> {
    [&string(path), &string("x"), acl, &flags.to_be_bytes()].concat()
}

fn create(path: &str, flags: i32) -> Vec<u8> {
    create_with(path, flags, &acl(31, "world", "anyone"))
}

fn create_ttl(path: &str, flags: i32) -> Vec<u8> {
    [create(path, flags), 60_000_i64.to_be_bytes().into()].concat()
}

fn delete(path: &str, version: i32) -> Vec<u8> {
    [string(path), version.to_be_bytes().into()].concat()
}

fn set_data(path: &str, version: i32) -> Vec<u8> {
    [string(path), string("y"), version.to_be_bytes().into()].concat()
}

fn set_acl(path: &str, acl: &[u8]) -> Vec<u8> {
    [&string(path), acl, &(-1_i32).to_be_bytes()].concat()
}

fn multi(ops: &[(i32, Vec<u8>)]) -> Vec<u8> {
    let header = |op: i32, done: u8| [&op.to_be_bytes()[..], &[done], &(-1_i32).to_be_bytes()].concat();
    let mut body = Vec::new();
    for (op, request) in ops {
        body.extend(header(*op, 0));
        body.extend(request);
    }
    body.extend(header(-1, 1));
    body
}

/// Makes changes of every kind, done and refused.
fn change_everything(server: SocketAddr) {
    let mut client = RawClient::with_session(server);
    let digest = [&0_i32.to_be_bytes()[..], &string("digest"), &string("bob:secret")].concat();
    let of_bob = acl(31, "auth", "");
    let mine = acl(1, "ip", "10.0.0.1");
    let requests = [
        (CREATE, create("/a", 0)),
        (CREATE2, create("/a/s-", 2)),
        (CREATE, create("/a/e", 1)),
        (CREATE2, create("/a/es-", 3)),
        (CREATE_CONTAINER, create("/a/c", 4)),
        (CREATE_TTL, create_ttl("/a/t", 5)),
        (CREATE, create("/a", 0)),
        (CREATE, create("/none/a", 0)),
        (CREATE, create("/a//b", 1)),
        (CREATE, create("/a/e/below", 0)),
        (CREATE, create("/a/flags", 99)),
        (CREATE, create_with("/a/acl", 0, &acl(31, "nobody", "x"))),
        (SET_DATA, set_data("/a", -1)),
        (SET_DATA, set_data("/a", 7)),
        (SET_DATA, set_data("/none", -1)),
        (SET_ACL, set_acl("/a", &acl(31, "world", "anyone"))),
        (SET_ACL, set_acl("/none", &acl(5, "world", "anyone"))),
        (DELETE, delete("/a", -1)),
        (DELETE, delete("/none", -1)),
        (RECONFIG, [[0xff; 12].as_slice(), &[0xff; 8]].concat()),
        (AUTH, digest),
        (CREATE, create_with("/own", 0, &of_bob)),
        (CREATE, create_with("/closed", 0, &mine)),
        (SET_DATA, set_data("/closed", -1)),
        (DELETE, delete("/own", -1)),
        (
            MULTI,
            multi(&[
                (CREATE, create("/m", 0)),
                (CREATE2, create("/m/s-", 2)),
                (CREATE_CONTAINER, create("/m/c", 4)),
                (CHECK, delete("/m", -1)),
                (SET_DATA, set_data("/m", -1)),
                (DELETE, delete("/m/c", -1)),
            ]),
        ),
        (MULTI, multi(&[(CREATE, create("/n", 0)), (DELETE, delete("/none", -1))])),
        (MULTI, multi(&[(CHECK, delete("/m", -1))])),
        (MULTI, multi(&[])),
        (MULTI, b"\0\0\0\x01".to_vec()),
    ];
    for (xid, (op, body)) in (1..).zip(requests) {
        client.request(if op == AUTH { -4 } else { xid }, op, &body);
        assert!(client.reply().is_some(), "request {xid} ({op}) is answered");
    }
    client.request(1_000, CLOSE, b"");
    client.reply();
}

/// Returns the lines of the audit in the log of a real server.
fn lines_of_real(log: &str) -> Vec<Line> {
    let of_audit = log.lines().filter_map(|line| line.split_once("Slf4jAuditLogger - "));
    of_audit
        .map(|(_, line)| {
            let fields = line.split('\t').filter_map(|field| field.split_once('='));
            fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        })
        .collect()
}

/// Leaves out what differs from run to run: sessions, the name of the server's user, and the orders of identities and of
/// ephemeral nodes, the last lines, which are those of hash tables in ZooKeeper.
fn comparable(lines: Vec<Line>) -> Vec<Line> {
    let mut lines = lines;
    for line in &mut lines {
        line.remove("time");
        if let Some(session) = line.get_mut("session") {
            assert!(session.starts_with("0x"), "{session}");
            "a session".clone_into(session);
        }
        if let Some(user) = line.get_mut("user") {
            let mut users: Vec<_> = user.split(',').collect();
            users.sort_unstable();
            *user = users.join(",");
        }
        if !line.contains_key("ip") {
            line.insert("user".into(), "the server".into());
        }
    }
    let ends =
        lines.iter().position(|line| line["operation"].starts_with("ephemeral")).unwrap_or(lines.len());
    lines[ends..].sort_unstable();
    lines
}

#[test]
fn the_same_changes_and_refusals_have_the_same_lines() {
    let real = RealZooKeeper::builder().setting("audit.enable", "true").start().unwrap();
    change_everything(real.addr(0));
    let ends = || {
        let lines = lines_of_real(&real.log(0));
        lines.iter().filter(|line| line["operation"].starts_with("ephemeral")).count()
    };
    eventually("both ephemeral nodes are gone", PATIENCE, || ends() == 2);
    let expected = comparable(lines_of_real(&real.log(0)));

    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("zoo.cfg"), dir.path().join("data"));
    fs::write(&file, format!("dataDir={}\nclientPort=0\naudit.enable=true\n", data.display())).unwrap();
    let mini = ServeProcess::with_args(&["serve", "--config", file.to_str().unwrap()]);
    change_everything(mini.addr());
    let text = fs::read_to_string(data.join("zookeeper_audit.log")).unwrap();
    let found = comparable(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
    let both = expected.iter().zip(&found).enumerate();
    let differ: Vec<_> = both.filter(|(_, (expected, found))| expected != found).collect();
    assert!(differ.is_empty(), "expected and found: {differ:#?}");
    assert_eq!(found.len(), expected.len());
    assert!(expected.len() > 30, "{expected:?}");
}
