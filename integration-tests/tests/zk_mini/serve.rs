//! `zk-mini serve`: its output, its signals, its errors, its settings.

use std::fs;
use std::net::TcpListener;

use integration_tests::process::Process;
use integration_tests::programs::{self, ServeProcess};
use integration_tests::raw::RawClient;
use nix::sys::signal::Signal;

#[test]
fn it_prints_one_line_and_stops_cleanly_by_sigterm_and_sigint() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut zk = ServeProcess::start();
        let mut client = RawClient::with_session(zk.addr());
        client.assert_works();
        zk.process.signal(signal);
        assert_eq!(zk.process.wait().code(), Some(0), "{}", zk.process);
        assert_eq!(zk.process.stdout(), format!("listening on {}\n", zk.addr()));
        assert_eq!(client.receive(), None);
        zk.process.assert_nothing_left();
    }
}

#[test]
fn a_port_in_use_is_named_and_ends_it_with_status_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut zk = Process::start(programs::zk_mini().args(["serve", "--listen", &addr]));
    assert_eq!(zk.wait().code(), Some(1), "{zk}");
    assert!(zk.stderr().contains(&addr), "{zk}");
    assert_eq!(zk.stdout(), "");
}

#[test]
fn a_port_is_free_again_when_it_has_stopped() {
    let mut first = ServeProcess::start();
    let addr = first.addr();
    let _client = RawClient::with_session(addr);
    first.process.terminate();
    let second = ServeProcess::with_args(&["serve", "--listen", &addr.to_string()]);
    assert_eq!(second.addr(), addr);
}

#[test]
fn session_timeouts_follow_the_tick_or_their_own_options() {
    let granted = |args: &[&str], wish| {
        let zk = ServeProcess::with_args(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
        RawClient::connect(zk.addr()).open_session(wish)
    };
    assert_eq!(granted(&[], 1), 4_000);
    assert_eq!(granted(&["--tick-ms", "100"], 1), 200);
    assert_eq!(granted(&["--tick-ms", "100"], 60_000), 2_000);
    assert_eq!(granted(&["--min-session-timeout-ms", "1500"], 1), 1_500);
    assert_eq!(granted(&["--max-session-timeout-ms", "90000"], 60_000), 60_000);
}

#[test]
fn an_ordinary_zoo_cfg_is_read_and_an_unknown_key_is_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("zoo.cfg");
    let data = dir.path().join("data");
    let text = "# a comment\n\ntickTime=150\nclientPortAddress=127.0.0.1\nclientPort=0\ndataDir=DIR\nsyncLimit=5\n\
                initLimit=10\nmaxClientCnxns=0\nmaxSessionTimeout = 50000\nautopurge.purgeInterval=1\nserver.of.tea=1\n";
    fs::write(&config, text.replace("DIR", data.to_str().unwrap())).unwrap();
    let zk = ServeProcess::with_args(&["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(RawClient::connect(zk.addr()).open_session(1), 300);
    assert_eq!(RawClient::connect(zk.addr()).open_session(100_000), 50_000);
    assert_eq!(zk.process.stderr().matches("server.of.tea").count(), 1, "{}", zk.process);
    assert!(!zk.process.stderr().contains("tickTime"), "{}", zk.process);
}

#[test]
fn a_missing_or_broken_zoo_cfg_is_named_and_ends_it_with_status_2() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("zoo.cfg");
    let start = || {
        let mut zk =
            Process::start(programs::zk_mini().args(["serve", "--config", config.to_str().unwrap()]));
        assert_eq!(zk.wait().code(), Some(2), "{zk}");
        zk.stderr()
    };
    let missing = start();
    assert!(missing.contains(config.to_str().unwrap()), "{missing}");
    fs::write(&config, "clientPort=many\n").unwrap();
    let broken = start();
    assert!(broken.contains("clientPort") && broken.contains("many"), "{broken}");
}

#[test]
fn help_shows_the_options_and_defaults() {
    let mut help = Process::start(programs::zk_mini().args(["serve", "--help"]));
    assert_eq!(help.wait().code(), Some(0));
    for text in ["127.0.0.1:2181", "--config", "--data-dir", "--tick-ms", "--max-session-timeout-ms"] {
        assert!(help.stdout().contains(text), "{text} is not in\n{help}");
    }
}
