//! Log of the program on standard error: content, levels, and a reader that is slow or gone.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::process::{Program, granted_timeout, is_ok};

const SERVE: [&str; 5] = ["serve", "--port", "0", "--max-client-cnxns", "0"];

/// Sends bytes and waits until the server has ended the connection.
fn send(address: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Stops the server and returns its log.
fn stopped(zk: Program) -> String {
    zk.signal(Signal::SIGTERM);
    let (status, stderr) = zk.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    stderr
}

/// Beginning of a TLS connection, which is no length of a frame that ZooKeeper accepts.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn a_log_that_is_not_read_does_not_block_the_server() {
    let (nobody, closed) = std::io::pipe().unwrap();
    drop(nobody);
    let (_silent, unread) = std::io::pipe().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    for (stderr, what) in [
        (Stdio::from(closed), "its reader is gone"),
        (Stdio::from(full), "its disk is full"),
        (Stdio::from(unread), "its reader does not read"),
    ] {
        let zk = Program::with_stderr(&SERVE, Some("trace"), stderr);
        let address = zk.address();
        // More than a pipe holds.
        for _ in 0..500 {
            granted_timeout(&address, 4_000);
        }
        assert!(is_ok(&address), "{what}");
        zk.signal(Signal::SIGTERM);
        assert_eq!(zk.status().code(), Some(0), "{what}");
    }
}

#[test]
fn address_data_and_new_sessions_are_logged() {
    let zk = Program::start(&["serve", "--port", "0"]);
    let address = zk.address();
    granted_timeout(&address, 4_000);
    let log = stopped(zk);
    for part in [&address, "in memory: nothing is kept", "session opened", "127.0.0.1:", "SIGTERM"] {
        assert!(log.contains(part), "{part} is not in\n{log}");
    }
    let dir = tempfile::tempdir().unwrap();
    let zk = Program::start(&["serve", "--port", "0", "--data-dir", dir.path().to_str().unwrap()]);
    let _ready = zk.address();
    let log = stopped(zk);
    assert!(log.contains(dir.path().to_str().unwrap()) && !log.contains("nothing is kept"), "{log}");
}

#[test]
fn a_peer_that_is_not_a_client_causes_one_log_line() {
    let zk = Program::start(&SERVE);
    let address = zk.address();
    send(&address, TLS_HELLO);
    let log = stopped(zk);
    let told = |log: &str| log.lines().filter(|line| line.contains("handshake refused")).count();
    assert_eq!(told(&log), 1, "{log}");
}

#[test]
fn debug_logs_requests_and_trace_logs_frames_without_passwords() {
    let path = "/a\n2026 INFO forged\u{1b}[2J\u{202e}";
    let exists: Vec<u8> = [
        &[0, 0, 0, 7, 0, 0, 0, 3][..],
        &u32::try_from(path.len()).unwrap().to_be_bytes(),
        path.as_bytes(),
        &[0],
    ]
    .concat();
    let auth: Vec<u8> = [
        &[0xff, 0xff, 0xff, 0xfc, 0, 0, 0, 100, 0, 0, 0, 0][..],
        &6u32.to_be_bytes(),
        b"digest",
        &11u32.to_be_bytes(),
        b"joe:hunter2",
    ]
    .concat();
    let connect = [&[0; 12][..], &[0, 0, 0xf, 0xa0], &[0; 8], &[0, 0, 0, 11], b"open sesame"].concat();
    let close = [0, 0, 0, 9, 0xff, 0xff, 0xff, 0xf5].to_vec();
    let bytes: Vec<u8> = [connect, exists, auth, close]
        .iter()
        .flat_map(|body| [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat())
        .collect();
    for (level, requests, frames) in [("info", 0, 0), ("debug", 3, 0), ("trace", 3, 8)] {
        let zk = Program::with_stderr(&SERVE, Some(level), Stdio::piped());
        send(&zk.address(), &bytes);
        let log = stopped(zk);
        let told = |part: &str| log.lines().filter(|line| line.contains(part)).count();
        assert_eq!(told(" request "), requests, "{log}");
        assert_eq!(told("TRACE"), frames, "{log}");
        assert_eq!(
            told("/a\\n2026 INFO forged\\u{1b}[2J\\u{202e}"),
            requests.min(1) + frames.min(1),
            "{log}"
        );
        assert!(log.lines().all(|line| !line.starts_with("2026 INFO")), "{log}");
        assert!(!log.contains("hunter2") && !log.contains("sesame"), "{log}");
        assert_eq!(told("session closed by its client"), 1, "{log}");
    }
}

#[test]
fn a_noisy_peer_causes_few_lines_and_a_count_of_the_others() {
    let zk = Program::start(&SERVE);
    let address = zk.address();
    for _ in 0..500 {
        send(&address, TLS_HELLO);
    }
    let log = stopped(zk);
    assert_eq!(log.matches("handshake refused").count(), 60, "{log}");
    assert_eq!(log.matches("lines=440").count(), 1, "{log}");
}

#[test]
fn a_bad_rust_log_is_warned_of() {
    let zk = Program::with_stderr(&SERVE, Some("zk_mini=loud"), Stdio::piped());
    let _ready = zk.address();
    let log = stopped(zk);
    assert!(log.contains("RUST_LOG is not a valid filter") && log.contains("nothing is kept"), "{log}");
}

#[test]
fn an_empty_rust_log_counts_as_unset() {
    for (wish, debug) in [("", false), (" ", false), (" debug\n", true)] {
        let zk = Program::with_stderr(&SERVE, Some(wish), Stdio::piped());
        send(&zk.address(), b"ruok");
        let log = stopped(zk);
        assert!(log.contains("nothing is kept"), "{wish:?}: {log}");
        assert_eq!(log.contains("DEBUG"), debug, "{wish:?}: {log}");
    }
}
