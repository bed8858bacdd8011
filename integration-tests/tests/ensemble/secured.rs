//! TLS with certificates of clients: the client and the registry on a real ensemble and on zk-mini, which give the same answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use integration_tests::certificates::Certificates;
use integration_tests::ensemble::{Builder, RealZooKeeper};
use integration_tests::ports::Port;
use integration_tests::programs::ServeProcess;
use integration_tests::scenarios::secured;
use integration_tests::wait::{PATIENCE, eventually};
use registry::{Instance, Registry};
use zk_client::{Client, CreateMode, Error, SessionEnd, SessionId};
use zk_mini::{Pem, Server, TlsConfig, ZkMini};

/// Returns the settings of a server that takes TLS on its client port.
fn with_tls(zk: Builder, certificates: &Certificates) -> Builder {
    zk.setting("serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory")
        .setting("client.portUnification", "true")
        .setting("authProvider.x509", "org.apache.zookeeper.server.auth.X509AuthenticationProvider")
        .setting("ssl.keyStore.location", certificates.path("server.pem").display())
        .setting("ssl.trustStore.location", certificates.path("ca.pem").display())
}

fn zk_mini(certificates: &Certificates) -> ServeProcess {
    let path = |name| certificates.path(name).display().to_string();
    let (server, ca) = (path("server.pem"), path("ca.pem"));
    ServeProcess::with_args(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", &server, "--tls-ca", &ca])
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_and_acls_are_the_same_on_both() {
    let certificates = Certificates::new();
    let real = with_tls(RealZooKeeper::builder(), &certificates).start().unwrap();
    let ours = zk_mini(&certificates);
    let expected = secured::answers_to_identities(&real.connect_string(), &certificates).await;
    let found = secured::answers_to_identities(&ours.addr().to_string(), &certificates).await;
    assert_eq!(found, expected);
    assert!(expected[0].contains("CN=client"), "{expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_which_check_failed_on_both() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let real = with_tls(RealZooKeeper::builder(), &certificates).start().unwrap();
    let ours = zk_mini(&certificates);
    let plain = RealZooKeeper::standalone().unwrap();
    for servers in [real.connect_string(), ours.addr().to_string()] {
        secured::warm_up(&servers, &certificates).await;
        let why = secured::refusal(&servers, &others.options("client.pem")).await;
        assert!(why.contains("issued by no authority in"), "{why}");
        let name = certificates.options("client.pem") + "&server_name=elsewhere.test";
        let why = secured::refusal(&servers, &name).await;
        assert!(why.contains("not for elsewhere.test"), "{why}");
        let why = secured::refusal(&servers, &certificates.anonymous()).await;
        assert!(
            why.contains("demands a certificate of this client") || why.contains("or the lack of one"),
            "{why}"
        );
        let stranger = format!(
            "?ca={}&certfile={}",
            certificates.path("ca.pem").display(),
            others.path("client.pem").display()
        );
        let why = secured::refusal(&servers, &stranger).await;
        assert!(why.contains("this client's certificate") || why.contains("handshake"), "{why}");
    }
    let why = secured::refusal(&plain.connect_string(), &certificates.options("client.pem")).await;
    assert!(why.contains("may not speak TLS on this port"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_found_on_both() {
    let certificates = Certificates::new();
    let real = with_tls(RealZooKeeper::builder().servers(3), &certificates).start().unwrap();
    secured::a_service_is_found(&real.connect_string(), &certificates).await;
    let ours = zk_mini(&certificates);
    secured::a_service_is_found(&ours.addr().to_string(), &certificates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_outlives_the_death_of_its_server() {
    let certificates = Certificates::new();
    let mut zk = with_tls(RealZooKeeper::builder().servers(3), &certificates).start().unwrap();
    let servers = zk.connect_string() + &certificates.options("client.pem");
    let owner = Client::connect(&servers).await.unwrap();
    let provider = Registry::new(owner.clone());
    let registration = provider.register("demo", Instance::new("127.0.0.1", 8001)).await.unwrap();
    let (session, path) = (owner.credentials().unwrap().id, registration.path().unwrap());
    let node = owner.exists(&path).await.unwrap();
    let server = zk.serving(session.0).unwrap();
    zk.kill(server);
    eventually("another server serves the session", PATIENCE, || {
        zk.serving(session.0).is_some_and(|now| now != server)
    });
    let other = Client::connect(&servers).await.unwrap();
    assert_eq!(other.exists(&path).await.unwrap(), node);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_when_a_server_of_an_ensemble_dies() {
    let certificates = Certificates::new();
    let mut real = with_tls(RealZooKeeper::builder().servers(3), &certificates).start().unwrap();
    let servers = real.connect_string();
    let kill = async |session: SessionId| {
        let server = real.serving(session.0).unwrap();
        real.kill(server);
        eventually("another server serves the session", PATIENCE, || real.serving(session.0).is_some());
    };
    secured::calls_go_on_when_a_server_dies(&servers, &certificates, kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_when_a_server_of_a_simulated_ensemble_dies() {
    let certificates = Certificates::new();
    let file = |name: &str| Pem::file(certificates.path(name));
    let tls = TlsConfig::new(file("server.pem"), file("server.pem")).client_ca(file("ca.pem"));
    let ports = vec![vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]; 3];
    let builder = ZkMini::builder().servers_at(vec![Vec::new(); 3]).tls(tls.load().unwrap());
    let zk = builder.tls_servers_at(ports).start().await.unwrap();
    let serving = |session: SessionId| {
        let has = |server: &Server| {
            server.connections().iter().any(|connection| connection.session == Some(session))
        };
        (1..=3).map(|number| zk.server(number).unwrap()).find(has)
    };
    let kill = async |session: SessionId| {
        serving(session).expect("a server serves it").stop().await;
        eventually("another server serves the session", PATIENCE, || serving(session).is_some());
    };
    secured::calls_go_on_when_a_server_dies(&zk.connect_string(), &certificates, kill).await;
}

/// The port for TLS only of a real server, beside the plain one, and the same of zk-mini.
#[tokio::test(flavor = "multi_thread")]
async fn a_secure_client_port_takes_tls_only_on_both() {
    let certificates = Certificates::new();
    let port = Port::reserve().unwrap();
    let path = |name| certificates.path(name).display().to_string();
    let real = RealZooKeeper::builder()
        .setting("serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory")
        .setting("secureClientPort", port.number())
        .setting("secureClientPortAddress", "127.0.0.1")
        .setting("ssl.keyStore.location", path("server.pem"))
        .setting("ssl.trustStore.location", path("ca.pem"))
        .start()
        .unwrap();
    let secure = format!("127.0.0.1:{}", port.number());
    let args =
        ["--tls-cert", &path("server.pem"), "--tls-ca", &path("ca.pem"), "--tls-listen", "127.0.0.1:0"];
    let mut mini = ServeProcess::with_args(&[&["serve", "--listen", "127.0.0.1:0"], &args[..]].concat());
    let ours = mini.process.line_with("tls on ").strip_prefix("tls on ").unwrap().to_owned();
    let mut answers = Vec::new();
    for (plain, secure) in [(real.connect_string(), secure), (mini.addr().to_string(), ours)] {
        secured::warm_up(&secure, &certificates).await;
        secured::a_service_is_found(&secure, &certificates).await;
        answers.push(secured::answers_to_identities(&secure, &certificates).await);
        // The other port goes on without, over the same nodes.
        let by_tls = Client::connect(&(secure.clone() + &certificates.options("client.pem"))).await.unwrap();
        by_tls.create("/both", "x", CreateMode::Persistent).await.unwrap();
        let by_plain = Client::connect(&plain).await.unwrap();
        assert_eq!(by_plain.get("/both").await.unwrap().0, "x");
        // A session moves between the ports.
        let credentials = by_plain.credentials().unwrap();
        let closer = Client::builder().servers(secure.clone() + &certificates.options("client.pem"));
        let end = closer.close_session(credentials, PATIENCE).await.unwrap();
        assert_eq!(end, SessionEnd::Closed);
        let without = Client::builder().servers(&secure).connect_rounds(NonZeroU32::MIN).connect().await;
        assert!(matches!(without, Err(Error::Unreachable { .. })), "{without:?}");
        let why = secured::refusal(&secure, &certificates.anonymous()).await;
        assert!(why.contains("certificate"), "{why}");
    }
    assert_eq!(answers[1], answers[0]);
}
