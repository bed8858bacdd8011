//! Room on a link, and the callers that wait for it.

use std::sync::atomic::AtomicUsize;

use bytes::BytesMut;
use rpc_wire::{Budget, Format, Frame, Hello, MetadataRef, Reply, VERSION};

use super::*;
use crate::session::{Config, next_input};

const MAX_FRAME: usize = 1 << 20;

/// Number of times that a task was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Caller that waits.
struct Caller {
    room: Room,
    woken: Arc<Woken>,
}

/// Returns the session with a server that takes 100 bytes of arguments.
fn greeted() -> Arc<SharedSession> {
    let config = Arc::new(Config::for_tests());
    let session = Arc::new(SharedSession::new(Session::new(config, Millis(1_000))));
    let hello = Hello {
        version: VERSION,
        format: Format::JSON,
        max_frame: MAX_FRAME as u32,
        service: "test",
        instance: "a",
        budget: Some(Budget { calls: 100, ..Budget::default() }),
    };
    arrive(&session, &Frame::Hello(hello));
    session
}

/// Handles a frame of the server as the task of the link does.
fn arrive(session: &SharedSession, frame: &Frame<'_>) {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes, MAX_FRAME).unwrap();
    let input = next_input(&mut BytesMut::from(&*bytes), MAX_FRAME).unwrap().unwrap();
    session.handle(Millis(0), input);
    loop {
        let output = session.lock().poll_output();
        match output {
            Some(Output::Room) => session.give_room(),
            Some(_) => {}
            None => return,
        }
    }
}

fn end(session: &SharedSession, call: CallId) {
    arrive(session, &Frame::Reply(Reply::ok(call, b"0")));
}

fn start(session: &Arc<SharedSession>, len: usize, room: Option<Room>) -> Result<CallId, Caller> {
    let (metadata, payload) = (MetadataRef::default(), &*vec![b'0'; len]);
    let call = NewCall { method: "m", metadata, payload, deadline: Millis(60_000) };
    match session.start(Millis(0), call, room) {
        Started::Sent((id, _)) => Ok(id),
        Started::Full(room) => Err(Caller::new(room)),
        other => panic!("{other:?}"),
    }
}

/// Returns callers that wait, as many as there are lengths.
fn wait<const N: usize>(session: &Arc<SharedSession>, lens: [usize; N]) -> [Caller; N] {
    lens.map(|len| start(session, len, None).err().unwrap())
}

fn woken(callers: &[Caller]) -> Vec<usize> {
    callers.iter().map(|caller| caller.woken.0.load(Ordering::Relaxed)).collect()
}

impl Caller {
    fn new(room: Room) -> Self {
        let mut caller = Self { room, woken: Arc::default() };
        assert!(!caller.is_called());
        caller
    }

    fn is_called(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.woken));
        Pin::new(&mut self.room).poll(&mut Context::from_waker(&waker)).is_ready()
    }
}

#[test]
fn as_many_callers_are_woken_as_there_is_room_for_in_their_order() {
    let session = greeted();
    let [first, second, ..] = [25; 4].map(|len| start(&session, len, None).ok().unwrap());
    let callers = wait(&session, [25; 5]);
    end(&session, first);
    assert_eq!(woken(&callers), [1, 0, 0, 0, 0]);
    assert!(start(&session, 25, None).is_err(), "a newcomer does not overtake");
    end(&session, second);
    assert_eq!(woken(&callers), [1, 1, 0, 0, 0]);
    let [one, two, mut three, ..] = callers;
    let one = start(&session, 25, Some(one.room)).ok().unwrap();
    assert!(start(&session, 25, Some(two.room)).is_ok() && !three.is_called());
    end(&session, one);
    assert!(three.is_called());
}

#[test]
fn a_caller_that_is_dropped_lets_the_next_one_go_on() {
    let session = greeted();
    let call = start(&session, 100, None).ok().unwrap();
    let [one, two, mut three, mut four] = wait(&session, [100; 4]);
    drop(two);
    end(&session, call);
    assert!(!three.is_called());
    drop(one);
    assert_eq!((three.woken.0.load(Ordering::Relaxed), three.is_called()), (1, true));
    assert!(!four.is_called());
    // It has tried again, and was cancelled after that.
    let call = start(&session, 100, Some(three.room)).ok().unwrap();
    session.handle(Millis(0), Input::Cancel(call));
    assert!(matches!(session.lock().poll_output(), Some(Output::Room)));
    session.give_room();
    assert!(four.is_called());
}

#[test]
fn a_caller_that_tries_again_in_vain_keeps_its_place() {
    let session = greeted();
    let call = start(&session, 100, None).ok().unwrap();
    let [one, mut two] = wait(&session, [100; 2]);
    let mut one = start(&session, 100, Some(one.room)).err().unwrap();
    end(&session, call);
    assert!(one.is_called() && !two.is_called());
}

#[test]
fn callers_that_nobody_polls_hold_up_no_other_for_long() {
    let session = greeted();
    let [call, _] = [99, 1].map(|len| start(&session, len, None).ok().unwrap());
    let [one, two, mut three, mut four] = wait(&session, [99, 99, 99, 100]);
    end(&session, call);
    session.end_turns();
    assert_eq!((one.woken.0.load(Ordering::Relaxed), three.is_called()), (1, false), "a moment longer");
    session.end_turns();
    assert!(three.is_called() && !four.is_called());
    let three = start(&session, 99, Some(three.room)).ok().unwrap();
    // They may be polled at last.
    let mut two = start(&session, 99, Some(two.room)).err().unwrap();
    let mut one = start(&session, 99, Some(one.room)).err().unwrap();
    end(&session, three);
    assert!(one.is_called() && !two.is_called(), "in their old places");
}

#[test]
fn a_caller_for_whom_there_is_no_room_holds_up_no_smaller_one() {
    let session = greeted();
    let [call, _] = [30, 70].map(|len| start(&session, len, None).ok().unwrap());
    let mut callers = wait(&session, [90, 20, 30, 10]);
    end(&session, call);
    assert_eq!(callers.each_mut().map(Caller::is_called), [false, true, false, true]);
}

#[test]
fn the_end_of_a_session_wakes_all_callers() {
    let session = greeted();
    start(&session, 100, None).ok().unwrap();
    let mut callers = wait(&session, [100, 1, 50]);
    session.handle(Millis(0), Input::Eof);
    session.give_room();
    assert_eq!(callers.each_mut().map(Caller::is_called), [true; 3]);
}
