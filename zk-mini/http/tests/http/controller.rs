//! Commands of ZooKeeper's `ZooKeeperServerController`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use zk_client::{Client as ZkClient, CreateMode};
use zk_mini::{Handle, On, Then, ZkMini};
use zk_mini_http::{Face, Http, Settings};

use crate::support::{Answer, Client, LIMIT, start};

async fn post(http: &Client, command: &str) -> Answer {
    http.send("POST", &format!("/command/{command}"), &[], b"").await
}

/// Sends a command that is accepted.
async fn send(http: &Client, command: &str) -> String {
    let answer = post(http, command).await;
    assert_eq!(answer.status, 200, "{command}: {}", answer.text());
    answer.text()
}

async fn client(zk: &ZkMini) -> ZkClient {
    tokio::time::timeout(LIMIT, ZkClient::connect(&zk.connect_string())).await.unwrap().unwrap()
}

#[tokio::test]
async fn commands_have_the_names_and_status_codes_of_the_real_controller() {
    let (zk, http) = start(ZkMini::builder()).await;
    for command in [
        "PING",
        "ping",
        "ping/ignored",
        "AddDelay/0x1234",
        "adddelay",
        "reset",
        "FAILREQUESTS/0x1234",
        "FAILREQUESTS",
        "RESET",
        "NORESPONSE/0x1234",
        "NORESPONSE",
        "RESET/ignored",
        "CLOSECONNECTION/1234",
        "EXPIRESESSION/-1",
        "ELECTNEWLEADER",
    ] {
        assert!(send(&http, command).await.starts_with(&format!("command/{command}\n")));
    }
    for command in
        ["pings", "close_connection/1234", "ADDDELAY/hanm", "ADDDELAY/-1", "FAILREQUESTS/hanm", "/PING", ""]
    {
        let refused = post(&http, command).await;
        assert_eq!(refused.status, 400, "{command}");
        assert!(refused.text().contains("EXPIRESESSION"), "{}", refused.text());
    }
    assert_eq!(http.get("/command").await.status, 400);
    assert!(zk.faults().is_empty());
}

#[tokio::test]
async fn only_a_ping_may_be_a_get() {
    let (zk, http) = start(ZkMini::builder()).await;
    assert_eq!(http.get("/command/PING").await.status, 200);
    for command in ["SHUTDOWN", "CLOSECONNECTION", "EXPIRESESSION", "REJECTCONNECTIONS", "ADDDELAY", "RESET"]
    {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let refused = http.send(method, &format!("/command/{command}"), &[], b"").await;
            assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")), "{method} {command}");
        }
    }
    assert!(zk.faults().is_empty() && !zk.is_down());
}

#[tokio::test]
async fn connections_are_closed_and_sessions_expired_one_or_all() {
    let (zk, http) = start(ZkMini::builder()).await;
    let (_a, _b) = (client(&zk).await, client(&zk).await);
    let ids: Vec<_> = zk.sessions().iter().map(|session| session.id).collect();
    let connections = || zk.connections().iter().map(|connection| connection.id).collect::<Vec<_>>();
    let before = connections();
    send(&http, &format!("CLOSECONNECTION/{}", ids[0].0)).await;
    assert_eq!(before.iter().filter(|id| connections().contains(id)).count(), 1);
    zk.session(ids[0]).unwrap().until_connected(LIMIT).await.unwrap();
    let before = connections();
    send(&http, "CLOSECONNECTION").await;
    assert!(before.iter().all(|id| !connections().contains(id)));
    send(&http, &format!("EXPIRESESSION/{}", ids[0])).await;
    assert!(zk.session(ids[0]).is_none() && zk.session(ids[1]).is_some());
    send(&http, "EXPIRESESSION").await;
    assert!(ids.iter().all(|id| zk.session(*id).is_none()));
}

#[tokio::test]
async fn requests_fail_or_get_no_response_as_often_as_asked_for() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = client(&zk).await;
    send(&http, "FAILREQUESTS/1").await;
    let error = client.exists("/a").await.unwrap_err();
    assert!(error.to_string().contains("(-100)"), "{error}");
    assert!(client.exists("/a").await.unwrap().is_none(), "the next one succeeds");
    send(&http, "FAILREQUESTS").await;
    for _ in 0..3 {
        client.exists("/a").await.unwrap_err();
    }
    send(&http, "RESET").await;
    send(&http, "NORESPONSE").await;
    let create = client.create("/a", "", CreateMode::Persistent);
    tokio::select! {
        created = create => panic!("a response: {created:?}"),
        done = zk.wait_for(|zk| zk.get("/a").is_some(), LIMIT) => done.unwrap(),
    }
    send(&http, "FAILREQUESTS/0").await;
    send(&http, "NORESPONSE/0").await;
    assert!(zk.faults().is_empty());
}

#[tokio::test]
async fn requests_are_delayed_until_reset() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = client(&zk).await;
    zk.hold_clock().await;
    send(&http, "ADDDELAY/9223372036854775807").await;
    send(&http, "ADDDELAY").await;
    let rules: Vec<_> = zk.faults().iter().map(|fault| fault.rule.to_string()).collect();
    assert_eq!(rules.len(), 1, "{rules:?}");
    let exists = client.exists("/");
    tokio::pin!(exists);
    tokio::select! {
        answered = &mut exists => panic!("at once: {answered:?}"),
        done = zk.wait_for(|zk| zk.faults()[0].fired == 1, LIMIT) => done.unwrap(),
    }
    zk.advance(Duration::from_secs(1)).await;
    assert!(tokio::time::timeout(LIMIT, exists).await.unwrap().unwrap().is_some());
    send(&http, "RESET").await;
    assert!(client.exists("/").await.unwrap().is_some());
}

#[tokio::test]
async fn a_delay_is_asked_last() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = client(&zk).await;
    zk.hold_clock().await;
    send(&http, "ADDDELAY/60000").await;
    send(&http, "FAILREQUESTS/1").await;
    assert!(client.exists("/").await.is_err(), "at once");
}

#[tokio::test]
async fn connections_are_rejected_until_reset() {
    let (zk, http) = start(ZkMini::builder()).await;
    send(&http, "REJECTCONNECTIONS").await;
    let connect = client(&zk);
    tokio::pin!(connect);
    tokio::select! {
        _ = &mut connect => panic!("connected"),
        done = zk.wait_for(|zk| zk.faults()[0].fired > 0, LIMIT) => done.unwrap(),
    }
    send(&http, "RESET").await;
    connect.await;
}

#[tokio::test]
async fn reset_removes_only_what_the_controller_made() {
    let (zk, http) = start(ZkMini::builder()).await;
    let own = zk.fault(On::create("/x"), Then::disconnect()).keep();
    for command in ["REJECTCONNECTIONS", "ADDDELAY", "FAILREQUESTS", "NORESPONSE"] {
        send(&http, command).await;
    }
    assert_eq!(zk.faults().len(), 5);
    // A rule that somebody else has removed is no matter.
    assert!(zk.remove_fault(zk.faults()[1].id));
    send(&http, "RESET").await;
    assert_eq!(zk.faults().iter().map(|fault| fault.id).collect::<Vec<_>>(), [own]);
}

#[tokio::test]
async fn shutdown_ends_the_program_after_the_answer_or_takes_the_server_down() {
    let end = Arc::new(Notify::new());
    let settings = Settings::default().on_shutdown({
        let end = Arc::clone(&end);
        move || end.notify_one()
    });
    let zk = Http::new(settings).share_port(ZkMini::builder()).start().await.unwrap();
    let http = Client { addr: zk.addr().unwrap() };
    // The client asks for a connection that stays.
    let kept = format!("POST /command/SHUTDOWN HTTP/1.1\r\nhost: {}\r\n\r\n", http.addr);
    let answer = http.raw(kept.as_bytes()).await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    tokio::time::timeout(LIMIT, end.notified()).await.unwrap();
    assert!(!zk.is_down(), "the program decides");

    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let addr = Http::new(Settings::default()).listen(&zk, ([127, 0, 0, 1], 0).into(), &Face::Full).unwrap();
    let http = Client { addr };
    send(&http, "shutdown").await;
    zk.wait_for(Handle::is_down, LIMIT).await.unwrap();
    assert_eq!(post(&http, "PING").await.status, 500);
    zk.bring_up().await.unwrap();
    send(&http, "PING").await;
}

#[tokio::test]
async fn shutdown_can_be_refused() {
    let settings = Settings::default().refuse_shutdown("the suite ends it");
    let zk = Http::new(settings).share_port(ZkMini::builder()).start().await.unwrap();
    let http = Client { addr: zk.addr().unwrap() };
    let answer = post(&http, "SHUTDOWN").await;
    assert_eq!((answer.status, answer.text()), (403, "SHUTDOWN is refused: the suite ends it\n".into()));
    send(&http, "PING").await;
    assert!(!zk.is_down());
}

#[tokio::test]
async fn the_admin_port_has_no_controller() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let face = Face::Admin { commands: Some("/commands".into()), metrics: true };
    let addr = Http::new(Settings::default()).listen(&zk, ([127, 0, 0, 1], 0).into(), &face).unwrap();
    for path in ["PING", "RESET"] {
        assert_eq!(post(&Client { addr }, path).await.status, 404);
    }
    assert_eq!(Client { addr }.get("/v1/status").await.status, 404);
}
