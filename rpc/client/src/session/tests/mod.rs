use bytes::BytesMut;
use rpc_wire::{Budget, Code, Credit, DecodeError, EncodeError, Format, Hello, Metadata, VERSION};

use super::*;

mod random;
mod silence;
mod streams;
mod streams_random;

const MAX_FRAME: usize = 1 << 20;
const MAX_QUEUED: usize = 1_000;
const HELLO_DEADLINE: Millis = Millis(2_000);
const KEEPALIVE: Millis = Millis(3_000);

/// A session whose calls are completed by number, and its server, which takes what is written at once unless told
/// otherwise.
struct Driver {
    session: Session<u32, u32>,
    now: Millis,
    transmission: Transmission,
    /// Bytes that the server has taken.
    taken: Vec<u8>,
    /// The server does not take bytes.
    is_deaf: bool,
    completed: Vec<(u32, Attempt)>,
    /// Other outputs.
    told: Vec<Output<u32, u32>>,
}

impl Driver {
    /// A session before the server's hello.
    fn new() -> Self {
        let config = Config { max_queued: MAX_QUEUED, ..Config::for_tests() };
        let mut driver = Self {
            session: Session::new(Arc::new(config), HELLO_DEADLINE),
            now: Millis(0),
            transmission: Transmission::default(),
            taken: Vec::new(),
            is_deaf: false,
            completed: Vec::new(),
            told: Vec::new(),
        };
        driver.drain();
        driver
    }

    fn greeted() -> Self {
        let mut driver = Self::new();
        driver.taken.clear();
        driver.frame(&hello("test"));
        assert!(matches!(&*driver.told(), [Output::Greeted { instance }] if instance == "a"));
        driver
    }

    fn input(&mut self, input: Input) {
        self.session.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.session.poll_output() {
                match output {
                    Output::Complete { call, attempt } => self.completed.push((call, attempt)),
                    output => self.told.push(output),
                }
            }
            self.session.transmit(&mut self.transmission);
            let rest = if self.is_deaf { &[] } else { self.transmission.rest() };
            self.taken.extend_from_slice(rest);
            let n = rest.len();
            if n > 0 {
                self.transmission.advance(n);
            } else if self.session.outputs.is_empty() {
                return;
            }
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes, MAX_FRAME).unwrap();
        self.bytes(&bytes);
    }

    /// Hands over bytes of the server that are whole frames.
    fn bytes(&mut self, bytes: &[u8]) {
        let mut bytes = BytesMut::from(bytes);
        while let Some(input) = next_input(&mut bytes, MAX_FRAME).unwrap() {
            self.input(input);
        }
    }

    /// Opens a stream with messages both ways.
    fn open(&mut self, owner: u32) -> CallId {
        let id = self.session.open(self.now, new_stream(), owner).unwrap();
        self.drain();
        id
    }

    fn send(&mut self, id: CallId, len: usize) -> Result<(), Unsent> {
        let sent = self.session.send(id, &vec![b'x'; len]);
        self.drain();
        sent
    }

    /// Reads everything that has arrived of a stream: the lengths of its messages, and its end.
    fn read(&mut self, id: CallId) -> (Vec<usize>, Option<Attempt>) {
        let (mut batch, mut lens) = (Batch::default(), Vec::new());
        let end = loop {
            match self.session.receive(id, &mut batch) {
                Received::Messages => {
                    while let Some(message) = batch.next_message() {
                        lens.push(message.len());
                    }
                }
                Received::Nothing => break None,
                Received::End(end) => break Some(end),
            }
        };
        self.drain();
        (lens, end)
    }

    fn message(&mut self, id: CallId, len: usize) {
        self.frame(&Frame::Message(Message { id, payload: &vec![b'y'; len] }));
    }

    fn credit(&mut self, id: CallId, bytes: u32) {
        self.frame(&Frame::Credit(Credit { id, bytes }));
    }

    fn reply(&mut self, id: CallId) {
        self.frame(&Frame::Reply(Reply::ok(id, b"7")));
    }

    fn go_away(&mut self, last: CallId) {
        self.frame(&Frame::GoAway(GoAway { last, code: Code::UNAVAILABLE, message: "leaving" }));
    }

    fn start(&mut self, call: u32, payload: usize) -> Result<CallId, Refused> {
        let payload = &vec![0; payload];
        let deadline = self.now + Millis(10_000);
        let started = self.session.start(self.now, new_call(payload, deadline), call);
        self.drain();
        started
    }

    /// Moves time to the next deadline.
    fn wait(&mut self) {
        self.now = self.session.poll_deadline().unwrap().max(self.now);
        self.input(Input::Timeout);
    }

    fn wait_until(&mut self, until: Millis) {
        while self.session.poll_deadline().is_some_and(|at| at <= until) {
            self.wait();
        }
        self.now = until;
    }

    /// Returns the outputs since the last look, completions left out.
    fn told(&mut self) -> Vec<Output<u32, u32>> {
        mem::take(&mut self.told)
    }

    fn completed(&mut self) -> Vec<(u32, Attempt)> {
        mem::take(&mut self.completed)
    }

    /// Returns the frames that the server has taken since the last look.
    fn frames(&mut self) -> Vec<String> {
        let (mut bytes, mut frames) = (BytesMut::from(&*mem::take(&mut self.taken)), Vec::new());
        while let Some(body) = next_frame(&mut bytes, MAX_FRAME).unwrap() {
            frames.push(match Frame::decode(&body).unwrap() {
                Frame::Request(request) => format!("request {}", request.id),
                frame => format!("{frame:?}"),
            });
        }
        frames
    }
}

fn new_stream() -> NewStream<'static> {
    let metadata = MetadataRef::default();
    NewStream { method: "m", payload: b"", metadata, deadline: None, sends: true, receives: true }
}

fn hello(service: &str) -> Frame<'_> {
    let max_frame = u32::try_from(MAX_FRAME).unwrap();
    Frame::Hello(Hello {
        version: VERSION,
        format: Format::JSON,
        max_frame,
        service,
        instance: "a",
        budget: Some(Budget::default()),
    })
}

/// Returns why a session has ended, which must be all that it has told.
fn ending(driver: &mut Driver) -> String {
    match &*driver.told() {
        [Output::Closed(ending)] => ending.to_string(),
        told => panic!("not ended: {told:?}"),
    }
}

fn new_call(payload: &[u8], deadline: Millis) -> NewCall<'_> {
    NewCall { method: "m", metadata: MetadataRef::default(), payload, deadline }
}

fn payload() -> Attempt {
    Ok(Answer { payload: Bytes::from_static(b"7"), ..Answer::default() })
}

#[test]
fn a_server_of_version_1_gets_no_metadata_and_a_callers_are_refused() {
    let mut t = Driver::new();
    let Frame::Hello(new) = hello("test") else { panic!("a hello") };
    t.frame(&Frame::Hello(Hello { version: 1, budget: None, ..new }));
    let start = |t: &mut Driver, name| {
        let mut metadata = Metadata::new();
        metadata.push(name, "1").unwrap();
        let call = NewCall { metadata: metadata.as_ref(), ..new_call(b"", t.now + Millis(1_000)) };
        t.session.start(t.now, call, 1)
    };
    assert_eq!(start(&mut t, "user"), Err(Refused::Argument(EncodeError::NoMetadata)));
    assert_eq!(start(&mut t, "traceparent"), Ok(CallId(1)));
    t.drain();
    let (mut bytes, mut last) = (BytesMut::from(&*t.taken), None);
    while let Some(body) = next_frame(&mut bytes, MAX_FRAME).unwrap() {
        last = Some(body);
    }
    let last = last.unwrap();
    assert!(matches!(Frame::decode(&last), Ok(Frame::Request(request)) if request.metadata.is_empty()));
}

#[test]
fn a_session_begins_with_the_hellos_of_both() {
    let mut t = Driver::new();
    assert!(t.frames()[0].starts_with("Hello"));
    assert_eq!(t.start(1, 0), Err(Refused::Closed), "not before the server's hello");
    t.frame(&hello("test"));
    assert!(matches!(&*t.told(), [Output::Greeted { instance }] if instance == "a"));
    assert_eq!(t.start(1, 0), Ok(CallId(1)));
    assert_eq!(t.frames(), ["request 1"]);
}

#[test]
fn a_server_that_does_not_agree_gets_no_session() {
    let refusal = GoAway { last: CallId(0), code: Code::RESOURCE_EXHAUSTED, message: "full" };
    let other_version = Hello {
        version: 3,
        format: Format::JSON,
        max_frame: 1,
        service: "test",
        instance: "",
        budget: Some(Budget::default()),
    };
    for (frame, reason) in [
        (
            hello("other"),
            "it is the service other, or answers with another version or format than was asked for",
        ),
        (
            Frame::Hello(other_version),
            "it is the service test, or answers with another version or format than was asked for",
        ),
        (Frame::GoAway(refusal), "it refused the connection: RESOURCE_EXHAUSTED: full"),
        (Frame::Pong(1), "it answered the hello with something else"),
    ] {
        let mut t = Driver::new();
        t.frame(&frame);
        assert_eq!(ending(&mut t), reason);
    }
    let mut t = Driver::new();
    t.input(Input::Frame(Bytes::from_static(b"GET / HTTP/1.1")));
    assert_eq!(ending(&mut t), "it does not speak this protocol: unknown frame kind 71");
}

#[test]
fn a_server_that_says_nothing_gets_no_session() {
    let mut t = Driver::new();
    t.wait();
    assert_eq!(
        (t.now, &*ending(&mut t)),
        (HELLO_DEADLINE, "it accepts connections and does not answer: no hello in time")
    );
    let mut t = Driver::new();
    t.input(Input::Eof);
    assert_eq!(ending(&mut t), "it closed the connection without a hello");
}

#[test]
fn replies_come_in_any_order_and_count_once() {
    let mut t = Driver::greeted();
    let (one, two) = (t.start(1, 0).unwrap(), t.start(2, 0).unwrap());
    t.reply(two);
    t.reply(two);
    t.reply(CallId(99));
    assert_eq!(t.completed(), [(2, payload())]);
    let status = Status::new(Code::NOT_FOUND, "no");
    t.frame(&Frame::Reply(Reply::failed(one, status.code, "no")));
    t.reply(one);
    assert_eq!(t.completed(), [(1, Err(Ended::Failed(status)))]);
    assert_eq!(t.session.in_flight(), 0);
}

#[test]
fn a_call_ends_at_its_deadline_and_the_server_is_told() {
    let mut t = Driver::greeted();
    t.start(1, 0).unwrap();
    t.now = Millis(5);
    t.start(2, 0).unwrap();
    t.wait_until(Millis(6_000));
    t.input(Input::Heard);
    t.wait_until(Millis(9_999));
    assert_eq!(t.completed(), []);
    t.wait_until(Millis(10_000));
    assert_eq!(t.completed(), [(1, Err(Ended::Late))]);
    assert_eq!(t.frames().last().unwrap(), "Cancel(CallId(1))");
    t.reply(CallId(1));
    assert_eq!(t.completed(), [], "too late");
}

#[test]
fn a_cancelled_call_does_not_complete() {
    let mut t = Driver::greeted();
    let id = t.start(1, 0).unwrap();
    t.input(Input::Cancel(id));
    assert_eq!(t.frames(), ["request 1", "Cancel(CallId(1))"]);
    t.input(Input::Cancel(id));
    t.reply(id);
    t.input(Input::Eof);
    assert_eq!((t.completed(), t.frames()), (vec![], vec![]));
}

#[test]
fn a_server_that_leaves_tells_which_calls_it_runs() {
    let mut t = Driver::greeted();
    let (one, _two) = (t.start(1, 0).unwrap(), t.start(2, 0).unwrap());
    t.go_away(one);
    t.go_away(one);
    assert!(matches!(&*t.told(), [Output::GoingAway(Code::UNAVAILABLE)]), "once");
    assert_eq!(t.completed(), [(2, Err(Ended::NotRun(Status::unavailable("leaving"))))]);
    assert_eq!(t.start(3, 0), Err(Refused::Closed));
    t.reply(one);
    assert_eq!(t.completed(), [(1, payload())]);
    assert_eq!(ending(&mut t), "it is closed");
}

#[test]
fn a_long_reason_of_a_server_that_leaves_is_cut_for_each_call() {
    let mut t = Driver::greeted();
    (1..=2).for_each(|call| assert!(t.start(call, 0).is_ok()));
    let message = "x".to_owned() + &"é".repeat(1_000);
    t.frame(&Frame::GoAway(GoAway { last: CallId(0), code: Code::UNAVAILABLE, message: &message }));
    let cut = Status::unavailable("x".to_owned() + &"é".repeat(511));
    assert_eq!(t.completed(), [1, 2].map(|call| (call, Err(Ended::NotRun(cut.clone())))));
}

#[test]
fn a_session_that_is_left_ends_after_its_last_reply() {
    let mut t = Driver::greeted();
    let id = t.start(1, 0).unwrap();
    t.input(Input::Leave);
    assert!(t.told().is_empty());
    t.reply(id);
    assert_eq!(ending(&mut t), "it is closed");
    assert_eq!(t.session.poll_deadline(), None);
}

#[test]
fn a_lost_connection_tells_calls_that_were_sent_from_others() {
    let mut t = Driver::greeted();
    t.is_deaf = true;
    t.start(1, 0).unwrap();
    t.start(2, 0).unwrap();
    t.input(Input::Failed("reset".into()));
    assert_eq!(ending(&mut t), "reset");
    let mut completed = t.completed();
    completed.sort_by_key(|(call, _)| *call);
    assert_eq!(completed, [(1, Err(Ended::Lost("reset".into()))), (2, Err(Ended::NotSent))]);
}

#[test]
fn pings_that_come_faster_than_pongs_leave_get_one_pong() {
    let mut t = Driver::greeted();
    t.is_deaf = true;
    t.start(1, 0).unwrap();
    (1..=10_000).for_each(|number| t.frame(&Frame::Ping(number)));
    t.is_deaf = false;
    t.drain();
    assert_eq!(t.frames(), ["request 1", "Pong(10000)"]);
}

#[test]
fn requests_that_the_server_does_not_read_queue_up_to_a_limit() {
    let mut t = Driver::greeted();
    t.is_deaf = true;
    t.start(1, 1).unwrap();
    t.start(2, 10 * MAX_QUEUED).unwrap();
    assert_eq!(t.start(3, 1), Err(Refused::Full), "one alone may be longer");
    assert_eq!(t.start(3, 1), Err(Refused::Full));
    assert!(t.told().is_empty());
    t.is_deaf = false;
    t.drain();
    assert!(matches!(&*t.told(), [Output::Room]));
    t.is_deaf = true;
    t.start(3, 1).unwrap();
    let queued = (0..100).take_while(|_| t.start(4, 100).is_ok()).count();
    assert!((5..10).contains(&queued), "{queued}");
    t.input(Input::Eof);
    assert!(matches!(&*t.told(), [Output::Closed(_), Output::Room]), "the end wakes, too");
    assert_eq!(t.start(5, 1), Err(Refused::Closed));
}

#[test]
fn a_call_that_does_not_fit_is_refused_and_leaves_nothing() {
    let mut t = Driver::greeted();
    let too_long = t.start(1, MAX_FRAME);
    assert!(matches!(too_long, Err(Refused::Argument(EncodeError::TooLong { .. }))), "{too_long:?}");
    assert_eq!((t.session.in_flight(), t.frames()), (0, vec![]));
    assert_eq!(t.start(2, 0), Ok(CallId(1)));
}
