//! Silent servers, slow uploads, and servers that do not read.

use super::*;

#[test]
fn a_silent_server_is_asked_and_then_given_up() {
    let mut t = Driver::greeted();
    t.wait_until(Millis(3_749));
    assert!(t.frames().is_empty());
    t.wait_until(Millis(3_750));
    assert_eq!(t.frames(), ["Ping(0)"]);
    t.frame(&Frame::Pong(0));
    assert!(matches!(&*t.told(), [Output::Alive]));
    t.wait_until(Millis(7_500));
    assert_eq!(t.frames(), ["Ping(0)"], "silent again");
    t.wait_until(Millis(9_749));
    assert!(t.told().is_empty());
    t.wait_until(Millis(10_500));
    assert_eq!(ending(&mut t), "the server does not answer");
}

/// Lets the transport take a few bytes before each of so many ticks, and the rest of the transmission after them.
fn upload_slowly(t: &mut Driver, ticks: usize) {
    t.is_deaf = true;
    for _ in 0..ticks {
        t.transmission.advance(1);
        t.wait();
        assert!(t.told().is_empty());
    }
    t.transmission.advance(usize::MAX);
}

#[test]
fn a_server_is_not_silent_while_a_long_request_is_on_its_way_to_it() {
    let mut t = Driver::greeted();
    t.is_deaf = true;
    let deadline = Millis(600_000);
    t.session.start(t.now, new_call(&vec![0; MAX_FRAME / 2], deadline), 1).unwrap();
    t.drain();
    upload_slowly(&mut t, 40);
    t.is_deaf = false;
    t.drain();
    assert_eq!(t.frames(), ["Ping(0)"], "behind the request");
    t.frame(&Frame::Pong(0));
    t.reply(CallId(1));
    assert_eq!(t.completed(), [(1, payload())]);
}

#[test]
fn a_server_that_reads_a_long_request_and_does_not_answer_is_given_up() {
    let mut t = Driver::greeted();
    t.is_deaf = true;
    let payload = vec![0; MAX_FRAME / 2];
    t.session.start(t.now, new_call(&payload, Millis(600_000)), 1).unwrap();
    t.drain();
    upload_slowly(&mut t, 40);
    t.is_deaf = false;
    let asked = t.now;
    while t.told.is_empty() {
        // Later frames do not put it off.
        t.input(Input::Probe);
        t.wait();
    }
    assert_eq!(ending(&mut t), "the server does not answer");
    let silent = t.now.since(asked);
    assert!(silent >= KEEPALIVE && silent.0 <= KEEPALIVE.0 * 5 / 4, "{silent:?}");
}

#[test]
fn a_pause_of_this_process_is_not_taken_for_silence() {
    let mut t = Driver::greeted();
    t.now = Millis(3_600_000);
    t.input(Input::Timeout);
    t.input(Input::Timeout);
    assert!(t.told().is_empty());
}

#[test]
fn a_server_that_does_not_read_is_given_up_though_it_talks() {
    let mut t = Driver::greeted();
    t.is_deaf = true;
    t.start(1, 0).unwrap();
    for _ in 0..9 {
        assert!(t.told().is_empty());
        t.wait();
        t.input(Input::Heard);
    }
    assert_eq!(ending(&mut t), "the server does not read");
}
