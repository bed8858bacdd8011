//! Streams in all shapes: windows, credit, half-close, cancels, and clients that break the rules.

use rpc_wire::{Credit, Message, MessageWriter};

use super::*;

fn open(id: u64, method: &'static str) -> Frame<'static> {
    let (more, stream) = (method != "watch", method != "upload");
    Frame::Request(Request { method, more, stream, ..Request::new(CallId(id)) })
}

fn message(id: u64, payload: &[u8]) -> Frame<'_> {
    Frame::Message(Message { id: CallId(id), payload })
}

fn credit(id: u64, bytes: u32) -> Frame<'static> {
    Frame::Credit(Credit { id: CallId(id), bytes })
}

impl Driver {
    /// Produces messages of a stream, each of 50 bytes on the wire, and the reply at the end.
    fn produce(&mut self, id: u64, messages: &[u8], is_end: bool) {
        let mut frames = Vec::new();
        for byte in messages {
            let mut message = MessageWriter::new(&mut frames, CallId(id));
            message.payload().extend_from_slice(&[*byte; 36]);
            message.finish(MAX).unwrap();
        }
        if is_end {
            Frame::Reply(Reply::ok(CallId(id), b"")).encode(&mut frames, MAX).unwrap();
        }
        let mut queue = ReplyQueue::new(MAX, Budget::default());
        queue.push_messages(CallId(id), &mut frames, is_end);
        self.tell(Input::Replies(queue.take()));
    }

    fn take(&mut self, id: u64, bytes: usize) {
        let taken = vec![Taken { id: CallId(id), bytes }];
        self.tell(Input::Replies(Replies { taken, ..Replies::default() }));
    }

    /// Returns the first bytes of the messages of a stream among the answers.
    fn messages(&mut self) -> Vec<(u64, u8)> {
        let firsts = self.answers().into_iter().filter_map(|answer| match answer {
            Answer::Message(id, payload) => Some((id, payload[0])),
            _ => None,
        });
        firsts.collect()
    }
}

#[test]
fn messages_go_out_as_far_as_there_is_credit_and_the_reply_comes_behind_them() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[open(1, "watch")]);
    driver.produce(1, &[1, 2, 3], true);
    assert_eq!(driver.messages(), [(1, 1), (1, 2)]);
    driver.send(&[credit(1, 1)]);
    let answers = driver.answers();
    assert!(matches!(&answers[..], [Answer::Message(1, _), Answer::Ok(1)]), "{answers:?}");
    assert_eq!(driver.session.held(), 0);
    assert_eq!(driver.sent.iter().map(|(_, bytes)| bytes).sum::<usize>(), 3 * 50 + HEADER + 1);
}

const HEADER: usize = rpc_wire::HEADER_LEN;

#[test]
fn the_window_of_the_connection_bounds_all_streams_together_and_they_take_turns() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[open(1, "watch"), open(2, "watch"), open(3, "talk")]);
    for id in 1..=3 {
        driver.produce(id, &[0, 1], false);
    }
    assert_eq!(driver.messages(), [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]);
    driver.send(&[credit(1, 100), credit(2, 100)]);
    driver.produce(1, &[2], false);
    driver.produce(2, &[2], false);
    assert_eq!(driver.messages(), [], "the connection's window is closed");
    driver.send(&[credit(0, 1_000)]);
    assert_eq!(driver.messages(), [(3, 1), (1, 2), (2, 2)]);
}

#[test]
fn a_failure_comes_behind_the_messages_and_a_deadline_drops_them() {
    let mut driver = Driver::greeted(|_| ());
    let late = Frame::Request(Request {
        method: "watch",
        stream: true,
        time_left: Some(Duration::from_millis(10)),
        ..Request::new(CallId(1))
    });
    driver.send(&[late]);
    driver.produce(1, &[1, 2, 3], true);
    assert_eq!(driver.messages().len(), 2);
    driver.advance(11);
    assert_eq!(driver.answers(), [Answer::Failed(1, Code::DEADLINE_EXCEEDED)]);
    driver.send(&[credit(1, 1_000), credit(0, 1_000)]);
    assert_eq!((driver.answers(), driver.aborted()), (vec![], vec![CallId(1)]));
    assert_eq!(driver.session.held(), 0);
}

#[test]
fn a_cancel_drops_the_messages_that_wait_and_those_of_the_client_behind_it() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[open(1, "talk")]);
    driver.produce(1, &[1, 2, 3], false);
    driver.answers();
    driver.send(&[message(1, b"x"), message(1, b"y"), Frame::Cancel(CallId(1)), credit(1, 1_000)]);
    assert_eq!((driver.answers(), driver.aborted()), (vec![], vec![CallId(1)]));
    assert_eq!(driver.delivered, [], "the cancel was heard before them");
    driver.produce(1, &[4], true);
    assert_eq!((driver.answers(), driver.session.held()), (vec![], 0));
}

#[test]
fn messages_are_delivered_in_order_and_credit_comes_back_when_half_of_a_window_is_taken() {
    let mut driver = Driver::greeted(|_| ());
    let long = vec![0; (256 << 10) - HEADER];
    driver.send(&[open(1, "upload"), message(1, b"a"), message(1, b""), message(1, &long)]);
    let delivered = [(1, Some(b"a".to_vec())), (1, Some(vec![])), (1, Some(long.clone()))];
    assert_eq!(driver.delivered, delivered);
    driver.take(1, 2 * HEADER + 1);
    assert_eq!(driver.answers(), []);
    driver.take(1, HEADER + long.len());
    assert_eq!(driver.answers(), [Answer::Credit(1, (256 << 10) + 2 * HEADER as u32 + 1)]);
    driver.send(&[message(1, b"b"), Frame::End(CallId(1))]);
    assert_eq!(driver.delivered[3..], [(1, Some(b"b".to_vec())), (1, None)]);
    driver.end_calls(&[1]);
    assert_eq!(driver.answers(), [Answer::Ok(1)]);
    assert_eq!(driver.session.held(), 0);
}

#[test]
fn the_bytes_of_messages_that_nobody_takes_return_to_the_connection() {
    let mut driver = Driver::greeted(|_| ());
    let long = vec![0; 1 << 20];
    for id in [1, 2] {
        driver.send(&[open(id, "upload"), message(id, &long)]);
        driver.end_calls(&[id]);
    }
    let both = 2 * (HEADER + long.len()) as u32;
    assert_eq!(driver.answers(), [Answer::Ok(1), Answer::Credit(0, both), Answer::Ok(2)]);
    driver.send(&[message(1, &long), message(9, &long)]);
    assert_eq!(driver.answers(), [Answer::Credit(0, both)], "of a call that has ended, and of none");
}

#[test]
fn a_message_without_credit_and_too_much_credit_end_the_connection() {
    let long = vec![0; 256 << 10];
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[open(1, "upload"), message(1, &long), message(1, b"")]);
    assert_eq!(driver.answers(), [Answer::GoAway(1, Code::RESOURCE_EXHAUSTED)]);

    for id in [0, 1] {
        let mut driver = Driver::greeted(|_| ());
        driver.send(&[open(1, "watch"), credit(id, u32::MAX)]);
        assert_eq!(driver.answers(), [Answer::GoAway(1, Code::INVALID_ARGUMENT)]);
    }
}

#[test]
fn a_call_that_gets_a_message_too_many_fails_and_the_connection_lives() {
    let end = || Frame::End(CallId(1));
    for frames in [
        [open(1, "upload"), end(), message(1, b"x")],
        [open(1, "upload"), end(), end()],
        [open(1, "watch"), credit(1, 0), message(1, b"x")],
        [later(1), credit(7, 0), end()],
    ] {
        let mut driver = Driver::greeted(|_| ());
        driver.send(&frames);
        assert_eq!(driver.answers(), [Answer::Failed(1, Code::INVALID_ARGUMENT)]);
        assert_eq!(driver.aborted(), [CallId(1)]);
        driver.send(&[request(2, "now", None)]);
        assert_eq!(driver.answers(), [Answer::Ok(2)]);
    }
}

#[test]
fn a_call_of_the_wrong_kind_does_not_run() {
    let mut driver = Driver::greeted(|_| ());
    for (id, more, stream) in [(1, true, true), (2, false, false), (3, true, false)] {
        let request = Request { method: "watch", more, stream, ..Request::new(CallId(id)) };
        driver.send(&[Frame::Request(request)]);
        assert_eq!(driver.answers(), [Answer::NotRun(id, Code::UNIMPLEMENTED)]);
    }
    driver.send(&[request(4, "nothing", None)]);
    assert_eq!(driver.answers(), [Answer::NotRun(4, Code::UNIMPLEMENTED)]);
}

#[test]
fn a_message_for_a_call_that_only_waits_for_credit_does_not_hold_up_the_session() {
    for last in [message(1, b"x"), Frame::End(CallId(1))] {
        let mut driver = Driver::greeted(|_| ());
        driver.send(&[open(1, "talk")]);
        driver.produce(1, &[1, 2, 3], true);
        assert_eq!(driver.messages().len(), 2, "the third one and the reply wait for credit");
        driver.send(&[credit(1, 100), last]);
        assert!(matches!(&driver.answers()[..], [Answer::Message(1, _), Answer::Ok(1)]));
        assert!(driver.session.idle_since().is_some());
        driver.tell(Input::Drain);
        assert!(driver.shut_down);
    }
}

#[test]
fn who_watches_health_holds_up_neither_a_drain_nor_the_age_of_a_connection() {
    let unavailable = Code::UNAVAILABLE;
    for is_drain in [true, false] {
        let mut driver = Driver::new(|config| config.limits.connection_age = Some(Duration::from_secs(10)));
        driver.session = driver.session.aging(|| 0);
        let health = Request { method: "rpc.health/watch", stream: true, ..Request::new(CallId(2)) };
        driver.send(&[hello(), open(1, "watch"), Frame::Request(health)]);
        driver.produce(2, &[1, 2, 3], false);
        driver.answers();
        if is_drain {
            driver.tell(Input::Drain);
        } else {
            driver.advance(10_000);
        }
        assert_eq!(driver.answers(), [Answer::Failed(2, unavailable), Answer::GoAway(2, unavailable)]);
        assert_eq!(driver.aborted, [(CallId(2), unavailable)]);
        assert!(!driver.shut_down);
        driver.produce(1, &[], true);
        assert_eq!(driver.answers(), [Answer::Ok(1)]);
        assert!(driver.shut_down, "nothing else is waited for");
    }
}

#[test]
fn a_drain_waits_for_streams() {
    let mut driver = Driver::greeted(|_| ());
    driver.send(&[open(1, "watch")]);
    driver.tell(Input::Drain);
    driver.produce(1, &[1, 2, 3], true);
    assert!(!driver.shut_down);
    driver.send(&[credit(1, 100)]);
    assert!(driver.shut_down);
}

#[test]
fn version_1_has_no_streams() {
    let hello = Hello {
        version: 1,
        format: Format::JSON,
        max_frame: 4_096,
        service: "demo",
        instance: "",
        budget: None,
    };
    let greeted = || {
        let mut driver = Driver::new(|_| ());
        driver.send(&[Frame::Hello(hello)]);
        assert_eq!(driver.answers(), [Answer::Hello]);
        driver
    };
    let mut driver = greeted();
    driver.send(&[open(1, "upload"), message(1, b"x"), open(2, "watch"), request(3, "now", None)]);
    let refused = [Answer::NotRun(1, Code::UNIMPLEMENTED), Answer::Failed(2, Code::UNIMPLEMENTED)];
    assert_eq!(driver.answers()[..2], refused);
    // It hears that nothing ran where its version says so, as before.
    driver.send(&[request(4, "nothing", None), request(5, "now", Some(0))]);
    let failed = [Answer::Failed(4, Code::UNIMPLEMENTED), Answer::Failed(5, Code::DEADLINE_EXCEEDED)];
    assert_eq!(driver.answers(), failed);
    for frame in [Frame::End(CallId(1)), credit(0, 1)] {
        let mut driver = greeted();
        driver.send(&[frame]);
        assert_eq!(driver.answers(), [Answer::GoAway(0, Code::INVALID_ARGUMENT)]);
    }
}

#[test]
fn the_budget_of_calls_does_not_bound_messages() {
    let mut driver = Driver::new(|_| ());
    let Frame::Hello(hello) = hello() else { unreachable!() };
    let budget = Some(Budget { stream: 100_000, connection: 100_000, calls: 2_000 });
    driver.send(&[Frame::Hello(Hello { budget, ..hello }), open(1, "watch")]);
    driver.answers();
    let CallHead { max_reply, max_message, .. } = driver.started[0];
    assert_eq!((max_reply, max_message), (2_000, MAX));
    driver.is_blocked = true;
    driver.produce(1, &[0; 100], false);
    assert!(driver.session.unsent_replies() == 0 && driver.session.wants_bytes());
    driver.send(&[request(2, "now", None)]);
    assert!((1..100).contains(&driver.session.unsent_replies()));
    driver.unblock();
    assert_eq!(driver.answers().len(), 101);
    assert_eq!(driver.session.unsent_replies(), 0);
}

#[test]
fn the_budget_of_the_client_bounds_what_waits_for_it() {
    let mut driver = Driver::new(|_| ());
    let Frame::Hello(hello) = hello() else { unreachable!() };
    let budget = Some(Budget { stream: 100, connection: 100, calls: 2_000 });
    driver.send(&[Frame::Hello(Hello { budget, ..hello })]);
    driver.answers();
    driver.is_blocked = true;
    for id in 1..=9 {
        let request = Request { method: "now", payload: &[b' '; 900], ..Request::new(CallId(id)) };
        driver.send(&[Frame::Request(request)]);
    }
    assert!(
        driver.started.len() < 5 && !driver.session.wants_bytes() && driver.session.unsent_replies() < 4_000
    );
    driver.unblock();
    assert_eq!(driver.answers(), (1..=9).map(Answer::Ok).collect::<Vec<_>>());
}
