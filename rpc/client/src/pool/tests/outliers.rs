//! The rules of ejection.

use proptest::prelude::*;

use super::*;
use crate::pool::health::Standing;

impl Driver {
    /// Finishes a call on a link of the test's choice.
    fn call(&mut self, id: LinkId, outcome: LinkOutcome) {
        let others: Vec<LinkId> = self.ready().into_iter().filter(|other| *other != id).collect();
        assert_eq!(self.pick_but(&others), Some(id));
        self.finish(id, outcome);
    }

    fn standing(&self, id: LinkId) -> Standing {
        self.pool.ready.get(id).unwrap().health.standing
    }

    fn is_ejected(&self, id: LinkId) -> bool {
        matches!(self.standing(id), Standing::Ejected { .. })
    }

    /// Lets a link fail until it is ejected; returns the time of that.
    pub(super) fn eject(&mut self, id: LinkId) -> Millis {
        for _ in 0..5 {
            assert!(!self.is_ejected(id));
            self.call(id, LinkOutcome::Failed);
        }
        match self.standing(id) {
            Standing::Ejected { until, .. } => until.since(self.now),
            standing => panic!("{standing:?}"),
        }
    }
}

fn four() -> (Driver, [LinkId; 4]) {
    let mut t = Driver::new();
    t.targets(&[("a", &["1"]), ("b", &["2"]), ("c", &["3"]), ("d", &["4"])]);
    let links = ["1", "2", "3", "4"].map(|name| t.reach(name));
    (t, links)
}

#[test]
fn one_call_finds_out_whether_an_ejected_link_has_recovered() {
    let (mut t, [bad, ..]) = four();
    let time = t.eject(bad);
    assert!((Millis(500)..=SECOND).contains(&time), "{time}");
    for _ in 0..20 {
        let id = t.pick().unwrap();
        assert_ne!(id, bad);
        t.finish(id, LinkOutcome::Answered);
    }
    t.now = t.now + time;
    assert_eq!(t.pick(), Some(bad));
    let other = t.pick().unwrap();
    assert_ne!(other, bad, "one at a time");
    t.finish(bad, LinkOutcome::Answered);
    t.finish(other, LinkOutcome::Answered);
    assert_eq!(t.standing(bad), Standing::In);
}

#[test]
fn ejections_get_longer_while_probes_fail_and_begin_anew_after_a_good_minute() {
    let (mut t, [bad, ..]) = four();
    let mut times = vec![t.eject(bad)];
    for _ in 0..10 {
        t.now = t.now + *times.last().unwrap();
        assert_eq!(t.pick(), Some(bad));
        t.finish(bad, LinkOutcome::Failed);
        let Standing::Ejected { until, .. } = t.standing(bad) else { panic!("not ejected") };
        times.push(until.since(t.now));
    }
    assert!(times.windows(2).take(6).all(|pair| pair[0] < pair[1]), "{times:?}");
    assert!((Millis(30_000)..=Millis(60_000)).contains(&times[10]), "{times:?}");
    t.now = t.now + times[10];
    assert_eq!(t.pick(), Some(bad));
    t.finish(bad, LinkOutcome::Answered);
    t.now = t.now + Millis(60_000);
    assert!(t.eject(bad) <= SECOND);
}

#[test]
fn a_probe_that_is_given_up_says_nothing_and_the_next_call_is_one() {
    let (mut t, [bad, ..]) = four();
    t.now = t.now + t.eject(bad);
    assert_eq!(t.pick(), Some(bad));
    t.finish(bad, LinkOutcome::Neither);
    assert_eq!(t.pick(), Some(bad));
}

#[test]
fn half_of_the_links_may_be_ejected_and_one_always_stays() {
    let (mut t, [one, two, three, _]) = four();
    t.eject(one);
    t.eject(two);
    (0..20).for_each(|_| t.call(three, LinkOutcome::Failed));
    assert_eq!(t.standing(three), Standing::In);
    let mut t = Driver::new();
    t.targets(&[("a", &["1"])]);
    let only = t.reach("1");
    (0..20).for_each(|_| t.call(only, LinkOutcome::Failed));
    assert_eq!(t.standing(only), Standing::In);
}

#[test]
fn who_is_ejected_is_taken_back_when_too_few_others_are_left() {
    let (mut t, [one, two, three, four]) = four();
    t.eject(one);
    t.now = t.now + Millis(10);
    t.eject(two);
    t.lose(three);
    assert_eq!([one, two].map(|id| t.is_ejected(id)).iter().filter(|out| **out).count(), 1);
    t.lose(four);
    assert_eq!([one, two].map(|id| t.is_ejected(id)).iter().filter(|out| **out).count(), 1);
}

#[test]
fn a_connection_made_anew_does_not_end_an_ejection() {
    let (mut t, [bad, ..]) = four();
    t.eject(bad);
    t.lose(bad);
    t.wait();
    let again = t.reach("1");
    assert!(t.is_ejected(again));
}

#[test]
fn failures_that_all_links_have_eject_nobody() {
    let (mut t, links) = four();
    for round in 0..20 {
        for id in links {
            t.call(id, LinkOutcome::Failed);
            assert_eq!(t.standing(id), Standing::In, "round {round}");
        }
    }
}

#[test]
fn a_rate_of_failures_ejects() {
    let (mut t, links) = four();
    let [bad, ..] = links;
    for call in 0..40 {
        links[1..].iter().for_each(|id| t.call(*id, LinkOutcome::Answered));
        if t.is_ejected(bad) {
            assert!(call >= 20, "a minimum of calls");
            return;
        }
        t.call(bad, if call % 4 == 0 { LinkOutcome::Answered } else { LinkOutcome::Failed });
    }
    panic!("not ejected");
}

#[test]
fn a_probe_that_ends_with_its_connection_is_followed_by_another() {
    let (mut t, [bad, ..]) = four();
    t.now = t.now + t.eject(bad);
    assert_eq!(t.pick(), Some(bad));
    t.go_away(bad);
    t.wait();
    let again = t.reach("1");
    assert!(t.is_ejected(again));
    assert_eq!(t.pick(), Some(again));
    // That of the connection before decides nothing.
    t.finish(bad, LinkOutcome::Failed);
    assert!(matches!(t.standing(again), Standing::Probing { .. }));
    t.finish(again, LinkOutcome::Answered);
    assert_eq!(t.standing(again), Standing::In);
}

#[test]
fn calls_from_before_the_ejection_do_not_end_a_probe() {
    let (mut t, [bad, ..]) = four();
    let others: Vec<LinkId> = t.ready().into_iter().filter(|id| *id != bad).collect();
    assert_eq!([t.pick_but(&others), t.pick_but(&others)], [Some(bad); 2]);
    let stragglers = mem::take(&mut t.running);
    for _ in 0..5 {
        t.call(bad, LinkOutcome::Failed);
    }
    let Standing::Ejected { until, .. } = t.standing(bad) else { panic!("not ejected") };
    t.now = until;
    assert_eq!(t.pick(), Some(bad));
    for (straggler, outcome) in stragglers.into_iter().zip([LinkOutcome::Missed, LinkOutcome::Neither]) {
        let _ = t.pool.finish(t.now, straggler, outcome, None);
        assert!(matches!(t.standing(bad), Standing::Probing { .. }), "after {outcome:?}");
    }
    t.finish(bad, LinkOutcome::Answered);
    assert_eq!(t.standing(bad), Standing::In);
}

#[test]
fn a_probe_that_does_not_end_is_followed_by_another() {
    let (mut t, [bad, ..]) = four();
    t.now = t.now + t.eject(bad);
    assert_eq!(t.pick(), Some(bad));
    assert_ne!(t.pick(), Some(bad));
    t.now = t.now + ready::PROBE_TIME;
    assert_eq!(t.pick(), Some(bad));
    t.finish(bad, LinkOutcome::Answered);
    assert_eq!(t.standing(bad), Standing::In);
}

#[test]
fn a_stream_takes_a_link_back_by_its_first_message_or_by_lasting() {
    for has_message in [true, false] {
        let (mut t, [bad, ..]) = four();
        t.now = t.now + t.eject(bad);
        let stream = Demand { now: t.now, avoid: &[], key: None, purpose: Purpose::Stream };
        let (probe, _) = t.pool.pick(&stream).unwrap();
        assert_eq!(probe.id, bad);
        if has_message {
            t.pool.prove(t.now, probe);
        } else {
            t.now = t.now + ready::PROBE_TIME;
            t.pick();
        }
        assert_eq!(t.standing(bad), Standing::In);
        let _ = t.pool.finish(t.now, probe, LinkOutcome::Failed, None);
        assert_eq!(t.standing(bad), Standing::In, "an end that comes later is one of many");
    }
}

#[test]
fn a_second_attempt_at_a_call_is_no_probe() {
    let (mut t, [bad, good, ..]) = four();
    t.now = t.now + t.eject(bad);
    let hedge = Demand { now: t.now, avoid: &[good], key: None, purpose: Purpose::Hedge };
    assert!(t.demand(&hedge).is_some_and(|id| id != bad && id != good));
    assert_eq!(t.pick(), Some(bad));
}

proptest! {
    /// Whatever happens: the limit holds, a link that is in exists, and an ejection ends.
    #[test]
    fn any_ends_of_calls_leave_somebody_in(
        ends in proptest::collection::vec((0usize..4, 0u8..5, 0u64..500), 1..300),
    ) {
        let (mut t, _) = four();
        let outcomes = [
            LinkOutcome::Answered,
            LinkOutcome::Failed,
            LinkOutcome::Missed,
            LinkOutcome::Overtaken,
            LinkOutcome::Neither,
        ];
        for (_, outcome, wait) in ends {
            t.now = t.now + Millis(wait);
            let id = t.pick().unwrap();
            t.finish(id, outcomes[usize::from(outcome)]);
            let out = t.pool.ready.members().iter().filter(|member| !member.health.is_in()).count();
            prop_assert!(out <= 2);
        }
        t.now = t.now + Millis(60_000);
        for _ in 0..8 {
            t.ready().iter().for_each(|id| t.pool.heard(*id));
            let id = t.pick().unwrap();
            t.finish(id, LinkOutcome::Answered);
        }
        prop_assert!(t.pool.ready.members().iter().all(|member| member.health.is_in()));
    }
}
