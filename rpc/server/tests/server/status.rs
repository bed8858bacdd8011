//! The status ports of a server and of a supervisor, over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use rpc_server::{Context, Format, HealthStatus, Server, Service, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::peer::{Answer, PATIENCE, RawClient};
use crate::prefork::Fixture;

/// Sends bytes and returns all that comes back.
async fn talk(addr: SocketAddr, request: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    timeout(PATIENCE, exchange).await.unwrap().unwrap()
}

async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let answer = talk(addr, &format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Returns the sum of a metric's samples whose labels contain the text.
fn sum(text: &str, name: &str, labels: &str) -> u64 {
    let is_ours = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
    };
    let values = text.lines().filter(is_ours).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}

#[tokio::test]
async fn a_server_tells_its_metrics_its_health_and_its_state() {
    let ports =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (addr, status) = (ports.0.local_addr().unwrap(), ports.1.local_addr().unwrap());
    let (end, ended) = oneshot::channel::<()>();
    let ended = std::sync::Mutex::new(Some(ended));
    let wait = move |(): (), _: Context| {
        let ended = ended.lock().unwrap().take();
        async move {
            if let Some(ended) = ended {
                drop(ended.await);
            }
            Ok::<_, Status>(())
        }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let server =
        Server::new(Service::builder("test").method("wait", wait).build()).instance("me").status(ports.1);
    let server = tokio::spawn(server.serve(ports.0, async { drop(stopped.await) }));
    let mut client = RawClient::greeted(addr, Format::JSON).await;
    client.request(1, "wait", &());
    client.request(2, "wait", &());
    client.send().await;
    client.answer().await;

    let (code, metrics) = get(status, "/metrics").await;
    assert_eq!(code, 200);
    assert_eq!(sum(&metrics, "rpc_server_in_flight", "method=\"wait\""), 1);
    assert_eq!(sum(&metrics, "rpc_server_calls_total", "code=\"OK\""), 1);
    assert_eq!(get(status, "/health").await, (200, "SERVING\n".into()));
    let (_, page) = get(status, "/").await;
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!((&page["services"][0], &page["instance"]), (&"test".into(), &"me".into()));
    assert_eq!(
        (
            &page["in_flight"],
            &page["methods"].as_array().unwrap().iter().find(|m| m["name"] == "wait").unwrap()["calls"]
        ),
        (&1.into(), &1.into())
    );
    assert_eq!(get(status, "/nothing").await.0, 404);
    assert!(talk(status, "DELETE / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));

    drop(stop);
    let drains = async {
        while get(status, "/health").await.0 != 503 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, drains).await.unwrap();
    drop(end);
    assert_eq!(server.await.unwrap().unwrap().cut, 0);
    assert!(TcpStream::connect(status).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn the_status_port_tells_the_health_that_clients_are_told() {
    let (listener, status) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let addr = status.local_addr().unwrap();
    let server = Server::new(Service::builder("test").build()).status(status);
    let health = server.health();
    tokio::spawn(server.serve(listener, std::future::pending()));
    for (status, code, text, state) in [
        (HealthStatus::NotServing, 503, "NOT_SERVING\n", "not serving"),
        (HealthStatus::Serving, 200, "SERVING\n", "serving"),
    ] {
        health.set("", status);
        assert_eq!(get(addr, "/health").await, (code, text.into()));
        let page: serde_json::Value = serde_json::from_str(&get(addr, "/").await.1).unwrap();
        assert_eq!(page["state"], state);
    }
    // A single service says nothing about the server as a whole.
    health.set("test", HealthStatus::NotServing);
    assert_eq!(get(addr, "/health").await.0, 200);
}

#[tokio::test]
async fn the_supervisor_counts_the_calls_of_each_service_of_its_workers() {
    // Bound and released, so that the port is free.
    let status = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fixture = Fixture::start(&format!("2 status={status}")).await;
    let (mut client, _) = fixture.connect().await;
    for id in 2..=3 {
        assert!(matches!(client.call(id, "second/slot", &()).await, Answer::Ok(..)));
    }
    let counted = async {
        loop {
            let (_, metrics) = get(status, "/metrics").await;
            let calls = |labels| sum(&metrics, "rpc_server_calls_total", labels);
            if (calls("service=\"fixture\",method=\"slot\""), calls("service=\"second\",method=\"slot\""))
                == (1, 2)
            {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, counted).await.unwrap();
}

#[tokio::test]
async fn the_supervisor_sums_its_workers_and_keeps_what_dead_ones_have_counted() {
    // Bound and released, so that the port is free.
    let status = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fixture = Fixture::start(&format!("2 status={status}")).await;
    let (mut calls, mut victims) = (0, Vec::new());
    while victims.len() < 2 {
        let (_, (slot, pid)) = fixture.connect().await;
        calls += 1;
        if victims.iter().all(|(other, _)| *other != slot) {
            victims.push((slot, pid));
        }
    }
    let reached = async |name: &str, labels: &str, value: u64| {
        let begun = Instant::now();
        loop {
            let (_, metrics) = get(status, "/metrics").await;
            if sum(&metrics, name, labels) == value {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{name}{{{labels}}} is not {value}:\n{metrics}");
            sleep(Duration::from_millis(10)).await;
        }
    };
    reached("rpc_server_calls_total", "method=\"slot\"", calls).await;
    assert_eq!(get(status, "/health").await.0, 200);

    for (_, pid) in victims {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    reached("prefork_workers_ended_total", "how=\"killed\"", 2).await;
    reached("prefork_slot_restarts_total", "", 2).await;
    reached("prefork_slot_up", "", 2).await;
    reached("rpc_server_calls_total", "method=\"slot\"", calls).await;
    fixture.connect().await;
    reached("rpc_server_calls_total", "method=\"slot\"", calls + 1).await;
    reached("rpc_server_connections", "", 0).await;
}
