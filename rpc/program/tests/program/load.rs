use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::time::timeout;

use crate::scene::{PATIENCE, Run, Scene};

/// Runs a load, and returns its report.
async fn report(scene: &Scene, args: &[&str]) -> Value {
    serde_json::from_str(&scene.run(args).await.ok()).unwrap()
}

#[tokio::test]
async fn a_load_reports_rates_and_percentiles() {
    let scene = Scene::start().await;
    let quick = ["load", "shop", "price", "\"tea\"", "--warm-up", "0", "-d", "0.3"];
    let text = scene.run(&quick).await.ok();
    assert!(text.contains(" calls in ") && text.contains("  p99 ") && text.contains('█'), "{text}");
    let report = report(&scene, &[&quick[..], &["-c", "2", "-r", "100", "--json"]].concat()).await;
    let counts = ["ok", "unfinished", "not_started"].map(|name| report[name].as_u64().unwrap());
    assert!(counts[0] > 0 && counts.iter().sum::<u64>() == 30, "{report}");
    assert!(report["percentiles_us"]["99.9"].as_u64().unwrap() > 0, "{report}");
}

#[tokio::test]
async fn a_load_that_cannot_succeed_says_so_at_once() {
    let scene = Scene::start().await;
    let run = scene.run(&["load", "shop", "price", "\"coffee\""]).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), "rpc: shop.price: NOT_FOUND: no coffee here\n"));
}

#[tokio::test]
async fn calls_that_a_slow_service_keeps_from_beginning_are_reported_and_not_counted() {
    let scene = Scene::start().await;
    // At most 50 calls a second are possible, and 1,000 are due.
    let load = ["load", "shop", "brew", "-c", "1", "-r", "1000", "--warm-up", "0.1", "-d", "0.5", "--json"];
    let report = report(&scene, &load).await;
    assert!(report["ok"].as_u64().unwrap() <= 26, "{report}");
    assert!(report["calls_per_second"].as_f64().unwrap() <= 52.0, "{report}");
    let due =
        ["ok", "unfinished", "not_started"].iter().map(|name| report[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(due, 500, "{report}");
}

#[tokio::test]
async fn a_load_is_plotted_over_time() {
    let scene = Scene::start().await;
    let load = ["load", "shop", "price", "\"tea\"", "-c", "1", "-r", "50", "--warm-up", "0", "-d", "1.5"];
    let text = scene.run(&load).await.ok();
    assert!(text.contains("\n       1s ") && text.contains("\n     1.5s "), "{text}");
    let report = report(&scene, &[&load[..], &["--json"]].concat()).await;
    let seconds = report["per_second"].as_array().unwrap();
    assert_eq!(seconds.len(), 2, "{report}");
    assert_eq!((&seconds[0]["length"], &seconds[1]["length"]), (&1.0.into(), &0.5.into()));
    let ok: u64 = seconds.iter().map(|second| second["ok"].as_u64().unwrap()).sum();
    assert!(ok > 0 && ok <= 75 && seconds[0]["p99_us"].as_u64().unwrap() > 0, "{report}");
}

#[tokio::test]
async fn a_load_that_is_stopped_in_its_warm_up_says_so() {
    let mut scene = Scene::start().await;
    let load = scene.command(&["load", "shop", "price", "\"tea\"", "--warm-up", "600"]).spawn().unwrap();
    // The first call comes before the warm-up.
    timeout(PATIENCE, scene.prices.wait_for(|calls| *calls > 1)).await.unwrap().unwrap();
    let pid = i32::try_from(load.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
    let run = Run::new(timeout(PATIENCE, load.wait_with_output()).await.unwrap().unwrap());
    let expected = "rpc: stopped in the warm-up, before anything was measured\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), expected));
}
