//! `--load`: a server that begins with the nodes of a file.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::process::Program;

const TREE: &str = "/config/limit: {data: '10'}\n/services/echo/a: {data: '127.0.0.1:8080'}\n";

fn file(dir: &Path, text: impl AsRef<[u8]>) -> String {
    let file = dir.join("tree.yaml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().into()
}

/// Serves in a directory, stops the server, and returns the tree that it leaves.
fn tree_after(data: &Path, options: &[&str]) -> String {
    let data = data.to_str().unwrap();
    let zk = Program::start(&[&["serve", "--port", "0", "--data-dir", data], options].concat());
    let _ready = zk.address();
    zk.signal(Signal::SIGTERM);
    let (status, stderr) = zk.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    let dump = Program::start(&["dump", data]);
    let lines: Vec<_> = std::iter::from_fn(|| dump.line()).filter(|line| line.starts_with('"')).collect();
    lines.join("\n")
}

/// Starts a server that refuses to start, and returns its reason.
fn refusal(args: &[&str]) -> String {
    let (status, stderr) = Program::start(args).end();
    assert_eq!(status.code(), Some(2), "{stderr}");
    stderr
}

#[test]
fn a_server_begins_with_the_nodes_of_a_file_and_keeps_all_others() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = tree_after(&data, &["--load", &file(dir.path(), TREE)]);
    for line in [r#""/config" """#, r#""/config/limit" "10""#, r#""/services/echo/a" "127.0.0.1:8080""#] {
        assert!(first.lines().any(|found| found == line), "{line} is not in\n{first}");
    }
    // JSON is YAML; what the file says holds at each start, and nothing goes.
    let second = tree_after(&data, &["--load", &file(dir.path(), r#"{"/config/limit": {"data": "20"}}"#)]);
    assert_eq!(second, first.replace("\"10\"", "\"20\""));
    assert_eq!(tree_after(&data, &[]), second);
}

#[test]
fn standard_input_is_not_read_for_a_tree_if_its_end_stops_the_server() {
    let reason = refusal(&["serve", "--port", "0", "--load", "-", "--stop-on-eof"]);
    assert!(reason.contains("--load - reads standard input to its end"), "{reason}");
    assert!(reason.contains("--stop-on-eof stops the server; name a file to load"), "{reason}");
    // Nor under another name; another file is none of it.
    let reason = refusal(&["serve", "--port", "0", "--load", "/dev/stdin", "--stop-on-eof"]);
    assert!(reason.contains("--load /dev/stdin reads standard input to its end"), "{reason}");
    let dir = tempfile::tempdir().unwrap();
    let reason = refusal(&["serve", "--port", "0", "--load", &file(dir.path(), "x"), "--stop-on-eof"]);
    assert!(reason.contains("tree.yaml: "), "{reason}");
}

#[test]
fn a_tree_comes_from_standard_input_too() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let mut zk = Command::new(env!("CARGO_BIN_EXE_zk-mini"))
        .args(["exec", "--load", "-", "--", "touch", ready.to_str().unwrap()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    zk.stdin.take().unwrap().write_all(b"/a: {data: x}").unwrap();
    assert!(zk.wait().unwrap().success() && ready.exists());

    let mut zk = Command::new(env!("CARGO_BIN_EXE_zk-mini"))
        .args(["serve", "--port", "0", "--load", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    zk.stdin.take().unwrap().write_all(b"/a: {data: x}\n/a/b: 7\n").unwrap();
    let output = zk.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("zk-mini: standard input: line 2, column "), "{stderr}");
}

#[test]
fn a_file_that_is_no_tree_is_an_error_with_its_place_and_what_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    for (begin, end) in [(&["serve", "--port", "0"][..], &[][..]), (&["exec"], &["--", "true"])] {
        for (text, said) in [
            (
                &b"/a:\n  dat: x\n"[..],
                "tree.yaml: line 2, column 3: unknown field `dat`, expected one of data",
            ),
            (b"/a: {}\n/a: {}\n", "/a is there twice"),
            (b"a: {}\n", "cannot name a node"),
            (b"---\n/a: {}\n---\n/b: {}\n", "a file is one document of YAML, and `---` begins a second one"),
            (
                b"/a: {acl: 'world:anyone:r'}\n",
                "an `acl` is a list of texts, as in `acl: ['world:anyone:cdrwa']`",
            ),
            (b"/a: {acl: {world: r}}\n", "an `acl` is a list of texts, as in `acl: ['world:anyone:cdrwa']`"),
            (b"/a: {acl: [{world: r}]}\n", "there is a list or a mapping in place of a text"),
            (b"/a: \xff\n", "tree.yaml: byte 4 is not UTF-8"),
            (b"/a: {acl: ['auth::cdrwa']}\n", "tree.yaml: the ACL of /a is not valid"),
            (b"/a: {ttl_ms: 5}\n", "tree.yaml: /a has a time to live, which needs --extended-types"),
        ] {
            let file = file(dir.path(), text);
            let stderr = refusal(&[begin, &["--load", &file], end].concat());
            assert!(stderr.contains(said), "{said} is not in\n{stderr}");
        }
    }
    let missing = dir.path().join("missing.yaml");
    let stderr = refusal(&["serve", "--port", "0", "--load", missing.to_str().unwrap()]);
    assert!(stderr.contains("cannot read ") && stderr.contains("missing.yaml: No such file"), "{stderr}");
}

#[test]
fn a_file_with_one_bad_node_leaves_a_data_directory_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let before = tree_after(&data, &["--load", &file(dir.path(), TREE)]);
    let bad = file(dir.path(), "/a: {data: x}\n/config/limit: {acl: ['ip:nowhere:r']}\n");
    refusal(&["serve", "--port", "0", "--data-dir", data.to_str().unwrap(), "--load", &bad]);
    assert_eq!(tree_after(&data, &[]), before);
}

#[test]
fn ephemeral_nodes_are_left_out_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let tree = file(dir.path(), "/leader: {data: me, ephemeral_owner: 0x1}\n/a: {}\n");
    let zk = Program::start(&["serve", "--port", "0", "--load", &tree]);
    let _ready = zk.address();
    zk.signal(Signal::SIGTERM);
    let stderr = zk.end().1;
    assert!(stderr.contains("WARN") && stderr.contains("ephemeral nodes are left out"), "{stderr}");
}
