use serde_json::Value;

use crate::scene::Scene;

#[tokio::test]
async fn a_load_reports_rates_and_percentiles() {
    let scene = Scene::start().await;
    let quick = ["load", "shop", "price", "\"tea\"", "--warm-up", "0", "-d", "0.3"];
    let text = scene.run(&quick).await.ok();
    assert!(text.contains(" calls in ") && text.contains("  p99 ") && text.contains('█'), "{text}");
    let json = scene.run(&[&quick[..], &["-c", "2", "-r", "100", "--json"]].concat()).await.ok();
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["ok"], 30, "{report}");
    assert!(report["percentiles_us"]["99.9"].as_u64().unwrap() > 0, "{report}");
}

#[tokio::test]
async fn a_load_that_cannot_succeed_says_so_at_once() {
    let scene = Scene::start().await;
    let run = scene.run(&["load", "shop", "price", "\"coffee\""]).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), "rpc: shop.price: NOT_FOUND: no coffee here\n"));
}
