//! Requests that are refused, by whom they come from.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zk_mini::ZkMini;
use zk_mini_http::{Face, Http, Settings};

use crate::support::{Answer, Client, LIMIT, start};

const PATHS: [&str; 4] = ["/v1/status", "/v1/nothing", "/command/PING", "/"];

/// Sends a GET with these headers.
async fn get(http: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    http.send("GET", path, headers, b"").await
}

#[tokio::test]
async fn only_a_loopback_name_is_served_whatever_its_port() {
    let (_zk, http) = start(ZkMini::builder()).await;
    for host in [
        "localhost",
        "LOCALHOST:80",
        "localhost.:1",
        "zk.localhost",
        "127.0.0.1",
        "127.9.9.9:9",
        "[::1]:2181",
    ] {
        get(&http, "/v1/status", &[("host", host)]).await.json(200);
    }
    for host in ["evil.example", "evil.example:2181", "localhost.evil.example", "0.0.0.0", "[::]", "10.0.0.1"]
    {
        let message = get(&http, "/v1/status", &[("host", host)]).await.error(403);
        assert!(message.contains(host) && message.contains("localhost"), "{message}");
    }
    for host in ["", "user@localhost", "localhost:x", "::1"] {
        get(&http, "/v1/status", &[("host", host)]).await.error(400);
    }
}

#[tokio::test]
async fn a_request_has_one_host() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let missing = http.raw(b"GET /v1/status HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(missing.error(400).contains("Host"));
    let old = http.raw(b"GET /v1/status HTTP/1.0\r\n\r\n").await;
    assert!(old.error(400).contains("Host"));
    let two =
        b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert!(http.raw(two).await.error(400).contains("Host"));
}

#[tokio::test]
async fn a_target_with_a_host_must_be_a_loopback_one_as_well() {
    let (_zk, http) = start(ZkMini::builder()).await;
    get(&http, "http://localhost:1/v1/status", &[("host", "localhost")]).await.json(200);
    get(&http, "http://evil.example/v1/status", &[("host", "localhost")]).await.error(403);
    get(&http, "http://localhost/v1/status", &[("host", "evil.example")]).await.error(403);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_for_every_method_and_path() {
    let (zk, http) = start(ZkMini::builder()).await;
    let own = format!("http://{}", http.addr);
    let tunnelled = format!("https://{}", http.addr);
    for origin in [&own, &tunnelled] {
        get(&http, "/v1/status", &[("origin", origin)]).await.json(200);
    }
    let other_port = format!("http://{}:{}", http.addr.ip(), http.addr.port() ^ 1);
    for origin in ["null", "http://evil.example", &other_port, "http://localhost", ""] {
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"] {
            for path in PATHS {
                let answer = http.send(method, path, &[("origin", origin)], b"").await;
                assert_eq!(answer.status, 403, "{method} {path} {origin}");
                assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
            }
        }
    }
    let twice = get(&http, "/v1/status", &[("origin", &own), ("origin", &own)]).await;
    assert!(twice.error(403).contains("origin"));
    assert_eq!(zk.history().len(), 0);
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_even_without_an_origin() {
    let (_zk, http) = start(ZkMini::builder()).await;
    for value in ["same-origin", "none"] {
        get(&http, "/v1/status", &[("sec-fetch-site", value)]).await.json(200);
    }
    for value in ["cross-site", "same-site", "anything", ""] {
        for path in PATHS {
            assert_eq!(get(&http, path, &[("sec-fetch-site", value)]).await.status, 403, "{path} {value}");
        }
    }
    let twice = [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
    get(&http, "/v1/status", &twice).await.error(403);
}

#[tokio::test]
async fn a_link_of_any_site_leads_to_the_page_and_to_nothing_else() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let link =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_ne!(get(&http, "/", &link).await.status, 403);
    assert_ne!(http.send("HEAD", "/", &link, b"").await.status, 403);
    for path in ["/v1/status", "/command/PING", "/commands/stat", "/metrics"] {
        assert_eq!(get(&http, path, &link).await.status, 403, "{path}");
    }
    assert_eq!(http.send("POST", "/", &link, b"").await.status, 403);
    for (name, value) in
        [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "iframe"), ("sec-fetch-dest", "script")]
    {
        let other = link.map(|(of, usual)| (of, if of == name { value } else { usual }));
        assert_eq!(get(&http, "/", &other).await.status, 403, "{name}: {value}");
    }
    assert_eq!(get(&http, "/", &link[..2]).await.status, 403);
    let foreign = [link[0], link[1], link[2], ("host", "evil.example")];
    assert_eq!(get(&http, "/", &foreign).await.status, 403);
}

#[tokio::test]
async fn what_a_form_could_send_is_no_post() {
    let (zk, http) = start(ZkMini::builder()).await;
    for form in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "Text/Plain;charset=utf-8",
    ] {
        for path in ["/v1/freeze", "/v1/clock", "/command/RESET"] {
            let answer = http.send("POST", path, &[("content-type", form)], b"{}").await;
            assert_eq!(answer.status, 415);
            assert!(answer.text().contains("curl --json"), "{}", answer.text());
        }
        let put = http.send("PUT", "/v1/status", &[("content-type", form)], b"{}").await;
        assert_eq!(put.status, 405, "the method is refused, not the type");
    }
    // Not UTF-8, and a page may send it.
    let typed =
        format!("POST /v1/freeze HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: ", http.addr);
    let odd = [typed.as_bytes(), b"text/plain;x=\xe9\r\n\r\n"].concat();
    assert!(http.raw(&odd).await.error(415).contains("curl --json"));
    let untyped = http.send("POST", "/command/RESET", &[], b"").await;
    assert_eq!(untyped.status, 200, "{}", untyped.text());
    assert!(!zk.is_frozen());
}

#[tokio::test]
async fn a_preflight_is_refused() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let own = format!("http://{}", http.addr);
    for path in PATHS {
        for headers in [&[][..], &[("origin", own.as_str()), ("access-control-request-method", "PUT")]] {
            let answer = http.send("OPTIONS", path, headers, b"").await;
            assert_eq!(answer.status, 403, "{path}");
            assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
        }
    }
    let star = format!("OPTIONS * HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", http.addr);
    assert_eq!(http.raw(star.as_bytes()).await.status, 403);
}

#[tokio::test]
async fn errors_of_the_framework_are_json_too() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let long = format!("/v1/tree?path=/{}", "x".repeat(40_000));
    let big = "x".repeat(40_000);
    get(&http, "/v1/nothing", &[]).await.error(404);
    http.delete("/v1/status").await.error(405);
    for malformed in ["/v1/status?x=%zz", "/v1/%", "/v1/status?x=100%"] {
        let refused = get(&http, malformed, &[]).await;
        assert_eq!(refused.header("cache-control"), Some("no-store"));
        assert_eq!(refused.header("x-content-type-options"), Some("nosniff"));
        assert!(refused.error(400).contains('%'));
    }
    for path in ["/v1/sessions/expire", "/v1/clock", "/v1/faults"] {
        let message = http.post(path, serde_json::json!([])).await.error(400);
        assert!(message.contains("an object") && !message.contains("struct"), "{message}");
    }
    let large = vec![b' '; 2 << 20];
    for path in ["/v1/nothing", "/v1/clock"] {
        let refused = http.send("POST", path, &[("content-type", "application/json")], &large).await;
        assert!(refused.error(413).contains("bytes"), "the answer is not lost in the upload");
    }
    get(&http, &long, &[]).await.error(414);
    get(&http, "/v1/status", &[("x-big", &big)]).await.error(431);
    let many: Vec<_> = (0..150).map(|_| ("x-many", "1")).collect();
    get(&http, "/v1/status", &many).await.error(431);
    // Too long even to be read: the framework refuses these itself.
    let longest = format!("/v1/tree?path=/{}", "x".repeat(70_000));
    let biggest = "x".repeat(200_000);
    let most: Vec<_> = (0..300).map(|_| ("x-many", "1")).collect();
    assert!(get(&http, &longest, &[]).await.error(414).contains("64 KiB"));
    assert!(get(&http, "/v1/status", &[("x-big", &biggest)]).await.error(431).contains("128 KiB"));
    assert!(get(&http, "/v1/status", &most).await.error(431).contains("200 headers"));
    assert!(http.raw(b"GET /v1/status HTTP/3.0\r\n\r\n").await.error(400).contains("head"));
}

/// Starts a server whose HTTP has a port of its own on all addresses of the machine.
async fn start_open(settings: Settings) -> (ZkMini, Client) {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let mut addr = Http::new(settings).listen(&zk, ([0, 0, 0, 0], 0).into(), &Face::Full).unwrap();
    addr.set_ip([127, 0, 0, 1].into());
    (zk, Client { addr })
}

#[tokio::test]
async fn http_is_off_where_other_machines_can_reach_it() {
    let (_zk, http) = start_open(Settings::default()).await;
    for path in ["/v1/status", "/v1/nothing"] {
        assert!(get(&http, path, &[]).await.error(403).contains("--http-token-file"));
    }
    for path in ["/", "/metrics", "/commands/ruok", "/command/PING"] {
        let answer = get(&http, path, &[]).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("--http-token-file"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_token_opens_http_to_whoever_knows_it_by_any_name() {
    let settings = Settings::default().token("s3cret\n").unwrap();
    let (_zk, http) = start_open(settings).await;
    for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic s3cret")]] {
        let refused = get(&http, "/v1/status", headers).await;
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"zk-mini\""));
        assert!(refused.error(401).contains("Bearer"));
        assert_eq!(get(&http, "/command/PING", headers).await.status, 401);
        assert_eq!(get(&http, "/metrics", headers).await.status, 401);
    }
    let known = ("authorization", "Bearer s3cret");
    get(&http, "/v1/status", &[known]).await.json(200);
    get(&http, "/v1/status", &[known, ("host", "zookeeper:2181")]).await.json(200);
    get(&http, "/v1/status", &[known, ("sec-fetch-site", "cross-site")]).await.error(403);
    get(&http, "/v1/status", &[known, ("origin", "http://evil.example")]).await.error(403);
    assert!(![401, 403].contains(&get(&http, "/", &[]).await.status), "the page asks for the token");
}

#[tokio::test]
async fn a_token_is_wanted_on_loopback_too() {
    let settings = Settings::default().token("s3cret").unwrap();
    let zk = Http::new(settings).share_port(ZkMini::builder()).start().await.unwrap();
    let http = Client { addr: zk.addr().unwrap() };
    http.get("/v1/status").await.error(401);
    let known = ("authorization", "Bearer s3cret");
    get(&http, "/v1/status", &[known]).await.json(200);
    // A tunnel may lead here from a name of its own.
    get(&http, "/v1/status", &[known, ("host", "zk.example")]).await.json(200);
    assert_ne!(get(&http, "/", &[("host", "zk.example")]).await.status, 403, "the page asks for the token");
    get(&http, "/v1/status", &[("host", "zk.example")]).await.error(403);
    // What is open to local programs is not open to web pages that give this machine a name.
    let settings = Settings::default().token("s3cret").unwrap().open(true, true);
    let open = Http::new(settings).share_port(ZkMini::builder()).start().await.unwrap();
    let http = Client { addr: open.addr().unwrap() };
    for path in ["/metrics", "/commands/ruok"] {
        assert_ne!(get(&http, path, &[]).await.status, 403, "{path}");
        assert_eq!(get(&http, path, &[("host", "zk.example")]).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn parts_can_be_opened_alone() {
    let is_open = async |http: &Client, path| {
        ![401, 403].contains(&get(http, path, &[("host", "zk:7000")]).await.status)
    };
    let (_a, metrics) = start_open(Settings::default().open(true, false)).await;
    let (_b, commands) = start_open(Settings::default().open(false, true).token("s3cret").unwrap()).await;
    assert!(is_open(&metrics, "/metrics").await);
    assert!(is_open(&commands, "/commands/ruok").await);
    for (http, path) in [
        (&metrics, "/commands/ruok"),
        (&metrics, "/"),
        (&metrics, "/v1/status"),
        (&metrics, "/command/PING"),
        (&commands, "/metrics"),
        (&commands, "/v1/status"),
        (&commands, "/command/PING"),
    ] {
        assert!(!is_open(http, path).await, "{path}");
    }
    let shut = commands.post("/v1/freeze", json!({})).await;
    assert!(shut.error(401).contains("Bearer"));
}

#[tokio::test]
async fn connections_that_did_not_come_by_a_port_are_judged_by_their_peer() {
    let zk = Http::new(Settings::default()).share_port(ZkMini::builder()).start().await.unwrap();
    let request = b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let status = async |peer: Option<std::net::SocketAddr>| {
        let mut near = match peer {
            None => zk.connect(),
            Some(peer) => {
                let (near, far) = tokio::io::duplex(4096);
                zk.serve_stream(far, peer).unwrap();
                near
            }
        };
        near.write_all(request).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(LIMIT, near.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status(None).await, "200");
    assert_eq!(status(Some(([127, 0, 0, 1], 1).into())).await, "200");
    assert_eq!(status(Some(([192, 0, 2, 1], 1).into())).await, "403");
}
