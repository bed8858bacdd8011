//! Scenarios: frames of a client, ends of calls and the time go in; the answers of the session are checked.

mod driver;
mod random;
mod streams;

use std::time::Duration;

use rpc_wire::{Budget, CallId, Code, Format, Hello, Metadata, Reply, Request};

use super::*;
use crate::limits::Limits;
use driver::{Answer, Driver, MAX, hello, later, request};

#[test]
fn replies_of_a_read_go_out_in_one_batch_with_the_hello() {
    let mut driver = Driver::new(|_| ());
    let mut bytes = Vec::new();
    for frame in [hello(), request(1, "now", None), Frame::Ping(7), request(2, "now", None)] {
        frame.encode(&mut bytes, MAX).unwrap();
    }
    driver.session.read_buffer().extend_from_slice(&bytes);
    driver.handle(Input::Received);
    driver.handle(Input::Turn(Turn::default()));
    driver.written = driver.session.transmit().unwrap();
    assert_eq!(driver.answers(), [Answer::Hello, Answer::Ok(1), Answer::Pong(7), Answer::Ok(2)]);
    assert!(driver.session.transmit().is_none(), "nothing before the batch has been written");
}

#[test]
fn a_call_past_its_deadline_is_answered_and_aborted_and_its_late_reply_is_dropped() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[request(1, "later", Some(100)), later(2)]);
    driver.advance(100);
    assert_eq!(
        driver.answers(),
        [],
        "times of arrival are rounded down, so deadlines come a millisecond later"
    );
    driver.advance(1);
    assert_eq!(driver.answers(), [Answer::Failed(1, Code::DEADLINE_EXCEEDED)]);
    assert_eq!(driver.aborted(), [CallId(1)]);
    driver.end_calls(&[1, 2]);
    assert_eq!(driver.answers(), [Answer::Ok(2)]);
    assert_eq!(driver.session.held(), 0);
}

#[test]
fn a_cancelled_call_is_aborted_and_never_answered() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[later(1), later(2), later(3)]);
    driver.send(&[Frame::Cancel(CallId(2)), Frame::Cancel(CallId(9))]);
    assert_eq!(driver.aborted(), [CallId(2)]);
    driver.end_calls(&[1, 2, 3]);
    assert_eq!(driver.answers(), [Answer::Ok(1), Answer::Ok(3)]);
}

#[test]
fn a_call_with_a_cancel_behind_it_does_not_start() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[later(1), request(2, "now", None), Frame::Cancel(CallId(2)), request(3, "now", None)]);
    assert_eq!(driver.answers(), [Answer::Ok(3)]);
    assert_eq!(driver.started.iter().map(|call| call.id.0).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_call_without_time_is_not_started() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[request(1, "now", Some(0))]);
    assert_eq!(driver.answers(), [Answer::NotRun(1, Code::DEADLINE_EXCEEDED)]);
    assert!(driver.started.is_empty());
}

#[test]
fn a_server_that_is_behind_refuses_a_call_that_cannot_be_done_in_time() {
    for (waited, left, answer) in [
        (1, 1, Answer::Ok(1)),
        (2, 22, Answer::Ok(1)),
        (2, 20, Answer::NotRun(1, Code::RESOURCE_EXHAUSTED)),
        (2, 1, Answer::NotRun(1, Code::DEADLINE_EXCEEDED)),
    ] {
        let mut driver = Driver::greeted(|_| ());
        let methods = &driver.session.config.methods;
        methods.took(methods.find(None, "demo/now").unwrap(), Duration::from_millis(10));
        let mut bytes = Vec::new();
        request(1, "now", Some(left)).encode(&mut bytes, MAX).unwrap();
        driver.session.read_buffer().extend_from_slice(&bytes);
        driver.handle(Input::Received);
        driver.now = Millis(waited);
        driver.run();
        assert_eq!(driver.answers(), [answer], "{waited} ms waited, of {left}");
    }
}

#[test]
fn limits_refuse_calls_that_are_not_run() {
    let mut driver = Driver::limited(|limits| limits.in_flight_per_connection = 2);
    driver.send(&[later(1), later(2), later(3)]);
    driver.end_calls(&[1]);
    driver.full = Some(Full::Server(7));
    driver.send(&[later(4)]);
    driver.full = Some(Full::Peer(5));
    driver.send(&[later(5)]);
    let refused = |id| Answer::NotRun(id, Code::RESOURCE_EXHAUSTED);
    assert_eq!(driver.answers(), [refused(3), Answer::Ok(1), refused(4), refused(5)]);

    let mut driver = Driver::limited(|limits| limits.argument_bytes = 9);
    driver.send(&[later(1), later(2)]);
    driver.end_calls(&[1]);
    driver.send(&[later(3)]);
    assert_eq!(driver.answers(), [refused(2), Answer::Ok(1)]);
    assert_eq!(driver.started.len(), 2);
}

#[test]
fn metadata_count_as_arguments_do() {
    let mut driver = Driver::limited(|limits| limits.argument_bytes = 1_500);
    let mut metadata = Metadata::new();
    metadata.insert("long", vec![0; 1_000]).unwrap();
    for id in 1..=2 {
        let request = Request { method: "later", metadata: metadata.as_ref(), ..Request::new(CallId(id)) };
        driver.send(&[Frame::Request(request)]);
    }
    assert!((1_000..1_100).contains(&driver.session.held()), "{} bytes", driver.session.held());
    driver.end_calls(&[1]);
    assert_eq!(driver.answers(), [Answer::NotRun(2, Code::RESOURCE_EXHAUSTED), Answer::Ok(1)]);
    assert_eq!(driver.session.held(), 0);
}

#[test]
fn calls_that_ended_at_once_leave_no_memory() {
    let mut driver = Driver::limited(|limits| limits.in_flight_per_connection = 1_000);
    driver.send(&(1..=1_000).map(later).collect::<Vec<_>>());
    driver.send(&(1..=1_000).map(|id| Frame::Cancel(CallId(id))).collect::<Vec<_>>());
    driver.send(&(1_001..=2_000).map(later).collect::<Vec<_>>());
    driver.end_calls(&(1_001..=2_000).chain(1..=1_000).collect::<Vec<_>>());
    assert_eq!(driver.answers().len(), 1_000);
    assert_eq!(driver.session.held(), 0);
}

#[test]
fn an_adaptive_limit_refuses_unary_calls_only() {
    for full in [Full::Adaptive(7), Full::AdaptivePeer(5)] {
        let mut driver = Driver::greeted(|_| ());
        driver.full = Some(full);
        driver.send(&[
            later(1),
            Frame::Request(Request { method: "watch", stream: true, ..Request::new(CallId(2)) }),
        ]);
        assert_eq!(driver.answers(), [Answer::NotRun(1, Code::RESOURCE_EXHAUSTED)]);
        assert_eq!(driver.started.len(), 1);
    }
}

#[test]
fn the_last_call_of_the_quota_asks_to_retire() {
    let mut driver = Driver::greeted(|config| config.quota = Some(Arc::new(CallQuota::new(2, 0))));
    driver.send(&[later(1)]);
    assert!(!driver.retired);
    driver.send(&[later(2), later(3)]);
    assert!(driver.retired);
}

#[test]
fn a_drain_answers_running_calls_refuses_later_ones_and_lets_the_client_close_first() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[later(1)]);
    driver.tell(Input::Drain);
    driver.send(&[later(2)]);
    let unavailable = Code::UNAVAILABLE;
    assert_eq!(driver.answers(), [Answer::GoAway(1, unavailable), Answer::NotRun(2, unavailable)]);
    driver.is_blocked = true;
    driver.end_calls(&[1]);
    assert!(!driver.shut_down, "the reply is on its way");
    driver.unblock();
    assert_eq!(driver.answers(), [Answer::Ok(1)]);
    assert!(driver.shut_down && driver.end.is_none());
    driver.receive(&[0xff; 100]);
    driver.tell(Input::Closed);
    assert_eq!(driver.end, Some(End::Drained));
}

#[test]
fn the_wait_for_a_client_to_close_is_bounded() {
    let mut driver = Driver::limited(|limits| limits.linger = Duration::from_secs(1));
    driver.tell(Input::Drain);
    driver.advance(999);
    assert_eq!(driver.end, None);
    driver.advance(1);
    assert_eq!(driver.end, Some(End::Drained));
}

#[test]
fn a_connection_that_is_too_old_is_drained_and_its_calls_are_answered() {
    for chance in [0, 7, 1_000, 1_001, u64::MAX] {
        let mut driver = Driver::new(|config| config.limits.connection_age = Some(Duration::from_secs(10)));
        driver.session = driver.session.aging(|| chance);
        driver.send(&[hello(), later(1)]);
        assert_eq!(driver.answers(), [Answer::Hello]);
        driver.advance(9_999);
        assert_eq!(driver.answers(), []);
        let due = driver.session.poll_deadline().unwrap();
        assert_eq!(due, Millis(10_000 + chance % 1_001));
        driver.advance(due.0 - 9_999);
        driver.send(&[later(2)]);
        assert_eq!(
            driver.answers(),
            [Answer::GoAway(1, Code::UNAVAILABLE), Answer::NotRun(2, Code::UNAVAILABLE)]
        );
        driver.tell(Input::Drain);
        driver.advance(60_000);
        driver.end_calls(&[1]);
        assert_eq!(driver.answers().last(), Some(&Answer::Ok(1)));
        assert!(driver.shut_down);
        driver.tell(Input::Closed);
        assert_eq!(driver.end, Some(End::Drained));
    }
}

#[test]
fn a_drain_before_the_hello_is_announced_after_it() {
    let mut driver = Driver::new(|_| ());
    driver.tell(Input::Drain);
    assert_eq!(driver.answers(), []);
    driver.send(&[hello()]);
    assert_eq!(driver.answers(), [Answer::Hello, Answer::GoAway(0, Code::UNAVAILABLE)]);
}

#[test]
fn a_drain_waits_no_longer_for_a_client_that_says_nothing_than_for_one_that_has_to_close() {
    let mut driver = Driver::new(|_| ());
    driver.now = Millis(500);
    driver.tell(Input::Drain);
    let linger = Millis::from(Limits::default().linger);
    assert_eq!(driver.session.poll_deadline(), Some(Millis(500) + linger));
    driver.now = Millis(500) + linger;
    driver.tell(Input::Timeout);
    assert!(driver.shut_down || driver.end.is_some());
}

#[test]
fn a_refusal_aborts_running_calls_and_is_announced_before_the_end() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[later(1), later(2)]);
    driver.send(&[later(1)]);
    assert_eq!(driver.answers(), [Answer::GoAway(2, Code::INVALID_ARGUMENT)]);
    assert_eq!(driver.aborted(), [CallId(1), CallId(2)]);
    assert!(driver.shut_down);
    driver.end_calls(&[1, 2]);
    assert_eq!(driver.answers(), []);
    driver.tell(Input::Closed);
    assert!(matches!(&driver.end, Some(End::Refused(status)) if status.code == Code::INVALID_ARGUMENT));
}

#[test]
fn each_of_the_three_silences_ends_the_session() {
    let seconds = Duration::from_secs;
    let mut strange = Driver::new(|config| config.limits.hello_timeout = seconds(5));
    strange.advance(5_000);
    assert_eq!(strange.answers(), [Answer::GoAway(0, Code::DEADLINE_EXCEEDED)]);

    let mut slow = Driver::limited(|limits| limits.frame_timeout = seconds(30));
    slow.receive(&[0]);
    slow.advance(20_000);
    slow.receive(&[0]);
    slow.advance(9_999);
    assert_eq!(slow.answers(), []);
    slow.advance(1);
    assert_eq!(slow.answers(), [Answer::GoAway(0, Code::DEADLINE_EXCEEDED)]);

    let mut idle = Driver::limited(|limits| limits.idle_timeout = seconds(60));
    idle.send(&[later(1)]);
    idle.advance(100_000);
    idle.end_calls(&[1]);
    idle.advance(59_999);
    idle.send(&[Frame::Ping(1)]);
    idle.advance(59_999);
    assert_eq!(idle.answers(), [Answer::Ok(1), Answer::Pong(1)]);
    idle.advance(1);
    assert_eq!(idle.answers(), [Answer::GoAway(1, Code::UNAVAILABLE)]);
}

#[test]
fn a_time_in_which_the_process_did_not_run_is_excluded() {
    let mut driver = Driver::limited(|limits| limits.frame_timeout = Duration::from_secs(30));
    driver.receive(&[0]);
    driver.now = Millis(40_000);
    driver.handle(Input::Stalled(Millis(10_001)));
    driver.tell(Input::Timeout);
    assert_eq!(driver.answers(), []);
    driver.advance(1);
    assert_eq!(driver.answers(), [Answer::GoAway(0, Code::DEADLINE_EXCEEDED)]);
}

#[test]
fn a_client_that_does_not_read_is_disconnected_and_its_calls_are_aborted() {
    let mut driver = Driver::limited(|limits| limits.write_timeout = Duration::from_secs(30));
    driver.is_blocked = true;
    driver.send(&[later(1), request(2, "now", None)]);
    driver.advance(29_999);
    assert_eq!(driver.end, None);
    driver.advance(1);
    assert_eq!(driver.end, Some(End::Unread));
    assert_eq!(driver.aborted(), [CallId(1)]);
}

#[test]
fn the_time_to_read_is_that_of_a_whole_batch() {
    let mut driver = Driver::limited(|limits| limits.write_timeout = Duration::from_secs(30));
    driver.is_blocked = true;
    driver.send(&[request(1, "now", None)]);
    driver.advance(29_999);
    driver.unblock();
    driver.is_blocked = true;
    driver.send(&[request(2, "now", None)]);
    driver.advance(29_999);
    assert_eq!(driver.end, None, "the second batch has its own time");
    driver.writing.drain(..1);
    driver.tell(Input::Wrote(1));
    driver.advance(1);
    assert_eq!(driver.end, Some(End::Unread), "to read a part of it does not extend the time");
}

#[test]
fn while_many_replies_wait_no_call_starts_and_nothing_is_read() {
    let mut driver = Driver::greeted(|_| ());
    driver.is_blocked = true;
    let payload = vec![b' '; MAX / 2];
    for id in 1..=9 {
        let request = Request { method: "now", payload: &payload, ..Request::new(CallId(id)) };
        driver.send(&[Frame::Request(request)]);
    }
    assert_eq!(driver.started.len(), 2);
    assert!(!driver.session.wants_bytes() && !driver.session.wants_turn());
    driver.unblock();
    assert_eq!(driver.answers(), (1..=9).map(Answer::Ok).collect::<Vec<_>>());
}

#[test]
fn an_evicted_connection_gets_a_goodbye_if_nothing_else_is_being_written() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[later(1)]);
    driver.tell(Input::Evicted);
    assert_eq!(driver.answers(), [Answer::GoAway(1, Code::UNAVAILABLE)]);
    assert_eq!((driver.end.take(), driver.aborted()), (Some(End::Evicted), vec![CallId(1)]));

    let mut driver = Driver::greeted(|_| ());
    driver.is_blocked = true;
    driver.send(&[request(1, "now", None)]);
    driver.tell(Input::Evicted);
    assert_eq!(driver.end, Some(End::Evicted));
}

#[test]
fn the_calls_of_a_client_that_leaves_are_aborted() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[later(1), request(2, "later", Some(100))]);
    driver.tell(Input::Closed);
    assert_eq!((driver.end.take(), driver.aborted()), (Some(End::Lost), vec![CallId(1), CallId(2)]));
    driver.advance(1_000_000);
    driver.end_calls(&[1, 2]);
    assert_eq!(driver.answers(), []);
}
