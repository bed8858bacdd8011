//! The example client of `PROTOCOL.md`, in Python.

use rpc_server::Limits;
use tokio::process::Command;

use crate::peer::Running;
use crate::streams;

/// Runs the example against the server of the tests; returns what it says on its two outputs.
async fn said(server: &Running, args: &[&str]) -> (String, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../wire/examples/client.py");
    let (options, call) = args.split_at(args.len() - 2);
    let mut python = Command::new("python3");
    python.arg(script).args(options).args(["127.0.0.1", &server.addr.port().to_string()]).args(call);
    let output = python.kill_on_drop(true).output().await.expect("python3; install the package python3");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn the_example_client_in_python_makes_calls() {
    let server = Running::start(Limits::default()).await;
    let echoed = said(&server, &["echo", "\"grüezi\""]).await;
    assert_eq!(echoed, ("\"gr\\u00fcezi\"\n".into(), String::new()));
    // Its deadline is 10 s.
    let (left, _) = said(&server, &["left", "null"]).await;
    assert!((1..=10_000).contains(&left.trim().parse().unwrap()), "{left}");
    let (_, error) = said(&server, &["missing", "null"]).await;
    assert!(error.ends_with("Failed: code 5: no such thing\n"), "{error}");
}

#[tokio::test]
async fn the_example_client_in_python_takes_a_stream_and_gives_credit() {
    let server = Running::serve(Limits::default(), streams::service).await;
    let (numbers, error) = said(&server, &["--stream", "count", "50001"]).await;
    // Many times the windows of the client.
    let expected: String = (1..=50_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(numbers, expected, "{error}");
    assert!(error.ends_with("Failed: code 11: too far\n"), "{error}");
}
