//! TLS with certificates of clients, on any server that speaks it.

use std::num::NonZeroU32;
use std::time::Duration;

use registry::{Instance, Members, Registry};
use rpc_client::{Pem, TlsConfig};
use rpc_server::TlsConfig as ServerTlsConfig;
use zk_client::{Acl, Client, CreateMode, Error, ErrorCode, Perms, SessionId};

use super::members;
use super::rpc::{RegisteredServer, call};
use crate::certificates::Certificates;
use crate::wait::PATIENCE;

/// Registers and finds a service over TLS, as the list of servers asks for it.
///
/// # Panics
/// If the server does something else than it should.
#[expect(clippy::unwrap_used, reason = "for tests")]
pub async fn a_service_is_found(servers: &str, certificates: &Certificates) {
    let connect = async |file: &str| {
        Registry::connect(&(servers.to_owned() + &certificates.options(file))).await.unwrap()
    };
    let (provider, consumer) = (connect("client.pem").await, connect("odd.pem").await);
    let mut seen = consumer.subscribe("secured").await.unwrap();
    let registration = provider.register("secured", Instance::new("127.0.0.1", 8001)).await.unwrap();
    members("the instance", &mut seen, |now| now.len() == 1).await;
    registration.withdraw().await.unwrap();
    members("no instance", &mut seen, Members::is_empty).await;
}

/// Serves and calls over TLS with certificates of clients, found in a registry that asks for them, too, while a server of the
/// registry dies: `kill` ends the one that serves the session of the provider. No call fails, and a server that comes afterwards is
/// found.
///
/// # Panics
/// If the server does something else than it should.
#[expect(clippy::unwrap_used, reason = "for tests")]
pub async fn calls_go_on_when_a_server_dies(
    servers: &str,
    certificates: &Certificates,
    kill: impl AsyncFnOnce(SessionId),
) {
    let file = |name: &str| Pem::file(certificates.path(name));
    let tls = ServerTlsConfig::new(file("server.pem"), file("server.pem")).client_ca(file("ca.pem"));
    let tls = tls.load().unwrap();
    let provided =
        Client::connect(&(servers.to_owned() + &certificates.options("client.pem"))).await.unwrap();
    let consumer = Registry::connect(&(servers.to_owned() + &certificates.options("odd.pem"))).await.unwrap();
    let (provider, service) = (Registry::new(provided.clone()), "secured/echo");
    let start =
        async || RegisteredServer::start_with(&provider, service, |server| server.tls(tls.clone())).await;
    let first = start().await;
    let known = TlsConfig::new(file("ca.pem")).certificate(file("client.pem"), file("client.pem"));
    let builder = rpc_client::Client::builder(consumer.clone(), service).tls(known.load().unwrap());
    let client = builder.connect().await.unwrap();
    assert_eq!(call(&client, 20).await.len(), 1);

    let session = provided.credentials().unwrap().id;
    kill(session).await;
    assert_eq!(call(&client, 20).await.len(), 1, "the known instance stays");
    let second = start().await;
    calls_reach("the second server, too", &client, 2).await;
    assert_eq!(provided.credentials().unwrap().id, session, "the session lives on at another server");
    first.leave().await;
    calls_reach("the second server alone", &client, 1).await;
    second.leave().await;
    assert_eq!(client.stats().failed, 0, "{:?}", client.stats());
}

/// Makes calls until they reach so many servers.
///
/// # Panics
/// If they do not within [`PATIENCE`]; the message has `what`.
async fn calls_reach(what: &str, client: &rpc_client::Client, servers: usize) {
    let reached = async { while call(client, 20).await.len() != servers {} };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    reached.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: calls reach {what}; {:?}", client.stats()));
}

/// Returns what a server answers to clients with certificates: their names in ACLs, and who may do what.
///
/// # Panics
/// If a client cannot connect.
#[expect(clippy::unwrap_used, reason = "for tests")]
pub async fn answers_to_identities(servers: &str, certificates: &Certificates) -> Vec<String> {
    let connect = async |options: String| Client::connect(&(servers.to_owned() + &options)).await.unwrap();
    let known = connect(certificates.options("client.pem")).await;
    let odd = connect(certificates.options("odd.pem")).await;
    let x509 = |id: &str| Acl { perms: Perms::ALL, scheme: "x509".into(), id: id.into() };
    let mut answers = Vec::new();
    let mut note = |what: &str, answer: String| answers.push(format!("{what}: {answer}"));
    for (client, path) in [(&known, "/known"), (&odd, "/odd")] {
        client.create_with_acl(path, "x", CreateMode::Persistent, &[Acl::creator_only()]).await.unwrap();
        note(path, format!("{:?}", client.acl(path).await.unwrap().0));
    }
    for (who, client) in [("known", &known), ("odd", &odd)] {
        for path in ["/known", "/odd"] {
            note(&format!("{who} reads {path}"), code(client.get(path).await));
        }
    }
    for id in
        ["CN=client", "cn = client", "O=x+OU=y,DC=z", "OID.1.2.3=x", "", "client", "CN=a,b", "XX=a", "CN=\"a"]
    {
        let made = known.create_with_acl("/id", "", CreateMode::Persistent, &[x509(id), Acl::open()]).await;
        note(&format!("an ACL for {id:?}"), code(made));
        let _ = known.delete("/id", zk_client::Expected::Any).await;
    }
    note("auth with x509", code(known.add_auth("x509", "").await));
    for path in ["/known", "/odd"] {
        let owner = if path == "/odd" { &odd } else { &known };
        owner.delete(path, zk_client::Expected::Any).await.unwrap();
    }
    answers
}

/// Connects once: a server in Java may need seconds for its first handshake.
///
/// # Panics
/// If it cannot be reached.
#[expect(clippy::unwrap_used, reason = "for tests")]
pub async fn warm_up(servers: &str, certificates: &Certificates) {
    let servers = servers.to_owned() + &certificates.options("client.pem");
    let client = Client::builder().servers(servers).connect_timeout(Duration::from_secs(60));
    client.connect().await.unwrap();
}

/// Returns why a server cannot be reached with these options.
///
/// # Panics
/// If it can be reached.
pub async fn refusal(servers: &str, options: &str) -> String {
    let client = Client::builder().servers(servers.to_owned() + options);
    match client.connect_rounds(NonZeroU32::MIN).connect().await {
        Err(Error::Unreachable { tried, .. }) => tried[0].cause.clone().unwrap_or_default(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("reached with {options}"),
    }
}

fn code<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => ErrorCode::OK.to_string(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |code| code.to_string()),
    }
}
