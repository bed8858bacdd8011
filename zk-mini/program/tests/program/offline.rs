//! `zk-mini fsck` and `zk-mini dump` on directories of all kinds.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use zk_mini::{Builder, Error, Snapshot, TreeFile, ZkMini};

use crate::files::{file, names};
use crate::raw::{CREATE, EPHEMERAL, Raw, SET_DATA, set_data, string};

fn server(dir: &Path) -> Builder {
    ZkMini::builder().in_memory().seed(7).manual_clock().extended_types(true).data_dir(dir)
}

async fn refused(dir: &Path) -> String {
    match server(dir).start().await {
        Err(Error::Storage(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Runs the program and returns its status and all of its output.
fn run(args: &[&str], dir: &Path) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_zk-mini")).args(args).arg(dir).output().unwrap();
    let said = [stdout, stderr].concat();
    (status.code().expect("a status"), String::from_utf8(said).unwrap())
}

/// Makes a data directory with one log: a session, and `count` nodes with zeros as data, each a write of its own.
async fn with_nodes(count: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let zk = server(dir.path()).start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    for n in 0..count {
        let path = format!("/n-{n:02}");
        assert_eq!(raw.create(&path, 0).await.err, 0);
        assert_eq!(raw.request(2, SET_DATA, &set_data(&path, &[0; 2_000])).await.err, 0);
    }
    drop(raw);
    zk.stop().await;
    dir
}

fn flip(file: &Path, byte: usize) {
    let mut content = fs::read(file).unwrap();
    content[byte] ^= 4;
    fs::write(file, content).unwrap();
}

#[tokio::test]
async fn a_flipped_bit_before_whole_transactions_stops_the_start_until_it_is_repaired() {
    let dir = with_nodes(10).await;
    let log = file(dir.path(), "log.1");
    let whole = fs::read(&log).unwrap();
    // In the data of the third node, which is zeros.
    let byte = whole.len() / 10 * 2 + 1_000;
    flip(&log, byte);
    let damaged = fs::read(&log).unwrap();
    let told = refused(dir.path()).await;
    assert!(
        told.contains("log.1 is damaged at byte ") && told.contains(" more whole transactions"),
        "{told}"
    );
    assert!(told.contains("up to zxid 0x15") && told.contains("fsck --repair"), "{told}");
    let (status, said) = run(&["fsck"], dir.path());
    assert_eq!((status, said), (1, format!("zk-mini: {told}\n")));
    assert_eq!(names(dir.path()), ["log.1", "snapshot.0"]);
    assert_eq!(fs::read(&log).unwrap(), damaged);

    let (status, said) = run(&["fsck", "--repair"], dir.path());
    assert_eq!(status, 4, "{said}");
    let [side, log_name, _] = &names(dir.path()).into_iter().rev().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(log_name.as_str().min(side), "snapshot.0", "{said}");
    let side = file(dir.path(), side);
    assert!(said.contains(&side.display().to_string()), "{said}");
    assert!(said.starts_with("repaired: ") && said.contains("log.1 is damaged at byte "), "{said}");
    assert!(!said.contains("--repair"), "it has been done: {said}");
    let (kept, moved) = (fs::read(&log).unwrap(), fs::read(&side).unwrap());
    assert_eq!([kept.clone(), moved].concat(), damaged, "nothing is lost");
    assert!(side.to_str().unwrap().ends_with(&format!("zk-mini.cut.log.1.from-byte-{}", kept.len())));
    assert_eq!(run(&["fsck"], dir.path()).0, 0);
    let zk = server(dir.path()).start().await.unwrap();
    assert!(zk.get("/n-01").is_some() && zk.get("/n-03").is_none());
    zk.stop().await;
}

#[tokio::test]
async fn the_later_logs_go_aside_with_a_damaged_one() {
    let dir = with_nodes(3).await;
    for _ in 0..2 {
        let zk = server(dir.path()).start().await.unwrap();
        Raw::with_session(&zk, 10_000).await.create("/n-", 2).await;
        zk.stop().await;
    }
    for snapshot in
        names(dir.path()).iter().filter(|name| name.starts_with("snapshot.") && *name != "snapshot.0")
    {
        fs::remove_file(file(dir.path(), snapshot)).unwrap();
    }
    assert_eq!(names(dir.path()), ["log.1", "log.8", "log.a", "snapshot.0"]);
    flip(&file(dir.path(), "log.1"), 3_000);
    assert_eq!(run(&["fsck", "--repair"], dir.path()).0, 4);
    let left = names(dir.path());
    assert_eq!(left[..2], ["log.1", "snapshot.0"]);
    assert!(left[2].starts_with("zk-mini.cut.log.1.from-byte-"));
    assert_eq!(left[3..], ["zk-mini.removed.log.8", "zk-mini.removed.log.a"]);
    assert_eq!(run(&["fsck", "--repair"], dir.path()).0, 0, "there is nothing left to repair");
}

#[tokio::test]
async fn a_torn_end_is_reported_by_fsck_and_kept_aside_by_the_start() {
    let dir = with_nodes(2).await;
    let log = file(dir.path(), "log.1");
    for earlier in 0..3 {
        let whole = fs::read(&log).unwrap();
        fs::write(&log, &whole[..whole.len() - 100]).unwrap();
        let (status, said) = run(&["fsck"], dir.path());
        assert_eq!(status, 3, "{said}");
        assert!(said.contains("log.1 from byte ") && said.contains(" bytes\n"), "{said}");
        server(dir.path()).start().await.unwrap().stop().await;
        assert_eq!(run(&["fsck"], dir.path()).0, 0);
        let sides = names(dir.path()).iter().filter(|name| name.starts_with("zk-mini.cut.log.1.")).count();
        assert_eq!(sides, 1 + earlier, "none is replaced");
        // Restore the files, without the snapshot that has been taken meanwhile.
        fs::write(&log, whole).unwrap();
        for name in names(dir.path()).iter().filter(|name| name.starts_with("snapshot.")) {
            fs::remove_file(file(dir.path(), name)).unwrap();
        }
    }
}

#[tokio::test]
async fn each_kind_of_bad_path_has_its_own_error() {
    let dir = with_nodes(1).await;
    let inner = dir.path().join("version-2");
    let empty = tempfile::tempdir().unwrap();
    fs::write(empty.path().join("file"), "").unwrap();
    let hollow = tempfile::tempdir().unwrap();
    fs::create_dir(hollow.path().join("version-2")).unwrap();
    for command in ["dump", "fsck"] {
        let expect = |path: &Path, expected: &str| {
            let (status, said) = run(&[command], path);
            assert_eq!(status, 1, "{said}");
            assert!(said.contains(expected), "{said}");
        };
        let above = dir.path().canonicalize().unwrap();
        let above = format!("the data directory is the one above it, {}", above.display());
        expect(&inner, &above);
        expect(&empty.path().join("file"), "file: Not a directory");
        expect(&empty.path().join("none"), "none: No such file or directory");
        expect(empty.path(), " is not a data directory: there is no version-2 in it");
        expect(hollow.path(), "version-2: neither a snapshot nor a log");
        assert_eq!(run(&[command], dir.path()).0, 0);
    }
    assert!(refused(&inner).await.contains("the data directory is the one above it"));
    assert!(!inner.join("version-2").exists());
    // A file with a name like a log's is ignored.
    fs::write(dir.path().join("log.1"), "a log of something else").unwrap();
    assert_eq!(run(&["fsck"], dir.path()).0, 0);
}

/// Encodes a request to create a node; no data is null.
fn create_with(path: &str, data: Option<&[u8]>, flags: i32) -> Vec<u8> {
    let acl = [&[0, 0, 0, 1, 0, 0, 0, 31][..], &string("world"), &string("anyone")].concat();
    let data = data.map_or([0xff; 4].to_vec(), crate::raw::frame);
    [string(path), data, acl, flags.to_be_bytes().to_vec()].concat()
}

#[tokio::test]
async fn dumps_of_different_trees_differ_and_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let zk = server(dir.path()).start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    let nodes: [(&str, Option<&[u8]>, i32); 8] = [
        ("/a", Some(b"b c"), 0),
        ("/a b", Some(b"c"), 0),
        ("/quoted\"\\", Some(b"\"\n/a b"), 0),
        ("/null", None, 0),
        ("/empty", Some(b""), 0),
        ("/word", Some(b"null"), 0),
        ("/bytes", Some(b"\xff\0"), 0),
        ("/gone", Some(b"e"), EPHEMERAL),
    ];
    for (path, data, flags) in nodes {
        assert_eq!(raw.request(1, CREATE, &create_with(path, data, flags)).await.err, 0, "{path}");
    }
    zk.stop().await;
    let (_, lines) = run(&["dump"], dir.path());
    for line in [
        r#""/a" "b c""#,
        r#""/a b" "c""#,
        r#""/quoted\"\\" "\"\n/a b""#,
        r#""/null" null"#,
        r#""/empty" """#,
        r#""/word" "null""#,
        r#""/bytes" {"base64":"/wA="}"#,
    ] {
        assert!(lines.lines().any(|other| other == line), "{line} in {lines}");
    }
    assert!(lines.contains("\"/gone\" \"e\" ephemeral of 0x"), "{lines}");
    let (_, json) = run(&["dump", "--json"], dir.path());
    assert!(json.starts_with("{\"zxid\":\"0x9\",\"nodes\":"), "{json}");
    let line = r#"{"path":"/quoted\"\\","data":"\"\n/a b","kind":"persistent","acl":[{"perms":31,"scheme":"world","id":"anyone"}],"czxid":"0x4","mzxid":"0x4","pzxid":"0x4","ctime":1577836800000,"mtime":1577836800000,"version":0,"aversion":0,"created_children":0}"#;
    assert!(json.lines().any(|other| other == line), "{json}");
    assert!(json.contains(r#"{"path":"/gone","data":"e","kind":"ephemeral","owner":"0x"#), "{json}");

    let (_, yaml) = run(&["dump", "--yaml"], dir.path());
    let loaded = Snapshot::from_tree(&TreeFile::parse(&yaml).unwrap()).unwrap();
    for (path, data, flags) in nodes {
        let found = loaded.nodes().iter().find(|node| *node.path == *path).map(|node| node.data.as_deref());
        assert_eq!(found, (flags != EPHEMERAL).then_some(data), "{path} in {yaml}");
    }
}

#[tokio::test]
async fn a_directory_of_a_running_apache_zookeeper_is_refused() {
    let dir = with_nodes(1).await;
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(dir.path().join("zookeeper_server.pid"), format!("{}\n", other.id())).unwrap();
    let told = refused(dir.path()).await;
    assert!(told.contains(&format!("a running Apache ZooKeeper, process {}", other.id())), "{told}");
    assert_eq!(run(&["fsck", "--repair"], dir.path()).0, 1);
    assert_eq!(run(&["fsck"], dir.path()).0, 0, "it may be looked at");
    other.kill().unwrap();
    other.wait().unwrap();
    server(dir.path()).start().await.unwrap().stop().await;
    let this = std::process::id().to_string();
    for no_process in ["", "-1", "0", "zookeeper", &this] {
        fs::write(dir.path().join("zookeeper_server.pid"), no_process).unwrap();
        server(dir.path()).start().await.unwrap().stop().await;
    }
}

#[tokio::test]
async fn a_lock_file_that_is_a_link_is_not_followed() {
    let dir = with_nodes(1).await;
    let lock = dir.path().join("zk-mini.lock");
    assert_eq!(fs::metadata(&lock).unwrap().mode() & 0o777, 0o600);
    // As older versions left it.
    fs::set_permissions(&lock, Permissions::from_mode(0o644)).unwrap();
    server(dir.path()).start().await.unwrap().stop().await;
    assert_eq!(fs::metadata(&lock).unwrap().mode() & 0o777, 0o600);

    let elsewhere = tempfile::tempdir().unwrap();
    fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("theirs"), &lock).unwrap();
    assert!(refused(dir.path()).await.starts_with("cannot lock "));
    assert!(!elsewhere.path().join("theirs").exists(), "nothing is made there");
    fs::remove_file(&lock).unwrap();
    fs::write(elsewhere.path().join("theirs"), "").unwrap();
    fs::hard_link(elsewhere.path().join("theirs"), &lock).unwrap();
    assert!(refused(dir.path()).await.contains("it is not a regular file"));
    fs::remove_file(&lock).unwrap();
    assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success());
    assert!(refused(dir.path()).await.starts_with("cannot lock "));
}

#[tokio::test]
async fn a_record_too_long_for_apache_zookeeper_is_reported() {
    let dir = with_nodes(1).await;
    assert_eq!(run(&["fsck"], dir.path()).0, 0);
    // Twice as much, and the minimum extra.
    assert_eq!(run(&["fsck", "--jute-max-buffer", "1100"], dir.path()).0, 0);
    assert_eq!(run(&["fsck", "--jute-max-buffer", "1050"], dir.path()).0, 0);
    let (status, said) = run(&["fsck", "--jute-max-buffer", "1000"], dir.path());
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("log.1 has a record of 20") && said.contains("reads none over 2024; "), "{said}");
}
