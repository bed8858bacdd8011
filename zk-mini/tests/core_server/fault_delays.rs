//! Faults that take time: delays of requests, replies and events, and slow links.

use std::time::Duration;

use zk_mini::core::{ConnId, FaultId};
use zk_mini::{On, Rule, Then};
use zk_wire::*;

use crate::driver::*;

fn fault(t: &mut Driver, on: On, then: Then) -> FaultId {
    t.core.add_fault(Rule::new(on, then).unwrap(), None).unwrap()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Hands in a request without waiting for the reply.
fn send<R: Request>(t: &mut Driver, conn: ConnId, xid: i32, request: &R) {
    let header = encode(&RequestHeader { xid: Xid(xid), op: R::OP });
    t.frame(conn, [header, encode(request)].concat().into());
}

fn node(path: &str) -> Create {
    create(path, CreateMode::Persistent)
}

/// Returns xid and zxid of the replies to a connection since its handshake; an event is (-1, its zxid).
fn replies(t: &Driver, conn: ConnId) -> Vec<(i32, i64)> {
    let seen = t.heard(conn).iter().filter_map(|heard| match heard {
        Heard::Reply { xid, zxid, .. } => Some((xid.0, *zxid)),
        Heard::Event { zxid, .. } => Some((-1, *zxid)),
        Heard::Handshake(_) | Heard::Closed => None,
    });
    seen.collect()
}

#[test]
fn a_delayed_request_arrives_at_the_end_of_its_delay() {
    let mut t = Driver::new();
    let (a, b) = (t.connect(10_000), t.connect(10_000));
    let rule = fault(&mut t, On::create("/a"), Then::delay(ms(700)));
    let later = fault(&mut t, On::create("/a"), Then::fail(ErrorCode::API_ERROR));
    send(&mut t, a, 1, &node("/a"));
    send(&mut t, a, 2, &exists("/a", false));
    assert_eq!(t.call(b, &exists("/a", false)).err(), Some(ErrorCode::NO_NODE));
    t.advance(699);
    assert_eq!(replies(&t, a), []);
    assert_eq!(t.core.sessions()[0].heard, Millis(0), "it is no sign of life yet");
    t.advance(1);
    assert_eq!(replies(&t, a), [(1, 3), (2, 3)], "in order");
    assert_eq!(t.core.sessions()[0].heard, Millis(700));
    let fired: Vec<_> = [rule, later].map(|id| t.core.fault_hits(id).len()).into();
    assert_eq!(fired, [1, 0], "no rule is asked twice about it");
}

#[test]
fn a_delayed_reply_keeps_its_zxid_and_its_place() {
    let mut t = Driver::new();
    let (a, b) = (t.connect(10_000), t.connect(10_000));
    let rule = fault(&mut t, On::get_data("/**").nth(1), Then::apply_and_delay_reply(ms(500)));
    t.call(b, &node("/a")).unwrap();
    send(&mut t, a, 1, &get_data("/a", true));
    t.call(b, &set_data("/a", b"x", -1)).unwrap();
    send(&mut t, a, 2, &exists("/a", false));
    t.core.remove_fault(t.now, rule);
    t.advance(499);
    assert_eq!(replies(&t, a), [], "removing the rule releases nothing");
    t.advance(1);
    assert_eq!(replies(&t, a), [(1, 3), (-1, 4), (2, 4)]);
}

#[test]
fn a_delayed_event_holds_what_is_sent_behind_it_to_the_same_connection() {
    let mut t = Driver::new();
    let (a, b) = (t.connect(10_000), t.connect(10_000));
    for conn in [a, b] {
        t.call(conn, &exists("/a", true)).unwrap_err();
    }
    let id = t.session(a);
    fault(&mut t, On::event(EventType::NODE_CREATED, "/*").session(id), Then::delay(ms(300)));
    t.call(b, &node("/a")).unwrap();
    assert_eq!(t.events(b).len(), 1);
    send(&mut t, a, 9, &get_data("/a", false));
    t.advance(299);
    assert_eq!(replies(&t, a).len(), 1, "the reply to exists");
    t.advance(1);
    assert_eq!(replies(&t, a)[1..], [(-1, 3), (9, 3)]);
}

#[test]
fn a_delayed_create_is_applied_though_its_connection_has_gone() {
    let mut t = Driver::new();
    let conn = t.connect(10_000);
    fault(&mut t, On::create("/**"), Then::delay(ms(700)));
    send(&mut t, conn, 1, &create("/e-", CreateMode::EphemeralSequential));
    t.lose(conn);
    t.advance(700);
    assert_eq!(t.core.sessions()[0].ephemerals, ["/e-0000000000"]);
}

#[test]
fn a_delayed_create_is_dropped_when_its_client_comes_back() {
    for is_lost in [true, false] {
        let mut t = Driver::new();
        let conn = t.connect(10_000);
        fault(&mut t, On::create("/**").nth(1), Then::delay(ms(700)));
        send(&mut t, conn, 1, &create("/e-", CreateMode::EphemeralSequential));
        if is_lost {
            t.lose(conn);
        }
        let (again, answer) = t.resume(&t.credentials(conn), 10_000);
        assert_eq!(answer.session_id, t.session(conn));
        t.call(again, &create("/e-", CreateMode::EphemeralSequential)).unwrap();
        t.advance(700);
        assert_eq!(t.core.sessions()[0].ephemerals, ["/e-0000000000"], "and not two");
        assert!(!t.is_closed(again));
    }
}

#[test]
fn a_delayed_request_of_an_ended_session_is_nothing() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    fault(&mut t, On::create("/a"), Then::delay(ms(60_000)));
    send(&mut t, conn, 1, &create("/a", CreateMode::Ephemeral));
    t.advance(60_000);
    assert!(t.is_closed(conn));
    assert_eq!((t.core.session_count(), t.core.ephemeral_count()), (0, 0));
}

#[test]
fn an_ended_session_leaves_no_delayed_requests_behind() {
    let mut t = Driver::new();
    fault(&mut t, On::create("/a"), Then::delay(Duration::MAX));
    for is_lost in [true, false] {
        let conn = t.connect(4_000);
        send(&mut t, conn, 1, &node("/a"));
        if is_lost {
            t.lose(conn);
        }
        t.advance(6_000);
        assert_eq!((t.core.session_count(), t.core.poll_deadline()), (0, None), "nothing waits for ever");
    }
}

#[test]
fn a_delay_for_ever_is_one() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    fault(&mut t, On::create("/a"), Then::delay(Duration::MAX));
    fault(&mut t, On::exists("/a"), Then::apply_and_delay_reply(Duration::MAX));
    send(&mut t, conn, 1, &exists("/a", false));
    send(&mut t, conn, 2, &node("/a"));
    t.advance(1_000_000);
    assert_eq!(replies(&t, conn), []);
}

#[test]
fn a_delay_of_nothing_is_none_and_a_part_of_a_millisecond_is_a_whole_one() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let zero = fault(&mut t, On::create("/a"), Then::delay(Duration::ZERO));
    fault(&mut t, On::create("/b"), Then::delay(Duration::from_nanos(1)));
    assert!(t.call(conn, &node("/a")).is_ok());
    assert_eq!(t.core.fault_hits(zero).len(), 1);
    send(&mut t, conn, 1, &node("/b"));
    assert!(t.core.node("/b").is_none());
    t.advance(1);
    assert!(t.core.node("/b").is_some());
}

#[test]
fn a_handshake_and_its_answer_can_be_late() {
    for (then, opened) in [(Then::delay(ms(200)), 200), (Then::apply_and_delay_reply(ms(200)), 0)] {
        let mut t = Driver::new();
        fault(&mut t, On::connect(), then);
        let conn = t.accept();
        t.frame(conn, encode(&connect_request(4_000)));
        assert_eq!(t.core.session_count(), usize::from(opened == 0));
        t.advance(199);
        assert_eq!(t.heard(conn), []);
        t.advance(1);
        assert!(matches!(t.heard(conn), [Heard::Handshake(_)]));
        assert_eq!(t.core.sessions()[0].heard, Millis(opened));
    }
}

#[test]
fn a_late_answer_to_the_end_of_a_session_comes_before_the_close() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    fault(&mut t, On::op(OpCode::CLOSE_SESSION), Then::apply_and_delay_reply(ms(200)));
    send(&mut t, conn, 1, &CloseSession {});
    assert_eq!(t.core.session_count(), 0);
    t.advance(200);
    assert_eq!(replies(&t, conn), [(1, 2)]);
    assert!(t.is_closed(conn));
}

#[test]
fn a_slow_link_takes_time_in_both_directions_until_its_rule_is_removed() {
    let mut t = Driver::new();
    // 29 bytes of a handshake, 41 of its answer with its length.
    let rule = fault(&mut t, On::connect(), Then::slow(ms(100), 1_000));
    let conn = t.accept();
    t.frame(conn, encode(&connect_request(10_000)));
    t.advance(128);
    assert_eq!(t.core.session_count(), 0);
    t.advance(1);
    assert_eq!((t.core.session_count(), t.heard(conn).len()), (1, 0));
    t.advance(140);
    assert_eq!(t.heard(conn), []);
    t.advance(1);
    assert!(matches!(t.heard(conn), [Heard::Handshake(_)]));

    send(&mut t, conn, 1, &exists("/a", false));
    t.advance(200);
    send(&mut t, conn, 2, &exists("/b", false));
    assert_eq!(replies(&t, conn), []);
    t.core.remove_fault(t.now, rule);
    t.drain();
    assert_eq!(replies(&t, conn), [(1, 1), (2, 1)], "at once");
    assert!(t.call(conn, &exists("/c", false)).is_err(), "and fast from now on");
}

#[test]
fn a_rule_that_hits_every_request_makes_one_slow_link() {
    let mut t = Driver::new();
    let conn = t.connect(10_000);
    // 15 bytes of an exists, 20 of its answer with its length.
    fault(&mut t, On::exists("/**"), Then::slow(ms(100), 1_000));
    for xid in 1..=3 {
        send(&mut t, conn, xid, &exists("/a", false));
        t.advance(234);
        assert_eq!(replies(&t, conn).len(), xid as usize - 1);
        t.advance(1);
        assert_eq!(replies(&t, conn).len(), xid as usize);
    }
    send(&mut t, conn, 4, &exists("/a", false));
    send(&mut t, conn, 5, &exists("/a", false));
    t.advance(235);
    assert_eq!(replies(&t, conn).len(), 4);
    t.advance(19);
    assert_eq!(replies(&t, conn).len(), 4, "the second answer leaves behind the first");
    t.advance(1);
    assert_eq!(replies(&t, conn).len(), 5);
}

#[test]
fn a_link_in_place_of_another_carries_what_comes_next() {
    let mut t = Driver::new();
    let conn = t.connect(10_000);
    fault(&mut t, On::exists("/a"), Then::slow(ms(100), None));
    fault(&mut t, On::exists("/b"), Then::slow(ms(10), None));
    for (path, round_trip) in [("/a", 200), ("/b", 110), ("/a", 110), ("/a", 200)] {
        let before = replies(&t, conn).len();
        send(&mut t, conn, 1, &exists(path, false));
        t.advance(round_trip - 1);
        assert_eq!(replies(&t, conn).len(), before, "{path}");
        t.advance(1);
        assert_eq!(replies(&t, conn).len(), before + 1, "{path}");
    }
}

#[test]
fn a_link_that_ends_does_not_end_other_delays() {
    let mut t = Driver::new();
    let conn = t.connect(10_000);
    fault(&mut t, On::create("/a"), Then::delay(ms(500)));
    let link = fault(&mut t, On::exists("/**"), Then::slow(ms(1_000), None));
    send(&mut t, conn, 1, &exists("/a", false));
    t.advance(1_000);
    send(&mut t, conn, 2, &node("/a"));
    t.core.remove_fault(t.now, link);
    t.drain();
    assert_eq!(replies(&t, conn), [(1, 1)]);
    t.advance(499);
    assert_eq!(replies(&t, conn).len(), 1);
    t.advance(1);
    assert_eq!(replies(&t, conn)[1..], [(2, 2)]);
}

#[test]
fn a_delayed_end_of_a_session_is_dropped_when_its_client_comes_back() {
    let mut t = Driver::new();
    let conn = t.connect(10_000);
    fault(&mut t, On::any().nth(1), Then::delay(ms(100)));
    send(&mut t, conn, 1, &CloseSession {});
    let (again, _) = t.resume(&t.credentials(conn), 10_000);
    t.call(again, &create("/e", CreateMode::Ephemeral)).unwrap();
    t.advance(100);
    assert!(!t.is_closed(again));
    assert_eq!((t.core.session_count(), t.core.ephemeral_count()), (1, 1));
}

#[test]
fn rules_about_a_request_whose_connection_has_gone_send_nothing_there() {
    for then in [Then::apply_and_delay_reply(ms(50)), Then::slow(ms(50), None), Then::apply_and_lose_reply()]
    {
        let mut t = Driver::new();
        let conn = t.connect(10_000);
        fault(&mut t, On::create("/a"), Then::delay(ms(100)));
        fault(&mut t, On::create("/b"), then);
        send(&mut t, conn, 1, &node("/a"));
        send(&mut t, conn, 2, &node("/b"));
        t.lose(conn);
        t.advance(1_000);
        assert!(t.core.node("/b").is_some(), "{then}");
        assert_eq!(replies(&t, conn), []);
    }
}
