//! Reconnects and first connections of many clients, and of one whose servers are replaced again and again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Longest pause after a polite departure: four times the first of [`config`].
const POLITE_PAUSE: Millis = Millis(400);

/// Checks that of so many arrivals no more than a few come in the same millisecond.
fn assert_spread(arrivals: &BTreeMap<Millis, u32>, most: u32) {
    let (sum, crowd) = (arrivals.values().sum::<u32>(), arrivals.values().max().copied().unwrap_or_default());
    assert!(crowd <= most, "{crowd} of {sum} attempts in one millisecond");
}

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
    assert_spread(&arrivals, 50);
}

#[test]
fn a_thousand_clients_do_not_come_to_a_newcomer_in_one_instant() {
    let mut arrivals = BTreeMap::<Millis, u32>::new();
    for seed in 0..1_000 {
        let mut t = Driver::seeded(seed);
        t.targets(&[("a", &["1"])]);
        t.reach("1");
        t.targets(&[("a", &["1"]), ("b", &["2"])]);
        t.begin();
        *arrivals.entry(t.now).or_default() += 1;
        t.reach("2");
        assert!(t.now <= NEWCOMER_JITTER);
    }
    assert_spread(&arrivals, 50);
}

#[test]
fn a_client_without_a_link_does_not_wait_for_the_sake_of_others() {
    for seed in 0..50 {
        let mut t = Driver::seeded(seed);
        t.targets(&[("a", &["1"]), ("b", &["2"])]);
        assert_eq!(t.connecting.len(), 2, "it has none yet");
        let (one, two) = (t.reach("1"), t.reach("2"));
        t.targets(&[("a", &["1"]), ("b", &["2"]), ("c", &["3"])]);
        t.go_away(one);
        t.lose(two);
        assert!(t.connecting.iter().any(|(_, addr)| addr == "c"), "it has none any more");
    }
}

#[test]
fn a_newcomer_at_a_known_address_that_breaks_off_is_not_tried_in_a_loop() {
    for seed in 0..50 {
        let mut t = Driver::seeded(seed);
        t.targets(&[("a", &["1"])]);
        let link = t.reach("1");
        t.targets(&[("a", &["1", "2"])]);
        t.lose(link);
        let attempts = std::iter::from_fn(|| {
            let again = (!t.connecting.is_empty()).then(|| t.reach("2"))?;
            t.lose(again);
            Some(())
        });
        assert!(attempts.take(10).count() <= 1);
    }
}

#[test]
fn servers_that_are_replaced_without_end_are_found_again_soon_each_time() {
    let mut t = Driver::new();
    t.targets(&[("a", &[""])]);
    let mut pauses = Vec::new();
    for n in 0..1_000 {
        let link = t.reach(&n.to_string());
        t.now = t.now + Millis(n % 150);
        t.go_away(link);
        assert!(t.connecting.is_empty(), "not at once again");
        pauses.push(t.wait());
    }
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*least >= Millis(50) && *most <= POLITE_PAUSE, "{least:?} to {most:?}");
}

proptest! {
    /// A polite departure is followed by an attempt soon, but not at once, after any history of the address.
    #[test]
    fn a_polite_departure_never_leads_to_a_long_pause(before in prop::collection::vec(0..3_u8, 0..40), lasts in 0..3_000_u64, seed: u64) {
        let mut t = Driver::seeded(seed);
        t.targets(&[("a", &[""])]);
        for end in before {
            match end {
                0 => t.fail(),
                1 => { let link = t.reach("1"); t.lose(link) }
                _ => { let link = t.reach("1"); t.go_away(link) }
            }
            t.wait();
        }
        let link = t.reach("1");
        t.now = t.now + Millis(lasts);
        t.go_away(link);
        prop_assert!(t.connecting.is_empty());
        let pause = t.wait();
        prop_assert!((Millis(50)..=POLITE_PAUSE).contains(&pause), "{pause:?}");
        prop_assert_eq!(t.connecting.len(), 1);
    }

    /// Workers behind one port that leave one after another, while an attempt has just failed there.
    #[test]
    fn a_failed_attempt_does_not_hold_up_the_successors_of_workers_that_leave(failures in 1..20_usize, seed: u64) {
        let mut t = Driver::seeded(seed);
        t.targets(&[("a", &["", ""])]);
        let link = t.reach("1");
        for _ in 0..failures {
            t.fail();
            t.wait();
        }
        t.fail();
        let left = t.now;
        t.go_away(link);
        t.wait();
        prop_assert!(t.now.since(left) <= POLITE_PAUSE, "{:?}", t.now.since(left));
        prop_assert_eq!(t.connecting.len(), 1);
    }
}

/// Takes a second; with a look at each link for each address it does not end in time.
#[test]
fn thousands_of_workers_are_connected_without_a_look_at_each_for_each() {
    let mut t = Driver::new();
    let names: Vec<String> = (0..3_000).map(|n| format!("10.0.{}.{}:7000", n / 250, n % 250)).collect();
    let target = |name: &String| (name.clone(), Target { connections: 1, ..Target::default() });
    let by_addr = names.iter().map(target).collect();
    t.input(Input::Targets(Targets { by_addr, stale: false, unix_ms: 0 }));
    for (id, instance) in mem::take(&mut t.connecting) {
        t.input(Input::Connected { id, instance, handle: id });
        assert!(t.pool.poll_deadline().is_none_or(|at| at >= t.now));
    }
    assert_eq!(t.ready().len(), names.len());
}
