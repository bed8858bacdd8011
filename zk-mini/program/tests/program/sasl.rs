//! SASL by options, a JAAS file and a `zoo.cfg`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::Program;

const JAAS: &str = "Server {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  user_super=\"adminsecret\"\n  \
                    user_bob=\"bobsecret\";\n};\n";

/// Sends the handshake and a request, and returns the code of its reply and the rest.
fn ask(address: &str, op: i32, body: &[u8]) -> (i32, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let connect = [&[0; 12][..], &10_000_i32.to_be_bytes(), &[0; 8], &(-1_i32).to_be_bytes()].concat();
    exchange(&mut stream, &connect);
    let reply = exchange(&mut stream, &[&1_i32.to_be_bytes()[..], &op.to_be_bytes(), body].concat());
    let (header, rest) = reply.split_at(16);
    (i32::from_be_bytes(header[12..].try_into().unwrap()), rest.to_vec())
}

fn exchange(stream: &mut TcpStream, frame: &[u8]) -> Vec<u8> {
    stream.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(frame).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut reply).unwrap();
    reply
}

/// Begins an exchange, and returns the server's token, if there is one.
fn challenge(address: &str) -> Option<String> {
    let (code, body) = ask(address, 102, &0_i32.to_be_bytes());
    assert_eq!(code, 0);
    if body == (-1_i32).to_be_bytes() { None } else { Some(String::from_utf8(body[4..].to_vec()).unwrap()) }
}

/// Gets the data of the root, and returns the code.
fn read_root(address: &str) -> i32 {
    ask(address, 4, b"\0\0\0\x01/\0").0
}

#[test]
fn users_come_from_options_or_from_a_jaas_file() {
    let dir = tempfile::tempdir().unwrap();
    let jaas = dir.path().join("jaas.conf");
    fs::write(&jaas, JAAS).unwrap();
    for options in [&["--sasl-user", "bob:secret"][..], &["--jaas", jaas.to_str().unwrap()]] {
        let zk = Program::start(&[&["serve", "--port", "0"], options].concat());
        let address = zk.address();
        let challenge = challenge(&address).unwrap();
        assert!(challenge.starts_with("realm=\"zk-sasl-md5\",nonce=\""), "{challenge}");
        assert_eq!(read_root(&address), 0);
    }
    let zk = Program::start(&["serve", "--port", "0"]);
    assert_eq!(challenge(&zk.address()), None);
}

#[test]
fn a_zoo_cfg_can_require_sasl() {
    let dir = tempfile::tempdir().unwrap();
    let (jaas, cfg) = (dir.path().join("jaas.conf"), dir.path().join("zoo.cfg"));
    fs::write(&jaas, JAAS).unwrap();
    let provider = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n";
    for (keys, required) in [
        ("sessionRequireClientSASLAuth=true\n", true),
        ("enforce.auth.enabled=true\nenforce.auth.schemes=digest, sasl\n", true),
        ("enforce.auth.schemes=digest\n", false),
        ("enforce.auth.enabled=true\nenforce.auth.schemes=ip\n", false),
    ] {
        let text = format!("clientPort=0\ndataDir={}\n{provider}{keys}", dir.path().join("data").display());
        fs::write(&cfg, text).unwrap();
        let files = ["--config", cfg.to_str().unwrap(), "--jaas", jaas.to_str().unwrap()];
        let zk = Program::start(&[&["serve"], &files[..]].concat());
        let address = zk.address();
        assert_eq!(read_root(&address), if required { -124 } else { 0 }, "{keys}");
        assert!(challenge(&address).is_some());
        zk.signal(Signal::SIGTERM);
        let (_, stderr) = zk.end();
        assert!(!stderr.contains("WARN"), "{stderr}");
    }
}

#[test]
fn half_of_the_settings_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let (jaas, cfg) = (dir.path().join("jaas.conf"), dir.path().join("zoo.cfg"));
    fs::write(&jaas, JAAS).unwrap();
    let data = format!("clientPort=0\ndataDir={}\n", dir.path().join("data").display());
    let provider = "authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n";
    for (text, options, said) in [
        (data.clone(), &["--jaas", jaas.to_str().unwrap()][..], "ACLs cannot name them"),
        (format!("{data}{provider}"), &[], "nobody can authenticate: --jaas FILE names the users"),
        (
            format!("{data}requireClientAuthScheme=sasl\n"),
            &[],
            "sessionRequireClientSASLAuth=true is the key",
        ),
        (format!("{data}authProvider.2=org.example.Other\n"), &[], "authProvider.2 is ignored"),
    ] {
        fs::write(&cfg, text).unwrap();
        let zk = Program::start(&[&["serve", "--config", cfg.to_str().unwrap()], options].concat());
        let _ready = zk.address();
        zk.signal(Signal::SIGTERM);
        let (_, stderr) = zk.end();
        assert!(stderr.contains(said), "{said} is not in\n{stderr}");
    }
}

#[test]
fn options_about_users_are_refused_where_there_are_none() {
    for option in ["--sasl-super-user=super", "--allow-sasl-failed-clients"] {
        for command in [&["serve", "--port=0", option][..], &["exec", option, "--", "true"]] {
            let (status, stderr) = Program::start(command).end();
            assert_eq!(status.code(), Some(2), "{command:?}: {stderr}");
            assert!(stderr.contains("there are none: name them with --jaas FILE"), "{stderr}");
        }
        let (status, stderr) =
            Program::start(&["exec", "--sasl-user=super:secret", option, "--", "true"]).end();
        assert_eq!(status.code(), Some(0), "{stderr}");
    }
}

#[test]
fn a_bad_jaas_file_ends_with_status_2_and_names_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let jaas = dir.path().join("jaas.conf");
    let digest = "org.apache.zookeeper.server.auth.DigestLoginModule required";
    for (text, said) in [
        ("Client {\n};\n".to_owned(), "jaas.conf:2: there is no section Server; the file has Client"),
        (format!("Server {{\n  {digest}\n  user_bob=secret\n}};\n"), "jaas.conf:4: expected an option, or ;"),
        (
            "Server {\n  com.sun.security.auth.module.Krb5LoginModule required;\n};".into(),
            "jaas.conf:2: Kerberos is not supported",
        ),
        (
            format!("Server {{\n  {digest} \"user_a@b\"=\"c\";\n}};"),
            "the SASL user \"a@b\" has an @ in the name",
        ),
    ] {
        fs::write(&jaas, text).unwrap();
        let (status, stderr) =
            Program::start(&["serve", "--port", "0", "--jaas", jaas.to_str().unwrap()]).end();
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said), "{said} is not in\n{stderr}");
    }
    let (status, stderr) = Program::start(&["serve", "--port", "0", "--jaas", "/nonexistent"]).end();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains("cannot read /nonexistent"), "{stderr}");
}
