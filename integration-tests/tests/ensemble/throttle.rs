//! The throttle of new connections: the same bursts of clients on a real server and on zk-mini.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::programs::ServeProcess;
use integration_tests::raw::{RawClient, frame};
use integration_tests::wait::{PATIENCE, eventually, poll};
use tempfile::TempDir;

/// Session as a handshake gives it: id and password.
struct Granted {
    session: [u8; 8],
    password: Vec<u8>,
    /// Keeps its connection open.
    _raw: RawClient,
}

/// Asks for a session, or for one that was granted; `None` if the throttle closes the connection.
fn ask(server: SocketAddr, renewed: Option<&Granted>) -> Option<Granted> {
    let mut raw = RawClient::connect(server);
    let mut hello = vec![0; 12];
    hello.extend(30_000_i32.to_be_bytes());
    hello.extend(renewed.map_or([0; 8], |granted| granted.session));
    hello.extend(16_i32.to_be_bytes());
    hello.extend(renewed.map_or_else(|| vec![0; 16], |granted| granted.password.clone()));
    hello.push(0);
    raw.send(&frame(&hello));
    let answer = raw.receive()?;
    let session = answer[8..16].try_into().expect("an id");
    assert_ne!(session, [0; 8], "a session that exists");
    Some(Granted { session, password: answer[20..36].into(), _raw: raw })
}

/// ZooKeeper and zk-mini, with the same keys.
struct Both {
    real: RealZooKeeper,
    mini: ServeProcess,
    _dir: TempDir,
}

impl Both {
    fn start(keys: &[(&str, &str)]) -> Self {
        let mut real = RealZooKeeper::builder();
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = format!("dataDir={}\nclientPort=0\nmaxClientCnxns=0\n", dir.path().display());
        for (key, value) in keys {
            // They are Java properties, of which the file has those without the prefix.
            real = real.setting(key, value);
            config += &format!("{key}={value}\n");
        }
        let file = dir.path().join("zoo.cfg");
        fs::write(&file, config).expect("a file");
        let file = file.display().to_string();
        let mini = ServeProcess::with_args(&["serve", "--config", &file]);
        Self { real: real.start().expect("a real server"), mini, _dir: dir }
    }

    /// Does the same with both, and returns the results of ZooKeeper and of zk-mini.
    fn each<T>(&self, scenario: impl Fn(SocketAddr) -> T) -> (T, T) {
        (scenario(self.real.addr(0)), scenario(self.mini.addr()))
    }
}

/// Tokens do not come back in the time of a test.
const NO_REFILL: (&str, &str) = ("connection_throttle_fill_time", "100000000");

/// Returns the outcomes of twenty new sessions.
fn burst(server: SocketAddr) -> Vec<bool> {
    (0..20).map(|_| ask(server, None).is_some()).collect()
}

#[test]
fn a_burst_gets_as_many_sessions_as_there_are_tokens() {
    let both = Both::start(&[("connection_throttle_tokens", "7"), NO_REFILL]);
    let (expected, found) = both.each(burst);
    assert_eq!(found, expected);
    assert_eq!(expected.iter().filter(|admitted| **admitted).count(), 7);
    assert!(expected[..7].iter().all(|admitted| *admitted), "the first ones");
}

#[test]
fn sessions_weigh_by_their_kind() {
    let both = Both::start(&[
        ("connection_throttle_tokens", "4"),
        ("connection_throttle_weight_enabled", "true"),
        ("connection_throttle_global_session_weight", "5"),
        ("connection_throttle_renew_session_weight", "2"),
        NO_REFILL,
    ]);
    // 20 tokens: two new sessions leave 10, so that one of them comes back four times, and no new one is let in with the two
    // that are left.
    let (expected, found) = both.each(|server| {
        let first = ask(server, None).expect("tokens for it");
        let mut outcomes = vec![ask(server, None).is_some()];
        outcomes.extend((0..4).map(|_| ask(server, Some(&first)).is_some()));
        outcomes.push(ask(server, None).is_some());
        outcomes.extend((0..2).map(|_| ask(server, Some(&first)).is_some()));
        outcomes
    });
    assert_eq!(found, expected);
    assert_eq!(expected, [true, true, true, true, true, false, true, false]);
}

#[test]
fn tokens_come_back_after_the_time_to_fill() {
    let both = Both::start(&[
        ("connection_throttle_tokens", "3"),
        ("connection_throttle_fill_time", "500"),
        ("connection_throttle_fill_count", "3"),
    ]);
    both.each(|server| {
        // A slow machine may get some more.
        eventually("the throttle refuses some client", PATIENCE, || ask(server, None).is_none());
        eventually("tokens come back", PATIENCE, || ask(server, None).is_some());
    });
}

#[test]
fn refusals_at_random_stay_while_the_chance_does_not_decrease() {
    let both = Both::start(&[
        ("connection_throttle_tokens", "2"),
        ("connection_throttle_fill_time", "200"),
        ("connection_throttle_fill_count", "2"),
        ("connection_throttle_freeze_time", "1"),
        ("connection_throttle_drop_increase", "1.0"),
        ("connection_throttle_drop_decrease", "0.0"),
    ]);
    both.each(|server| {
        // The chance is one once the bucket was found empty, which the first refusals may not have seen.
        let mut refused = 0;
        eventually("the throttle refuses clients", PATIENCE, || {
            refused = if ask(server, None).is_some() { 0 } else { refused + 1 };
            refused == 10
        });
        // Now there are tokens again, and nobody gets one.
        let admitted = poll(Duration::from_millis(600), || ask(server, None));
        assert!(admitted.is_none(), "the chance of a refusal is one");
    });
}
