//! kazoo and Java's client over TLS, with certificates of clients, on zk-mini.

use std::process::{Command, Stdio};
use std::time::Duration;

use integration_tests::certificates::Certificates;
use integration_tests::ensemble::{JVM_OPTIONS, Release};
use integration_tests::process::Process;
use integration_tests::programs::{self, ServeProcess};

/// A `zoo.cfg` as a production server has it, with a port for TLS only beside the plain one.
#[expect(clippy::unwrap_used, reason = "a helper of tests may unwrap as the tests do")]
fn zk_mini(certificates: &Certificates) -> (ServeProcess, String) {
    let path = |name| certificates.path(name).display().to_string();
    let config = certificates.path("zoo.cfg");
    let text = format!(
        "dataDir={}\nclientPort=0\nsecureClientPort=0\n\
         serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
         authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider\n\
         ssl.keyStore.location={}\nssl.keyStore.type=PEM\nssl.keyStore.password=\n\
         ssl.trustStore.location={}\nssl.hostnameVerification=false\n\
         X509AuthenticationProvider.superUser=CN=client\n",
        path("data"),
        path("server.pem"),
        path("ca.pem"),
    );
    std::fs::write(&config, text).unwrap();
    let mut zk = ServeProcess::with_args(&["serve", "--config", config.to_str().unwrap()]);
    let line = zk.process.line_with("tls on ");
    let addr = line.strip_prefix("tls on ").unwrap().to_owned();
    assert!(!zk.process.stderr().contains("is ignored"), "{}", zk.process);
    (zk, addr)
}

/// Runs commands of Java's client.
fn zk_cli(release: Release, options: &[String], server: &str, command: &[&str]) -> String {
    let mut java = Command::new("java");
    java.args(JVM_OPTIONS).arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").args(options);
    java.arg("-cp").arg(release.directory().join("*")).arg("org.apache.zookeeper.ZooKeeperMain");
    java.args(["-timeout", "10000", "-waitforconnection", "-server", server]).args(command);
    let mut client = Process::start(java.stdin(Stdio::null()));
    client.wait_for(Duration::from_secs(60));
    format!("{}{}", client.stdout(), client.stderr())
}

#[test]
fn kazoo_has_the_identity_of_its_certificate() {
    let certificates = Certificates::new();
    let path = |name| certificates.path(name).display().to_string();
    let (server, ca) = (path("server.pem"), path("ca.pem"));
    let zk = ServeProcess::with_args(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        &server,
        "--tls-ca",
        &ca,
    ]);
    let mut tests = Process::start(
        programs::python("tests/interop/secured.py")
            .env("ZK_HOSTS", zk.addr().to_string())
            .env("CERTIFICATES", certificates.dir()),
    );
    assert!(tests.wait_for(Duration::from_secs(60)).success(), "{tests}");
}

#[test]
fn javas_client_has_the_identity_of_its_certificate_and_may_be_the_super_user() {
    let certificates = Certificates::new();
    let (_zk, addr) = zk_mini(&certificates);
    for release in [Release::V3_8, Release::V3_9] {
        let odd = certificates.of_java("odd.pem");
        let node = format!("/of-{}", release.version());
        let made = zk_cli(release, &odd, &addr, &["create", &node, "x", "auth::cdrwa"]);
        assert!(made.contains(&format!("Created {node}")), "{made}");
        let acl = zk_cli(release, &odd, &addr, &["getAcl", &node]);
        assert!(acl.contains("'x509,'UID=uid%2C2.5.4.5=#0c03303037%2CC=DE"), "{acl}");
        let read = zk_cli(release, &certificates.of_java("client.pem"), &addr, &["get", &node]);
        assert!(read.contains("\nx\n") || read.starts_with("x\n"), "the super user reads it: {read}");
    }
    let who = zk_cli(Release::V3_9, &certificates.of_java("client.pem"), &addr, &["whoami"]);
    assert!(who.contains("x509: CN=client"), "{who}");
}

#[test]
fn throw_away_certificates_let_clients_in() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("tls");
    let name = dir.to_str().unwrap();
    let serve = || ServeProcess::with_args(&["serve", "--listen", "127.0.0.1:0", "--tls-dev", name]);
    let zk = serve();
    let file = |name: &str| dir.canonicalize().unwrap().join(name).display().to_string();
    let told = zk.process.stderr();
    for words in [format!("ca='{}', certfile='{}'", file("ca.pem"), file("client.pem")), file("client.key")] {
        assert!(told.contains(&words), "{told}");
    }
    drop(zk);
    // The same files, after a restart.
    let zk = serve();
    let servers = format!("{}?ca={}&certfile={}", zk.addr(), file("ca.pem"), file("client.pem"));
    let mut create = Process::start(programs::zk_mini().args(["create", "-s", &servers, "/a", "x"]));
    assert_eq!(create.wait().code(), Some(0), "{create}");
    let options = [
        "-Dzookeeper.client.secure=true".to_owned(),
        "-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty".to_owned(),
        format!("-Dzookeeper.ssl.trustStore.location={}", file("ca.pem")),
        format!("-Dzookeeper.ssl.keyStore.location={}", file("client.pem")),
    ];
    let addr = format!("localhost:{}", zk.addr().port());
    let read = zk_cli(Release::V3_9, &options, &addr, &["get", "/a"]);
    assert!(read.contains("\nx\n") || read.starts_with("x\n"), "{read}");
}
