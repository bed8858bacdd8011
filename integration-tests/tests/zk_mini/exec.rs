//! `zk-mini exec`: a private server around a command.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;

use integration_tests::process::Process;
use integration_tests::programs;
use integration_tests::raw::RawClient;
use nix::sys::signal::Signal;

#[test]
fn the_command_finds_its_server_in_the_environment() {
    let mut exec = exec("trap 'exit 0' TERM; echo $ZK_HOSTS $ZK_HOST:$ZK_PORT; while :; do sleep 0.01; done");
    let line = exec.line_with(":");
    let (hosts, same) = line.split_once(' ').unwrap();
    assert_eq!(hosts, same);
    let server: SocketAddr = hosts.parse().unwrap();
    RawClient::with_session(server).assert_works();

    assert_eq!(exec.terminate().code(), Some(0), "{exec}");
    exec.assert_nothing_left();
    assert!(TcpStream::connect(server).is_err(), "the server is gone");
}

#[test]
fn it_ends_with_the_status_of_the_command() {
    assert_eq!(exec("exit 0").wait().code(), Some(0));
    assert_eq!(exec("exit 7").wait().code(), Some(7));
}

#[test]
fn a_command_that_dies_by_a_signal_gives_the_status_of_a_shell() {
    let status = exec("kill -KILL $$").wait();
    assert!(status.code() == Some(128 + 9) || status.signal() == Some(9), "{status:?}");
}

#[test]
fn signals_are_passed_to_the_command() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        let name = signal.as_str().trim_start_matches("SIG");
        let script =
            format!("trap 'echo got {name}; exit 5' {name}; echo ready; while :; do sleep 0.01; done");
        let mut exec = exec(&script);
        exec.line_with("ready");
        exec.signal(signal);
        exec.line_with(&format!("got {name}"));
        assert_eq!(exec.wait().code(), Some(5), "{exec}");
        exec.assert_nothing_left();
    }
}

#[test]
fn it_prints_nothing_of_its_own() {
    let mut exec = exec("echo out; echo err >&2");
    assert!(exec.wait().success());
    assert_eq!((exec.stdout().as_str(), exec.stderr().as_str()), ("out\n", "err\n"));
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let mut exec = Process::start(programs::zk_mini().args(["exec", "--", "/nowhere/to/be/found"]));
    assert_eq!(exec.wait().code(), Some(127), "{exec}");
    assert!(exec.stderr().contains("/nowhere/to/be/found"), "{exec}");
}

fn exec(script: &str) -> Process {
    Process::start(programs::zk_mini().args(["exec", "--", "sh", "-c", script]))
}
