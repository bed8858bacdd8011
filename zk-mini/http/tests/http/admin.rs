//! ZooKeeper's AdminServer.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use zk_client::{Client as ZkClient, CreateMode};
use zk_mini::{Compat, ZkMini};
use zk_mini_http::{Face, Http, Settings};
use zk_wire::{Acl, Perms};

use crate::support::{Answer, Client, start, start_with};

const ROOT: (&str, &str) = ("authorization", "digest root:secret");

async fn run(http: &Client, command: &str) -> Value {
    let answer = http.get(&format!("/commands/{command}")).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json(200)
}

async fn post(http: &Client, command: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    http.send("POST", &format!("/commands/{command}"), headers, body).await
}

#[tokio::test]
async fn the_list_links_to_every_command_of_the_release() {
    for (compat, count) in [(Compat::V3_8, 26), (Compat::V3_9, 28)] {
        let (_zk, http) = start(ZkMini::builder().compat(compat)).await;
        let list = http.get("/commands").await;
        assert_eq!((list.status, list.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert_eq!(http.get("/commands/").await.text(), list.text());
        let links: Vec<_> =
            list.text().lines().filter(|line| line.starts_with("<a ")).map(str::to_owned).collect();
        assert_eq!(links.len(), count);
        assert_eq!(links[0], r#"<a href="/commands/configuration">configuration</a>"#);
    }
}

#[tokio::test]
async fn every_command_that_changes_nothing_answers_a_get_with_its_name_and_no_error() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let list = http.get("/commands").await.text();
    let names = list.lines().filter_map(|line| line.strip_suffix("</a>")?.rsplit_once('>'));
    let mut changing = Vec::new();
    for (_, name) in names {
        let answer = http.get(&format!("/commands/{name}")).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["command"], name);
        match (answer.status, name) {
            (405, _) => changing.push(name),
            (_, "snapshot") => assert_eq!(answer.status, 401),
            (_, "leader") => assert!(body["error"].is_string()),
            _ => assert_eq!((answer.status, &body["error"]), (200, &Value::Null), "{name}"),
        }
    }
    assert_eq!(changing, ["connection_stat_reset", "restore", "set_trace_mask", "stat_reset"]);
}

#[tokio::test]
async fn a_command_has_short_names_and_an_unknown_one_is_named_in_the_error() {
    let (_zk, http) = start(ZkMini::builder()).await;
    assert_eq!(run(&http, "mntr").await["command"], "monitor");
    assert_eq!(run(&http, "a%22b/c").await["command"], "a\"b/c");
    assert!(run(&http, "nope").await["error"].as_str().unwrap().contains("nope"));
    assert_eq!(post(&http, "nope", &[], b"").await.json(200)["command"], "nope");
}

#[tokio::test]
async fn lists_show_connections_sessions_and_watches() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    client.create("/a", "", CreateMode::Ephemeral).await.unwrap();
    let (_, _, _watch) = client.get_and_watch("/a").await.unwrap();
    let id = zk.sessions()[0].id.0;
    let connection = &run(&http, "cons").await["connections"][0];
    assert_eq!((&connection["session_id"], &connection["last_operation"]), (&json!(id), &json!("GETD")));
    assert!(connection["remote_socket_address"].as_str().unwrap().starts_with("127.0.0.1:"));
    let dump = run(&http, "dump").await;
    assert_eq!(dump["session_id_to_ephemeral_paths"], json!({ id.to_string(): ["/a"] }));
    assert_eq!(
        dump["expiry_time_to_session_ids"].as_object().unwrap().values().next().unwrap(),
        &json!([id])
    );
    assert_eq!(run(&http, "watches").await["session_id_to_watched_paths"], json!({ id.to_string(): ["/a"] }));
    assert_eq!(run(&http, "wchp").await["path_to_session_ids"], json!({ "/a": [id] }));
    let summary = run(&http, "watch_summary").await;
    assert_eq!(summary["num_total_watches"], 1);
    let stats = run(&http, "stats").await;
    assert_eq!(
        (
            stats["connections"].as_array().unwrap().len(),
            &stats["server_stats"]["num_alive_client_connections"]
        ),
        (1, &json!(1))
    );
    assert_eq!(stats["node_count"], 6, "the root counts twice");
}

#[tokio::test]
async fn a_command_that_changes_something_must_be_posted() {
    let (zk, http) = start(ZkMini::builder()).await;
    let _client = ZkClient::connect(&zk.connect_string()).await.unwrap();
    let get = http.get("/commands/stat_reset").await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert!(zk.figures().server.stats.received > 0);
    post(&http, "srst", &[], b"").await.json(200);
    assert_eq!(zk.figures().server.stats.handshakes, 0);
    post(&http, "crst", &[], b"").await.json(200);
    assert_eq!(zk.connection_figures()[0].stats.latency.count, 0);

    assert_eq!(http.get("/commands/stmk?traceMask=5").await.status, 405);
    assert_eq!(run(&http, "gtmk").await["tracemask"], 306);
    assert_eq!(post(&http, "stmk?traceMask=5", &[], b"").await.json(200)["tracemask"], 5);
    assert_eq!(run(&http, "gtmk").await["tracemask"], 5);
    assert!(post(&http, "stmk?traceMask=x", &[], b"").await.json(200)["error"].is_string());
    let posted = post(&http, "ruok", &[], b"").await;
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET,HEAD")));
}

#[tokio::test]
async fn a_snapshot_is_streamed_to_those_who_may_do_all_and_restored_for_them() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/a", "data").await.unwrap();
    assert_eq!(http.get("/commands/snapshot").await.status, 401);
    assert_eq!(http.send("GET", "/commands/snapshot", &[("authorization", "digest")], b"").await.status, 401);
    let snapshot = http.send("GET", "/commands/snapshot", &[ROOT], b"").await;
    assert_eq!((snapshot.status, snapshot.header("content-type")), (200, Some("application/octet-stream")));
    assert_eq!(snapshot.header("last_zxid"), Some(&*format!("{:#x}", zk.last_zxid().0)));
    assert_eq!(snapshot.header("snapshot_size"), Some(&*snapshot.body.len().to_string()));
    assert!(snapshot.body.starts_with(b"ZKSN"));
    let about = http.send("GET", "/commands/snapshot?streaming=false", &[ROOT], b"").await;
    assert_eq!(
        (about.json(200)["command"].as_str(), about.header("snapshot_size")),
        (Some("snapshot"), snapshot.header("snapshot_size"))
    );

    zk.delete("/a").await.unwrap();
    let bytes = ("content-type", "application/octet-stream");
    assert_eq!(post(&http, "restore", &[bytes], &snapshot.body).await.status, 401);
    assert_eq!(post(&http, "restore", &[ROOT, bytes], b"no snapshot").await.status, 500);
    assert!(zk.get("/a").is_none());
    let restored = post(&http, "restore", &[ROOT, bytes], &snapshot.body).await.json(200);
    assert_eq!(restored["last_zxid"], zk.last_zxid().0);
    assert_eq!(zk.get("/a").unwrap().0, "data");

    // By the short name, too, a snapshot may be longer than other bodies.
    let (other, short, _) = start_with(ZkMini::builder(), Settings::default().max_body(100)).await;
    assert!(snapshot.body.len() > 100);
    post(&short, "rest", &[ROOT, bytes], &snapshot.body).await.json(200);
    assert_eq!(other.get("/a").unwrap().0, "data");

    let nobody = [Acl { perms: Perms::READ, scheme: "world".into(), id: "anyone".into() }];
    zk.set_acl("/", &nobody).await.unwrap();
    let refused = http.send("GET", "/commands/snapshot", &[ROOT], b"").await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn a_server_that_is_down_says_so() {
    let (zk, _) = start(ZkMini::builder()).await;
    let addr: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let addr = Http::new(Settings::default()).listen(&zk, addr, &Face::Full).unwrap();
    let http = Client { addr };
    zk.take_down().await;
    assert!(run(&http, "ruok").await["error"].is_string());
    assert_eq!(run(&http, "mntr").await["error"], Value::Null);
    zk.bring_up().await.unwrap();
    assert_eq!(run(&http, "ruok").await["error"], Value::Null);
}

#[tokio::test]
async fn a_port_for_operators_has_the_configured_path_and_no_control() {
    let zk = ZkMini::builder().start().await.unwrap();
    let addr: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let http = Http::new(Settings::default());
    let face = |commands: Option<&str>, metrics| Face::Admin { commands: commands.map(Into::into), metrics };
    let listen = |face: Face| Client { addr: http.listen(&zk, addr, &face).unwrap() };
    let both = listen(face(Some("/zk/{admin}"), true));
    assert!(both.get("/zk/{admin}").await.text().contains("<a href=\"/zk/{admin}/ruok\">"));
    both.get("/zk/{admin}/ruok").await.json(200);
    assert_eq!(both.get("/metrics").await.status, 200);
    for path in ["/", "/commands", "/commands/ruok", "/v1/status", "/zk", "/zk/{admin}x"] {
        assert_eq!(both.get(path).await.status, 404, "{path}");
    }
    let metrics = listen(face(None, true));
    assert_eq!(
        (metrics.get("/metrics").await.status, metrics.get("/commands/ruok").await.status),
        (200, 404)
    );
    let root = listen(face(Some("/"), true));
    assert_eq!(
        (root.get("/ruok").await.status, root.get("/metrics").await.text().starts_with("# ")),
        (200, true)
    );
    let commands = listen(face(Some("commands"), false));
    assert_eq!(
        (commands.get("/metrics").await.status, commands.get("/commands/ruok").await.status),
        (404, 200)
    );
}

#[tokio::test]
async fn open_commands_change_nothing_without_the_token() {
    let zk = ZkMini::builder().start().await.unwrap();
    let addr: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let http = Http::new(Settings::default().token("s3cret").unwrap().open(false, true));
    let client = Client { addr: http.listen(&zk, addr, &Face::Full).unwrap() };
    client.get("/commands/ruok").await.json(200);
    assert_eq!(post(&client, "stmk?traceMask=5", &[], b"").await.status, 401);
    assert_eq!(zk.figures().trace_mask, 306);
    let token = ("authorization", "Bearer s3cret");
    post(&client, "stmk?traceMask=5", &[token], b"").await.json(200);
    assert_eq!(zk.figures().trace_mask, 5);
    assert_eq!(client.send("GET", "/commands/snapshot", &[token], b"").await.status, 401, "it is no digest");
    assert_eq!(client.send("GET", "/commands/snapshot", &[token, ROOT], b"").await.status, 200);
}
