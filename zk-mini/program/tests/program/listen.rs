//! Addresses on which `zk-mini serve` listens.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use nix::sys::signal::Signal;

use crate::process::{Program, ask, is_ok};

fn has_ip_v6() -> bool {
    UdpSocket::bind("[::1]:0").is_ok()
}

fn port(address: &str) -> u16 {
    address.parse::<SocketAddr>().unwrap().port()
}

/// Returns true if a server listens on this port of both loopback addresses, as far as the machine has them.
fn is_on_both(port: u16) -> bool {
    is_ok(&format!("127.0.0.1:{port}"))
        && TcpListener::bind(("::1", port)).is_err()
        && (!has_ip_v6() || is_ok(&format!("[::1]:{port}")))
}

#[test]
fn a_port_alone_listens_on_both_loopback_addresses_and_prints_one_line() {
    for args in [&["--port", "0"][..], &["--listen", "0"], &["--listen", ":0"], &["--listen=localhost:0"]] {
        let zk = Program::start(&[&["serve"], args].concat());
        let address = zk.address();
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        assert!(is_on_both(port(&address)), "{args:?}");
        zk.signal(Signal::SIGTERM);
        assert_eq!(zk.line(), None, "one line");
        assert_eq!(zk.end().0.code(), Some(0));
    }
}

#[test]
fn a_port_in_use_on_one_loopback_address_is_an_error_that_names_it() {
    let Ok(taken) = TcpListener::bind("[::1]:0") else {
        // Without IPv6 there is only one.
        return assert!(!has_ip_v6());
    };
    let port = taken.local_addr().unwrap().port().to_string();
    let (status, stderr) = Program::start(&["serve", "--port", &port]).end();
    assert_eq!(status.code(), Some(1));
    // Another process may have the other one.
    let told =
        |host: &str| stderr.contains(&format!("cannot listen on {host}:{port}: the address is in use"));
    assert!(told("[::1]") || told("127.0.0.1"), "{stderr}");
}

#[test]
fn an_address_of_ip_v6_that_lacks_its_brackets_is_answered_with_the_right_form() {
    let (status, stderr) = Program::start(&["serve", "--listen", "::1:2181"]).end();
    assert_eq!(status.code(), Some(1));
    assert!(
        !has_ip_v6() || stderr.contains("stands in brackets before a port, such as [::1]:2181"),
        "{stderr}"
    );
}

#[test]
fn a_star_is_every_address_and_only_srvr_is_answered_by_default() {
    let zk = Program::start(&["serve", "--listen", "*:0"]);
    let address = zk.address();
    assert!(address.starts_with("0.0.0.0:"), "{address}");
    let port = port(&address);
    let local = format!("127.0.0.1:{port}");
    assert!(ask(&local, "srvr").starts_with("Zookeeper version"));
    assert_eq!(ask(&local, "ruok"), "ruok is not executed because it is not in the whitelist.\n");
    if has_ip_v6() {
        assert!(ask(&format!("[::1]:{port}"), "srvr").starts_with("Zookeeper version"));
    }
    let zk = Program::start(&["serve", "--listen", "*:0", "--four-letter-words=*"]);
    assert!(is_ok(&format!("127.0.0.1:{}", self::port(&zk.address()))));
}

#[test]
fn an_address_without_a_port_is_enough_and_listen_excludes_port() {
    let (status, stderr) = Program::start(&["serve", "--port", "0", "--listen", "localhost:0"]).end();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains("--listen"), "{stderr}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg");
    std::fs::write(&file, format!("clientPort=0\ndataDir={}\n", dir.path().display())).unwrap();
    let zk = Program::start(&["serve", "--config", file.to_str().unwrap(), "--listen", "127.0.0.1"]);
    assert!(zk.address().starts_with("127.0.0.1:"));
}

#[test]
fn clients_of_throw_away_certificates_are_told_the_port_once_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let serve = |options: &[&str]| {
        Program::start(&[&["serve", "--tls-dev", dir.path().to_str().unwrap()], options].concat())
    };
    for options in [&["--listen=127.0.0.1:0"][..], &["--listen=127.0.0.1:0", "--tls-listen=127.0.0.1:0"]] {
        let zk = serve(options);
        let mut address = zk.address();
        if options.len() > 1 {
            address = zk.line().unwrap().strip_prefix("tls on ").unwrap().into();
        }
        let port = port(&address);
        zk.signal(Signal::SIGTERM);
        let stderr = zk.end().1;
        for words in [format!("KazooClient('localhost:{port}'"), format!("'localhost:{port}?ca=")] {
            assert!(stderr.contains(&words), "{words} is not in\n{stderr}");
        }
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_, stderr) = serve(&["--listen", &taken.local_addr().unwrap().to_string()]).end();
    assert!(stderr.contains("the address is in use") && !stderr.contains("Kazoo"), "{stderr}");
}

#[test]
fn an_address_that_is_given_twice_is_named() {
    for options in [&["--listen=1", "--listen=localhost:1"][..], &["--listen=[::1]:0", "--listen=[::1]:0"]] {
        let (status, stderr) = Program::start(&[&["serve"], options].concat()).end();
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("--listen ") && stderr.contains(" is given twice"), "{stderr}");
    }
    let each = ["serve", "--servers=2", "--listen=127.0.0.1:0", "--listen=127.0.0.1:0"];
    let zk = Program::start(&each);
    assert_ne!(zk.address(), zk.address(), "each has a port of its own");
}

#[test]
fn the_server_of_exec_is_on_both_loopback_addresses() {
    let exec = Program::start(&[
        "exec",
        "--",
        "sh",
        "-c",
        "trap 'exit 0' TERM; echo $ZK_PORT; while :; do sleep 0.01; done",
    ]);
    assert!(is_on_both(exec.line().unwrap().parse().unwrap()));
}
