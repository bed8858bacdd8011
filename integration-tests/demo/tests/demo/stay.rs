//! `demo --stay`, over HTTP as its page uses it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use integration_tests::process::Process;
use integration_tests::wait::{PATIENCE, eventually};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A demonstration that stays, and the address of its page.
fn stay() -> (Process, String) {
    let mut demo = Process::start(Command::new(env!("CARGO_BIN_EXE_demo")).arg("--stay"));
    let line = demo.line_with("open http://");
    let addr = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    (demo, addr)
}

/// Sends a request, and returns the status and the body.
fn send(addr: &str, request: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("{request} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn post(addr: &str, path: &str) -> u16 {
    send(addr, &format!("POST {path}"), "").0
}

fn stage(addr: &str) -> Value {
    let (status, body) = send(addr, "GET /stage", "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Workers of the first server that is shown.
fn workers(stage: &Value) -> Vec<Value> {
    stage["servers"][0]["workers"].as_array().unwrap().clone()
}

fn is_alive(worker: &Value) -> bool {
    worker["is_dead"] == false
}

/// True if the registry has a node.
fn has_node(stage: &Value, worker: &Value) -> bool {
    let request = format!("GET /v1/explain?path={}", worker["node"].as_str().unwrap());
    let (status, body) = send(stage["hosts"].as_str().unwrap(), &request, "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["exists"] == true
}

#[test]
fn a_worker_that_is_killed_by_the_button_disappears_and_is_replaced() {
    let (mut demo, addr) = stay();
    let before = stage(&addr);
    let (victim, other) = (&workers(&before)[0], &workers(&before)[1]);
    assert!(has_node(&before, victim) && has_node(&before, other));
    let pid = victim["pid"].as_u64().unwrap();

    assert_eq!(post(&addr, &format!("/workers/{pid}/kill")), 204);
    eventually("its node is gone, and another worker has come", PATIENCE, || {
        let now = stage(&addr);
        let (dead, alive): (Vec<_>, Vec<_>) = workers(&now).into_iter().partition(|worker| !is_alive(worker));
        dead.iter().any(|worker| worker["pid"] == pid && worker["gone_after_ms"].is_f64())
            && alive.len() == 2
            && alive.iter().all(|worker| has_node(&now, worker) && worker["answered"].as_u64() > Some(0))
    });
    let after = stage(&addr);
    assert!(!has_node(&after, victim) && has_node(&after, other));
    assert_eq!(kill(Pid::from_raw(pid.try_into().unwrap()), None), Err(Errno::ESRCH));
    assert_eq!(after["calls"]["failed"], 0, "{after}");
    let told: Vec<_> =
        after["story"].as_array().unwrap().iter().filter_map(|line| line["text"].as_str()).collect();
    for text in [format!("the node of {pid} is gone"), format!("has taken the place of {pid}")] {
        assert!(told.iter().any(|line| line.contains(&text)), "{text:?} is not in {told:#?}");
    }
    assert_eq!(post(&addr, &format!("/workers/{pid}/kill")), 404, "it is dead");

    demo.signal(Signal::SIGTERM);
    assert!(demo.wait().success(), "{demo}");
    assert!(demo.stdout().contains("SIGTERM: everything is stopped"), "{demo}");
    demo.assert_nothing_left();
}

#[test]
fn a_worker_that_somebody_else_kills_is_shown_as_dead_too() {
    let (mut demo, addr) = stay();
    let pid = workers(&stage(&addr))[1]["pid"].as_i64().unwrap();
    // It cannot be reaped and its id be given away before: nothing has ended it.
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    demo.line_with(&format!("worker {pid} has died, and its node is gone"));
    demo.line_with(&format!("has taken the place of {pid}"));
    demo.signal(Signal::SIGINT);
    assert!(demo.wait().success(), "{demo}");
    demo.assert_nothing_left();
}

#[test]
fn servers_come_and_go_and_two_demonstrations_run_at_once() {
    let (mut one, addr) = stay();
    let (mut two, other) = stay();
    for addr in [&addr, &other] {
        assert_eq!(post(addr, "/servers/1/stop"), 409, "it is the last one");
        assert_eq!(post(addr, "/servers"), 204);
        eventually("a second server answers", PATIENCE, || {
            let servers = stage(addr)["servers"].clone();
            servers[1]["state"] == "serving"
                && servers[1]["workers"].as_array().is_some_and(|workers| {
                    workers.len() == 2 && workers.iter().all(|worker| worker["answered"].as_u64() > Some(0))
                })
        });
        assert_eq!(post(addr, "/servers/1/stop"), 204);
        eventually("the first one is gone", PATIENCE, || {
            let servers = stage(addr)["servers"].clone();
            servers.as_array().is_some_and(|servers| servers.len() == 1) && servers[0]["number"] == 2
        });
        assert_eq!(stage(addr)["calls"]["failed"], 0);
    }
    // Whoever is killed leaves nothing behind; the other goes on.
    one.signal(Signal::SIGKILL);
    one.wait();
    one.assert_nothing_left();
    assert_eq!(stage(&other)["servers"][0]["number"], 2);
    two.signal(Signal::SIGINT);
    assert!(two.wait().success(), "{two}");
    two.assert_nothing_left();
}

#[test]
fn it_kills_only_its_own_workers_and_only_for_its_own_page() {
    let (mut demo, addr) = stay();
    let now = stage(&addr);
    let parent = now["servers"][0]["parent"].as_u64().unwrap();
    for pid in [parent, 1, 0, u64::from(std::process::id()), u64::from(u32::MAX)] {
        assert_eq!(post(&addr, &format!("/workers/{pid}/kill")), 404, "{pid}");
    }
    assert_eq!(post(&addr, "/workers/-1/kill"), 400);
    let wish = format!("POST /workers/{}/kill", workers(&now)[0]["pid"]);
    for headers in
        ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n", "Host: evil.example\r\n"]
    {
        assert_eq!(send(&addr, &wish, headers).0, 403, "{headers}");
    }
    assert_eq!(send(&addr, &wish, "Content-Type: text/plain\r\n").0, 415);
    assert_eq!(workers(&stage(&addr)).iter().filter(|worker| is_alive(worker)).count(), 2);
    for path in ["/", "/look.css", "/demo.css", "/demo.js", "/icon.svg"] {
        assert_eq!(send(&addr, &format!("GET {path}"), "").0, 200, "{path}");
    }
    assert!(demo.terminate().success(), "{demo}");
}
