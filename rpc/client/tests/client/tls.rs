//! TLS between client and server: who is let in, who is not and why, and changes of certificates.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream;
use rpc_client::{Client, Error, Pem, Tls, TlsConfig};
use rpc_server::{Context, Limits, Server, Service, Status, TlsConfig as ServerTlsConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::certificates::{Authority, Issued};
use crate::servers::{PATIENCE, eventually};

fn server_tls(issued: &Issued) -> ServerTlsConfig {
    let (certificate, key) = issued.pems();
    ServerTlsConfig::new(certificate, key)
}

/// Serves a service that tells who calls.
async fn serve(tls: rpc_server::Tls, limits: Limits) -> SocketAddr {
    let who = |(): (), context: Context| async move {
        Ok::<_, Status>(
            context.identity().map(|identity| (identity.common_name.clone(), identity.uris.clone())),
        )
    };
    let echo = |text: String, _: Context| async move { Ok::<_, Status>(text) };
    let wait = |(): (), _: Context| async { Ok::<_, Status>(stream::pending::<Result<(), Status>>()) };
    let service = Service::builder("test").method("who", who).method("echo", echo);
    let service = service.server_stream("wait", wait).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(Server::new(service).limits(limits).tls(tls).serve(listener, std::future::pending()));
    addr
}

async fn client(addr: SocketAddr, tls: TlsConfig) -> Client {
    let client = Client::direct("test", [addr.to_string()]).tls(tls.load().unwrap());
    client.wait_for_instance(PATIENCE).connect().await.unwrap()
}

type Who = Option<(Option<String>, Vec<String>)>;

async fn who(client: &Client) -> Result<Who, Error> {
    client.call("who", &()).await
}

/// Returns why a client reaches no server.
async fn refused(addr: SocketAddr, tls: TlsConfig) -> String {
    let client = Client::direct("test", [addr.to_string()]).tls(tls.load().unwrap());
    let client = client.wait_for_instance(Duration::from_millis(500)).connect().await.unwrap();
    let Err(Error::Unreachable { reason, .. }) = who(&client).await else { panic!("reached") };
    reason
}

#[tokio::test]
async fn a_call_over_tls_gives_its_result_however_long_it_is() {
    let ca = Authority::new("ca");
    let addr = serve(server_tls(&ca.issue("server")).load().unwrap(), Limits::default()).await;
    let client = client(addr, TlsConfig::new(ca.pem())).await;
    assert_eq!(who(&client).await.unwrap(), None);
    let long = "x".repeat(3 << 20);
    let echoed: String = client.call("echo", &long).await.unwrap();
    assert!(echoed == long);
}

#[tokio::test]
async fn the_handler_knows_a_client_by_its_certificate() {
    let ca = Authority::new("ca");
    let tls = server_tls(&ca.issue("server")).client_ca(ca.pem()).load().unwrap();
    let addr = serve(tls, Limits::default()).await;
    let (certificate, key) = ca.issue("billing").pems();
    let client = client(addr, TlsConfig::new(ca.pem()).certificate(certificate, key)).await;
    let expected = (Some("billing".to_owned()), vec!["spiffe://test/billing".to_owned()]);
    assert_eq!(who(&client).await.unwrap(), Some(expected));
}

#[tokio::test]
async fn with_optional_certificates_those_without_are_let_in_and_strangers_are_not() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let tls = server_tls(&ca.issue("server")).client_ca(ca.pem()).optional_client_certificate();
    let addr = serve(tls.load().unwrap(), Limits::default()).await;
    let unknown = client(addr, TlsConfig::new(ca.pem())).await;
    assert_eq!(who(&unknown).await.unwrap(), None);
    let (certificate, key) = other.issue("stranger").pems();
    let why = refused(addr, TlsConfig::new(ca.pem()).certificate(certificate, key)).await;
    assert!(
        why.contains("does not know the authority") || why.contains("refused the TLS handshake"),
        "{why}"
    );
}

#[tokio::test]
async fn a_client_says_in_words_why_it_does_not_trust_a_server() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let tls = server_tls(&ca.issue("server")).client_ca(ca.pem()).load().unwrap();
    let addr = serve(tls, Limits::default()).await;
    let trusting = || TlsConfig::new(ca.pem());

    let why = refused(addr, trusting()).await;
    assert!(why.contains("demands a certificate of this client"), "{why}");
    let why = refused(addr, TlsConfig::new(other.pem())).await;
    assert!(why.contains("issued by no authority in the given text"), "{why}");
    let why = refused(addr, trusting().server_name("shop.example.org")).await;
    assert!(why.contains("not for shop.example.org"), "{why}");
    let why = refused(addr, trusting().server_uri("spiffe://test/other")).await;
    assert!(why.contains("has not the expected name"), "{why}");
    let (certificate, key) = ca.issue("client").pems();
    let known = trusting().server_uri("spiffe://test/server").certificate(certificate, key);
    assert!(who(&client(addr, known).await).await.is_ok());
}

#[tokio::test]
async fn a_full_server_with_tls_does_not_look_like_one_without() {
    let ca = Authority::new("ca");
    let mut limits = Limits::default();
    limits.connections = 1;
    let addr = serve(server_tls(&ca.issue("server")).load().unwrap(), limits).await;
    let first = client(addr, TlsConfig::new(ca.pem())).await;
    let long = first.server_stream::<_, ()>("wait", &()).await.unwrap();
    who(&first).await.unwrap();
    let why = refused(addr, TlsConfig::new(ca.pem())).await;
    assert!(!why.contains("without `tls`") && !why.contains("not speak TLS"), "{why}");
    drop(long);
}

#[tokio::test]
async fn an_expired_certificate_is_an_error_on_both_sides() {
    let ca = Authority::new("ca");
    let old = ca.issue_expired();
    let error = server_tls(&old).load().unwrap_err().to_string();
    assert!(error.contains("the given text is not valid now") && error.contains("2002"), "{error}");
    let (certificate, key) = old.pems();
    assert!(TlsConfig::new(ca.pem()).certificate(certificate, key).load().is_err());

    // A server whose certificate expires while it serves.
    let addr = expired_server(&old).await;
    let why = refused(addr, TlsConfig::new(ca.pem())).await;
    assert!(why.contains("has expired"), "{why}");
}

async fn expired_server(old: &Issued) -> SocketAddr {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(old.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(old.key.as_bytes()).unwrap();
    let config = tokio_rustls::rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    addr
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let ca = Authority::new("ca");
    let (one, other) = (ca.issue("one"), ca.issue("other"));
    let missing = ServerTlsConfig::new(Pem::file("/nowhere/server.pem"), Pem::text(&one.key));
    assert!(missing.load().unwrap_err().to_string().starts_with("/nowhere/server.pem cannot be read"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.pem");
    fs::write(&path, "").unwrap();
    let empty = TlsConfig::new(Pem::file(&path)).load().unwrap_err().to_string();
    assert!(empty.contains("empty.pem has no certificate"), "{empty}");
    let keyless = ServerTlsConfig::new(Pem::text(&one.certificate), Pem::file(&path)).load();
    assert!(keyless.unwrap_err().to_string().contains("empty.pem has no private key"));
    let mixed = ServerTlsConfig::new(Pem::text(&one.certificate), Pem::text(&other.key)).load();
    assert!(mixed.unwrap_err().to_string().contains("cannot be used"));
}

#[tokio::test]
async fn garbage_and_silence_on_the_port_hold_up_nobody() {
    let ca = Authority::new("ca");
    let mut limits = Limits::default();
    limits.hello_timeout = Duration::from_millis(300);
    let addr = serve(server_tls(&ca.issue("server")).load().unwrap(), limits).await;
    // More than may shake hands at a time.
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 1_000], b"\x16\x03\x01\xff\xff", b"\x7fRPC"] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        silent.push(stream);
    }
    let client = client(addr, TlsConfig::new(ca.pem())).await;
    assert!(who(&client).await.is_ok());
    for mut stream in silent {
        // Closed by the server, with or without an alert.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_with_tls_says_that_a_server_has_none() {
    let server = crate::servers::TestServer::start("a").await;
    let why = refused(server.addr, TlsConfig::new(Authority::new("ca").pem())).await;
    assert!(why.contains("does not speak TLS"), "{why}");
}

#[tokio::test]
async fn a_client_without_tls_says_that_the_server_speaks_it() {
    let ca = Authority::new("ca");
    let addr = serve(server_tls(&ca.issue("server")).load().unwrap(), Limits::default()).await;
    let client = Client::direct("test", [addr.to_string()]).wait_for_instance(Duration::from_millis(500));
    let client = client.connect().await.unwrap();
    let Err(Error::Unreachable { reason, .. }) = who(&client).await else { panic!("reached") };
    assert!(reason.contains("it speaks TLS, and this client does not: set `ClientBuilder::tls`"), "{reason}");
}

#[tokio::test]
async fn certificates_change_under_load_without_a_failed_call() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    let write = |issued: &Issued| {
        fs::write(&certificate, &issued.certificate).unwrap();
        fs::write(&key, &issued.key).unwrap();
    };
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    write(&first.issue("server"));
    let tls = ServerTlsConfig::new(Pem::file(&certificate), Pem::file(&key)).load().unwrap();
    let addr = serve(tls, Limits::default()).await;

    let steady = client(addr, TlsConfig::new(first.pem())).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (steady, stop) = (steady.clone(), Arc::clone(&stop));
        async move {
            while !stop.load(Ordering::Relaxed) {
                who(&steady).await.unwrap();
            }
        }
    });
    // A certificate without its key is not taken: those who connect meanwhile meet the old one.
    let new = second.issue("server");
    fs::write(&certificate, &new.certificate).unwrap();
    assert!(who(&client(addr, TlsConfig::new(first.pem())).await).await.is_ok());
    fs::write(&key, &new.key).unwrap();
    let newcomer = client(addr, TlsConfig::new(second.pem())).await;
    eventually(async || who(&newcomer).await.is_ok()).await;
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    assert_eq!(steady.stats().failed, 0);
}

#[tokio::test]
async fn a_client_takes_other_certificates_for_its_next_connection() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let addr = serve(server_tls(&ca.issue("server")).load().unwrap(), Limits::default()).await;
    let tls: Tls = TlsConfig::new(other.pem()).load().unwrap();
    let client = Client::direct("test", [addr.to_string()]).tls(tls.clone());
    let client = client.wait_for_instance(PATIENCE).connect().await.unwrap();
    let (answer, ()) = tokio::join!(who(&client), async { tls.replace(TlsConfig::new(ca.pem())).unwrap() });
    assert_eq!(answer.unwrap(), None);
    tls.reload().unwrap();
}
