//! Metrics of servers and clients, judged by Prometheus's own parser.

use std::fs;

use integration_tests::process::Process;
use integration_tests::programs;
use rpc_client::Client;
use rpc_server::{Context, Server, Service, Status};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Returns the value of the sample with this name and these labels.
fn sample(samples: &Value, name: &str, labels: &Value) -> f64 {
    let fits = |sample: &&Value| sample[0] == name && sample[1] == *labels;
    let mut found = samples.as_array().expect("a list of samples").iter().filter(fits);
    let (sample, None) = (found.next(), found.next()) else { panic!("{name} {labels} is there twice") };
    sample.unwrap_or_else(|| panic!("{name} {labels} is not in {samples}"))[2].as_f64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parser_of_prometheus_reads_what_was_recorded() {
    // Labels with all that has to be escaped.
    let (service, method) = ("odd \"shop\"\n", "a\\b=\"c\",{}");
    let price = |item: String, _: Context| async move {
        if item == "tea" { Ok(3) } else { Err(Status::not_found("no such item")) }
    };
    let (listener, status) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (addr, url) =
        (listener.local_addr().unwrap(), format!("http://{}/metrics", status.local_addr().unwrap()));
    let server = Server::new(Service::builder(service).method(method, price).build()).status(status);
    tokio::spawn(server.serve(listener, std::future::pending()));
    let client = Client::direct(service, [addr.to_string()]).connect().await.unwrap();
    for item in ["tea", "tea", "coffee"] {
        let _: Result<u32, _> = client.call(method, item).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.txt");
    fs::write(&file, client.metrics().snapshot().to_text()).unwrap();

    let script = &mut programs::python("tests/interop/metrics.py");
    let mut parser = Process::start(script.arg(url).arg(&file));
    let lines = [parser.line_with("["), parser.line_with("[")];
    assert!(parser.wait().success(), "{parser}");
    for (line, side) in lines.iter().zip(["server", "client"]) {
        let samples: Value = serde_json::from_str(line).unwrap();
        let labels = |code: &str| json!({"service": service, "method": method, "code": code});
        let (calls, seconds) =
            (format!("rpc_{side}_calls_total"), format!("rpc_{side}_call_duration_seconds"));
        assert_eq!(sample(&samples, &calls, &labels("OK")), 2.0);
        assert_eq!(sample(&samples, &calls, &labels("NOT_FOUND")), 1.0);
        assert_eq!(sample(&samples, &format!("{seconds}_count"), &labels("OK")), 2.0);
        assert!(sample(&samples, &format!("{seconds}_sum"), &labels("OK")) > 0.0);
        let in_flight = json!({"service": service, "method": method});
        assert_eq!(sample(&samples, &format!("rpc_{side}_in_flight"), &in_flight), 0.0);
    }
}
