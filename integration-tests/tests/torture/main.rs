//! Bad days for our own registry, lock and election, which have none of their bugs, and for clients with one flaw each, which have it.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use zk_mini_torture::{Report, Role, Severity, Torture, Verdict, days};

/// A flaw, and the days that find it.
type Row = (&'static str, &'static [&'static str]);

const REGISTRATIONS: &[Row] = &[
    ("abandons", &["sigterm-withdraws"]),
    ("persistent", &["kill-is-noticed"]),
    ("node-exists-is-success", &["restart-before-the-old-session-ends", "old-node-outlives-its-session"]),
    ("expiry-ignored", &["paused-process", "expiry-while-connected", "expiry-while-disconnected"]),
    ("expiry-ignored", &["partition", "re-attach-refused"]),
    ("flaps-on-connect", &["reconnect-within-the-session", "server-stalls"]),
    ("gives-up", &["server-away-for-long"]),
    ("no-patience", &["server-away-at-the-start"]),
    ("deaf-to-deletion", &["node-deleted-by-hand", "parent-removed"]),
    ("parent-once", &["parent-removed"]),
    ("blind-retry", &["reply-lost-after-create", "reply-late-after-create"]),
    ("impatient", &["slow-server"]),
    ("no-retry", &["connection-lost-before-create", "session-moved", "server-throttles"]),
    ("restless", &["wall-clock-jumps"]),
    ("registers-on-connect", &["server-restarts"]),
    ("expiry-ignored", &["server-loses-its-data", "snapshot-restored"]),
];

const SUBSCRIPTIONS: &[Row] = &[
    ("watch-lost-with-connection", &["change-across-a-restart", "restored-under-a-subscriber"]),
    ("watch-lost-with-connection", &["event-lost-with-the-connection", "change-in-a-stall"]),
    ("expiry-ignored", &["service-loses-its-data", "subscriber-session-expires", "expiry-in-an-outage"]),
    ("empty-when-disconnected", &["outage"]),
    ("reads-all", &["herd-of-100"]),
    ("needs-parent", &["service-of-the-future"]),
    ("garbage-stops", &["foreign-children"]),
    ("one-change", &["many-changes", "event-delayed"]),
    ("late-watch", &["change-between-event-and-re-arm"]),
    ("stops-with-parent", &["service-removed-and-made-again"]),
    ("none", &["data-changes"]),
    ("gone-child-stops", &["child-gone-between-list-and-read"]),
    ("no-retry", &["connection-lost-between-event-and-re-arm"]),
];

const LOCKS: &[Row] = &[
    ("abandons", &["sigterm-releases"]),
    ("persistent", &["killed-holder"]),
    ("expiry-ignored", &["lock-lost-with-the-data"]),
    ("held-for-a-connection", &["holder-across-a-restart"]),
    ("turn-by-event", &["waiter-in-the-middle-dies"]),
    (
        "believes-for-ever",
        &["paused-holder", "lock-node-deleted-by-hand", "frozen-holder", "holder-session-expires"],
    ),
    ("watches-all", &["herd-at-a-lock"]),
    ("blind-retry", &["lock-reply-lost-after-create"]),
];

fn fixture(flaw: Option<&str>) -> Torture {
    Torture::new([env!("CARGO_BIN_EXE_torture-fixture")].into_iter().chain(flaw))
}

fn failed(report: &Report) -> BTreeSet<&'static str> {
    report.named(Verdict::Failed).collect()
}

#[tokio::test]
async fn our_registry_and_our_lock_have_no_bad_day() {
    let report = fixture(None).run().await.unwrap();
    assert_eq!(report.named(Verdict::Clean).count(), days().len(), "{report}");
}

#[tokio::test]
async fn our_election_has_no_bad_day() {
    let days: Vec<_> = days().iter().filter(|day| day.role == Role::Lock).map(|day| day.name).collect();
    let report = fixture(Some("election")).only(days.iter().copied()).run().await.unwrap();
    assert_eq!(report.named(Verdict::Clean).count(), days.len(), "{report}");
}

#[tokio::test]
async fn a_careful_recipe_fails_only_where_it_chose_to() {
    let report = fixture(Some("none")).known(["data-changes"]).run().await.unwrap();
    assert_eq!(failed(&report), ["data-changes"].into(), "{report}");
    assert_eq!(report.named(Verdict::Clean).count(), days().len() - 1, "{report}");
    assert!(report.bugs().is_empty(), "it is advice");
}

#[tokio::test]
async fn those_that_queue_slowly_are_no_herd() {
    let report = fixture(Some("unhurried")).only(["herd-at-a-lock"]).run().await.unwrap();
    assert!(report.named(Verdict::Clean).any(|day| day == "herd-at-a-lock"), "{report}");
}

#[tokio::test]
async fn each_bad_day_of_a_registration_finds_its_flaw() {
    find(Role::Register, REGISTRATIONS).await;
}

#[tokio::test]
async fn each_bad_day_of_a_subscription_finds_its_flaw() {
    find(Role::Discover, SUBSCRIPTIONS).await;
}

#[tokio::test]
async fn each_bad_day_of_a_lock_finds_its_flaw() {
    find(Role::Lock, LOCKS).await;
}

fn is_bad(day: &str) -> bool {
    !day.ends_with("good-day")
}

/// Plays the days of a role to clients with the flaws that they are there for, several at a time.
async fn find(role: Role, rows: &'static [Row]) {
    let covered: BTreeSet<_> = rows.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let all = days().into_iter().filter(|day| day.role == role && is_bad(day.name));
    assert_eq!(covered, all.map(|day| day.name).collect(), "each day has a flaw");
    let mut waiting = rows.iter();
    let mut running = tokio::task::JoinSet::new();
    loop {
        while running.len() < 5 {
            let Some((flaw, names)) = waiting.next() else { break };
            let at_a_time = NonZeroUsize::new(2).unwrap();
            let run = fixture(Some(flaw)).only(names.iter().copied()).known(names.iter().copied());
            running.spawn(async move { (flaw, names, run.at_a_time(at_a_time).run().await.unwrap()) });
        }
        let Some(done) = running.join_next().await else { break };
        let (flaw, names, report) = done.unwrap();
        let found: BTreeSet<_> = failed(&report).into_iter().filter(|name| is_bad(name)).collect();
        assert_eq!(found, names.iter().copied().collect(), "{flaw}\n{report}");
        for finding in report.findings.iter().filter(|finding| finding.verdict == Verdict::Failed) {
            let is_advice = finding.day.severity == Severity::Advice;
            assert_eq!(report.bugs().contains(finding.day.name), !is_advice);
        }
    }
}
