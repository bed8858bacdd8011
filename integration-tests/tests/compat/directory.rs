//! Data directories of earlier commits.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use integration_tests::compat::directory::{self, Clients, LiveSession};
use integration_tests::compat::zookeeper::Server;
use integration_tests::compat::{recorded, text};
use integration_tests::programs;
use serde_json::Value;
use tempfile::TempDir;

/// A recorded directory and a copy of its data.
struct Recorded {
    dir: PathBuf,
    private: bool,
    data: TempDir,
}

impl Recorded {
    fn all() -> impl Iterator<Item = Self> {
        let dirs = recorded().into_iter();
        dirs.flat_map(|dir| [(dir.join("directory"), false), (dir.join("private-directory"), true)])
            .map(|(dir, private)| Self::copied(dir, private))
    }

    fn copied(dir: PathBuf, private: bool) -> Self {
        let data = tempfile::tempdir().unwrap();
        directory::copy(&dir.join("data"), data.path()).unwrap();
        Self { dir, private, data }
    }

    fn start(&self) -> Server {
        Server::on(self.data.path(), self.private)
            .unwrap_or_else(|error| panic!("{}: {error}", self.dir.display()))
    }

    fn sessions(&self) -> Vec<LiveSession> {
        let sessions = LiveSession::parse_all(&text(&self.dir.join("sessions.txt"))).unwrap();
        assert!(!sessions.is_empty());
        sessions
    }

    #[track_caller]
    fn assert_listing(&self, expected: &str) {
        let found = directory::listing(self.data.path());
        for (found, expected) in found.lines().zip(expected.lines()) {
            assert_eq!(found, expected, "{}", self.dir.display());
        }
        assert_eq!(found, expected, "{}", self.dir.display());
    }
}

#[test]
fn the_tree_is_the_recorded_one_before_and_after_a_start() {
    for recorded in Recorded::all() {
        let listing = text(&recorded.dir.join("listing.txt"));
        recorded.assert_listing(&listing);
        recorded.start().stop();
        recorded.assert_listing(&listing);
    }
}

#[test]
fn the_logs_behind_any_snapshot_give_the_recorded_tree() {
    for recorded in Recorded::all() {
        let listing = text(&recorded.dir.join("listing.txt"));
        let mut snapshots = numbered(recorded.data.path(), "snapshot");
        assert!(snapshots.len() > 3, "{}", recorded.dir.display());
        while snapshots.len() > 1 {
            fs::remove_file(snapshots.pop().unwrap()).unwrap();
            recorded.assert_listing(&listing);
        }
    }
}

#[test]
fn sessions_go_on_and_expire_in_time() {
    for recorded in Recorded::all() {
        let server = recorded.start();
        let ephemerals = ephemerals(&text(&recorded.dir.join("listing.txt")));
        let sessions = recorded.sessions();
        let mut kept = Vec::new();
        for session in &sessions {
            let peer = directory::attach(&server, session).unwrap();
            kept.push(peer.unwrap_or_else(|| panic!("{}: {session:?} is refused", recorded.dir.display())));
        }
        let wrong = LiveSession { password: vec![0; 16], ..sessions[0].clone() };
        assert!(directory::attach(&server, &wrong).unwrap().is_none());
        // Those that nobody takes over are the instances' and end first.
        server.advance(Duration::from_secs(25));
        let alive = server.zk().sessions();
        assert_eq!(alive.len(), sessions.len());
        drop(kept);
        server.advance(Duration::from_secs(60));
        assert_eq!(server.zk().sessions(), []);
        assert!(ephemerals.iter().all(|path| server.zk().get(path).is_none()));
        server.stop();
    }
}

#[test]
fn it_is_written_on_with_the_next_number() {
    for recorded in Recorded::all() {
        let server = recorded.start();
        let last = server.zk().last_zxid();
        let mut client = Clients::default();
        let steps = "0 connect int:0 long:0 int:30000 long:0 null byte:0\n\
                     0 create text:\"/plain/s-\" text:\"new\" int:1 int:31 text:\"world\" text:\"anyone\" int:2\n";
        let replies = client.perform(server.addr().unwrap(), steps).unwrap();
        // The header, then the path: the counter of the parent goes on, too.
        assert!(replies[1].ends_with(b"\0\0\0\x13/plain/s-0000000005"), "{:?}", replies[1]);
        assert_eq!(server.zk().last_zxid().0, last.0 + 2);
        client.hang_up();
        server.stop();

        let again = recorded.start();
        assert_eq!(again.zk().last_zxid().0, last.0 + 2);
        assert_eq!(&again.zk().get("/plain/s-0000000005").unwrap().0[..], b"new");
        again.stop();
    }
}

#[test]
fn the_registry_finds_the_recorded_instances() {
    for recorded in Recorded::all() {
        let server = recorded.start();
        let found = directory::instances(&server).unwrap();
        assert_eq!(found, text(&recorded.dir.join("instances.txt")), "{}", recorded.dir.display());
        server.stop();
    }
}

#[test]
fn a_flipped_bit_is_found() {
    let recorded = Recorded::copied(recorded()[0].join("directory"), false);
    let newest = numbered(recorded.data.path(), "log").pop().unwrap();
    let mut log = fs::read(&newest).unwrap();
    let at = log.windows(7).position(|bytes| bytes == b"no inst").unwrap();
    log[at] ^= 1;
    fs::write(&newest, log).unwrap();
    let listed = programs::zk_mini().arg("dump").arg(recorded.data.path()).output().unwrap();
    assert!(!listed.status.success());
    assert!(Server::on(recorded.data.path(), false).is_err());
}

/// Logs or snapshots of a directory, in the order of their numbers.
fn numbered(data: &Path, kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("version-2")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_stem().is_some_and(|stem| stem == kind));
    files.sort_by_key(|path| i64::from_str_radix(path.extension().unwrap().to_str().unwrap(), 16).unwrap());
    files
}

/// Paths of all nodes that belong to a session.
fn ephemerals(listing: &str) -> Vec<String> {
    let nodes = listing.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ephemerals = nodes.filter(|node| node["kind"] == "ephemeral");
    let paths: Vec<_> = ephemerals.map(|node| node["path"].as_str().unwrap().to_owned()).collect();
    assert!(!paths.is_empty());
    paths
}
