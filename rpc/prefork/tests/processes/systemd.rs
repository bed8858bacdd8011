//! Notifications to systemd and its listeners; a socket of the test takes its place.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Fixture, ask};

#[test]
fn systemd_gets_ready_reloading_ready_and_stopping() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut fixture = Fixture::start_with("workers=2", |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    assert_eq!(hear(&socket), "READY=1\nSTATUS=all 2 workers are ready");
    fixture.signal(Signal::SIGHUP);
    let reloading = hear(&socket);
    let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().split('\n').next().unwrap();
    assert!(usec.parse::<u64>().unwrap() > 0);
    assert_eq!(hear(&socket), "READY=1\nSTATUS=all 2 workers have been replaced");
    fixture.signal(Signal::SIGTERM);
    assert!(hear(&socket).starts_with("STOPPING=1\nSTATUS=SIGTERM: stopping 2 workers"));
    assert!(fixture.ends().success());
}

#[test]
fn an_idle_service_feeds_the_watchdog() {
    // In the abstract namespace, which systemd uses in containers.
    let name = format!("prefork-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let mut fixture = Fixture::start_with("workers=1", |command| {
        command.env("NOTIFY_SOCKET", format!("@{name}")).env("WATCHDOG_USEC", "50000");
    });
    let heard: Vec<_> = (0..6).map(|_| hear(&socket)).collect();
    assert!(heard.iter().filter(|message| *message == "WATCHDOG=1").count() >= 5, "{heard:?}");
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_missing_notify_socket_does_no_harm() {
    let mut fixture = Fixture::start_with("workers=1", |command| {
        command.env("NOTIFY_SOCKET", "/nowhere/at/all").env("WATCHDOG_USEC", "1");
    });
    fixture.line("> ready");
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_listener_of_systemd_is_served_and_outlives_the_service() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let mut fixture = Fixture::start_activated("workers=2", socket.try_clone().unwrap());
    fixture.line(&format!("> ready {addr}"));
    let workers = fixture.workers(2);
    assert!(workers.contains(&ask(addr)));
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
    // A client that connects between two services is served by the next one.
    let early = thread::spawn(move || ask(addr));
    let mut fixture = Fixture::start_activated("workers=1", socket);
    assert_eq!(fixture.workers(1)[0], early.join().unwrap());
    fixture.signal(Signal::SIGTERM);
    assert!(fixture.ends().success());
}

#[test]
fn a_passed_socket_that_is_not_a_listener_is_a_clear_error() {
    let mut fixture = Fixture::start_activated("workers=1", UnixDatagram::unbound().unwrap());
    fixture.line("> error: cannot use a socket passed by systemd: it is not a TCP listener");
    assert_eq!(fixture.ends().code(), Some(1));
}

fn hear(socket: &UnixDatagram) -> String {
    let mut buf = [0; 1024];
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let len = socket.recv(&mut buf).unwrap();
    String::from_utf8(buf[..len].to_vec()).unwrap()
}
