//! `zk-mini serve`.

use std::fs;
use std::net::{TcpListener, TcpStream};

use nix::sys::signal::Signal;

use crate::process::{Program, ask, granted_timeout, is_ok};

#[test]
fn the_address_is_printed_and_sigterm_and_sigint_stop_cleanly() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let zk = Program::start(&["serve", "--listen", "127.0.0.1:0"]);
        let address = zk.address();
        assert!(is_ok(&address));
        let _connected = TcpStream::connect(&address).unwrap();
        zk.signal(signal);
        assert_eq!(zk.line(), None, "nothing else on standard output");
        assert_eq!(zk.end().0.code(), Some(0));
        assert!(TcpStream::connect(&address).is_err());
    }
}

/// Returns the zxid that `srvr` shows.
fn zxid(address: &str) -> i64 {
    let answer = ask(address, "srvr");
    let zxid = answer.lines().find_map(|line| line.strip_prefix("Zxid: 0x"));
    i64::from_str_radix(zxid.expect("srvr shows it"), 16).unwrap()
}

#[test]
fn a_restarted_server_in_memory_is_ahead_of_all_zxids_that_clients_have_seen() {
    let mut seen = 0;
    for _ in 0..2 {
        let zk = Program::start(&["serve", "--listen", "127.0.0.1:0"]);
        let address = zk.address();
        let begins = zxid(&address);
        assert!(begins > seen, "{begins:#x} after {seen:#x}");
        granted_timeout(&address, 4_000);
        seen = zxid(&address);
        assert_eq!(seen, begins + 1, "a session began");
        zk.signal(Signal::SIGTERM);
        zk.end();
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let zk = Program::start(&["serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--private-sessions"]);
    assert_eq!(zxid(&zk.address()), 0, "a new directory begins as ZooKeeper does");
    assert!(fs::exists(format!("{dir}/zk-mini.secret")).unwrap());
}

#[test]
fn a_name_may_be_given_instead_of_an_address() {
    let zk = Program::start(&["serve", "--listen", "localhost:0"]);
    assert!(is_ok(&zk.address()));
}

#[test]
fn a_port_in_use_ends_with_status_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, stderr) = Program::start(&["serve", "--listen", &address]).end();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains(&format!("cannot listen on {address}: the address is in use")), "{stderr}");
}

#[test]
fn a_bad_address_is_an_error_that_shows_the_right_form() {
    for address in ["127.0.0.1:99999", "::1:2181x", "localhost:", "a b:1", "http://localhost:2181"] {
        let (status, stderr) = Program::start(&["serve", "--listen", address]).end();
        assert_eq!(status.code(), Some(2));
        assert!(stderr.contains(address) && stderr.contains("HOST:PORT"), "{stderr}");
    }
    let (status, stderr) = Program::start(&["serve", "--listen", "no-such-host.invalid:0"]).end();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains("no-such-host.invalid"), "{stderr}");
}

#[test]
fn options_for_the_certificates_of_clients_are_refused_where_nothing_speaks_tls() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name| dir.path().join(name).display().to_string();
    // It makes the certificates.
    drop(Program::start(&["serve", "--listen", "127.0.0.1:0", "--tls-dev", &path("dev")]).address());
    let (ca, config, data) = (path("dev/ca.pem"), path("zoo.cfg"), path("data"));
    let key_store = format!("ssl.keyStore.location={}\n", path("dev/server.pem"));
    for options in [["--tls-ca", &ca], ["--tls-client-auth", "need"]] {
        let serve = |text: &str| {
            fs::write(&config, text).unwrap();
            Program::start(&[&["serve", "--config", &config, "--data-dir", &data], &options[..]].concat())
        };
        for (text, said) in [
            ("clientPort=0\n".to_owned(), "needs a certificate of the server"),
            (format!("clientPort=0\n{key_store}"), "is for a port that speaks TLS, and none does"),
        ] {
            let (status, stderr) = serve(&text).end();
            assert_eq!(status.code(), Some(2), "{stderr}");
            assert!(stderr.contains(&format!("{} {said}", options[0])), "{stderr}");
        }
        fs::write(&config, "clientPort=0\n").unwrap();
        Program::start(&["serve", "--config", &config, "--data-dir", &data, "--tls-client-auth", "none"])
            .address();
        // The certificate of the server may be that of the file.
        let trust_store = format!("ssl.trustStore.location={ca}\n");
        serve(&format!("secureClientPort=0\n{key_store}{trust_store}")).address();
    }
}

#[test]
fn options_override_the_file_and_the_file_overrides_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg");
    let text =
        "clientPort=0\nclientPortAddress=127.0.0.1\ntickTime=100\nmaxSessionTimeout=50000\ninitLimit=5\n";
    fs::write(&file, format!("{text}dataDir={}/data\n", dir.path().display())).unwrap();
    let file = file.to_str().unwrap();

    let zk = Program::start(&["serve", "--config", file]);
    let address = zk.address();
    assert_eq!((granted_timeout(&address, 1), granted_timeout(&address, 90_000)), (200, 50_000));
    zk.signal(Signal::SIGTERM);
    let stderr = zk.end().1;
    assert_eq!(stderr.matches("initLimit").count(), 1, "{stderr}");
    assert!(!stderr.contains("tickTime"), "{stderr}");

    let other = dir.path().join("other");
    let other = ["--data-dir", other.to_str().unwrap()];
    let options = ["serve", "--config", file, "--tick-ms", "300", "--listen", "127.0.0.1:0"];
    let zk = Program::start(&[&options[..], &other].concat());
    let address = zk.address();
    assert_eq!((granted_timeout(&address, 1), granted_timeout(&address, 90_000)), (600, 50_000));
}

/// Default configuration that kazoo's test harness writes (kazoo 2.11, `kazoo/testing/common.py`).
const KAZOO: &str = "
tickTime=2000
dataDir=DIR
clientPort=0
secureClientPort=0
maxClientCnxns=0
admin.serverPort=0
serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory
authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider
ssl.keyStore.location=STORES/key.jks
ssl.keyStore.password=apassword
ssl.trustStore.location=STORES/trust.jks
ssl.trustStore.password=apassword
4lw.commands.whitelist=*
reconfigEnabled=true
localSessionsEnabled=false
localSessionsUpgradingEnabled=false
DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=
";

#[test]
fn the_file_of_kazoos_test_harness_is_served_and_no_key_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg");
    let stores = concat!(env!("CARGO_MANIFEST_DIR"), "/../common/tests/stores");
    let text = KAZOO.replace("DIR", dir.path().to_str().unwrap()).replace("STORES", stores);
    fs::write(&file, text).unwrap();
    let zk = Program::start(&["serve", "--config", file.to_str().unwrap()]);
    let address = zk.address();
    assert!(ask(&address, "conf").contains("\ntickTime=2000\nmaxClientCnxns=0\n"));
    zk.signal(Signal::SIGTERM);
    let (status, stderr) = zk.end();
    assert_eq!(status.code(), Some(0));
    let warned: Vec<_> = stderr.lines().filter(|line| line.contains(" is ignored: ")).collect();
    assert_eq!(warned.len(), 0, "{stderr}");
}

#[test]
fn every_setting_has_an_option() {
    let zk = Program::start(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--compat=3.8",
        "--tick-ms=100",
        "--min-session-timeout-ms=300",
        "--max-session-timeout-ms=-1",
        "--max-client-cnxns=7",
        "--jute-max-buffer=2000000",
        "--four-letter-words=conf",
        "--extended-types",
        "--container-check-interval-ms=50",
        "--super-digest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
        "--skip-acl",
        "--enforce-quota=true",
        "--reconfig-enabled=false",
    ]);
    let address = zk.address();
    assert!(ask(&address, "srvr").starts_with("Zookeeper version: 3.8."));
    assert_eq!(ask(&address, "ruok"), "ruok is not executed because it is not in the whitelist.\n");
    let conf = "\ntickTime=100\nmaxClientCnxns=7\nminSessionTimeout=300\nmaxSessionTimeout=2000\n";
    assert!(ask(&address, "conf").contains(conf));
}

#[test]
fn of_an_option_that_is_repeated_the_last_one_counts() {
    let options =
        ["--compat=3.8", "--skip-acl", "--tick-ms=100", "--compat=3.9", "--skip-acl", "--tick-ms=70"];
    let zk = Program::start(&[&["serve", "--listen=127.0.0.1:0"][..], &options].concat());
    let address = zk.address();
    assert!(ask(&address, "srvr").starts_with("Zookeeper version: 3.9."));
    assert!(ask(&address, "conf").contains("\ntickTime=70\n"));
}

#[test]
fn a_bad_option_is_an_error_that_shows_the_right_form() {
    for (option, expected) in [
        ("--tick-ms=0", "a number of milliseconds, 1 or more"),
        ("--compat=3.4", "3.8 or 3.9"),
        ("--jute-max-buffer=1M", "a number of bytes"),
        ("--extended-types=maybe", "true, false"),
        ("--super-digest=secret", "USER:HASH"),
        (
            "--super-digest=super:secret",
            "`printf %s USER:PASSWORD | openssl sha1 -binary | base64` prints it",
        ),
        ("--jute-max-buffer=44", "from 45, the length of the request for a session"),
        ("--servers=x", "a number, 1 to 99"),
        ("--observers=x", "a number, 0 to 97"),
        ("--jute-max-buffer=536870913", "up to 536870912, which are 512 MiB"),
        ("--retain-snapshots=0", "a number of snapshots, 1 or more"),
        ("--port=abc", "a port, 0 to 65535"),
    ] {
        let (status, stderr) = Program::start(&["serve", option]).end();
        assert_eq!(status.code(), Some(2));
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn options_of_http_that_is_off_are_an_error() {
    for option in ["--http-token-file=token", "--http-open=metrics"] {
        for command in [&["serve", "--http=off", option][..], &["exec", "--http=off", option, "--", "true"]] {
            let (status, stderr) = Program::start(command).end();
            assert_eq!(status.code(), Some(2), "{stderr}");
            assert!(stderr.contains("--http off leaves nothing for --http-"), "{stderr}");
        }
    }
}

#[test]
fn unknown_four_letter_words_are_warned_of() {
    let (status, stderr) = Program::start(&["exec", "--four-letter-words=foo,ruok,", "--", "true"]).end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(stderr.matches("the server knows no such four-letter word").count(), 1, "{stderr}");
    assert!(stderr.contains("foo") && !stderr.contains("ruok"), "{stderr}");
}

#[test]
fn options_of_data_on_disk_need_a_data_directory() {
    for option in ["--data-log-dir=logs", "--sync=always", "--retain-snapshots=3", "--pre-alloc-size=65536"] {
        for command in [&["serve", "--listen", "127.0.0.1:0", option][..], &["exec", option, "--", "true"]] {
            let (status, stderr) = Program::start(command).end();
            assert_eq!(status.code(), Some(2), "{command:?}: {stderr}");
            assert!(stderr.contains("add --data-dir DIR"), "{stderr}");
        }
    }
    let (status, stderr) = Program::start(&["exec", "--private-sessions", "--", "true"]).end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("--private-sessions has no effect without --data-dir"), "{stderr}");
}

#[test]
fn the_loopback_address_of_ipv6_is_served() {
    let zk = Program::start(&["serve", "--listen", "[::1]:0"]);
    let address = zk.address();
    assert!(address.starts_with("[::1]:"), "{address}");
    assert!(is_ok(&address));
    assert!(ask(&address, "stat").contains(" /[0:0:0:0:0:0:0:1]:"));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg");
    let text = "clientPort=0\nclientPortAddress=::1\nserver.1=localhost:2888:3888\ndataDir=";
    fs::write(&file, format!("{text}{}\n", dir.path().display())).unwrap();
    let zk = Program::start(&["serve", "--config", file.to_str().unwrap()]);
    assert!(ask(&zk.address(), "srvr").starts_with("Zookeeper version"));
}

#[test]
fn a_bad_file_is_an_error_with_its_name_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg");
    let start = || Program::start(&["serve", "--config", file.to_str().unwrap()]).end();
    let (status, stderr) = start();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains(file.to_str().unwrap()), "{stderr}");
    fs::write(&file, "\ntickTime=soon\n").unwrap();
    let (status, stderr) = start();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains(&format!("{}:2: tickTime is \"soon\"", file.display())), "{stderr}");
}

#[test]
fn contradictory_timeouts_are_an_error() {
    let (status, stderr) =
        Program::start(&["serve", "--listen", "127.0.0.1:0", "--min-session-timeout-ms", "50000"]).end();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains("50000 ms") && stderr.contains("40000 ms"), "{stderr}");
}

#[test]
fn help_shows_the_defaults() {
    let help = Program::start(&["serve", "--help"]);
    let text: Vec<_> = std::iter::from_fn(|| help.line()).collect();
    let text = text.join("\n");
    for part in ["127.0.0.1:2181", "--config", "--data-dir", "memory only", "2 ticks", "20 ticks", "2000"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

/// Returns the log of a server that is started on a directory and then stopped.
fn logged_on(dir: &std::path::Path) -> String {
    let zk = Program::start(&["serve", "--listen", "127.0.0.1:0", "--data-dir", dir.to_str().unwrap()]);
    assert!(is_ok(&zk.address()));
    zk.signal(Signal::SIGTERM);
    zk.end().1
}

#[test]
fn the_directory_of_a_member_of_an_ensemble_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!logged_on(dir.path()).contains("myid"));
    fs::write(dir.path().join("myid"), "1\n").unwrap();
    let logged = logged_on(dir.path());
    assert!(
        logged.contains("WARN") && logged.contains("myid says that this is the directory of a member"),
        "{logged}"
    );
}

#[test]
fn bytes_cut_off_a_log_are_logged_with_place_and_size() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("version-2");
    fs::create_dir(&files).unwrap();
    // A header, and the beginning of a record of 100 bytes.
    let record = [&7_i64.to_be_bytes()[..], &100_i32.to_be_bytes(), &[1; 60]].concat();
    let log = [b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0", &record[..]].concat();
    fs::write(files.join("log.1"), log).unwrap();
    let logged = logged_on(dir.path());
    let side = files.join("zk-mini.cut.log.1.from-byte-16");
    for part in ["WARN", "log.1 ", "byte=16", "bytes=72", side.to_str().unwrap()] {
        assert!(logged.contains(part), "{part} in {logged}");
    }
    assert_eq!(fs::read(side).unwrap(), record);
}
