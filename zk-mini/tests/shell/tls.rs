//! TLS: on a port of its own and on the same one, who a client is by its certificate, and what a stalled handshake harms.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::tls::{Authority, ClientTlsConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zk_mini::{Builder, Error, Pem, TlsConfig, TlsVersion, ZkMini};

use crate::raw::{CREATE, GET_DATA, Raw, Stream, eventually, get_data, string, within};

const WHO_AM_I: i32 = 107;
const AUTH: i32 = 100;

const NO_AUTH: i32 = -102;
const INVALID_ACL: i32 = -114;

fn config(ca: &Authority) -> TlsConfig {
    let (certificate, key) = ca.issue("zk", &["zk.test"]).unwrap().pems();
    TlsConfig::new(certificate, key)
}

fn with_tls(config: TlsConfig) -> Builder {
    ZkMini::builder().tls(config.load().unwrap())
}

fn trusting(ca: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new(ca.pem()).server_name("zk.test")
}

fn with_certificate(ca: &Authority, name: &str) -> ClientTlsConfig {
    let (certificate, key) = ca.issue(name, &[]).unwrap().pems();
    trusting(ca).certificate(certificate, key)
}

async fn secured(config: ClientTlsConfig, stream: impl Stream + 'static) -> std::io::Result<Raw> {
    let handshake = config.load().unwrap().handshake("zk.test:2281", None)?;
    Ok(Raw { stream: Box::new(within(handshake.over(stream)).await?) })
}

async fn tcp(addr: SocketAddr) -> TcpStream {
    within(TcpStream::connect(addr)).await.unwrap()
}

/// Opens a connection in memory with a session.
async fn session(zk: &ZkMini, config: ClientTlsConfig) -> Raw {
    let mut raw = secured(config, zk.connect()).await.unwrap();
    raw.open_session(10_000).await;
    raw
}

/// Returns the body of a create with one entry of an ACL.
fn create_with(path: &str, scheme: &str, id: &str) -> Vec<u8> {
    let acl = [&[0, 0, 0, 1, 0, 0, 0, 31][..], &string(scheme), &string(id)].concat();
    [string(path), string("x"), acl, vec![0; 4]].concat()
}

async fn identities(raw: &mut Raw) -> String {
    String::from_utf8_lossy(&raw.request(1, WHO_AM_I, &[]).await.body).into_owned()
}

#[tokio::test]
async fn one_port_takes_both_and_another_tls_only() {
    let ca = Authority::new("ca").unwrap();
    let zk = with_tls(config(&ca)).listen_tls((Ipv4Addr::LOCALHOST, 0)).start().await.unwrap();
    let (both, tls) = (zk.addr().unwrap(), zk.tls_addr().unwrap());
    assert_ne!(both.port(), tls.port());
    for addr in [both, tls] {
        let mut raw = secured(trusting(&ca), tcp(addr).await).await.unwrap();
        raw.open_session(10_000).await;
        assert_eq!(raw.create(&format!("/{}", addr.port()), 0).await.err, 0);
    }
    let mut plain = Raw::tcp(&zk).await;
    plain.open_session(10_000).await;
    let mut refused = Raw { stream: Box::new(tcp(tls).await) };
    refused.write(b"ruok").await;
    assert_eq!(refused.rest().await, b"", "TLS only");
    assert_eq!(zk.sessions().len(), 3);
    let mut word = Raw::tcp(&zk).await;
    word.write(b"conf").await;
    let conf = String::from_utf8(word.rest().await).unwrap();
    assert!(
        conf.contains(&format!("clientPort={}\nsecureClientPort={}\n", both.port(), tls.port())),
        "{conf}"
    );
}

#[tokio::test]
async fn without_unification_the_plain_port_takes_no_tls() {
    let ca = Authority::new("ca").unwrap();
    let builder = with_tls(config(&ca)).port_unification(false).listen_tls((Ipv4Addr::LOCALHOST, 0));
    let zk = builder.start().await.unwrap();
    assert!(secured(trusting(&ca), tcp(zk.addr().unwrap()).await).await.is_err());
    assert!(secured(trusting(&ca), tcp(zk.tls_addr().unwrap()).await).await.is_ok());
}

#[tokio::test]
async fn a_server_may_listen_for_tls_only_and_needs_a_certificate_for_it() {
    let ca = Authority::new("ca").unwrap();
    let zk = with_tls(config(&ca)).in_memory().listen_tls((Ipv4Addr::LOCALHOST, 0)).start().await.unwrap();
    assert_eq!(zk.addr(), None);
    assert!(secured(trusting(&ca), tcp(zk.tls_addr().unwrap()).await).await.is_ok());
    let without = ZkMini::builder().listen_tls((Ipv4Addr::LOCALHOST, 0)).start().await;
    assert!(matches!(without, Err(Error::NoCertificate { .. })));
}

#[tokio::test]
async fn each_server_of_an_ensemble_has_its_port_for_tls_only_which_stops_with_it() {
    let ca = Authority::new("ca").unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let other = SocketAddr::from(([127, 0, 0, 2], 0));
    let for_each = [vec![any, other], vec![other], vec![any]];
    let given = with_tls(config(&ca)).servers(3).tls_servers_at(for_each).start().await.unwrap();
    let addrs = |zk: &ZkMini| [1, 2, 3].map(|number| zk.server(number).unwrap().tls_addr().unwrap());
    assert_eq!(addrs(&given).map(|addr| addr.ip()), [any.ip(), other.ip(), any.ip()]);
    let free = with_tls(config(&ca)).servers(3).listen_tls(any).start().await.unwrap();
    for zk in [given, free] {
        let addrs = addrs(&zk);
        for (at, addr) in addrs.into_iter().enumerate() {
            let mut raw = secured(trusting(&ca), tcp(addr).await).await.unwrap();
            raw.open_session(10_000).await;
            assert_eq!(zk.server(at + 1).unwrap().connections().len(), 1, "it is a port of this server");
        }
        assert_eq!(addrs.into_iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
        let second = zk.server(2).unwrap();
        second.stop().await;
        assert!(TcpStream::connect(addrs[1]).await.is_err());
        assert!(secured(trusting(&ca), tcp(addrs[2]).await).await.is_ok());
        second.start().await.unwrap();
        assert!(secured(trusting(&ca), tcp(addrs[1]).await).await.is_ok());
    }
    let without = ZkMini::builder().servers(2).tls_servers_at([vec![], vec![any]]).start().await;
    assert!(matches!(without, Err(Error::NoCertificate { addr }) if addr == any));
    let error = with_tls(config(&ca)).servers(2).tls_servers_at(vec![vec![any]; 3]).start().await;
    assert!(matches!(error, Err(Error::TlsAddresses { servers: 2, given: 3 })));
}

#[tokio::test]
async fn a_certificate_is_an_identity_for_acls() {
    let ca = Authority::new("ca").unwrap();
    let zk = with_tls(config(&ca).client_ca(ca.pem()).optional_client_certificate()).in_memory();
    let zk = zk.start().await.unwrap();
    let mut owner = session(&zk, with_certificate(&ca, "billing")).await;
    let known = identities(&mut owner).await;
    assert!(known.contains("x509") && known.contains("CN=billing"), "{known}");
    assert_eq!(owner.request(2, CREATE, &create_with("/mine", "auth", "")).await.err, 0);
    assert_eq!(owner.request(3, CREATE, &create_with("/theirs", "x509", "CN=shop")).await.err, 0);
    assert_eq!(owner.request(4, CREATE, &create_with("/no", "x509", "no name")).await.err, INVALID_ACL);
    assert_eq!(owner.request(5, GET_DATA, &get_data("/mine", false)).await.err, 0);
    assert_eq!(owner.request(6, GET_DATA, &get_data("/theirs", false)).await.err, NO_AUTH);

    let mut other = session(&zk, with_certificate(&ca, "shop")).await;
    assert_eq!(other.request(1, GET_DATA, &get_data("/mine", false)).await.err, NO_AUTH);
    assert_eq!(other.request(2, GET_DATA, &get_data("/theirs", false)).await.err, 0);
    let auth = [vec![0; 4], string("x509"), string("")].concat();
    assert_eq!(other.request(-4, AUTH, &auth).await.err, 0, "the certificate is known");

    let mut stranger = session(&zk, trusting(&ca)).await;
    assert_eq!(stranger.request(1, GET_DATA, &get_data("/theirs", false)).await.err, NO_AUTH);
    assert_eq!(stranger.request(-4, AUTH, &auth).await.err, -115);
    assert_eq!(stranger.receive().await, None);
}

#[tokio::test]
async fn without_tls_the_scheme_x509_is_unknown() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 10_000).await;
    assert_eq!(raw.request(1, CREATE, &create_with("/a", "x509", "CN=a")).await.err, INVALID_ACL);
}

#[tokio::test]
async fn the_super_user_of_certificates_may_do_everything() {
    let ca = Authority::new("ca").unwrap();
    let zk = with_tls(config(&ca).client_ca(ca.pem())).in_memory().x509_super_user("CN=admin");
    let zk = zk.start().await.unwrap();
    let mut owner = session(&zk, with_certificate(&ca, "billing")).await;
    assert_eq!(owner.request(1, CREATE, &create_with("/mine", "auth", "")).await.err, 0);
    let mut admin = session(&zk, with_certificate(&ca, "admin")).await;
    assert_eq!(admin.request(1, GET_DATA, &get_data("/mine", false)).await.err, 0);
    assert!(identities(&mut admin).await.contains("super"));
    assert!(!identities(&mut owner).await.contains("super"));
}

#[tokio::test]
async fn words_and_http_work_inside() {
    let ca = Authority::new("ca").unwrap();
    let zk = with_tls(config(&ca)).on_http(|_, mut connection| {
        tokio::spawn(async move {
            let answer = format!("HTTP/1.0 200 OK\r\n\r\nfor {:?}", connection.peer.is_some());
            connection.stream.write_all(answer.as_bytes()).await.unwrap();
            connection.stream.shutdown().await.unwrap();
        });
    });
    let zk = zk.start().await.unwrap();
    let addr = zk.addr().unwrap();
    let mut word = secured(trusting(&ca), tcp(addr).await).await.unwrap();
    word.write(b"ruok").await;
    assert_eq!(word.rest().await, b"imok");
    let mut http = secured(trusting(&ca), tcp(addr).await).await.unwrap();
    http.write(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(http.rest().await.ends_with(b"for true"));
}

#[tokio::test]
async fn no_http_without_tls_gets_through_an_address_for_tls_only() {
    let ca = Authority::new("ca").unwrap();
    let zk = with_tls(config(&ca)).in_memory().listen_tls((Ipv4Addr::LOCALHOST, 0)).manual_clock();
    let zk = zk.max_client_connections(1).on_http(|_, mut connection| {
        tokio::spawn(async move { connection.stream.write_all(b"served").await });
    });
    let zk = zk.start().await.unwrap();
    let addr = zk.tls_addr().unwrap();
    let mut silent = Raw { stream: Box::new(tcp(addr).await) };
    eventually("it is accepted", || zk.connections().len() == 1).await;
    // One that is too many for its address.
    let mut another = Raw { stream: Box::new(tcp(addr).await) };
    another.write(b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(another.rest().await, b"");
    // One that is closed before it has said anything.
    within(zk.advance(Duration::from_secs(21))).await;
    let _ = silent.stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(silent.rest().await, b"");
}

#[tokio::test]
async fn a_stalled_handshake_holds_up_nobody_and_ends_like_a_silent_connection() {
    let ca = Authority::new("ca").unwrap();
    let zk = with_tls(config(&ca)).manual_clock().start().await.unwrap();
    let mut stalled = tcp(zk.addr().unwrap()).await;
    // The head of a record of 512 bytes, and its first byte.
    stalled.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    eventually("the handshake has begun", || zk.connections().len() == 1).await;
    let mut raw = secured(trusting(&ca), tcp(zk.addr().unwrap()).await).await.unwrap();
    raw.open_session(40_000).await;
    assert_eq!(raw.create("/a", 0).await.err, 0);
    within(zk.advance(Duration::from_secs(21))).await;
    assert_eq!(within(stalled.read(&mut [0; 8])).await.unwrap_or(0), 0, "closed");
    assert_eq!(raw.request(2, GET_DATA, &get_data("/a", false)).await.err, 0);

    // A server stops while one is under way.
    let mut another = tcp(zk.addr().unwrap()).await;
    another.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    eventually("the handshake has begun", || zk.connections().len() == 2).await;
    within(zk.stop()).await;
}

#[tokio::test]
async fn versions_of_tls_can_be_chosen() {
    let ca = Authority::new("ca").unwrap();
    for (versions, expected) in [([TlsVersion::V1_2], 0x0303), ([TlsVersion::V1_3], 0x0304)] {
        let zk = with_tls(config(&ca).versions(versions)).in_memory().start().await.unwrap();
        let mut stream = zk.connect();
        stream.write_all(&client_hello(expected)).await.unwrap();
        let mut head = [0; 1];
        within(stream.read_exact(&mut head)).await.unwrap();
        assert_eq!(head, [0x16], "a handshake, and no alert, for {expected:#x}");
        let mut stream = zk.connect();
        stream.write_all(&client_hello(if expected == 0x0303 { 0x0304 } else { 0x0303 })).await.unwrap();
        within(stream.read_exact(&mut head)).await.unwrap();
        assert_eq!(head, [0x15], "an alert");
    }
}

/// Returns the first message of a client that speaks one version only.
fn client_hello(version: u16) -> Vec<u8> {
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::version::{TLS12, TLS13};
    use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

    let version = if version == 0x0303 { &TLS12 } else { &TLS13 };
    let config = ClientConfig::builder_with_provider(ring::default_provider().into());
    let config = config.with_protocol_versions(&[version]).unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from("zk.test").unwrap();
    let mut client = ClientConnection::new(config.into(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn a_changed_certificate_is_used_for_the_next_handshake() {
    let (old, new) = (Authority::new("old").unwrap(), Authority::new("new").unwrap());
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("zk.pem"), files.path().join("zk.key"));
    let write = |ca: &Authority, hosts: &[&str]| {
        let issued = ca.issue("zk", hosts).unwrap();
        fs::write(&key, issued.key).unwrap();
        fs::write(&certificate, issued.certificate).unwrap();
    };
    write(&old, &["zk.test"]);
    let config = TlsConfig::new(Pem::file(&certificate), Pem::file(&key));
    let zk = with_tls(config).in_memory().start().await.unwrap();
    let mut before = session(&zk, trusting(&old)).await;
    // Another length, in case the time of the file is the same.
    write(&new, &["zk.test", "another.zk.test"]);
    let why = secured(trusting(&old), zk.connect()).await.err().unwrap().to_string();
    assert!(why.contains("issued by no authority"), "{why}");
    session(&zk, trusting(&new)).await;
    assert_eq!(before.create("/a", 0).await.err, 0, "connections stay");
}

/// Returns true if something listens there.
async fn listens(addr: SocketAddr) -> bool {
    within(TcpStream::connect(addr)).await.is_ok()
}

#[tokio::test]
async fn what_is_done_to_a_server_of_an_ensemble_is_done_to_its_port_for_tls_too() {
    let ca = Authority::new("ca").unwrap();
    let builder =
        with_tls(config(&ca)).port_unification(false).listen_tls((Ipv4Addr::LOCALHOST, 0)).servers(3);
    let zk = builder.start().await.unwrap();
    let servers = [1, 2, 3].map(|number| zk.server(number).unwrap());
    let addrs: Vec<_> =
        servers.iter().flat_map(|server| [server.addr().unwrap(), server.tls_addr().unwrap()]).collect();
    assert_eq!(addrs.iter().map(SocketAddr::port).collect::<std::collections::BTreeSet<_>>().len(), 6);
    assert_eq!((zk.addr(), zk.tls_addr()), (Some(addrs[0]), Some(addrs[1])));
    for (at, server) in servers.iter().enumerate() {
        let mut raw = secured(trusting(&ca), tcp(server.tls_addr().unwrap()).await).await.unwrap();
        raw.open_session(10_000).await;
        assert_eq!(raw.create(&format!("/{at}"), 0).await.err, 0);
        assert_eq!(server.connections().len(), 1, "the connection is that server's");
        let mut refused = Raw { stream: Box::new(tcp(server.tls_addr().unwrap()).await) };
        refused.write(b"ruok").await;
        assert_eq!(refused.rest().await, b"", "TLS only");
        let mut word = Raw { stream: Box::new(tcp(server.addr().unwrap()).await) };
        word.write(b"conf").await;
        let conf = String::from_utf8(word.rest().await).unwrap();
        let ports =
            format!("clientPort={}\nsecureClientPort={}\n", addrs[2 * at].port(), addrs[2 * at + 1].port());
        assert!(conf.contains(&ports), "its own ports: {conf}");
    }

    // What is done to a server is done to both of its ports.
    let second = &servers[1];
    let mut by_tls = secured(trusting(&ca), tcp(addrs[3]).await).await.unwrap();
    by_tls.open_session(10_000).await;
    second.stop().await;
    assert_eq!(by_tls.rest().await, b"", "closed");
    assert!(!listens(addrs[2]).await && !listens(addrs[3]).await);
    assert!(listens(addrs[1]).await && listens(addrs[5]).await, "the others go on");
    second.start().await.unwrap();
    let mut by_tls = secured(trusting(&ca), tcp(addrs[3]).await).await.unwrap();
    by_tls.open_session(10_000).await;
    second.partition().await;
    assert_eq!(by_tls.rest().await, b"", "closed");
    // Nobody is answered there before the end, not even the handshake of TLS.
    let connecting = tokio::spawn(secured(trusting(&ca), tcp(addrs[3]).await));
    eventually("the server has the connection", || second.connections().len() == 1).await;
    second.heal().await;
    let mut by_tls = within(connecting).await.unwrap().unwrap();
    by_tls.open_session(10_000).await;
    assert_eq!(by_tls.create("/after", 0).await.err, 0);
}

#[tokio::test]
async fn servers_may_have_addresses_for_tls_one_by_one_and_no_others() {
    let ca = Authority::new("ca").unwrap();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let builder = || with_tls(config(&ca)).servers_at(vec![Vec::new(); 3]);
    let zk = builder().tls_servers_at([vec![free], Vec::new(), vec![free]]).start().await.unwrap();
    let of = |number| zk.server(number).unwrap();
    assert_eq!((of(1).addr(), of(2).addr(), of(2).tls_addr()), (None, None, None));
    let addrs = [of(1).tls_addr().unwrap(), of(3).tls_addr().unwrap()];
    let expected = format!("{},in-memory:2181,{}", addrs[0], addrs[1]);
    assert_eq!(zk.connect_string(), expected);
    let mut raw = secured(trusting(&ca), tcp(addrs[1]).await).await.unwrap();
    raw.open_session(10_000).await;
    assert_eq!(of(3).connections().len(), 1);

    let too_many = builder().tls_servers_at(vec![vec![free]; 4]).start().await;
    assert!(matches!(too_many, Err(Error::TlsAddresses { given: 4, servers: 3 })));
    let without = ZkMini::builder().servers(3).tls_servers_at([vec![free]]).start().await;
    assert!(matches!(without, Err(Error::NoCertificate { .. })));
    // The first port of a row, of which there are not enough.
    let last = SocketAddr::from((Ipv4Addr::LOCALHOST, 65_535));
    let row = with_tls(config(&ca)).servers(2).listen_tls(last).start().await;
    assert!(matches!(row, Err(Error::NoPortsLeft { count: 2, .. })));
}
