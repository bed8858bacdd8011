//! TLS: what a connection needs, and which check it fails by.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use common::tls::{Authority, Issued, ServerTlsConfig};
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use zk_client::{
    Builder, Client, CreateMode, Error, Pem, SessionEnd, TcpConnect, TlsConfig, TlsConnect, close_session,
    close_session_via,
};
use zk_mini::ZkMini;

use crate::support::{PATIENCE, soon};

const HOSTS: [&str; 2] = ["127.0.0.1", "zk.test"];

fn config(server: &Issued) -> ServerTlsConfig {
    let (certificate, key) = server.pems();
    ServerTlsConfig::new(certificate, key)
}

/// Ends TLS in front of a server.
async fn front(zk: &ZkMini, config: ServerTlsConfig) -> SocketAddr {
    let (connector, tls) = (zk.connector(), config.load().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, connector) = (TlsAcceptor::from(tls.config(None)), connector.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                copy_bidirectional(&mut stream, &mut connector.connect()?).await
            });
        }
    });
    addr
}

fn client(addr: SocketAddr, tls: TlsConfig) -> Builder {
    Client::builder().servers(addr.to_string()).tls(tls.load().unwrap())
}

/// Returns why no server can be reached.
async fn refusal(builder: Builder) -> String {
    match soon(builder.connect_rounds(NonZeroU32::MIN).connect()).await {
        Err(Error::Unreachable { tried, .. }) => tried[0].cause.clone().unwrap(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("reached"),
    }
}

async fn server() -> ZkMini {
    ZkMini::builder().in_memory().start().await.unwrap()
}

#[tokio::test]
async fn a_client_with_a_certificate_is_let_in_by_code_and_by_the_list_of_servers() {
    let (zk, ca) = (server().await, Authority::new("ca").unwrap());
    let addr = front(&zk, config(&ca.issue("zk", &HOSTS).unwrap()).client_ca(ca.pem())).await;
    let me = ca.issue("me", &[]).unwrap();
    let (certificate, key) = me.pems();
    let tls = TlsConfig::new(ca.pem()).certificate(certificate, key);
    let by_code = soon(client(addr, tls.clone()).connect()).await.unwrap();
    by_code.create("/large", vec![7; 1_000_000], CreateMode::Persistent).await.unwrap();

    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    fs::write(path("ca.pem"), ca.certificate()).unwrap();
    fs::write(path("me.pem"), format!("{}{}", me.certificate, me.key)).unwrap();
    let list = format!("{addr}?ca={}&certfile={}", path("ca.pem"), path("me.pem"));
    let by_list = soon(Client::connect(&list)).await.unwrap();
    assert_eq!(by_list.get("/large").await.unwrap().0, vec![7; 1_000_000]);

    let third = soon(client(addr, tls.clone()).connect()).await.unwrap();
    let session = third.credentials().unwrap();
    let end = soon(client(addr, tls.clone()).close_session(session, PATIENCE)).await.unwrap();
    assert_eq!(end, SessionEnd::Closed);
    let ends = (by_code.credentials().unwrap(), by_list.credentials().unwrap());
    let via = TlsConnect::new(TcpConnect, tls.load().unwrap());
    let end = close_session_via(via, &addr.to_string(), ends.0, PATIENCE).await.unwrap();
    assert_eq!(end, SessionEnd::Closed);
    assert_eq!(close_session(&list, ends.1, PATIENCE).await.unwrap(), SessionEnd::Closed);
}

#[tokio::test]
async fn a_server_is_known_by_its_entry_or_by_the_name_that_is_set() {
    let (zk, ca) = (server().await, Authority::new("ca").unwrap());
    let addr = front(&zk, config(&ca.issue("zk", &["zk.test"]).unwrap())).await;
    let tls = TlsConfig::new(ca.pem());
    let why = refusal(client(addr, tls.clone())).await;
    assert!(
        why.contains("it is for") && why.contains("zk.test") && why.contains("not for 127.0.0.1"),
        "{why}"
    );
    soon(client(addr, tls.server_name("zk.test")).connect()).await.unwrap();
}

#[tokio::test]
async fn a_refusal_says_which_check_failed() {
    let (zk, ca, other) = (server().await, Authority::new("ca").unwrap(), Authority::new("other").unwrap());
    let good = ca.issue("zk", &HOSTS).unwrap();
    let addr = front(&zk, config(&good)).await;
    let why = refusal(client(addr, TlsConfig::new(other.pem()))).await;
    assert!(why.contains("issued by no authority in the given text"), "{why}");

    let guarded = front(&zk, config(&good).client_ca(ca.pem())).await;
    let why = refusal(client(guarded, TlsConfig::new(ca.pem()))).await;
    assert_eq!(why, "the server demands a certificate of this client, and it has none");
    let (certificate, key) = other.issue("me", &[]).unwrap().pems();
    let why = refusal(client(guarded, TlsConfig::new(ca.pem()).certificate(certificate, key))).await;
    assert!(why.contains("this client's certificate") || why.contains("refused the TLS handshake"), "{why}");

    let plain = ZkMini::start().await.unwrap();
    let why = refusal(client(plain.addr().unwrap(), TlsConfig::new(ca.pem()))).await;
    assert!(why.contains("may not speak TLS on this port"), "{why}");
}

#[tokio::test]
async fn an_expired_server_is_refused() {
    let (zk, ca) = (server().await, Authority::new("ca").unwrap());
    let long_ago = rcgen::date_time_ymd(2001, 1, 1)..rcgen::date_time_ymd(2002, 1, 1);
    let old = ca
        .issue_with("zk", &HOSTS, |params| {
            (params.not_before, params.not_after) = (long_ago.start, long_ago.end);
        })
        .unwrap();
    // Our own server refuses to start with it.
    let addr = front_of_rustls(&zk, &old).await;
    let why = refusal(client(addr, TlsConfig::new(ca.pem()))).await;
    assert_eq!(why, "the server's certificate has expired");
}

async fn front_of_rustls(zk: &ZkMini, issued: &Issued) -> SocketAddr {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (connector, acceptor) = (zk.connector(), TlsAcceptor::from(Arc::new(config)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut pipe = connector.connect().unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut pipe).await });
        }
    });
    addr
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    let told = |list: String| async move { Client::connect(&list).await.unwrap_err().to_string() };
    let why = told(format!("h?ca={}", path("none.pem"))).await;
    assert!(why.contains("none.pem cannot be read"), "{why}");
    fs::write(path("store.jks"), [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]).unwrap();
    let why = told(format!("h?ca={}", path("store.jks"))).await;
    assert!(why.contains("is a key store in JKS") && why.contains("keytool -importkeystore"), "{why}");
    fs::write(path("store.p12"), [0x30, 0x82, 9, 9, 2, 1, 3, 0x30]).unwrap();
    let why = told(format!("h?ca={}", path("store.p12"))).await;
    assert!(why.contains("is a key store in PKCS12") && why.contains("openssl pkcs12"), "{why}");
    let ca = Authority::new("ca").unwrap();
    let sealed = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let mine = ca.issue("me", &[]).unwrap().certificate;
    let config = TlsConfig::new(ca.pem()).certificate(Pem::text(mine), Pem::text(sealed));
    let why = config.load().unwrap_err().to_string();
    assert!(why.contains("is encrypted") && why.contains("openssl pkey"), "{why}");
}
