//! Reconnects of many clients at the same time.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_thousand_clients_do_not_come_back_in_one_instant() {
    let mut arrivals = BTreeMap::<Millis, u32>::new();
    for seed in 0..1_000 {
        let mut t = Driver::seeded(seed);
        t.targets(&[("a", &["1"])]);
        let link = t.reach("1");
        t.lose(link);
        // The server is still starting at the first attempt of each.
        for _ in 0..2 {
            t.wait();
            *arrivals.entry(t.now).or_default() += 1;
            t.fail();
        }
    }
    let most = arrivals.values().max().copied().unwrap_or_default();
    assert!(most <= 50, "{most} of 2,000 attempts in one millisecond");
}
