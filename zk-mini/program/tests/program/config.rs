//! `zk-mini serve --config`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::process::{Program, ask, granted_timeout};

fn serve(dir: &Path, text: &[u8], options: &[&str]) -> Program {
    let file = dir.join("zoo.cfg");
    fs::write(&file, text).unwrap();
    Program::start(&[&["serve", "--config", file.to_str().unwrap()], options].concat())
}

/// Serves with a data directory on a free port.
fn serve_with(dir: &Path, text: &str, options: &[&str]) -> Program {
    let text = format!("{text}\nclientPort=0\ndataDir={}\n", dir.join("data").display());
    serve(dir, text.as_bytes(), options)
}

#[test]
fn a_bad_configuration_ends_with_status_2_and_shows_the_right_form() {
    let dir = tempfile::tempdir().unwrap();
    for (text, said) in [
        (&b"clientPort=0\ndatadir=/tmp/x\n"[..], "datadir is not a ZooKeeper key; did you mean dataDir?"),
        (b"clientPort=0\ndataDir=/tmp/x\nzookeeper.ticktime=1\n", "did you mean tickTime?"),
        (b"clientPort=0\ntickTime=2000\n", "dataDir is missing: add dataDir=DIR"),
        (b"", "dataDir is missing"),
        (b"dataDir=\n", "it must be a directory"),
        (b"\x7fELF\x02\x01\x01\0\0\0", ": invalid text: "),
        (b"\xff\xfed\0a\0t\0a\0", ": invalid text: "),
        (b"dataDir=/tmp/\\u12\n", "hexadecimal"),
        (b"dataDir=/tmp/x\nenforce.auth.enabled=true\n", "enforce.auth.schemes must name schemes"),
        (
            b"dataDir=/tmp/x\nclientPort=0\nenforce.auth.enabled=true\nenforce.auth.schemes=kerberos\n",
            "authenticate by \"kerberos\", which this server does not know",
        ),
        (
            b"dataDir=/tmp/x\nsessionRequireClientSaslAuth=true\n",
            "did you mean sessionRequireClientSASLAuth?",
        ),
        (b"dataDir=/tmp/x\nmaxcnxns=5\n", "did you mean maxCnxns?"),
        (b"dataDir=/tmp/x\naudit.enabled=true\n", "did you mean audit.enable?"),
        (b"dataDir=/tmp/x\nconnectionMaxToken=5\n", "did you mean connectionMaxTokens?"),
        (b"dataDir=/tmp/x\nconnection_throttle_token=5\n", "did you mean connection_throttle_tokens?"),
        (b"dataDir=/tmp/x\nconnectionMaxTokens=-1\n", "a number, 0 or more"),
        (b"dataDir=/tmp/x\nconnection_throttle_drop_increase=2\n", "a number between 0 and 1"),
        (b"dataDir=/tmp/x\nclientPort=70000\n", "a port, 0 to 65535"),
        (b"dataDir=/tmp/x\nclientPortAddress=not a host\n", "a host or an address"),
        (
            b"dataDir=/tmp/x\nclientPort=0\nminSessionTimeout=9\nmaxSessionTimeout=8\n",
            "longer than the longest",
        ),
    ] {
        let (status, stderr) = serve(dir.path(), text, &[]).end();
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said), "{said} is not in\n{stderr}");
    }
}

#[test]
fn unknown_keys_are_warned_of_and_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let text = "admin.idleTimeout=1\nmetricsProvider.className=org.x.Y\nmetricsProvider.httpPort=7000\n\
                quorumListenOnAllIPs=true\nserver.1=localhost:2888:3888\nmy.own.property=1\nfsync.warningthresholdms=5\n\
                initLimit=10\nsyncLimit=5\nleaderServes=yes\naudit.impl.class=org.x.Y\nadmin.enableserver=x\n";
    let zk = serve_with(dir.path(), text, &[]);
    let _ready = zk.address();
    zk.signal(Signal::SIGTERM);
    let (status, stderr) = zk.end();
    assert_eq!(status.code(), Some(0));
    assert_eq!(stderr.matches(" is ignored: ").count(), 12, "{stderr}");
}

#[test]
fn a_limit_of_frames_that_no_server_has_becomes_the_nearest_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let zk = serve_with(dir.path(), "jute.maxbuffer=2147483647", &[]);
    let _ready = zk.address();
    zk.signal(Signal::SIGTERM);
    let (_, stderr) = zk.end();
    assert!(stderr.contains("jute.maxbuffer is taken as 536870912"), "{stderr}");
    let zk = serve_with(dir.path(), "jute.maxbuffer=0", &[]);
    assert_eq!(granted_timeout(&zk.address(), 10_000), 10_000, "a client has its session");
    zk.signal(Signal::SIGTERM);
    let stderr = zk.end().1;
    assert!(stderr.contains("jute.maxbuffer is taken as 45"), "{stderr}");
}

#[test]
fn the_defaults_with_a_file_are_those_of_zookeeper() {
    let dir = tempfile::tempdir().unwrap();
    let zk = serve_with(dir.path(), "", &[]);
    let address = zk.address();
    assert_eq!((granted_timeout(&address, 1), granted_timeout(&address, i32::MAX)), (6_000, 60_000));
    assert!(ask(&address, "srvr").starts_with("Zookeeper version"));
    for word in ["ruok", "stat", "mntr", "conf", "wchp"] {
        assert_eq!(
            ask(&address, word),
            format!("{word} is not executed because it is not in the whitelist.\n")
        );
    }
    drop(zk);
    for (text, options) in [("4lw.commands.whitelist=*", &[][..]), ("", &["--four-letter-words=*"])] {
        let zk = serve_with(dir.path(), text, options);
        assert_eq!(ask(&zk.address(), "ruok"), "imok");
    }
}

#[test]
fn conf_shows_the_entries_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "\u{feff}tickTime=1000\nmaxClientCnxns=-1\nclientPortListenBacklog=7\n4lw.commands.whitelist=conf\n";
    let zk = serve_with(dir.path(), text, &[]);
    let conf = ask(&zk.address(), "conf");
    for line in ["tickTime=1000", "maxClientCnxns=-1", "clientPortListenBacklog=7"] {
        assert!(conf.lines().any(|shown| shown == line), "{line} is not in\n{conf}");
    }
}

#[test]
fn a_data_directory_on_the_command_line_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let zk = serve(dir.path(), b"clientPort=0\n", &["--data-dir", data.to_str().unwrap()]);
    let _ready = zk.address();
    assert!(data.join("version-2").is_dir());
}

#[test]
fn the_rest_of_a_production_file_works_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let text = "maxCnxns=100\nconnection_throttle_tokens=50\nconnection_throttle_fill_time=1000\n\
                connection_throttle_fill_count=10\nconnection_throttle_freeze_time=-1\n\
                connection_throttle_weight_enabled=true\nenforce.auth.enabled=true\nenforce.auth.schemes=ip\n\
                clientPortListenBacklog=10\naudit.enable=false\n4lw.commands.whitelist=mntr\n\
                localSessionsEnabled=false\nlocalSessionsUpgradingEnabled=true\nletAnySaslUserDoX=bob\n";
    let zk = serve_with(dir.path(), text, &[]);
    let address = zk.address();
    granted_timeout(&address, 10_000);
    let figures = ask(&address, "mntr");
    assert!(figures.contains("zk_connection_drop_probability\t0.0"), "{figures}");
    zk.signal(Signal::SIGTERM);
    let (status, stderr) = zk.end();
    assert_eq!(status.code(), Some(0));
    assert!(!stderr.contains("WARN"), "{stderr}");
}

#[test]
fn servers_have_the_addresses_of_their_lines() {
    let dir = tempfile::tempdir().unwrap();
    let text = "4lw.commands.whitelist=conf\nserver.1=zk1:2881:3881;2181\nserver.2=zk2:2882:3882\n";
    let zk = serve_with(dir.path(), text, &["--servers", "2"]);
    let (_, second) = (zk.address(), zk.address());
    let conf = ask(&second, "conf");
    for line in ["quorumPort=2882", "electionPort=3882"] {
        assert!(conf.lines().any(|shown| shown == line), "{line} is not in\n{conf}");
    }
    for server in
        ["server.1=zk1:2881:3881:participant;127.0.0.1:", "server.2=zk2:2882:3882:participant;127.0.0.1:"]
    {
        assert!(conf.contains(server), "{server} is not in\n{conf}");
    }
    zk.signal(Signal::SIGTERM);
    let (_, stderr) = zk.end();
    assert!(!stderr.contains("is ignored"), "{stderr}");
    let (status, stderr) = serve(dir.path(), b"dataDir=/tmp/x\nserver.2=zk2\n", &["--servers=2"]).end();
    assert_eq!(status.code(), Some(2));
    assert!(stderr.contains("server.2 is \"zk2\"; it must be host:port:port"), "{stderr}");
}

/// Returns the value of a figure.
fn figure(address: &str, name: &str) -> String {
    let figures = ask(address, "mntr");
    let value = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    value.unwrap_or_else(|| panic!("{name} is not in\n{figures}")).to_owned()
}

#[test]
fn local_sessions_are_those_of_one_server_and_a_single_server_says_that_it_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let text = "localSessionsEnabled=true\n4lw.commands.whitelist=*\n";
    let zk = serve_with(dir.path(), text, &["--servers", "2"]);
    let (first, second) = (zk.address(), zk.address());
    granted_timeout(&first, 10_000);
    let sessions = [&first, &second]
        .map(|address| ["zk_local_sessions", "zk_global_sessions"].map(|name| figure(address, name)));
    assert_eq!(sessions, [["1", "0"], ["0", "0"]]);
    drop(zk);
    let zk = serve_with(dir.path(), text, &[]);
    let address = zk.address();
    granted_timeout(&address, 10_000);
    assert_eq!(["zk_local_sessions", "zk_global_sessions"].map(|name| figure(&address, name)), ["0", "1"]);
    zk.signal(Signal::SIGTERM);
    let (_, stderr) = zk.end();
    assert_eq!(
        stderr.matches("localSessionsEnabled has no effect on a single server").count(),
        1,
        "{stderr}"
    );
}

/// Asks for a session. Returns false if the server closes the connection without an answer.
fn is_granted_a_session(address: &str) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut request = vec![0; 48];
    request[3] = 44;
    request[18] = 100;
    request[31] = 16;
    stream.write_all(&request).unwrap();
    stream.read(&mut [0; 4]).is_ok_and(|read| read > 0)
}

#[test]
fn a_throttle_refuses_clients_that_come_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let text = "connectionMaxTokens=2\nconnectionTokenFillTime=1000000\n";
    let zk = serve_with(dir.path(), text, &[]);
    let address = zk.address();
    for expected in [true, true, false] {
        assert_eq!(is_granted_a_session(&address), expected);
    }
    zk.signal(Signal::SIGTERM);
    let (_, stderr) = zk.end();
    assert_eq!(stderr.matches("connection_throttle_…").count(), 2, "{stderr}");
    assert!(stderr.contains("too many connections at a time (connection_throttle_tokens)"), "{stderr}");
}
