//! Ways in which `zk-mini serve` says that it is ready: `--ready`, `--ready-fd`, `--pid-file`.

use std::fs;
use std::io::{self, PipeWriter, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::process::{EndlessLog, PATIENCE, Program, is_ok};

/// Serves from a shell, which opens descriptors as users do: `redirections` such as `3>ready`.
fn serve_in_shell(dir: &Path, options: &str, redirections: &str) -> (Option<i32>, String) {
    let zk_mini = env!("CARGO_BIN_EXE_zk-mini");
    let script = format!("exec {zk_mini} serve --port 0 {options} {redirections}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn json_tells_all_addresses_on_one_line() {
    let zk = Program::start(&["serve", "--port", "0", "--ready", "json", "--compat", "3.8"]);
    let line: serde_json::Value = serde_json::from_str(&zk.line().unwrap()).unwrap();
    let first = line["listen"][0].as_str().unwrap();
    assert!(is_ok(first));
    let port = first.strip_prefix("127.0.0.1:").unwrap();
    if UdpSocket::bind("[::1]:0").is_ok() {
        assert_eq!(line["listen"][1], format!("[::1]:{port}"));
    }
    assert_eq!((&line["ready"], &line["pid"]), (&true.into(), &zk.id().into()));
    assert_eq!((&line["compat"], &line["version"]), (&"3.8.7".into(), &env!("CARGO_PKG_VERSION").into()));
    assert!(line.get("http").is_some());
    zk.signal(Signal::SIGTERM);
    assert_eq!(zk.line(), None, "one line");
}

/// Starts a server that stops when the pipe to it is closed.
fn serve_until_eof() -> (Program, PipeWriter) {
    let (input, pipe) = io::pipe().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zk-mini"));
    command.args(["serve", "--port", "0", "--stop-on-eof"]).stdin(input).stderr(Stdio::null());
    // The command holds the reading end: it goes with it.
    let zk = Program::spawn(command);
    (zk, pipe)
}

#[test]
fn the_end_of_standard_input_stops_a_server_that_is_asked_to() {
    let (zk, mut pipe) = serve_until_eof();
    let address = zk.address();
    pipe.write_all(b"not a command\n").unwrap();
    assert!(is_ok(&address), "input is dropped");
    drop(pipe);
    assert!(zk.status().success());
}

#[test]
fn a_server_that_still_reads_its_data_directory_can_be_stopped() {
    for way in [Some(Signal::SIGTERM), Some(Signal::SIGINT), None] {
        let log = EndlessLog::new();
        let (input, pipe) = io::pipe().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zk-mini"));
        command.args(["serve", "--port", "0", "--data-dir", log.dir()]);
        command.args(way.is_none().then_some("--stop-on-eof")).stdin(input).stderr(Stdio::null());
        let zk = Program::spawn(command);
        let _writer = log.is_read();
        match way {
            Some(signal) => zk.signal(signal),
            None => drop(pipe),
        }
        assert_eq!(zk.line(), None, "it was never ready");
        assert!(zk.status().success());
    }
}

#[test]
fn a_server_that_waits_for_the_end_of_standard_input_leaves_ctrl_c_to_its_parent() {
    let (zk, pipe) = serve_until_eof();
    let address = zk.address();
    zk.signal(Signal::SIGINT);
    assert!(is_ok(&address));
    zk.signal(Signal::SIGTERM);
    assert!(zk.status().success());
    drop(pipe);
}

#[test]
fn a_pipe_gets_the_line_and_its_end_once_the_server_serves() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "{} serve --port 0 --ready-fd 7 7>&1 >stdout 2>stderr & echo $! >pid; wait",
        env!("CARGO_BIN_EXE_zk-mini")
    );
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The shell keeps its end open: the line alone tells.
    let mut line = [0; 64];
    let len = shell.stdout.as_mut().unwrap().read(&mut line).unwrap();
    let line = std::str::from_utf8(&line[..len]).unwrap();
    let address = line.strip_prefix("listening on ").and_then(|line| line.strip_suffix('\n')).unwrap();
    assert!(is_ok(address));
    assert_eq!(fs::read_to_string(dir.path().join("stdout")).unwrap(), line, "standard output has it, too");
    let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGTERM).unwrap();
    assert!(shell.wait().unwrap().success());
}

#[test]
fn a_socket_gets_the_line_and_its_end() {
    // Node.js gives its children sockets for pipes.
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let number = theirs.as_raw_fd().to_string();
    let zk = Program::start(&["serve", "--port", "0", "--ready=json", "--ready-fd", &number]);
    drop(theirs);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, format!("{}\n", zk.line().unwrap()));
    assert!(text.starts_with(r#"{"ready":true,"listen":["127.0.0.1:"#), "{text}");
}

#[test]
fn a_pipe_that_is_not_read_delays_nothing() {
    let (_reader, writer) = nix::unistd::pipe().unwrap();
    let flags = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
    fcntl(&writer, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
    while nix::unistd::write(&writer, &[0; 512]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(flags)).unwrap();
    let number = writer.as_raw_fd().to_string();
    let zk = Program::start(&["serve", "--port", "0", "--ready-fd", &number]);
    assert!(is_ok(&zk.address()));
    zk.signal(Signal::SIGTERM);
    let (status, stderr) = zk.end();
    assert!(status.success() && stderr.contains("the pipe is full"), "{stderr}");
}

#[test]
fn a_server_that_does_not_start_closes_the_descriptor_without_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let options = format!("--ready-fd 3 --listen {address} --pid-file pid");
    let zk_mini = env!("CARGO_BIN_EXE_zk-mini");
    let status = Command::new("sh")
        .args(["-c", &format!("{zk_mini} serve {options} 3>ready")])
        .current_dir(&dir)
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
    assert_eq!(fs::read_to_string(dir.path().join("ready")).unwrap(), "");
    assert!(!dir.path().join("pid").exists());
}

#[test]
fn a_descriptor_that_cannot_be_used_is_an_error_that_says_why() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    mkfifo(&dir.path().join("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    for (options, redirections, said) in [
        ("--ready-fd 1", "", "3 or more: 0 to 2 are standard input, output and error"),
        ("--ready-fd=-1", "", "3 or more"),
        ("--ready-fd pipe", "", "3 or more"),
        ("--ready-fd 9", "9>&-", "--ready-fd 9: the descriptor is not open"),
        ("--ready-fd 9", "9<file", "--ready-fd 9: the descriptor is open for reading only"),
        // Opened for both, a pipe has a reader as long as that descriptor is open.
        ("--ready-fd 9", "8<>fifo 9>fifo 8<&-", "--ready-fd 9: nobody reads from the pipe"),
        ("--ready-fd 9", "9</", "--ready-fd 9: the descriptor is open for reading only"),
    ] {
        let (status, stderr) = serve_in_shell(dir.path(), options, redirections);
        assert_eq!(status, Some(2), "{options} {redirections}: {stderr}");
        assert!(stderr.contains(said), "{said} is not in\n{stderr}");
    }
}

#[test]
fn the_file_with_the_process_id_is_there_when_the_server_is_ready_and_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zk.pid");
    // Of an earlier process, which was killed.
    fs::write(&file, "1\n").unwrap();
    let zk = Program::start(&["serve", "--port", "0", "--pid-file", file.to_str().unwrap()]);
    let _ready = zk.address();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n", zk.id()));
    zk.signal(Signal::SIGTERM);
    assert_eq!(zk.end().0.code(), Some(0));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_closed_terminal_ends_the_server_cleanly_unless_that_ignores_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zk.pid");
    let zk_mini = env!("CARGO_BIN_EXE_zk-mini");
    let serve = [zk_mini, "serve", "--port", "0", "--pid-file", file.to_str().unwrap()];
    for (disposition, cause) in [("--default-signal=HUP", "SIGHUP"), ("--ignore-signal=HUP", "SIGTERM")] {
        // A shell cannot take back what the runner of this test ignores.
        let mut command = Command::new("env");
        command.arg(disposition).args(serve);
        command.env_remove("RUST_LOG").stderr(Stdio::piped());
        let zk = Program::spawn(command);
        let _ready = zk.address();
        zk.signal(Signal::SIGHUP);
        if cause == "SIGTERM" {
            zk.signal(Signal::SIGTERM);
        }
        let (status, stderr) = zk.end();
        assert_eq!(status.code(), Some(0), "{stderr}");
        assert!(stderr.contains("cause=\"") && stderr.contains(cause), "{stderr}");
        assert_eq!(stderr.contains("SIGHUP"), cause == "SIGHUP", "{stderr}");
        assert!(!file.exists());
    }
}

#[test]
fn the_file_of_another_process_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zk.pid");
    let start = || {
        let zk = Program::start(&["serve", "--port", "0", "--pid-file", file.to_str().unwrap()]);
        let _ready = zk.address();
        zk
    };
    let (first, second) = (start(), start());
    first.signal(Signal::SIGTERM);
    assert_eq!(first.end().0.code(), Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n", second.id()));
}

#[test]
fn a_process_id_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for file in [dir.path().join("missing").join("zk.pid"), dir.path().into(), "/".into()] {
        let zk = Program::start(&["serve", "--port", "0", "--pid-file", file.to_str().unwrap()]);
        assert_eq!(zk.line(), None);
        let (status, stderr) = zk.end();
        assert_eq!(status.code(), Some(2));
        assert!(stderr.contains("cannot write the process id to "), "{stderr}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
