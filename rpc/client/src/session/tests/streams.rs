//! Streams: messages, credit, ends, and servers that break the rules.

use super::*;

const BUDGET: Budget = Budget { stream: 1_000, connection: 3_000, calls: 500 };

/// A greeted session of a client and a server with small budgets.
fn small() -> Driver {
    let mut t = Driver::new();
    let config = Config { budget: BUDGET, max_queued: 100_000, ..(*t.session.config).clone() };
    t.session = Session::new(Arc::new(config), HELLO_DEADLINE);
    t.drain();
    t.taken.clear();
    let Frame::Hello(hello) = hello("test") else { panic!("a hello") };
    t.frame(&Frame::Hello(Hello { budget: Some(BUDGET), ..hello }));
    t.told();
    t
}

fn signals(t: &mut Driver) -> Vec<Signal<u32>> {
    let signal = |output| match output {
        Output::Signal(signal) => signal,
        output => panic!("{output:?}"),
    };
    t.told().into_iter().map(signal).collect()
}

#[test]
fn a_stream_has_messages_both_ways_and_ends_behind_the_last_one() {
    let mut t = small();
    let id = t.open(7);
    t.send(id, 3).unwrap();
    t.session.finish(id);
    t.session.finish(id);
    t.drain();
    let message =
        |len: usize| format!("Message(Message {{ id: CallId(1), payload: {:?} }})", vec![b'x'; len]);
    assert_eq!(t.frames(), ["request 1", &message(3), "End(CallId(1))"]);
    assert!(matches!(t.send(id, 3), Err(Unsent::Ended(_))), "after its end");
    assert_eq!(t.read(id), (vec![], None));
    t.message(id, 5);
    t.message(id, 0);
    assert_eq!(signals(&mut t), [Signal::Readable(7)], "once until the reader looks");
    t.reply(id);
    assert_eq!(t.read(id), (vec![5, 0], Some(payload())));
    assert_eq!(t.session.in_flight(), 0);
    t.session.release(id);
    t.drain();
    assert_eq!(t.frames(), Vec::<String>::new(), "nothing to cancel");
}

#[test]
fn a_sender_waits_for_credit_and_exceeds_it_by_one_message_at_most() {
    let mut t = small();
    let id = t.open(7);
    t.send(id, 900).unwrap();
    t.send(id, 5_000).unwrap();
    assert_eq!(t.send(id, 0), Err(Unsent::Full));
    t.credit(id, 4_927);
    t.credit(id, 1);
    assert!(signals(&mut t).is_empty(), "the window is 0, and that of the connection is closed");
    t.credit(id, 1);
    t.credit(CallId(0), 5_000);
    assert_eq!(signals(&mut t), [Signal::Writable(7)]);
    t.send(id, 0).unwrap();
    assert_eq!(t.send(id, 0), Err(Unsent::Full));
}

#[test]
fn credit_for_the_connection_looks_only_at_senders_that_wait_for_it() {
    let mut t = small();
    let ids: Vec<_> = (0..20).map(|owner| t.open(owner)).collect();
    t.send(ids[0], 10_000).unwrap();
    assert_eq!(t.send(ids[7], 0), Err(Unsent::Full));
    assert_eq!(t.send(ids[7], 0), Err(Unsent::Full));
    assert_eq!(t.session.streams.held_up(), [ids[7]]);
    t.credit(CallId(0), 1);
    assert_eq!(t.session.streams.held_up(), [ids[7]], "the window is still closed");
    t.credit(CallId(0), 100_000);
    assert_eq!(signals(&mut t), [Signal::Writable(7)]);
    assert!(t.session.streams.held_up().is_empty());
    t.credit(CallId(0), 0);
    assert!(signals(&mut t).is_empty());
}

#[test]
fn a_sender_that_lacks_both_kinds_of_credit_is_woken_in_whichever_order_they_come() {
    let mut t = small();
    let (id, other) = (t.open(7), t.open(8));
    t.send(id, 10_000).unwrap();
    assert_eq!(t.send(id, 0), Err(Unsent::Full));
    t.credit(CallId(0), 10_000);
    t.send(other, 10_000).unwrap();
    t.credit(id, 10_000);
    t.credit(id, 1);
    assert!(signals(&mut t).is_empty(), "the window of the connection is closed once more");
    assert_eq!(t.session.streams.held_up(), [id]);
    t.credit(CallId(0), 100_000);
    assert_eq!(signals(&mut t), [Signal::Writable(7)]);

    let ended = t.open(9);
    t.send(other, 0).unwrap_err();
    t.credit(other, 100_000);
    t.send(other, 200_000).unwrap();
    assert_eq!(t.send(ended, 0), Err(Unsent::Full));
    t.session.release(ended);
    assert!(t.session.streams.held_up().is_empty(), "one that has ended does not wait");
}

#[test]
fn credit_is_given_as_messages_are_taken_at_least_half_of_the_window_at_a_time() {
    let mut t = small();
    let id = t.open(7);
    t.frames();
    for _ in 0..5 {
        t.message(id, 86);
    }
    assert_eq!(t.frames(), Vec::<String>::new(), "nothing was taken");
    assert_eq!(t.read(id).0.len(), 5);
    assert_eq!(t.frames(), ["Credit(Credit { id: CallId(1), bytes: 500 })"]);
    for _ in 0..2 {
        (0..5).for_each(|_| t.message(id, 86));
        t.read(id);
    }
    let connection = "Credit(Credit { id: CallId(0), bytes: 1500 })";
    assert!(t.frames().iter().any(|frame| frame == connection));
}

#[test]
fn a_server_that_sends_without_credit_is_left() {
    let mut t = small();
    let id = t.open(7);
    t.message(id, 10_000);
    assert!(t.told().is_empty(), "one message may exceed the window");
    t.message(id, 0);
    assert_eq!(ending(&mut t), "the server broke the protocol: it sent messages without credit");
    let (lens, end) = t.read(id);
    assert_eq!(lens, [10_000], "what came before");
    assert!(matches!(end, Some(Err(Ended::Lost(_)))));

    let mut t = small();
    for owner in 0..4 {
        let id = t.open(owner);
        t.message(id, 986);
    }
    assert_eq!(ending(&mut t), "the server broke the protocol: it sent messages without credit");

    for (lens, keeps_the_rules) in [(&[486, 485, 10_000][..], true), (&[486, 486, 0], false)] {
        let mut t = small();
        let (id, mut bytes) = (t.open(7), Vec::new());
        for &len in lens {
            let message = Message { id, payload: &vec![b'y'; len] };
            Frame::Message(message).encode(&mut bytes, MAX_FRAME).unwrap();
        }
        t.bytes(&bytes);
        assert_eq!(t.read(id).1.is_none(), keeps_the_rules, "messages that come together");
    }
}

#[test]
fn a_server_that_gives_more_credit_than_there_can_be_is_left() {
    for id in [0, 1] {
        let mut t = small();
        t.open(7);
        t.credit(CallId(id), u32::MAX);
        assert_eq!(ending(&mut t), "the server broke the protocol: it gave credit beyond 4294967295 bytes");
    }
    let mut t = small();
    t.credit(CallId(99), u32::MAX);
    assert!(t.told().is_empty(), "of a stream that has ended");
}

#[test]
fn messages_that_nobody_waits_for_are_dropped_and_cost_no_window() {
    let mut t = small();
    let (id, call) = (t.open(7), t.start(1, 0).unwrap());
    t.reply(id);
    for id in [id, call, CallId(99)] {
        (0..40).for_each(|_| t.message(id, 86));
    }
    assert_eq!(t.read(id), (vec![], Some(payload())));
    assert!(t.told().is_empty(), "the session goes on");
    let credited = t.frames().iter().filter(|frame| frame.contains("CallId(0)")).count();
    assert_eq!(credited, 8, "12,000 bytes, 1,500 at a time");
}

#[test]
fn a_stream_that_is_dropped_with_unread_messages_gives_their_window_back() {
    let mut t = small();
    for owner in 0..100 {
        let id = t.open(owner);
        t.message(id, 500);
        match owner % 3 {
            0 => t.input(Input::Cancel(id)),
            1 => drop(t.session.receive(id, &mut Batch::default())),
            _ => {}
        }
        t.session.release(id);
        t.drain();
    }
    assert!(t.told().iter().all(|output| matches!(output, Output::Signal(_))));
    assert_eq!(t.session.in_flight(), 0);
}

#[test]
fn what_is_cancelled_before_it_was_sent_leaves_nothing_on_the_wire() {
    let mut t = small();
    t.is_deaf = true;
    t.start(1, 0).unwrap();
    let (call, stream, _last) = (t.start(2, 0).unwrap(), t.open(3), t.start(4, 0).unwrap());
    t.input(Input::Cancel(call));
    t.session.release(stream);
    t.is_deaf = false;
    t.drain();
    assert_eq!(t.frames(), ["request 1", "request 4"]);
    t.is_deaf = true;
    t.start(5, 0).unwrap();
    let stream = t.open(6);
    t.send(stream, 0).unwrap();
    t.session.release(stream);
    t.is_deaf = false;
    t.drain();
    assert_eq!(
        t.frames()[1..],
        ["request 6", "Message(Message { id: CallId(6), payload: [] })", "Cancel(CallId(6))"]
    );
}

#[test]
fn a_cancel_overtakes_what_is_queued() {
    let mut t = small();
    let (first, second) = (t.start(1, 0).unwrap(), t.open(2));
    t.frames();
    t.is_deaf = true;
    t.start(3, 0).unwrap();
    t.send(second, 400).unwrap();
    t.start(4, 0).unwrap();
    t.input(Input::Cancel(first));
    t.input(Input::Cancel(second));
    t.is_deaf = false;
    t.drain();
    let frames = t.frames();
    assert_eq!(frames[..3], ["request 3", "Cancel(CallId(1))", "Cancel(CallId(2))"]);
    assert_eq!(frames.last().unwrap(), "request 4");
}

#[test]
fn no_more_argument_bytes_are_sent_than_the_server_takes() {
    let mut t = small();
    let (one, two) = (t.start(1, 300).unwrap(), t.start(2, 200).unwrap());
    assert_eq!(t.start(3, 1), Err(Refused::Full));
    assert!(t.told().is_empty());
    t.reply(one);
    assert!(matches!(&*t.told(), [Output::Room]));
    t.start(3, 300).unwrap();
    assert_eq!(t.start(4, 1), Err(Refused::Full));
    t.input(Input::Cancel(two));
    assert!(matches!(&*t.told(), [Output::Room]));
    t.wait_until(Millis(6_000));
    t.input(Input::Heard);
    t.wait_until(Millis(10_000));
    t.start(5, 5_000).unwrap();
    assert_eq!(t.start(6, 1), Err(Refused::Full), "one alone may be longer");
}

#[test]
fn metadata_count_as_arguments_do() {
    let mut t = small();
    let mut metadata = Metadata::new();
    metadata.push("long", vec![0; 300]).unwrap();
    let start = |t: &mut Driver| {
        let call = NewCall { metadata: metadata.as_ref(), ..new_call(b"", t.now + Millis(1_000)) };
        t.session.start(t.now, call, 1)
    };
    let first = start(&mut t).unwrap();
    assert_eq!(start(&mut t), Err(Refused::Full));
    t.drain();
    t.reply(first);
    assert!(start(&mut t).is_ok());
}

#[test]
fn a_server_of_version_1_gets_no_metadata_and_no_streams() {
    let mut t = Driver::new();
    t.taken.clear();
    let Frame::Hello(hello) = hello("test") else { panic!("a hello") };
    t.frame(&Frame::Hello(Hello { version: 1, budget: None, ..hello }));
    assert_eq!(t.session.open(t.now, new_stream(), 7), Err(Refused::NoStreams));
    let mut metadata = Metadata::new();
    metadata.push("a", "b").unwrap();
    let call = NewCall { method: "m", metadata: metadata.as_ref(), payload: b"", deadline: Millis(9) };
    assert_eq!(t.session.start(t.now, call, 1), Err(Refused::Argument(EncodeError::NoMetadata)));
    t.start(1, 0).unwrap();
    assert_eq!(t.frames(), ["request 1"]);
}

#[test]
fn a_stream_ends_at_its_deadline_and_the_server_is_told() {
    let mut t = small();
    let deadline = Some(Millis(50));
    let id = t.session.open(t.now, NewStream { deadline, ..new_stream() }, 7).unwrap();
    t.drain();
    assert_eq!(t.read(id), (vec![], None));
    t.message(id, 1);
    t.wait_until(Millis(50));
    assert_eq!(t.read(id), (vec![1], Some(Err(Ended::Late))));
    assert_eq!(t.frames().last().unwrap(), "Cancel(CallId(1))");
    assert!(matches!(t.send(id, 0), Err(Unsent::Ended(Err(Ended::Late)))));
}

#[test]
fn streams_end_as_calls_do_when_the_server_leaves_or_is_lost() {
    let mut t = small();
    let (one, two, three) = (t.open(1), t.open(2), t.open(3));
    t.go_away(two);
    assert_eq!(t.read(three).1, Some(Err(Ended::NotRun(Status::unavailable("leaving")))));
    t.message(one, 4);
    t.input(Input::Failed("reset".into()));
    assert_eq!(t.read(one), (vec![4], Some(Err(Ended::Lost("reset".into())))));
    assert!(matches!(t.send(two, 0), Err(Unsent::Ended(Err(Ended::Lost(_))))));
    for id in [one, two, three] {
        t.session.release(id);
    }
    assert_eq!(t.session.in_flight(), 0);
}

#[test]
fn messages_that_the_server_does_not_read_wait_with_their_sender() {
    let mut t = Driver::greeted();
    t.is_deaf = true;
    let id = t.open(7);
    let sent = (0..10_000).take_while(|_| t.send(id, 100).is_ok()).count();
    assert!((5..20).contains(&sent), "{sent}");
    t.told();
    t.is_deaf = false;
    t.drain();
    assert_eq!(signals(&mut t), [Signal::Writable(7)]);
}
