//! `zk-mini exec`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::process::{EndlessLog, Program, is_ok};

fn exec(script: &str) -> Program {
    Program::start(&["exec", "--", "sh", "-c", script])
}

#[test]
fn the_environment_names_the_server_which_ends_with_the_command() {
    let script = "trap 'exit 3' TERM; echo $ZK_HOSTS; echo $ZK_HOST:$ZK_PORT; echo $PORT_A $PORT_B; \
                  while :; do sleep 0.01; done";
    let exec =
        Program::start(&["exec", "--port-env", "PORT_A", "--port-env=PORT_B", "--", "sh", "-c", script]);
    let address = exec.line().unwrap();
    assert_eq!(exec.line().unwrap(), address);
    let port = address.strip_prefix("127.0.0.1:").unwrap();
    assert_eq!(exec.line().unwrap(), format!("{port} {port}"));
    assert!(is_ok(&address));
    exec.signal(Signal::SIGTERM);
    assert_eq!(exec.end().0.code(), Some(3));
    assert!(!is_ok(&address));
}

#[test]
fn the_status_is_that_of_the_command() {
    for status in [0, 1, 7, 255] {
        assert_eq!(exec(&format!("exit {status}")).end().0.code(), Some(status));
    }
    assert_eq!(exec("kill -KILL $$").end().0.code(), Some(128 + 9));
    assert_eq!(exec("kill -TERM $$").end().0.code(), Some(128 + 15));
}

#[test]
fn signals_are_forwarded_and_the_command_decides() {
    for name in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"] {
        let script = format!("trap 'echo {name}; exit 5' {name}; echo ready; while :; do sleep 0.01; done");
        let exec = exec(&script);
        assert_eq!(exec.line().unwrap(), "ready");
        exec.signal(format!("SIG{name}").parse().unwrap());
        assert_eq!(exec.line().unwrap(), name);
        assert_eq!(exec.end().0.code(), Some(5));
    }
}

#[test]
fn a_command_that_ignores_a_signal_goes_on() {
    let exec = exec("trap '' INT; trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; echo on; done");
    assert_eq!(exec.line().unwrap(), "ready");
    exec.signal(Signal::SIGINT);
    for _ in 0..10 {
        assert_eq!(exec.line().unwrap(), "on");
    }
    exec.signal(Signal::SIGTERM);
    assert_eq!(exec.end().0.code(), Some(0));
}

#[test]
fn ctrl_c_reaches_the_command_once() {
    // `script` provides a terminal and types Ctrl-C once the command is ready. Signals are forwarded in order, so a
    // second SIGINT would arrive before the SIGUSR1, which is sent only after the loop has gone on: a trap inside a trap
    // can cost a shell its status. `exec`, because the `$SHELL` that `script` starts would get the SIGINT, too, without a
    // trap, and not every shell replaces itself with its last command.
    let dir = tempfile::tempdir().unwrap();
    let inner = "trap 'echo interrupted >> log' INT; trap 'exit 0' USR1; echo $PPID > zk-mini; touch ready\n\
                 while :; do sleep 0.01; [ ! -e log ] || touch seen; done\n";
    fs::write(dir.path().join("inner"), inner).unwrap();
    let zk_mini = env!("CARGO_BIN_EXE_zk-mini");
    let typed = "while [ ! -e ready ]; do sleep 0.01; done; printf '\\003'; while [ ! -e seen ]; do sleep 0.01; done; \
                 kill -USR1 $(cat zk-mini)";
    let outer = format!("({typed}) | script -qec 'exec {zk_mini} exec -- sh inner' /dev/null");
    let output = Command::new("timeout").args(["20", "sh", "-c", &outer]).current_dir(&dir).output().unwrap();
    let log = fs::read_to_string(dir.path().join("log"));
    assert!(output.status.success(), "{output:?}, {log:?}");
    assert_eq!(log.unwrap(), "interrupted\n");
}

#[test]
fn a_signal_during_the_start_ends_zk_mini_unless_it_is_ignored() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let log = EndlessLog::new();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap '' HUP; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_zk-mini"),
            "exec",
            "--data-dir",
        ]);
        command.args([log.dir(), "--", "echo", "it runs"]).stderr(Stdio::piped());
        let exec = Program::spawn(command);
        let _writer = log.is_read();
        exec.signal(Signal::SIGHUP);
        exec.signal(signal);
        assert_eq!(exec.line(), None);
        assert_eq!(exec.end().0.signal(), Some(signal as i32));
    }
}

#[test]
fn ctrl_c_during_the_start_ends_zk_mini() {
    let log = EndlessLog::new();
    let outer = format!(
        "script -qec 'exec {} exec --data-dir {} -- echo it runs' /dev/null",
        env!("CARGO_BIN_EXE_zk-mini"),
        log.dir()
    );
    let (keyboard, mut keys) = io::pipe().unwrap();
    let mut command = Command::new("sh");
    // On the terminal there is nothing but what the key shows.
    command.args(["-c", &outer]).env_remove("RUST_LOG").stdin(keyboard).stderr(Stdio::piped());
    let terminal = Program::spawn(command);
    let _writer = log.is_read();
    keys.write_all(b"\x03").unwrap();
    assert_eq!(terminal.line().as_deref(), Some("^C"));
    assert_eq!(terminal.end().0.code(), Some(128 + 2));
}

#[test]
fn the_command_is_killed_with_zk_mini() {
    // Standard output ends when all processes that hold it have ended.
    let exec = exec("trap '' TERM; echo ready; exec sleep 60");
    assert_eq!(exec.line().unwrap(), "ready");
    exec.signal(Signal::SIGKILL);
    assert_eq!(exec.line(), None);
}

#[test]
fn the_output_is_that_of_the_command_alone() {
    let exec = exec("echo out; echo err >&2");
    assert_eq!((exec.line().as_deref(), exec.line()), (Some("out"), None));
    assert_eq!(exec.end().1, "err\n");
}

#[test]
fn a_command_that_cannot_start_ends_with_the_status_of_a_shell() {
    let (status, stderr) = Program::start(&["exec", "--", "no-such-command"]).end();
    assert_eq!(
        (status.code(), stderr.as_str()),
        (Some(127), "zk-mini: no-such-command: command not found\n")
    );

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plain");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (status, stderr) = Program::start(&["exec", "--", file.to_str().unwrap()]).end();
    assert_eq!(status.code(), Some(126));
    assert!(stderr.contains("plain: cannot be executed"), "{stderr}");
}
