//! TLS on every way to a server that a registry names: the shared port of workers, their own ports, announced servers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use integration_tests::process::Process;
use integration_tests::scenarios::members;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use registry::{Instance, Registry};
use rpc_client::{Client, ClientBuilder, Pem, TlsConfig};
use rpc_server::{Context, Server, Service, Status, TlsConfig as ServerTlsConfig};
use tokio::net::TcpListener;
use zk_mini::ZkMini;

/// Writes an authority and the certificates of a server and a client, with their keys, into a folder.
fn issue(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(folder.join("ca.pem"), params.self_signed(&key)?.pem())?;
    let authority = Issuer::new(params, key);
    for name in ["server", "client"] {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        fs::write(folder.join(format!("{name}.pem")), params.signed_by(&key, &authority)?.pem())?;
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}

/// Returns a client with the certificate in the folder.
fn known(builder: ClientBuilder, folder: &Path) -> ClientBuilder {
    let file = |name: &str| Pem::file(folder.join(name));
    let tls = TlsConfig::new(file("ca.pem")).certificate(file("client.pem"), file("client.key"));
    builder.tls(tls.load().expect("files that were just written"))
}

/// Calls at an address: with the certificate it works, and without TLS it does not.
async fn only_by_tls(service: &str, addr: &str, folder: &Path) {
    let client = || Client::direct(service, [addr]);
    let secured = known(client(), folder).connect().await.expect("an address is enough");
    assert_eq!(
        secured.call::<_, String>("who", &()).await.expect("a certificate is enough"),
        "client",
        "{addr}"
    );
    let plain =
        client().wait_for_instance(Duration::from_millis(500)).connect().await.expect("an address is enough");
    let refused = plain.call::<_, String>("who", &()).await.expect_err("TLS is spoken here");
    assert!(!refused.may_have_been_applied(), "{addr}: {refused}");
}

/// Returns the address of a worker's own port.
fn direct_addr(instance: &Instance) -> String {
    let direct = instance.get("direct").and_then(|value| value.as_object()).expect("a port of its own");
    let (host, port) = (direct["host"].as_str(), direct["port"].as_u64());
    format!("{}:{}", host.expect("a host"), port.expect("a port"))
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_speak_tls_on_the_shared_port_and_on_their_own() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path()).unwrap();
    let zk = ZkMini::start().await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_preforked-fixture"));
    let tls = format!("tls={}", folder.path().display());
    let mut service = Process::start(command.args(["2", &zk.connect_string(), &tls]));
    let shared = service.line_with("ready ").strip_prefix("ready ").unwrap().to_owned();
    let registry = Registry::connect(&zk.connect_string()).await.unwrap();
    let mut seen = registry.subscribe("preforked").await.unwrap();
    let workers = members("both workers", &mut seen, |now| now.len() == 2).await;
    only_by_tls("preforked", &shared, folder.path()).await;
    for worker in workers.instances.values() {
        let direct = direct_addr(worker);
        assert_ne!(direct, shared);
        only_by_tls("preforked", &direct, folder.path()).await;
    }

    // A client of the registry reaches each of them at its own port.
    let client = known(Client::builder(registry, "preforked"), folder.path()).connect().await.unwrap();
    let mut pids = std::collections::BTreeSet::new();
    let both = async {
        while pids.len() < 2 {
            pids.insert(client.call::<_, u32>("pid", &()).await.unwrap());
        }
    };
    tokio::time::timeout(integration_tests::wait::PATIENCE, both).await.unwrap();
    assert!(service.terminate().success(), "{service}");
    service.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_server_speaks_tls_on_each_of_its_listeners() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path()).unwrap();
    let registry = Registry::embedded().await.unwrap();
    let who = |(): (), context: Context| async move {
        let name = context.identity().and_then(|identity| identity.common_name.clone());
        name.ok_or_else(|| Status::unauthenticated("no certificate"))
    };
    let file = |name: &str| Pem::file(folder.path().join(name));
    let tls = ServerTlsConfig::new(file("server.pem"), file("server.key")).client_ca(file("ca.pem"));
    let server = Server::new(Service::builder("names").method("who", who).build());
    let (shared, own) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let addrs = [shared.local_addr().unwrap().to_string(), own.local_addr().unwrap().to_string()];
    let server = server.tls(tls.load().unwrap()).announce(&registry).also_listen(own);
    tokio::spawn(server.serve(shared, std::future::pending()));
    let client = known(Client::builder(registry, "names"), folder.path()).connect().await.unwrap();
    assert_eq!(client.call::<_, String>("who", &()).await.unwrap(), "client");
    for addr in addrs {
        only_by_tls("names", &addr, folder.path()).await;
    }
}
