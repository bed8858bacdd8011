//! `NOTIFY_SOCKET`: what systemd is told.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio, id};

use nix::sys::signal::Signal;

use crate::process::{PATIENCE, Program, is_ok};

fn serve(notify_socket: impl AsRef<OsStr>, options: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zk-mini"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(options).env("NOTIFY_SOCKET", notify_socket);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    Program::spawn(command)
}

fn message(socket: &UnixDatagram) -> String {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 512];
    let len = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

/// Starts and stops a server that tells `socket`, and checks what it says.
fn assert_told(socket: &UnixDatagram, name: impl AsRef<OsStr>) {
    let zk = serve(name, &[]);
    let ready = message(socket);
    let address = zk.address();
    assert_eq!(ready, format!("READY=1\nSTATUS=listening on {address}\n"));
    zk.signal(Signal::SIGTERM);
    assert_eq!(message(socket), "STOPPING=1\nSTATUS=stopping: SIGTERM\n");
    assert!(zk.status().success());
}

#[test]
fn a_socket_with_a_path_is_told_of_start_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    assert_told(&socket, &path);
}

#[test]
fn an_abstract_socket_is_told_of_start_and_stop() {
    let name = format!("zk-mini-notify-{}", id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    assert_told(&socket, format!("@{name}"));
}

#[test]
fn a_server_that_does_not_start_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let zk = serve(&path, &["--data-dir", path.to_str().unwrap()]);
    assert!(!zk.status().success());
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 8]).is_err());
}

#[test]
fn a_server_whose_supervisor_cannot_be_told_serves() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    for (name, said) in [
        (gone.to_str().unwrap(), "does not take the message"),
        ("vsock:2:1234", "NOTIFY_SOCKET cannot be used"),
        (&format!("/{}", "a".repeat(200)), "NOTIFY_SOCKET cannot be used"),
    ] {
        let zk = serve(name, &[]);
        assert!(is_ok(&zk.address()));
        zk.signal(Signal::SIGTERM);
        let (status, stderr) = zk.end();
        assert!(status.success() && stderr.contains(said), "{said} is not in\n{stderr}");
    }
}
