//! Servers of an ensemble through the public API: ports, stops, lags, the data directory.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use zk_mini::storage::SimulatedDisk;
use zk_mini::{Builder, Error, Lag, On, Role, Server, ServerState, Then, Unable, ZkMini};

use crate::raw::{Raw, Reply, connect_request, create, eventually, get_data, resume_request, within};

const NO_NODE: i32 = -101;
const EXISTS: i32 = 3;
const SYNC: i32 = 9;

fn three() -> Builder {
    ZkMini::builder().servers(3)
}

async fn tcp(server: &Server) -> Raw {
    Raw { stream: Box::new(TcpStream::connect(server.addr().unwrap()).await.unwrap()) }
}

async fn refuses(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

async fn in_memory(server: &Server) -> Raw {
    let mut raw = Raw { stream: Box::new(server.connect()) };
    raw.open_session(10_000).await;
    raw
}

async fn exists(raw: &mut Raw, path: &str) -> Reply {
    raw.request(9, EXISTS, &get_data(path, false)).await
}

async fn word(server: &Server, word: &str) -> String {
    let mut raw = tcp(server).await;
    raw.write(word.as_bytes()).await;
    String::from_utf8(raw.rest().await).unwrap()
}

#[tokio::test]
async fn each_server_has_a_port_and_answers_for_itself() {
    let zk = three().start().await.unwrap();
    let names: Vec<_> = (1..=3).map(|number| zk.server(number).unwrap().connect_string()).collect();
    assert_eq!(zk.connect_string(), names.join(","));
    let mut raw = tcp(&zk.server(2).unwrap()).await;
    raw.open_session(10_000).await;
    for (number, mode, connections) in [(1, "follower", 1), (2, "follower", 2), (3, "leader", 1)] {
        let server = zk.server(number).unwrap();
        let srvr = word(&server, "srvr").await;
        assert!(srvr.contains(&format!("Mode: {mode}\n")), "{srvr}");
        assert!(srvr.contains(&format!("Connections: {connections}\n")), "of this server: {srvr}");
        assert_eq!(word(&server, "isro").await, "rw");
        assert!(word(&server, "mntr").await.contains(&format!("zk_server_state\t{mode}\n")));
    }
    zk.stop().await;
    for name in names {
        assert!(refuses(name.parse().unwrap()).await);
    }
}

#[tokio::test]
async fn a_stopped_server_refuses_and_comes_back_on_its_port() {
    let zk = three().start().await.unwrap();
    let server = zk.server(1).unwrap();
    let addr = server.addr().unwrap();
    let (mut own, mut other) = (tcp(&server).await, tcp(&zk.server(2).unwrap()).await);
    own.open_session(10_000).await;
    other.open_session(10_000).await;
    server.stop().await;
    assert!(refuses(addr).await && server.connector().connect().is_err());
    assert_eq!(own.receive().await, None);
    assert_eq!(server.info().state, ServerState::Stopped);
    assert_eq!(other.create("/a", 0).await.err, 0, "the others go on");

    // The whole goes down and comes up without it.
    zk.take_down().await;
    zk.bring_up().await.unwrap();
    assert!(refuses(addr).await && !refuses(zk.server(2).unwrap().addr().unwrap()).await);
    server.start().await.unwrap();
    let mut again = tcp(&server).await;
    again.open_session(10_000).await;
    assert_eq!(exists(&mut again, "/a").await.err, 0);
    server.restart().await.unwrap();
    assert_eq!(again.receive().await, None);
    assert!(!refuses(addr).await);
}

#[tokio::test]
async fn a_server_whose_port_is_taken_stays_stopped() {
    let zk = three().start().await.unwrap();
    let server = zk.server(1).unwrap();
    server.stop().await;
    server.start().await.unwrap();
    server.start().await.unwrap();
    assert_eq!(server.info().state, ServerState::Running, "twice is once");
    drop(zk);
    // A stopped server keeps its port, so nobody can take it; a builder can ask for one that is taken.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let error = three().listen(taken.local_addr().unwrap()).start().await.unwrap_err();
    assert!(matches!(error, Error::Listen { addr, .. } if addr == taken.local_addr().unwrap()));
}

#[tokio::test]
async fn ports_follow_the_first_one_or_are_given() {
    // Three free ports in a row are found by trying.
    let zk = loop {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        match three().listen(free).start().await {
            Ok(zk) => {
                let ports = (0..3).map(|at| free.port() + at);
                let names: Vec<_> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
                assert_eq!(zk.connect_string(), names.join(","));
                break zk;
            }
            Err(Error::Listen { .. } | Error::NoPortsLeft { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    drop(zk);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let zk = ZkMini::builder().servers_at(vec![vec![any]; 3]).start().await.unwrap();
    let ports: std::collections::BTreeSet<_> =
        (1..=3).map(|number| zk.server(number).unwrap().addr().unwrap().port()).collect();
    assert_eq!(ports.len(), 3, "each its own");

    let other = SocketAddr::from(([127, 0, 0, 2], 0));
    let zk = three().listen(any).also_listen(other).start().await.unwrap();
    for number in 1..=3 {
        let server = zk.server(number).unwrap();
        let port = server.addr().unwrap().port();
        assert!(!refuses(SocketAddr::from(([127, 0, 0, 2], port))).await, "the same port on both");
        server.stop().await;
        assert!(refuses(SocketAddr::from(([127, 0, 0, 2], port))).await);
        server.start().await.unwrap();
    }
    let last = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::MAX));
    assert!(matches!(three().listen(last).start().await, Err(Error::NoPortsLeft { .. })));
    for count in [0, 100] {
        let error = ZkMini::builder().servers(count).start().await.unwrap_err();
        assert!(error.to_string().contains("there can be 1 to 99"), "{error}");
    }
}

#[tokio::test]
async fn a_single_server_has_no_servers() {
    let zk = ZkMini::builder().servers(1).in_memory().start().await.unwrap();
    assert!(zk.servers().is_empty());
    assert_eq!(zk.server(1).unwrap_err(), Unable::NoSuchServer { server: 1, count: 0 });
    zk.lose_quorum().await;
    assert_eq!(Raw::with_session(&zk, 10_000).await.create("/a", 0).await.err, 0);
}

#[tokio::test]
async fn a_lag_is_by_the_clock_of_the_ensemble() {
    let zk = three().in_memory().seed(7).manual_clock().start().await.unwrap();
    let behind = zk.server(1).unwrap();
    behind.lag(Lag::time(Duration::from_millis(500))).await.unwrap();
    let mut reader = Raw { stream: Box::new(behind.connect()) };
    reader.send(&connect_request(10_000)).await;
    zk.advance(Duration::from_millis(500)).await;
    assert!(reader.receive().await.is_some(), "a session is a transaction, too");
    zk.create("/a", "").await.unwrap();
    assert_eq!(exists(&mut reader, "/a").await.err, NO_NODE);
    reader.send(&crate::raw::request(1, SYNC, &crate::raw::string("/a"))).await;
    zk.advance(Duration::from_millis(499)).await;
    assert_eq!(behind.info().behind, 1);
    zk.advance(Duration::from_millis(1)).await;
    assert_eq!(reader.reply().await.xid, 1);
    assert_eq!(exists(&mut reader, "/a").await.err, 0);
    assert_eq!(zk.server(3).unwrap().lag(Lag::Transactions(1)).await, Err(Unable::Leads { server: 3 }));
}

#[tokio::test]
async fn connections_without_a_server_go_to_each_that_runs_in_turn() {
    let zk = three().in_memory().start().await.unwrap();
    zk.server(2).unwrap().stop().await;
    let listeners = async || {
        let mut raw = Raw::in_memory(&zk);
        raw.open_session(10_000).await;
        raw
    };
    let mut raws = Vec::new();
    for _ in 0..4 {
        raws.push(listeners().await);
    }
    zk.server(1).unwrap().stop().await;
    // Without a majority the last one closes its connections, too.
    for mut raw in raws {
        assert_eq!(raw.receive().await, None);
    }
    assert_eq!(zk.server(3).unwrap().info().state, ServerState::ReadOnly);
}

#[tokio::test]
async fn a_partitioned_server_accepts_and_answers_when_it_is_healed() {
    let zk = three().start().await.unwrap();
    let server = zk.server(1).unwrap();
    let mut first = in_memory(&server).await;
    server.partition().await;
    assert_eq!(first.receive().await, None);
    zk.create("/a", "").await.unwrap();
    let mut waits = tcp(&server).await;
    waits.send(&connect_request(10_000)).await;
    eventually("it is accepted", || zk.connections().len() == 1).await;
    assert_eq!(zk.sessions().len(), 1, "but has no session");
    server.heal().await;
    assert!(waits.receive().await.is_some());
    assert_eq!(exists(&mut waits, "/a").await.err, 0);
}

#[tokio::test]
async fn a_frozen_server_is_silent_until_it_is_thawed() {
    let zk = three().start().await.unwrap();
    let server = zk.server(1).unwrap();
    let mut raw = tcp(&server).await;
    raw.open_session(10_000).await;
    server.freeze().await;
    raw.send(&crate::raw::request(5, EXISTS, &get_data("/", false))).await;
    zk.create("/a", "").await.unwrap();
    assert_eq!((server.info().state, server.info().role), (ServerState::Frozen, Role::Follower));
    assert_eq!(server.info().last_zxid, zk.last_zxid(), "it stays in touch");
    server.thaw().await;
    assert_eq!(raw.reply().await.xid, 5);
    zk.freeze();
    assert!(zk.servers().iter().all(|server| server.state == ServerState::Frozen));
    zk.thaw().await;
    assert_eq!(server.info().state, ServerState::Running);
}

#[tokio::test]
async fn an_election_moves_the_epoch_and_every_client_comes_back() {
    let zk = three().in_memory().seed(1).start().await.unwrap();
    let mut raw = Raw::in_memory(&zk);
    let answered = raw.open_session(10_000).await;
    let before = zk.last_zxid();
    zk.server(1).unwrap().lead().await.unwrap();
    assert_eq!(raw.receive().await, None);
    assert_eq!(zk.last_zxid().0 >> 32, (before.0 >> 32) + 1);
    for number in 1..=3 {
        let mut again = Raw { stream: Box::new(zk.server(number).unwrap().connect()) };
        again.send(&resume_request(&answered)).await;
        assert_eq!(again.receive().await, Some(answered.clone()));
    }
    let stopped = zk.server(2).unwrap();
    stopped.stop().await;
    assert_eq!(stopped.lead().await, Err(Unable::TakesNoPart { server: 2 }));
}

#[tokio::test]
async fn without_a_quorum_it_says_so_and_serves_read_only_clients() {
    let zk = three().start().await.unwrap();
    zk.create("/a", "").await.unwrap();
    zk.lose_quorum().await;
    let server = zk.server(1).unwrap();
    assert_eq!(word(&server, "isro").await, "ro");
    assert!(word(&server, "srvr").await.contains("Mode: read-only\n"));
    let mut strict = tcp(&server).await;
    strict.send(&connect_request(10_000)).await;
    assert_eq!(strict.receive().await, None);
    let mut reader = tcp(&server).await;
    let mut request = connect_request(10_000);
    *request.last_mut().unwrap() = 1;
    reader.send(&request).await;
    assert_eq!(reader.receive().await.unwrap().last(), Some(&1));
    assert_eq!(exists(&mut reader, "/a").await.err, 0);
    assert_eq!(reader.request(2, 1, &create("/b", 0)).await.err, -119);
    zk.regain_quorum().await;
    assert_eq!(reader.receive().await, None);
    assert_eq!(word(&server, "isro").await, "rw");
}

#[tokio::test]
async fn reset_all_undoes_everything() {
    let zk = three().start().await.unwrap();
    zk.fault(On::create("/**"), Then::disconnect()).keep();
    let servers: Vec<_> = (1..=3).map(|number| zk.server(number).unwrap()).collect();
    servers[0].lag(Lag::Transactions(9)).await.unwrap();
    servers[0].freeze().await;
    servers[1].partition().await;
    servers[2].stop().await;
    zk.lose_quorum().await;
    zk.reset_all().await.unwrap();
    for server in &servers {
        let info = server.info();
        assert_eq!((info.state, info.lag), (ServerState::Running, Lag::None), "{info:?}");
        let mut raw = tcp(server).await;
        raw.open_session(10_000).await;
        assert_eq!(raw.create(&format!("/{}", server.number()), 0).await.err, 0);
    }
}

#[tokio::test]
async fn a_reset_a_restore_and_a_restart_are_seen_by_every_server() {
    let zk = three().in_memory().start().await.unwrap();
    zk.create("/a", "").await.unwrap();
    let snapshot = zk.snapshot();
    zk.reset().await.unwrap();
    for number in 1..=3 {
        let mut raw = in_memory(&zk.server(number).unwrap()).await;
        assert_eq!(exists(&mut raw, "/a").await.err, NO_NODE);
    }
    zk.restore(&snapshot).await.unwrap();
    for number in 1..=3 {
        let mut raw = in_memory(&zk.server(number).unwrap()).await;
        assert_eq!(exists(&mut raw, "/a").await.err, 0);
    }
    let before = zk.last_zxid();
    zk.restart().await;
    assert_eq!(zk.last_zxid().0 >> 32, (before.0 >> 32) + 1, "all servers have elected a leader again");
    let mut raw = in_memory(&zk.server(2).unwrap()).await;
    assert_eq!(raw.create("/b", 0).await.err, 0);
}

#[tokio::test]
async fn its_data_directory_is_that_of_one_history() {
    let dir = tempfile::tempdir().unwrap();
    let zk = three().in_memory().data_dir(dir.path()).start().await.unwrap();
    let mut raw = in_memory(&zk.server(1).unwrap()).await;
    assert_eq!(raw.create("/a", 0).await.err, 0);
    zk.server(1).unwrap().lead().await.unwrap();
    let mut raw = in_memory(&zk.server(2).unwrap()).await;
    assert_eq!(raw.create("/b", 0).await.err, 0);
    let last = zk.last_zxid();
    zk.stop().await;
    let one = ZkMini::builder().in_memory().data_dir(dir.path()).start().await.unwrap();
    assert!(one.get("/a").is_some() && one.get("/b").is_some());
    assert_eq!(one.last_zxid(), last);
    within(one.stop()).await;
    let zk = three().in_memory().data_dir(dir.path()).start().await.unwrap();
    let mut raw = in_memory(&zk.server(3).unwrap()).await;
    assert_eq!(exists(&mut raw, "/b").await.err, 0);
    assert_eq!(zk.last_zxid().0 >> 32, (last.0 >> 32) + 1);
}

#[tokio::test]
async fn clients_that_know_of_an_election_come_back_after_a_restart_and_a_failure_of_the_disk() {
    let disk = SimulatedDisk::new(1);
    let start = || three().in_memory().data_dir("/data").disk(&disk).start();
    let zk = start().await.unwrap();
    let answered = Raw { stream: Box::new(zk.server(1).unwrap().connect()) }.open_session(10_000).await;
    zk.server(1).unwrap().lead().await.unwrap();
    zk.restart().await;
    let mut resume = resume_request(&answered);
    resume[4..12].copy_from_slice(&zk.last_zxid().0.to_be_bytes());
    let comes_back = async |zk: &ZkMini, resume: &[u8]| {
        let mut raw = Raw { stream: Box::new(zk.server(2).unwrap().connect()) };
        raw.send(resume).await;
        raw.receive().await.is_some_and(|again| again[8..16] == answered[8..16])
    };

    disk.set_failing_syncs(true);
    let mut lost = Raw { stream: Box::new(zk.server(3).unwrap().connect()) };
    lost.send(&connect_request(10_000)).await;
    assert_eq!(lost.receive().await, None, "a session that is not durable");
    assert!(comes_back(&zk, &resume).await, "read-only, with the state of the disk");
    zk.server(2).unwrap().lead().await.unwrap();
    disk.set_failing_syncs(false);
    eventually("writes", || !zk.status().read_only).await;
    resume[4..12].copy_from_slice(&zk.last_zxid().0.to_be_bytes());
    zk.stop().await;
    let zk = start().await.unwrap();
    assert!(comes_back(&zk, &resume).await);
}

#[tokio::test]
async fn the_same_run_gives_the_same_bytes() {
    let run = async || {
        let zk = three().in_memory().seed(7).manual_clock().start().await.unwrap();
        zk.server(1).unwrap().lag(Lag::time(Duration::from_millis(100))).await.unwrap();
        let mut bytes = Vec::new();
        for number in [2, 3] {
            let mut raw = Raw { stream: Box::new(zk.server(number).unwrap().connect()) };
            bytes.extend(raw.open_session(10_000).await);
            raw.send(&crate::raw::request(1, 1, &create("/n-", 2))).await;
            bytes.extend(raw.receive().await.unwrap());
            zk.advance(Duration::from_millis(100)).await;
            zk.server(2).unwrap().lead().await.unwrap();
            bytes.extend(raw.rest().await);
        }
        (bytes, zk.history().to_string())
    };
    assert_eq!(run().await, run().await);
}
