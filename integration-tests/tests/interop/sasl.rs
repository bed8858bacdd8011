//! SASL between our client, Java's client, our server and Apache ZooKeeper: they agree on who is let in.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use integration_tests::ensemble::RealZooKeeper;
use integration_tests::java::JavaPrograms;
use integration_tests::process::Process;
use integration_tests::programs::ServeProcess;
use integration_tests::raw::{RawClient, buffer, op, path_and_watch};
use registry::{Instance, Registry};
use tempfile::TempDir;
use zk_client::{Acl, Client, CreateMode, Error, ErrorCode, LoginError};
use zk_mini_common::digest_md5::{DIGEST_URI, answer};

const USERS: &str = "Server {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  \
                     user_super=\"adminsecret\" user_bob=\"bob\\\"secret\";\n};\n";

const PASSWORD: &str = "bob\"secret";

/// Op code of a token.
const SASL: i32 = 102;

/// Writes a JAAS file.
fn jaas(dir: &TempDir, text: &str) -> String {
    let file = dir.path().join("jaas.conf");
    fs::write(&file, text).expect("a file");
    file.display().to_string()
}

fn real(jaas: &str, requires_sasl: bool) -> RealZooKeeper {
    RealZooKeeper::builder()
        .jvm_option(format!("-Djava.security.auth.login.config={jaas}"))
        .setting("authProvider.1", "org.apache.zookeeper.server.auth.SASLAuthenticationProvider")
        .setting("superUser", "super")
        .setting("sessionRequireClientSASLAuth", requires_sasl)
        .start()
        .expect("a real server")
}

fn mini(jaas: &str, requires_sasl: bool) -> ServeProcess {
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--jaas", jaas, "--sasl-super-user", "super"];
    if requires_sasl {
        args.push("--require-auth=sasl");
    }
    ServeProcess::with_args(&args)
}

#[test]
fn javas_client_logs_in_to_zk_mini() {
    let dir = tempfile::tempdir().unwrap();
    let zk = mini(&jaas(&dir, USERS), true);
    assert_eq!(
        run_java(dir.path(), zk.addr(), "bob\\\"secret"),
        ["state SaslAuthenticated", "user bob", "acl sasl:bob", "done"]
    );
    assert_eq!(run_java(dir.path(), zk.addr(), "wrong"), ["state AuthFailed", "done"]);
}

fn run_java(dir: &Path, servers: SocketAddr, password: &str) -> Vec<String> {
    let file = dir.join("client.conf");
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule required";
    let text = format!("Client {{\n  {module} username=\"bob\" password=\"{password}\";\n}};\n");
    fs::write(&file, text).expect("a file");
    let java = JavaPrograms::compile("tests/interop/java");
    // Unless told otherwise, Java's client has no DIGEST-MD5 since 3.9.
    let options = [
        format!("-Djava.security.auth.login.config={}", file.display()),
        "-Dzookeeper.fips-mode=false".into(),
    ];
    let mut program = Process::start(java.command_with(&options, "SaslClient").arg(servers.to_string()));
    program.line_that("done", Duration::from_secs(60), |line| line == "done");
    program.stdout().lines().map(String::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_logs_in_to_apache_zookeeper_and_to_zk_mini() {
    let dir = tempfile::tempdir().unwrap();
    let jaas = jaas(&dir, USERS);
    for requires_sasl in [true, false] {
        let (real, mini) = (real(&jaas, requires_sasl), mini(&jaas, requires_sasl));
        for servers in [real.connect_string(), mini.addr().to_string()] {
            log_in(&servers, requires_sasl).await;
        }
    }
}

async fn log_in(servers: &str, requires_sasl: bool) {
    let client = || Client::builder().servers(servers);
    let bob = client().sasl("bob", PASSWORD).connect().await.expect("bob is let in");
    let of_creator = [Acl::creator_only()];
    bob.create_with_acl("/own", "data", CreateMode::Persistent, &of_creator)
        .await
        .expect("bob is authenticated");
    assert_eq!(bob.get("/own").await.expect("he may read it").0, "data");
    if !requires_sasl {
        let other = client().auth("digest", "bob:secret").connect().await.expect("anybody is let in");
        let refused = other.get("/own").await.expect_err("it is not his");
        assert_eq!(refused.code(), Some(ErrorCode::NO_AUTH));
    }

    let refused = client().sasl("bob", "wrong").connect().await.expect_err("a wrong password");
    let code =
        if requires_sasl { ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH } else { ErrorCode::AUTH_FAILED };
    assert!(
        matches!(&refused, Error::Login { user, reason: LoginError::Refused(found) } if user == "bob" && *found == code),
        "{refused}"
    );
    let admin = client().sasl("super", "adminsecret").connect().await.expect("super is let in");
    assert_eq!(admin.get("/own").await.expect("super may do everything").0, "data");

    let registry =
        Registry::builder().servers(servers).sasl("bob", PASSWORD).connect().await.expect("a session");
    let service =
        registry.register("demo", Instance::new("127.0.0.1", 8080)).await.expect("it is registered");
    assert_eq!(registry.discover("demo").await.expect("it is found").len(), 1);
    drop(service);

    let (mut credentials, timeout) = (registry.credentials().expect("a session"), Duration::from_secs(20));
    if requires_sasl {
        let closed = registry::close_session(servers, &credentials, Duration::from_millis(500)).await;
        assert!(closed.is_err(), "nobody may close a session");
        credentials = registry.credentials().expect("it lives on");
    }
    let closer = Registry::builder().servers(servers).sasl("bob", PASSWORD);
    closer.close_session(&credentials, timeout).await.expect("bob may");

    if requires_sasl {
        let nobody = client().connect().await.expect("the handshake needs no identity");
        let refused = nobody.exists("/").await.expect_err("nobody may do anything");
        assert!(refused.code() == Some(code) || matches!(refused, Error::ConnectionLost { .. }), "{refused}");
    }
}

/// Answers of a server to one token: the code and the beginning of the body of each reply, and whether it closed the connection.
#[derive(Debug, Eq, PartialEq)]
struct Judgement {
    replies: Vec<(i32, Vec<u8>)>,
    is_closed: bool,
}

/// Sends the empty token, then what `change` makes of an honest answer, then a read.
fn judge(server: SocketAddr, uri: &str, change: impl Fn(String) -> Vec<u8>) -> Judgement {
    let mut client = RawClient::with_session(server);
    client.request(1, SASL, &buffer(b""));
    let challenge = client.reply().expect("a challenge").body;
    let honest = answer(&challenge[4..], "bob", PASSWORD, uri, "cnonce").expect("an honest challenge");
    let token = change(String::from_utf8(honest.token).expect("text"));
    client.request(2, SASL, &buffer(&token));
    client.request(3, op::GET_DATA, &path_and_watch("/"));
    let mut replies = Vec::new();
    while replies.len() < 2
        && let Some(reply) = client.reply()
    {
        // The proof depends on the nonce.
        replies.push((reply.error, reply.body[..reply.body.len().min(12)].to_vec()));
    }
    Judgement { is_closed: replies.len() < 2, replies }
}

#[test]
fn tokens_are_judged_alike_by_both_servers() {
    let dir = tempfile::tempdir().unwrap();
    let jaas = jaas(&dir, USERS);
    let (real, mini) = (real(&jaas, false), mini(&jaas, false));
    let mut cases: Vec<(&str, &str)> = vec![
        ("", ""),
        ("charset=utf-8,", ""),
        ("charset=utf-8", "charset=UTF-8"),
        ("charset=utf-8", "charset=utf-8,charset=utf-8"),
        (",qop=auth", ""),
        ("qop=auth", "qop=\"auth\""),
        ("qop=auth", "qop=AUTH"),
        ("qop=auth", "qop=auth-int"),
        ("nc=00000001", "nc=\"00000001\""),
        ("nc=00000001", "nc=00000002"),
        ("nc=00000001", "nc=1"),
        (",nc=00000001", ""),
        ("realm=\"zk-sasl-md5\",", ""),
        ("realm=\"zk-sasl-md5\"", "realm=\"\""),
        ("realm=\"zk-sasl-md5\"", "realm=zk-sasl-md5"),
        ("realm=\"zk-sasl-md5\"", "realm=\"zk-sasl-md5\",realm=\"zk-sasl-md5\""),
        ("nonce=\"", "nonce=\"x"),
        ("username=\"bob\"", "username=bob"),
        ("username=\"bob\"", "USERNAME=\"b\\ob\""),
        ("username=\"bob\"", "username=\"zed\""),
        ("username=\"bob\"", "username=\"bob\"x"),
        ("username=\"bob\",", ""),
        ("username=\"bob\"", "username=\"bob\",username=\"bob\""),
        ("cnonce=\"cnonce\",", ""),
        ("response=", "response=0"),
        ("response=", "x="),
        ("digest-uri=\"zookeeper/zk-sasl-md5\"", "digest-uri=\"zookeeper/localhost\""),
    ];
    // What an honest token may have besides.
    cases.extend(
        [
            ",,",
            " , ",
            ",foo",
            ",foo=bar",
            ",foo=",
            ",foo=\"b\\\"ar\"",
            ",foo=\"bar",
            ",foo=\"bar\\",
            ",foo=a\"b",
            ",foo bar",
            ",=bar",
            ",f\u{1}o/=b\u{e9}r",
            ",\tfoo\t=\tbar\r\n",
            ",maxbuf=16",
            ",maxbuf=-5",
            ",maxbuf=many",
            ",maxbuf=99999999999",
            ",cipher=des",
            ",cipher=des,cipher=des",
            ",auth-param=a,auth-param=b",
            ",algorithm=md5,stale=true",
            ",authzid=\"\"",
            ",authzid=\"super\"",
        ]
        .map(|more| ("", more)),
    );
    for (from, to) in cases {
        let change = |token: String| match from {
            "" => (token + to).into_bytes(),
            _ => token.replacen(from, to, 1).into_bytes(),
        };
        let [expected, found] = [real.addr(0), mini.addr()].map(|addr| judge(addr, DIGEST_URI, change));
        assert_eq!(found, expected, "{from} {to}");
    }
    for (uri, token) in [
        ("ZooKeeper/ZK-sasl-md5", None),
        ("zookeeper/zk-sasl-md5/other", None),
        (DIGEST_URI, Some(Vec::new())),
        (DIGEST_URI, Some(vec![0xff, 0, b'='])),
        (DIGEST_URI, Some([&b"a=\""[..], &[b'x'; 4_093]].concat())),
        (DIGEST_URI, Some(vec![b','; 4_097])),
    ] {
        let change = |honest: String| token.clone().unwrap_or(honest.into_bytes());
        let [expected, found] = [real.addr(0), mini.addr()].map(|addr| judge(addr, uri, change));
        assert_eq!(found, expected, "{uri} {token:?}");
    }
}
