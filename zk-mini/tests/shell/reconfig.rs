//! Members of an ensemble through its ports: new servers, other ports, and what a reset undoes.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zk_mini::{Builder, Error, Role, ServerState, ZkMini};

use crate::raw::{Raw, Reply, connect_request, frame, get_data, string, within};

const RECONFIG: i32 = 16;
const GET_DATA: i32 = 4;

fn three() -> Builder {
    ZkMini::builder().servers(3).reconfig_enabled(true).skip_acl(true)
}

async fn at(addr: SocketAddr) -> Raw {
    let mut raw = Raw { stream: Box::new(TcpStream::connect(addr).await.unwrap()) };
    raw.open_session(10_000).await;
    raw
}

async fn reconfig(raw: &mut Raw, leaving: &str, joining: &str) -> Reply {
    let text = |text: &str| if text.is_empty() { vec![0xff; 4] } else { string(text) };
    let body = [text(joining), text(leaving), vec![0xff; 4], vec![0xff; 8]].concat();
    raw.request(7, RECONFIG, &body).await
}

/// Returns the data in front of the `Stat`.
fn data(reply: &Reply) -> String {
    String::from_utf8(reply.body[4..reply.body.len() - 68].into()).unwrap()
}

async fn srvr(addr: SocketAddr) -> String {
    let mut raw = Raw { stream: Box::new(TcpStream::connect(addr).await.unwrap()) };
    raw.write(b"srvr").await;
    String::from_utf8(raw.rest().await).unwrap()
}

#[tokio::test]
async fn the_configuration_names_the_ports_of_the_servers() {
    let zk = three().seed(1).start().await.unwrap();
    let addr = |number| zk.server(number).unwrap().addr().unwrap();
    let expected: String = (1..=3)
        .map(|number| {
            let (quorum, election) = (2887 + number, 3887 + number);
            format!("server.{number}=127.0.0.1:{quorum}:{election}:participant;{}\n", addr(number))
        })
        .collect();
    for number in 1..=3 {
        let reply = at(addr(number)).await.request(1, GET_DATA, &get_data("/zookeeper/config", false)).await;
        assert_eq!(data(&reply), format!("{expected}version=100000000"));
    }
    let in_memory = three().in_memory().seed(1).start().await.unwrap();
    let data = in_memory.get("/zookeeper/config").unwrap().0;
    assert!(data.starts_with(b"server.1=127.0.0.1:2888:3888:participant\n"), "{data:?}");
}

#[tokio::test]
async fn servers_have_the_quorum_addresses_that_they_are_given() {
    let quorum = |number: usize| format!("zk{number}:{}:{}", 100 + number, 200 + number);
    let builder = (1..=2).fold(three(), |builder, n| builder.quorum_addr(n, quorum(n).parse().unwrap()));
    let zk = builder.start().await.unwrap();
    let leader =
        |zk: &ZkMini| zk.servers().iter().find(|info| info.role == Role::Leader).map(|info| info.server);
    let mut raw = at(zk.addr().unwrap()).await;
    let reply = raw.request(1, GET_DATA, &get_data("/zookeeper/config", false)).await;
    for line in [quorum(1), quorum(2), "127.0.0.1:2890:3890".to_owned()] {
        assert!(data(&reply).contains(&format!("={line}:participant;127.0.0.1:")), "{line}");
    }
    // Who names the leader's own address keeps it; who names another one has another leader.
    let port = |number| zk.server(number).unwrap().addr().unwrap().port();
    let third = |quorum| format!("server.3=127.0.0.1:{quorum}:3890;{}", port(3));
    assert_eq!(reconfig(&mut raw, "1", &third(2890)).await.err, 0);
    assert_eq!(leader(&zk), Some(3));
    let conf = zk.server(1).unwrap();
    let mut asked = Raw { stream: Box::new(TcpStream::connect(conf.addr().unwrap()).await.unwrap()) };
    asked.write(b"conf").await;
    let told = String::from_utf8(asked.rest().await).unwrap();
    assert!(told.contains("quorumPort=101\n") && told.contains("electionPort=201\n"), "{told}");
    let joining = format!("server.3=zk3:2890:3890;{}", port(3));
    reconfig(&mut raw, "", &joining).await;
    assert_eq!(leader(&zk), Some(2));
    zk.reset_all().await.unwrap();
    let config = zk.get("/zookeeper/config").unwrap().0;
    assert!(config.starts_with(b"server.1=zk1:101:201:participant;"), "{config:?}");
}

#[tokio::test]
async fn a_quorum_address_is_that_of_a_server() {
    for number in [0, 4] {
        let builder = three().quorum_addr(number, "zk:1:2".parse().unwrap()).in_memory();
        let error = builder.start().await.err().unwrap();
        assert!(matches!(error, Error::QuorumAddr { count: 3, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_joins_serves_at_its_port_when_the_answer_comes() {
    let zk = three().start().await.unwrap();
    let mut raw = at(zk.addr().unwrap()).await;
    assert_eq!(raw.create("/a", 0).await.err, 0);
    // Port 0 is a free one.
    let joining = "server.9=zk9:1:2:observer;zk9:0";
    let reply = reconfig(&mut raw, "", joining).await;
    assert_eq!(reply.err, 0);
    assert!(data(&reply).contains(joining));
    let server = zk.server(9).unwrap();
    let addr = server.addr().unwrap();
    let mut reader = at(addr).await;
    assert_eq!(reader.request(1, GET_DATA, &get_data("/a", false)).await.err, 0);
    assert!(srvr(addr).await.contains("Mode: observer\n"));
    assert!(zk.connect_string().ends_with(&format!(",{addr}")));

    // It stops and starts as the others do; another port is another address.
    zk.server(9).unwrap().restart().await.unwrap();
    let mut reader = at(addr).await;
    let reply = reconfig(&mut raw, "", "server.9=zk9:1:2:observer;127.0.0.1:0").await;
    assert_eq!(reply.err, 0);
    let other = server.addr().unwrap();
    assert!(TcpStream::connect(addr).await.is_err(), "it has moved");
    assert_eq!(reader.request(1, GET_DATA, &get_data("/a", false)).await.err, 0, "its clients stay");
    at(other).await;

    zk.reset_all().await.unwrap();
    assert_eq!(within(reader.receive()).await, None);
    assert_eq!(zk.servers().len(), 3);
    assert!(
        zk.server(9).unwrap_err().to_string().starts_with("no server 9: the ensemble has servers 1 to 3")
    );
    assert!(TcpStream::connect(other).await.is_err());

    // Another server in its place is another one, also for those who still have a handle to it.
    let mut raw = at(zk.addr().unwrap()).await;
    assert_eq!(reconfig(&mut raw, "", "server.5=zk5:1:2:observer;zk5:0").await.err, 0);
    let fifth = zk.server(5).unwrap();
    server.stop().await;
    assert_eq!((server.addr(), server.info().state), (None, ServerState::Stopped));
    assert_eq!(fifth.info().state, ServerState::Running);
    let told = srvr(fifth.addr().unwrap()).await;
    let received = told.lines().find_map(|line| line.strip_prefix("Received: ")).unwrap();
    assert!(received.parse::<u32>().unwrap() <= 1, "its counters are its own: {told}");
    let data = zk.get("/zookeeper/config").unwrap().0;
    assert!(!String::from_utf8(data.into()).unwrap().contains("zk9"));
}

#[tokio::test]
async fn a_server_whose_port_is_taken_joins_as_one_that_is_stopped() {
    let zk = three().start().await.unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = taken.local_addr().unwrap();
    let mut raw = at(zk.addr().unwrap()).await;
    let reply = reconfig(&mut raw, "", &format!("server.4=127.0.0.1:1:2;0.0.0.0:{}", addr.port())).await;
    assert_eq!(reply.err, 0);
    let server = zk.server(4).unwrap();
    assert_eq!((server.info().state, server.addr()), (ServerState::Stopped, Some(addr)));
    assert!(server.start().await.is_err());
    drop(taken);
    server.start().await.unwrap();
    assert_eq!(server.info().role, Role::Follower);
    at(addr).await;
}

#[tokio::test]
async fn servers_in_memory_join_without_a_port() {
    let zk = three().in_memory().start().await.unwrap();
    let mut raw = Raw { stream: Box::new(zk.server(1).unwrap().connect()) };
    raw.open_session(10_000).await;
    assert_eq!(reconfig(&mut raw, "", "server.4=zk4:1:2;2181").await.err, 0);
    let mut joined = Raw { stream: Box::new(zk.server(4).unwrap().connect()) };
    joined.open_session(10_000).await;
    zk.server(4).unwrap().lead().await.unwrap();
    assert_eq!(zk.server(4).unwrap().info().role, Role::Leader);
}

#[tokio::test]
async fn a_server_that_has_left_takes_no_client() {
    let zk = three().in_memory().start().await.unwrap();
    let mut raw = Raw { stream: Box::new(zk.server(1).unwrap().connect()) };
    raw.open_session(10_000).await;
    assert_eq!(reconfig(&mut raw, "", "server.4=zk4:1:2;2181").await.err, 0);
    let fourth = zk.server(4).unwrap();
    let connector = fourth.connector();
    zk.reset_all().await.unwrap();
    assert_eq!(zk.servers().len(), 3);
    assert!(connector.connect().is_err());
    let mut stream = fourth.connect();
    // The stream may be closed before or after the request.
    let _ = stream.write_all(&frame(&connect_request(10_000))).await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or_default(), 0);
    assert!(zk.sessions().is_empty());
}

#[tokio::test]
async fn observers_are_the_last_servers_and_say_so() {
    let zk = three().observers(2).seed(1).start().await.unwrap();
    let roles: Vec<_> = zk.servers().iter().map(|info| info.role).collect();
    assert_eq!(roles, [Role::Follower, Role::Follower, Role::Leader, Role::Observer, Role::Observer]);
    let addr = zk.server(5).unwrap().addr().unwrap();
    assert!(srvr(addr).await.contains("Mode: observer\n"));
    let data = zk.get("/zookeeper/config").unwrap().0;
    assert!(
        String::from_utf8(data.into())
            .unwrap()
            .contains(&format!("\nserver.5=127.0.0.1:2892:3892:observer;{addr}\n"))
    );
    let addrs = vec![vec![(Ipv4Addr::LOCALHOST, 0).into()]; 4];
    let zk = ZkMini::builder().servers_at(addrs).observers(1).start().await.unwrap();
    assert_eq!(zk.servers().iter().filter(|info| info.role == Role::Observer).count(), 1);
    assert_eq!(zk.servers().len(), 4);
}

#[tokio::test]
async fn observers_need_servers_that_vote() {
    for builder in [
        ZkMini::builder().observers(1),
        ZkMini::builder().servers(1).observers(3),
        three().servers_at(vec![vec![]; 3]).observers(3),
    ] {
        let error = builder.in_memory().start().await.err().unwrap();
        assert!(matches!(error, Error::Observers { .. }), "{error}");
    }
    let error = three().observers(97).in_memory().start().await.err().unwrap();
    assert_eq!(error.to_string(), "100 servers: there can be 1 to 99");
}
