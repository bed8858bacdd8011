//! Several threads record into the same metrics.

use std::thread;
use std::time::Duration;

use rpc_metrics::ClientMetrics;

#[test]
fn threads_lose_no_call_and_share_the_series_of_a_method() {
    let metrics = ClientMetrics::new("shop");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for call in 0..10_000_u64 {
                    let calls = metrics.method(["buy", "price", "list"][(call % 3) as usize]);
                    calls.start();
                    calls.end((call % 5) as u8, Duration::from_micros(call));
                }
            });
        }
    });
    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.sum("rpc_client_calls_total", &[]), 40_000);
    assert_eq!(snapshot.sum("rpc_client_calls_total", &[("method", "buy")]), 4 * 3_334);
    assert_eq!(snapshot.sum("rpc_client_in_flight", &[]), 0);
    assert_eq!(snapshot.label_values("rpc_client_calls_total", "method"), ["buy", "list", "price"]);
}
