//! `--servers`, and several addresses for one server.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use nix::sys::signal::Signal;

use crate::process::{PATIENCE, Program, ask, is_ok};

/// Directory for certificates that all tests share.
const DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/servers-tls");

fn port(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn each_server_has_a_ready_line_and_a_port_in_order() {
    let zk = Program::start(&["serve", "--servers", "3", "--port", "0"]);
    let addresses = [zk.address(), zk.address(), zk.address()];
    let ports: BTreeSet<_> = addresses.iter().map(|address| port(address)).collect();
    assert_eq!(ports.len(), 3);
    let modes = addresses.map(|address| {
        let srvr = ask(&address, "srvr");
        srvr.lines().find_map(|line| line.strip_prefix("Mode: ")).unwrap().to_owned()
    });
    assert_eq!(modes, ["follower", "follower", "leader"]);
    zk.signal(Signal::SIGTERM);
    assert_eq!(zk.line(), None, "three lines");
    assert_eq!(zk.end().0.code(), Some(0));
}

#[test]
fn observers_are_the_last_servers() {
    let zk = Program::start(&["serve", "--servers=2", "--observers=1", "--port", "0"]);
    let modes = [zk.address(), zk.address(), zk.address()].map(|address| ask(&address, "srvr"));
    for (srvr, mode) in modes.iter().zip(["follower", "leader", "observer"]) {
        assert!(srvr.contains(&format!("Mode: {mode}\n")), "{srvr}");
    }
}

#[test]
fn the_lines_of_json_have_the_addresses_and_the_url_of_each_server() {
    let zk = Program::start(&["serve", "--servers=2", "--listen", "127.0.0.1:0", "--ready", "json"]);
    for _ in 0..2 {
        let line: serde_json::Value = serde_json::from_str(&zk.line().unwrap()).unwrap();
        let listen = line["listen"].as_array().unwrap();
        assert_eq!(listen.len(), 1);
        let address = listen[0].as_str().unwrap();
        assert!(is_ok(address));
        assert_eq!(line["http"], format!("http://{address}"));
    }
}

#[test]
fn servers_get_the_next_ports_or_one_address_each() {
    // Free ports in a row are found by trying.
    let zk = loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let zk = Program::start(&["serve", "--servers", "2", "--listen", &first.to_string()]);
        let Some(line) = zk.line() else { continue };
        assert_eq!(line, format!("listening on {first}"));
        assert_eq!(port(&zk.address()), first.port() + 1);
        break zk;
    };
    drop(zk);
    let zk = Program::start(&["serve", "--servers=2", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]);
    assert!(zk.address().starts_with("127.0.0.1:"));
    let second = zk.address();
    assert!(second.starts_with("127.0.0.2:") && is_ok(&second));
}

#[test]
fn without_servers_every_address_is_of_the_one_server() {
    let zk = Program::start(&["serve", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0", "--ready=json"]);
    let line: serde_json::Value = serde_json::from_str(&zk.line().unwrap()).unwrap();
    let listen: Vec<_> = line["listen"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect();
    assert_eq!(listen.len(), 2);
    assert_eq!(port(listen[0]), port(listen[1]));
    assert!(listen.iter().all(|address| ask(address, "srvr").contains("Mode: standalone")));
}

/// Starts servers with throw-away certificates.
fn with_certificates(args: &[&str]) -> Program {
    Program::start(&[&["serve", "--tls-dev", DIR], args].concat())
}

/// Returns the next address for TLS.
fn tls_address(zk: &Program) -> String {
    let line = zk.line().expect("a line");
    line.strip_prefix("tls on ").unwrap_or_else(|| panic!("{line}")).into()
}

/// Returns true if only TLS is taken there: nothing else has an answer.
fn takes_only_tls(address: &str) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"srvr").unwrap();
    // The end may come as a reset, because the word is not read.
    match stream.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn each_server_has_a_port_for_tls_only_and_a_line_for_it_in_order() {
    let zk = with_certificates(&["--servers", "3", "--listen", "0", "--tls-listen", "0"]);
    let addresses = [zk.address(), zk.address(), zk.address()];
    let for_tls = [tls_address(&zk), tls_address(&zk), tls_address(&zk)];
    let ports: BTreeSet<_> = addresses.iter().chain(&for_tls).map(|address| port(address)).collect();
    assert_eq!(ports.len(), 6);
    for (plain, tls) in addresses.iter().zip(&for_tls) {
        assert!(takes_only_tls(tls));
        assert!(ask(plain, "conf").contains(&format!("secureClientPort={}\n", port(tls))));
    }
    zk.signal(Signal::SIGTERM);
    assert_eq!(zk.line(), None, "six lines");
    assert_eq!(zk.end().0.code(), Some(0));
}

#[test]
fn servers_get_the_next_ports_for_tls() {
    // Free ports in a row are found by trying.
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let tls = format!("--tls-listen={first}");
        let zk = with_certificates(&["--servers=2", "--listen=127.0.0.1:0", &tls]);
        let Some(_) = zk.line() else { continue };
        zk.address();
        assert_eq!(tls_address(&zk), first.to_string());
        assert_eq!(port(&tls_address(&zk)), first.port() + 1);
        break;
    }
}

#[test]
fn a_file_with_a_secure_port_alone_gives_each_server_only_that() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_certificates(&["--listen=127.0.0.1:0"]).address());
    let text = format!(
        "dataDir={}\nsecureClientPort=0\nsecureClientPortAddress=127.0.0.1\n\
         ssl.keyStore.location={DIR}/server.pem\nssl.trustStore.location={DIR}/ca.pem\n",
        dir.path().join("data").display()
    );
    let file = dir.path().join("zoo.cfg");
    std::fs::write(&file, text).unwrap();
    let zk = Program::start(&["serve", "--servers", "2", "--config", file.to_str().unwrap()]);
    let addresses = [zk.address(), zk.address()];
    assert_eq!([tls_address(&zk), tls_address(&zk)], addresses);
    assert!(port(&addresses[0]) != port(&addresses[1]));
    assert!(addresses.iter().all(|address| takes_only_tls(address)));
}

#[test]
fn each_server_has_its_port_for_tls_only_and_tells_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let tls = ["--tls-dev", dir.path().to_str().unwrap(), "--tls-listen", "127.0.0.1:0"];
    let serve = ["serve", "--servers=2", "--listen", "127.0.0.1:0"];
    let zk = Program::start(&[&serve[..], &tls].concat());
    let plain = [zk.address(), zk.address()].map(|address| port(&address));
    let tls_line = || zk.line().unwrap().strip_prefix("tls on ").map(port).unwrap();
    let all: BTreeSet<_> = [tls_line(), tls_line()].into_iter().chain(plain).collect();
    assert_eq!(all.len(), 4);
    drop(zk);

    let more = ["--tls-listen", "127.0.0.2:0", "--ready=json"];
    let zk = Program::start(&[&serve[..], &tls, &more].concat());
    for address in ["127.0.0.1:", "127.0.0.2:"] {
        let line: serde_json::Value = serde_json::from_str(&zk.line().unwrap()).unwrap();
        let [tls] = &line["tls"].as_array().unwrap()[..] else { panic!("{line}") };
        assert!(tls.as_str().unwrap().starts_with(address), "{line}");
    }
    drop(zk);

    let (status, stderr) = Program::start(&[&serve[..], &tls, &more, &more[..2]].concat()).end();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("take one --tls-listen") && stderr.contains("there are 3"), "{stderr}");
}

#[test]
fn addresses_that_do_not_fit_are_bad_options() {
    for (args, told) in [
        (&["--servers", "3", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"][..], "there are 2"),
        (&["--servers", "2", "--listen", "127.0.0.1:65535"], "choose a lower port"),
        (
            &["--servers", "3", "--tls-dev", DIR, "--tls-listen", "0", "--tls-listen", "0"],
            "take one --tls-listen",
        ),
        (
            &["--servers", "2", "--listen", "0", "--tls-dev", DIR, "--tls-listen", "65535"],
            "choose a lower port",
        ),
        (&["--servers", "0"], "a number, 1 to 99"),
        (&["--servers", "100"], "a number, 1 to 99"),
        (&["--servers", "1", "--observers", "1"], "needs --servers 2 or more"),
        (&["--observers", "1"], "--servers"),
        (
            &["--servers", "2", "--observers", "1", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"],
            "3 servers take",
        ),
    ] {
        let (status, stderr) = Program::start(&[&["serve"], args].concat()).end();
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
}

#[test]
fn exec_names_all_servers() {
    let exec = Program::start(&[
        "exec",
        "--servers",
        "3",
        "--",
        "sh",
        "-c",
        "echo $ZK_HOSTS; echo $ZK_HOST:$ZK_PORT",
    ]);
    let hosts = exec.line().unwrap();
    let hosts: Vec<_> = hosts.split(',').collect();
    assert_eq!(hosts.len(), 3);
    assert_eq!(exec.line().as_deref(), Some(hosts[0]));
}
