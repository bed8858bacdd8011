//! Faults of requests: each effect, and which requests a rule is about.

use bytes::Bytes;
use zk_mini::core::{Change, ConnId, FaultId};
use zk_mini::{FaultState, On, Rule, RuleError, Then};
use zk_wire::*;

use crate::driver::*;

fn fault(t: &mut Driver, on: On, then: Then) -> FaultId {
    t.core.add_fault(Rule::new(on, then).unwrap(), None).unwrap()
}

fn fired(t: &Driver, id: FaultId) -> u64 {
    t.core.faults().iter().find(|fault| fault.id == id).unwrap().fired
}

/// Sends a request, and returns everything that its connection hears.
fn send<R: Request>(t: &mut Driver, conn: ConnId, xid: i32, request: &R) -> Vec<Heard> {
    let before = t.heard(conn).len();
    let header = encode(&RequestHeader { xid: Xid(xid), op: R::OP });
    t.frame(conn, [header, encode(request)].concat().into());
    t.heard(conn)[before..].to_vec()
}

fn node(path: &str) -> Create {
    create(path, CreateMode::Persistent)
}

fn header(xid: i32, zxid: i64, err: ErrorCode) -> Heard {
    Heard::Reply { xid: Xid(xid), zxid, err, body: Bytes::new() }
}

#[test]
fn an_injected_failure_takes_no_zxid_and_is_a_sign_of_life() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let rule = fault(&mut t, On::create("/a").nth(1), Then::fail(ErrorCode::NO_AUTH));
    t.stall(1_500);
    assert_eq!(send(&mut t, conn, 7, &node("/a")), [header(7, 1, ErrorCode::NO_AUTH)]);
    assert_eq!((t.txns.len(), fired(&t, rule)), (1, 1));
    assert_eq!(t.core.sessions()[0].heard, Millis(1_500));
    assert!(t.call(conn, &node("/a")).is_ok(), "the second is not the first");
    let hit = t.core.fault_hits(rule).remove(0);
    assert_eq!((hit.op, hit.xid, hit.path.as_deref()), (Some(OpCode::CREATE), Some(Xid(7)), Some("/a")));
    assert_eq!(
        (hit.session, hit.connection, hit.at.mono),
        (Some(t.session(conn)), Some(conn), Millis(1_500))
    );
}

#[test]
fn a_hit_keeps_little_of_a_long_path() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let rule = fault(&mut t, On::exists("/**"), Then::be_silent());
    let path = format!("/{}", "ü".repeat(400_000));
    assert!(send(&mut t, conn, 7, &exists(&path, false)).is_empty());
    let kept = t.core.fault_hits(rule).remove(0).path.unwrap();
    assert!(kept.len() <= 1_024 && kept.starts_with("/ü") && kept.contains('…'), "{kept}");
}

#[test]
fn a_disconnect_before_applying_is_no_sign_of_life_and_leaves_the_session() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    fault(&mut t, On::any(), Then::disconnect());
    t.stall(1_500);
    assert_eq!(send(&mut t, conn, 7, &node("/a")), [Heard::Closed]);
    assert_eq!(t.txns.len(), 1, "only the session's own");
    let session = t.core.sessions().remove(0);
    assert_eq!((session.conn, session.heard), (None, Millis(0)));
}

#[test]
fn a_lost_reply_is_to_a_request_that_everybody_else_knows_of() {
    let mut t = Driver::new();
    let (watching, conn) = (t.connect(4_000), t.connect(4_000));
    t.call(watching, &get_children("/", true)).unwrap();
    fault(&mut t, On::create("/**"), Then::apply_and_lose_reply());
    assert_eq!(send(&mut t, conn, 7, &node("/a")), [Heard::Closed]);
    assert!(matches!(&t.txns[2].change, Change::Create(node) if &*node.path == "/a"), "it is stored");
    assert_eq!(t.events(watching), [(EventType::NODE_CHILDREN_CHANGED, "/".into())]);
    let (resumed, answer) = t.resume(&t.credentials(conn), 4_000);
    assert_eq!(answer.session_id, t.session(conn), "and the session lives");
    assert!(t.call(resumed, &exists("/a", false)).is_ok());
}

#[test]
fn the_reply_to_any_request_can_be_lost() {
    type Send = fn(&mut Driver, ConnId) -> Vec<Heard>;
    let requests: [(OpCode, Send); 6] = [
        (OpCode::CLOSE_SESSION, |t, conn| send(t, conn, 1, &CloseSession {})),
        (OpCode::SYNC, |t, conn| send(t, conn, 1, &Sync { path: Some("/".into()) })),
        (OpCode::MULTI, |t, conn| send(t, conn, 1, &Multi { ops: vec![MultiOp::Create(node("/a"))] })),
        (OpCode::GET_DATA, |t, conn| send(t, conn, 1, &get_data("/", false))),
        (OpCode::AUTH, |t, conn| {
            send(t, conn, -4, &Auth { auth_type: 0, scheme: Some("digest".into()), auth: Some("a:b".into()) })
        }),
        (OpCode::PING, |t, conn| {
            t.ping(conn);
            t.heard(conn)[1..].to_vec()
        }),
    ];
    for (op, request) in requests {
        let mut t = Driver::new();
        let conn = t.connect(4_000);
        let rule = fault(&mut t, On::op(op), Then::apply_and_lose_reply());
        assert_eq!(request(&mut t, conn), [Heard::Closed], "{op}");
        assert_eq!(fired(&t, rule), 1, "{op}");
        assert_eq!(t.core.sessions().len(), usize::from(op != OpCode::CLOSE_SESSION), "{op}");
        assert_eq!(t.core.node("/a").is_some(), op == OpCode::MULTI, "{op}");
    }
}

#[test]
fn silence_is_about_one_request_and_the_connection_stays() {
    for (then, applied) in [(Then::be_silent(), false), (Then::apply_and_be_silent(), true)] {
        let mut t = Driver::new();
        let conn = t.connect(4_000);
        fault(&mut t, On::create("/a"), then);
        assert_eq!(send(&mut t, conn, 1, &node("/a")), []);
        assert_eq!(t.call(conn, &exists("/a", false)).is_ok(), applied);
        assert!(t.call(conn, &node("/b")).is_ok());
    }
}

#[test]
fn after_a_silent_end_of_its_session_a_connection_stays_silent() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    fault(&mut t, On::op(OpCode::CLOSE_SESSION), Then::apply_and_be_silent());
    assert_eq!(send(&mut t, conn, 1, &CloseSession {}), []);
    assert_eq!(send(&mut t, conn, 2, &create("/e", CreateMode::Ephemeral)), []);
    assert_eq!((t.core.session_count(), t.core.ephemeral_count()), (0, 0));
    t.lose(conn);
}

#[test]
fn create_stands_for_every_create_and_get_children_for_both() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let creates = fault(&mut t, On::create("/a"), Then::fail(ErrorCode::NO_NODE));
    let lists = fault(&mut t, On::get_children("/a"), Then::fail(ErrorCode::NO_NODE));
    let body = encode(&node("/a"));
    for op in [OpCode::CREATE, OpCode::CREATE2, OpCode::CREATE_CONTAINER, OpCode::CREATE_TTL] {
        assert_eq!(t.raw(conn, op, &body).1, ErrorCode::NO_NODE);
    }
    assert_eq!(t.call(conn, &get_children("/a", false)), Err(ErrorCode::NO_NODE));
    assert_eq!(
        t.call(conn, &GetChildren2 { path: "/a".into(), watch: false }).err(),
        Some(ErrorCode::NO_NODE)
    );
    assert_eq!((fired(&t, creates), fired(&t, lists)), (4, 2));
    t.core.remove_fault(t.now, creates);
    let exact = fault(&mut t, On::op(OpCode::CREATE2).path("/a"), Then::be_silent());
    assert!(t.call(conn, &node("/a")).is_ok(), "other names stand for themselves");
    assert_eq!(fired(&t, exact), 0);
}

#[test]
fn an_item_of_a_multi_matches_and_the_whole_multi_is_hit() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let rule = fault(&mut t, On::create("/a/*"), Then::fail(ErrorCode::SESSION_MOVED));
    let multi =
        |paths: &[&str]| Multi { ops: paths.iter().map(|path| MultiOp::Create(node(path))).collect() };
    let failed = send(&mut t, conn, 3, &multi(&["/b", "/a/x"]));
    assert_eq!(failed, [header(3, 1, ErrorCode::SESSION_MOVED)]);
    assert!(t.core.node("/b").is_none());
    assert!(t.call(conn, &multi(&["/a", "/b"])).is_ok());
    let deletes = Multi { ops: vec![MultiOp::Delete(delete("/a/x"))] };
    assert!(t.call(conn, &deletes).is_ok(), "it is no create");
    let hit = t.core.fault_hits(rule).remove(0);
    assert_eq!((hit.op, hit.path.as_deref()), (Some(OpCode::MULTI), Some("/a/x")));

    let whole = fault(&mut t, On::multi().path("/b"), Then::be_silent());
    assert_eq!(send(&mut t, conn, 4, &Multi { ops: vec![MultiOp::Delete(delete("/b"))] }), []);
    assert_eq!(fired(&t, whole), 1);
}

#[test]
fn any_request_is_no_ping_and_with_a_path_one_that_has_a_path() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let with_path = fault(&mut t, On::any().path("/a"), Then::fail(ErrorCode::NO_NODE));
    let without = fault(&mut t, On::any(), Then::fail(ErrorCode::API_ERROR));
    t.ping(conn);
    assert_eq!(t.call(conn, &WhoAmI {}).err(), Some(ErrorCode::API_ERROR));
    assert_eq!(t.call(conn, &get_data("/a", false)).err(), Some(ErrorCode::NO_NODE));
    assert_eq!((fired(&t, with_path), fired(&t, without)), (1, 1));
}

#[test]
fn the_path_is_the_one_that_was_asked_for() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    t.call(conn, &node("/queue")).unwrap();
    let rule = fault(&mut t, On::create("/queue/*"), Then::apply_and_be_silent());
    assert_eq!(send(&mut t, conn, 1, &create("/queue/", CreateMode::PersistentSequential)), []);
    assert_eq!(send(&mut t, conn, 2, &create("/queue/x-", CreateMode::PersistentSequential)), []);
    let paths: Vec<_> = t.core.fault_hits(rule).into_iter().filter_map(|hit| hit.path).collect();
    assert_eq!(paths, ["/queue/", "/queue/x-"]);
    assert_eq!(t.core.children("/queue").unwrap(), ["0000000000", "x-0000000001"]);
}

#[test]
fn set_watches_matches_by_any_of_its_paths() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let rule = fault(&mut t, On::op(OpCode::SET_WATCHES).path("/c"), Then::disconnect());
    let watches = |child: &str| SetWatches {
        relative_zxid: Zxid(1),
        data_watches: vec!["/a".into()],
        exist_watches: Vec::new(),
        child_watches: vec![child.into()],
    };
    assert!(t.call(conn, &watches("/b")).is_ok());
    assert_eq!(send(&mut t, conn, -8, &watches("/c")), [Heard::Closed]);
    assert_eq!(t.core.fault_hits(rule)[0].path.as_deref(), Some("/c"));
}

#[test]
fn the_first_rule_that_fires_decides_and_later_ones_do_not_count_it() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let first = fault(&mut t, On::exists("/*").nth(2), Then::fail(ErrorCode::NO_AUTH));
    let second = fault(&mut t, On::exists("/**"), Then::fail(ErrorCode::API_ERROR));
    let answers: Vec<_> = (0..3).map(|_| t.reply(conn, &exists("/a", false)).1).collect();
    assert_eq!(answers, [ErrorCode::API_ERROR, ErrorCode::NO_AUTH, ErrorCode::API_ERROR]);
    let counts: Vec<_> = t.core.faults().iter().map(|fault| (fault.matched, fault.fired)).collect();
    assert_eq!(counts, [(3, 1), (2, 2)]);
    let states: Vec<_> = t.core.faults().iter().map(|fault| fault.state).collect();
    assert_eq!(states, [FaultState::UsedUp, FaultState::Active]);
    assert!(t.core.remove_fault(t.now, second));
    assert_eq!(t.call(conn, &exists("/a", false)).err(), Some(ErrorCode::NO_NODE));
    assert_eq!(fired(&t, first), 1);
}

#[test]
fn nth_every_times_and_probability_choose_among_the_cases() {
    let hits = |on: fn(On) -> On| -> Vec<usize> {
        let mut t = Driver::new();
        let conn = t.connect(4_000);
        fault(&mut t, on(On::exists("/**")), Then::fail(ErrorCode::API_ERROR));
        let is_hit = |_: &usize| t.reply(conn, &exists("/a", false)).1 == ErrorCode::API_ERROR;
        (1..=12).filter(is_hit).collect()
    };
    assert_eq!(hits(|on| on), (1..=12).collect::<Vec<_>>());
    assert_eq!(hits(|on| on.nth(3)), [3]);
    assert_eq!(hits(|on| on.every(5)), [5, 10]);
    assert_eq!(hits(|on| on.nth(2).every(4)), [2, 6, 10]);
    assert_eq!(hits(|on| on.times(2)), [1, 2]);
    assert_eq!(hits(|on| on.every(3).times(1)), [3]);
    assert_eq!(hits(|on| on.nth(13)), [0; 0]);
    assert_eq!(hits(|on| on.probability(0.0, 1)), [0; 0]);
    assert_eq!(hits(|on| on.probability(1.0, 1)).len(), 12);
    let some = hits(|on| on.probability(0.5, 7));
    assert!((2..=10).contains(&some.len()), "{some:?}");
    assert_eq!(some, hits(|on| on.probability(0.5, 7)), "the seed decides");
    assert_ne!(some, hits(|on| on.probability(0.5, 8)));
}

#[test]
fn a_rule_can_be_about_one_session_connection_or_listener() {
    let mut t = Driver::new();
    let (one, other) = (t.connect(4_000), t.connect(4_000));
    let id = t.session(one);
    let of_session = fault(&mut t, On::any().session(id), Then::fail(ErrorCode::API_ERROR));
    assert!(t.call(one, &get_data("/", false)).is_err() && t.call(other, &get_data("/", false)).is_ok());
    t.core.remove_fault(t.now, of_session);
    let of_connection = fault(&mut t, On::any().connection(other), Then::fail(ErrorCode::API_ERROR));
    assert!(t.call(one, &get_data("/", false)).is_ok() && t.call(other, &get_data("/", false)).is_err());
    t.core.remove_fault(t.now, of_connection);
    let addr = "127.0.0.1:1".parse().unwrap();
    let rule = Rule::new(On::any().listener(addr), Then::fail(ErrorCode::API_ERROR)).unwrap();
    t.core.add_fault(rule, Some(1)).unwrap();
    assert!(t.call(one, &get_data("/", false)).is_ok(), "it came without a socket");
    for listener in [0, 1] {
        let conn = t.accept_at(Some(listener));
        t.handshake(conn, &connect_request(4_000));
        assert_eq!(t.call(conn, &get_data("/", false)).is_err(), listener == 1);
    }
}

#[test]
fn unreadable_requests_have_no_paths_and_are_answered_as_without_rules() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    fault(&mut t, On::any().path("/**"), Then::disconnect());
    for op in [OpCode::CREATE, OpCode::MULTI, OpCode::SET_WATCHES, OpCode::MULTI_READ, OpCode::GET_DATA] {
        assert_eq!(t.raw(conn, op, &[0, 0, 0, 9, b'/']).1, ErrorCode::MARSHALLING_ERROR, "{op}");
    }
    let unknown = fault(&mut t, On::op(OpCode(77)), Then::fail(ErrorCode::API_ERROR));
    assert_eq!(
        t.raw(conn, OpCode(77), &[]).1,
        ErrorCode::API_ERROR,
        "an unknown operation can be named, too"
    );
    assert_eq!(fired(&t, unknown), 1);
}

#[test]
fn impossible_rules_are_refused_with_the_reason() {
    let error = |on: On, then: Then| Rule::new(on, then).unwrap_err();
    let fail = Then::fail(ErrorCode::API_ERROR);
    assert_eq!(error(On::any().nth(0), fail), RuleError::Zero("nth"));
    assert_eq!(error(On::any().every(0), fail), RuleError::Zero("every"));
    assert_eq!(error(On::any().times(0), fail), RuleError::Zero("times"));
    for p in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
        assert!(matches!(error(On::any().probability(p, 0), fail), RuleError::Probability(_)), "{p}");
    }
    assert_eq!(error(On::ops(&[]), fail), RuleError::NoOperation);
    assert_eq!(error(On::op(OpCode::ERROR), fail), RuleError::NeverSent(OpCode::ERROR));
    assert_eq!(error(On::any(), Then::fail(ErrorCode::OK)), RuleError::NoError);
    assert!(matches!(error(On::connect().path("/a"), Then::refuse()), RuleError::NoPath(_)));
    let never = EventType::DATA_WATCH_REMOVED;
    assert_eq!(error(On::event(never, "/a"), Then::drop_event()), RuleError::NoSuchEvent(never));
    for (on, then) in [
        (On::any(), Then::drop_event()),
        (On::any(), Then::refuse()),
        (On::any_event("/a"), fail),
        (On::any_event("/a"), Then::refuse()),
        (On::connect(), fail),
        (On::reattach(), Then::drop_event()),
        (On::expiry(), Then::disconnect()),
        (On::any(), Then::hold_ephemerals(std::time::Duration::MAX)),
    ] {
        assert!(matches!(error(on, then), RuleError::Impossible { .. }));
    }
    let text = error(On::create("a/*"), fail).to_string();
    assert!(text.contains("\"a/*\"") && text.contains("/**"), "{text}");
}

#[test]
fn rules_have_a_limit_and_thousands_of_them_are_no_obstacle() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    for n in 0..10_000 {
        fault(&mut t, On::create(format!("/{n}")), Then::disconnect());
    }
    let one_more = Rule::new(On::any(), Then::disconnect()).unwrap();
    assert_eq!(t.core.add_fault(one_more, None), Err(RuleError::TooMany(10_000)));
    assert!(t.call(conn, &node("/a")).is_ok());
    assert_eq!(send(&mut t, conn, 1, &node("/9999")), [Heard::Closed]);
}

#[test]
fn every_condition_can_be_read_and_made_again_from_what_was_read() {
    let conditions = [
        On::create("/a/**").nth(2).every(3).times(4).probability(0.5, 7),
        On::any(),
        On::op(OpCode::SYNC).session(SessionId(9)).connection(ConnId(4)),
        On::event(EventType::NODE_DELETED, "/a"),
        On::any_event("/a"),
        On::connect().listener(([127, 0, 0, 1], 2181).into()),
        On::reattach(),
        On::expiry(),
    ];
    for on in conditions {
        let read = on.condition();
        let mut made = On::of(read.kind);
        made = read.path.into_iter().fold(made, On::path);
        made = read.session.into_iter().fold(made, On::session);
        made = read.connection.into_iter().fold(made, On::connection);
        made = read.listener.into_iter().fold(made, On::listener);
        made = read.nth.into_iter().fold(made, On::nth);
        made = read.every.into_iter().fold(made, On::every);
        made = read.times.into_iter().fold(made, On::times);
        made = read.probability.into_iter().fold(made, |on, (p, seed)| on.probability(p, seed));
        assert_eq!(made, on);
    }
}
