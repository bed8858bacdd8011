//! Figures and settings that each server of an ensemble has of its own.

use tokio::net::TcpStream;
use zk_mini::{Server, ZkMini};

use crate::raw::{Raw, connect_request, get_data};

const EXISTS: i32 = 3;

async fn tcp(server: &Server) -> Raw {
    Raw { stream: Box::new(TcpStream::connect(server.addr().unwrap()).await.unwrap()) }
}

async fn word(server: &Server, word: &str) -> String {
    let mut raw = tcp(server).await;
    raw.write(word.as_bytes()).await;
    String::from_utf8(raw.rest().await).unwrap()
}

/// Returns a number of `mntr`.
async fn figure(server: &Server, name: &str) -> u64 {
    let mntr = word(server, "mntr").await;
    let line = mntr.lines().find_map(|line| line.strip_prefix(&format!("zk_{name}\t")));
    line.unwrap_or_else(|| panic!("no {name} in {mntr}")).parse().unwrap()
}

fn servers(zk: &ZkMini) -> Vec<Server> {
    zk.servers().iter().map(|info| zk.server(info.server).unwrap()).collect()
}

#[tokio::test]
async fn conf_has_the_port_the_number_and_the_members() {
    let zk = ZkMini::builder().servers(2).observers(1).start().await.unwrap();
    let servers = servers(&zk);
    let config = String::from_utf8(zk.get("/zookeeper/config").unwrap().0.into()).unwrap();
    for (server, (number, peer_type)) in servers.iter().zip([(1, 0), (2, 0), (3, 1)]) {
        let conf = word(server, "conf").await;
        let port = server.addr().unwrap().port();
        assert!(conf.starts_with(&format!("clientPort={port}\n")), "{conf}");
        let end = format!(
            "\nserverId={number}\ninitLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort={}\nquorumPort={}\n\
             peerType={peer_type}\nmembership: \n{config}",
            3887 + number,
            2887 + number,
        );
        assert!(conf.ends_with(&end), "{conf}");
        let membership = server.handle().membership().unwrap();
        assert_eq!((membership.server, membership.is_observer), (number, peer_type == 1));
    }
    assert_eq!(zk.membership(), None);
    let alone = ZkMini::start().await.unwrap();
    assert!(alone.membership().is_none());
    let mut raw = Raw::tcp(&alone).await;
    raw.write(b"conf").await;
    assert!(raw.rest().await.ends_with(b"\nserverId=0\n"));
}

#[tokio::test]
async fn each_server_counts_for_itself() {
    let zk = ZkMini::builder().servers(3).start().await.unwrap();
    let servers = servers(&zk);
    let mut raw = tcp(&servers[1]).await;
    raw.open_session(10_000).await;
    for _ in 0..50 {
        raw.request(1, EXISTS, &get_data("/", false)).await;
    }
    for (server, is_busy) in servers.iter().zip([false, true, false]) {
        for name in ["packets_received", "packets_sent"] {
            assert_eq!(figure(server, name).await > 50, is_busy, "{name} of {}", server.number());
        }
        assert_eq!(figure(server, "cnt_readlatency").await >= 50, is_busy);
        let srvr = word(server, "srvr").await;
        let received = srvr.lines().find_map(|line| line.strip_prefix("Received: ")).unwrap();
        assert_eq!(received.parse::<u64>().unwrap() > 50, is_busy, "{srvr}");
    }
    let all = zk.figures().server.stats;
    assert!(all.received > 60 && all.latency().totals.count >= 51, "the whole has all of them");

    word(&servers[0], "srst").await;
    word(&servers[0], "crst").await;
    assert!(figure(&servers[1], "packets_received").await > 50);
    assert!(word(&servers[1], "cons").await.contains("recved=51"));
    word(&servers[1], "crst").await;
    assert!(!word(&servers[1], "cons").await.contains("recved=51"));
    word(&servers[1], "srst").await;
    assert!(figure(&servers[1], "packets_received").await < 10);
    assert!(zk.figures().server.stats.received < 50);
    zk.reset_figures();
    assert_eq!(zk.figures().server.stats.received, 0);
}

#[tokio::test]
async fn session_ids_begin_with_the_number_of_the_server_that_gave_them() {
    let zk = ZkMini::builder().servers(3).start().await.unwrap();
    let mut ids = Vec::new();
    for server in servers(&zk).iter().cycle().take(6) {
        let answer = tcp(server).await.open_session(10_000).await;
        assert_eq!(usize::from(answer[8]), server.number());
        ids.push(answer[8..16].to_vec());
    }
    zk.lose_quorum().await;
    for server in servers(&zk) {
        let mut raw = tcp(&server).await;
        let mut hello = connect_request(10_000);
        *hello.last_mut().unwrap() = 1; // read-only
        raw.send(&hello).await;
        let answer = raw.receive().await.unwrap();
        assert_eq!(usize::from(answer[8]), server.number());
        ids.push(answer[8..16].to_vec());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 9);
    let answer = Raw::tcp(&ZkMini::start().await.unwrap()).await.open_session(10_000).await;
    assert_eq!(answer[8], 1, "a single server is number one");
}
