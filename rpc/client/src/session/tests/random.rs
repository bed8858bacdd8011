//! Any inputs in any order, also those that only a hostile server can cause.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use rpc_wire::MetadataRef;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Start {
        payload: usize,
    },
    Cancel(u64),
    Reply {
        id: u64,
        code: u8,
        not_run: bool,
    },
    GoAway(u64),
    Ping(u64),
    Pong,
    Hello,
    /// The body of a frame, most likely none.
    Bytes(Vec<u8>),
    Heard,
    Garbage,
    Probe,
    Leave,
    Fail,
    Eof,
    Deaf(bool),
    Wait(u64),
    Timeout,
}

/// Ids of calls that are in flight, were, or never will be.
fn any_id() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..20_u64, 1 => Just(u64::MAX)]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..600_usize).prop_map(|payload| Step::Start { payload }),
        2 => any_id().prop_map(Step::Cancel),
        6 => (any_id(), prop_oneof![Just(0), any::<u8>()], any::<bool>())
            .prop_map(|(id, code, not_run)| Step::Reply { id, code, not_run }),
        1 => any_id().prop_map(Step::GoAway),
        1 => any::<u64>().prop_map(Step::Ping),
        1 => Just(Step::Pong),
        2 => Just(Step::Hello),
        1 => vec(any::<u8>(), 0..40).prop_map(Step::Bytes),
        1 => Just(Step::Heard),
        1 => Just(Step::Probe),
        4 => any::<bool>().prop_map(Step::Deaf),
        4 => (0..4_000_u64).prop_map(Step::Wait),
        1 => Just(Step::Timeout),
    ]
}

fn any_end() -> impl Strategy<Value = Step> {
    prop_oneof![Just(Step::Garbage), Just(Step::Leave), Just(Step::Fail), Just(Step::Eof), any_step()]
}

fn take(t: &mut Driver, step: Step, calls: &mut u32) {
    match step {
        Step::Start { payload } => {
            if t.start(*calls, payload).is_ok() {
                *calls += 1;
            }
        }
        Step::Cancel(id) => t.input(Input::Cancel(CallId(id))),
        Step::Reply { id, code: 0, .. } => t.reply(CallId(id)),
        Step::Reply { id, code, not_run } => {
            let (id, code) = (CallId(id), Code(code));
            t.frame(&Frame::Reply(Reply::Failed {
                id,
                code,
                message: "",
                details: "",
                metadata: MetadataRef::default(),
                not_run,
            }));
        }
        Step::GoAway(last) => t.go_away(CallId(last)),
        Step::Ping(number) => t.frame(&Frame::Ping(number)),
        Step::Pong => t.frame(&Frame::Pong(0)),
        Step::Hello => t.frame(&hello("test")),
        Step::Bytes(bytes) => t.input(Input::Frame(bytes.into())),
        Step::Heard => t.input(Input::Heard),
        Step::Garbage => t.input(Input::Garbage(DecodeError::BadMagic)),
        Step::Probe => t.input(Input::Probe),
        Step::Leave => t.input(Input::Leave),
        Step::Fail => t.input(Input::Failed("reset".into())),
        Step::Eof => t.input(Input::Eof),
        Step::Deaf(is_deaf) => {
            t.is_deaf = is_deaf;
            t.drain();
        }
        Step::Wait(millis) => t.wait_until(t.now + Millis(millis)),
        Step::Timeout => t.input(Input::Timeout),
    }
}

proptest! {
    /// After any inputs each call completes once or is cancelled, and the end of the session comes once, before the
    /// completions that it causes and after all others.
    #[test]
    fn each_call_completes_exactly_once(
        is_greeted: bool, steps in vec(any_step(), 0..60), ends in vec(any_end(), 0..4),
    ) {
        let mut t = if is_greeted { Driver::greeted() } else { Driver::new() };
        let (mut calls, mut cancelled, mut done) = (0, 0, BTreeSet::new());
        for step in steps.into_iter().chain(ends).chain([Step::Deaf(false), Step::Wait(60_000), Step::Leave]) {
            let before = t.session.in_flight();
            let is_cancel = matches!(step, Step::Cancel(_));
            take(&mut t, step, &mut calls);
            if is_cancel {
                cancelled += before - t.session.in_flight();
            }
            for (call, _) in t.completed() {
                prop_assert!(call < calls && done.insert(call), "{call} completes twice");
            }
            prop_assert_eq!(done.len() + cancelled + t.session.in_flight(), calls as usize);
            let closed = t.told.iter().filter(|output| matches!(output, Output::Closed(_))).count();
            prop_assert_eq!(closed, usize::from(t.session.poll_deadline().is_none()));
        }
        prop_assert_eq!(t.session.in_flight(), 0);
        prop_assert_eq!(t.session.poll_deadline(), None, "it has ended");
        prop_assert_eq!(t.start(0, 0), Err(Refused::Closed));
    }

    /// Bytes of any kind are frames or an error, and no frame is longer than the limit.
    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in vec(any::<u8>(), 0..200), max in 0..100_usize) {
        let mut input = BytesMut::from(&*bytes);
        let mut taken = 0;
        while let Ok(Some(next)) = next_input(&mut input, max) {
            taken += match next {
                Input::Frame(body) => {
                    prop_assert!(body.len() <= max);
                    4 + body.len()
                }
                Input::Messages { frames, .. } => frames.len(),
                input => panic!("{input:?}"),
            };
        }
        prop_assert_eq!(&bytes[taken..], &input[..]);
    }
}
