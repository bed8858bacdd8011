//! Sessions that one server of an ensemble alone knows (`localSessionsEnabled`), as the source of Apache ZooKeeper has them:
//! `LearnerSessionTracker`, `LeaderSessionTracker`, `QuorumZooKeeperServer.checkUpgradeSession` (rules 86 to 88).

use std::time::Duration;

use zk_mini::core::{Config, ConnId, Input, Lag, Note, Refusal};
use zk_mini::{On, Rule, Then};
use zk_wire::*;

use crate::driver::*;

fn three(upgrades: bool) -> Driver {
    let config = Config { local_sessions: true, local_session_upgrades: upgrades, ..Config::default() };
    Driver::ensemble(config, 3)
}

fn connect_at(t: &mut Driver, server: usize) -> ConnId {
    let conn = t.accept_at(Some(server));
    assert_ne!(t.handshake(conn, &connect_request(10_000)).session_id, SessionId::NONE);
    conn
}

/// Tries to resume the session of a connection at a server; the id is that of the answer, none if it is refused.
fn resume_at(t: &mut Driver, server: usize, of: ConnId) -> (ConnId, SessionId) {
    let credentials = t.credentials(of);
    let conn = t.accept_at(Some(server));
    let request = ConnectRequest {
        session_id: credentials.id,
        password: credentials.password,
        ..connect_request(10_000)
    };
    let response = t.handshake(conn, &request);
    (conn, response.session_id)
}

fn ephemeral(path: &str) -> Create {
    create(path, CreateMode::Ephemeral)
}

fn multi(paths: &[(&str, CreateMode)]) -> Multi {
    Multi { ops: paths.iter().map(|(path, mode)| MultiOp::Create(create(path, *mode))).collect() }
}

#[test]
fn a_local_session_takes_no_transaction_and_may_do_all_but_have_ephemeral_nodes() {
    let mut t = three(false);
    for server in 0..3 {
        let before = t.core.last_zxid();
        let conn = connect_at(&mut t, server);
        assert_eq!((t.core.last_zxid(), t.core.sessions().len()), (before, 0), "the leader does not know it");
        assert_eq!(t.core.local_session_count(), 1);
        let path = format!("/{server}");
        t.call(conn, &create(&path, CreateMode::PersistentSequential)).unwrap();
        t.call(conn, &create(&path, CreateMode::Container)).unwrap();
        t.call(conn, &set_data(&path, b"x", -1)).unwrap();
        assert!(t.call(conn, &exists(&path, true)).is_ok());
        t.call(conn, &Sync { path: Some(path.as_str().into()) }).unwrap();

        let before = t.core.last_zxid();
        for mode in [CreateMode::Ephemeral, CreateMode::EphemeralSequential] {
            let refused = t.call(conn, &create("/e", mode)).unwrap_err();
            assert_eq!(refused, ErrorCode::EPHEMERAL_ON_LOCAL_SESSION);
        }
        // Before anything else is looked at.
        let no_parent = t.call(conn, &ephemeral("/none/e")).unwrap_err();
        assert_eq!(no_parent, ErrorCode::EPHEMERAL_ON_LOCAL_SESSION);
        assert_eq!(t.core.last_zxid().0, before.0 + 3, "as every refused write");
        t.call(conn, &delete(&path)).unwrap();

        let before = t.core.last_zxid();
        t.reply(conn, &CloseSession {});
        assert!(t.is_closed(conn));
        assert_eq!((t.core.last_zxid(), t.core.local_session_count()), (before, 0));
    }
}

#[test]
fn a_multi_is_refused_at_its_ephemeral_node() {
    // The leader refuses what a follower hands to it, and does not know the session.
    for (server, code) in [(2, ErrorCode::EPHEMERAL_ON_LOCAL_SESSION), (0, ErrorCode::SESSION_EXPIRED)] {
        let mut t = three(false);
        let conn = connect_at(&mut t, server);
        let ops = [("/a", CreateMode::Persistent), ("/e", CreateMode::Ephemeral)];
        let results = t.call(conn, &multi(&ops)).unwrap().results;
        assert_eq!(results, [MultiResult::Error(ErrorCode::OK), MultiResult::Error(code)]);
        assert!(t.core.node("/a").is_none());
        assert!(t.call(conn, &multi(&ops[..1])).is_ok());
    }
}

#[test]
fn a_local_session_has_expired_at_every_other_server() {
    let mut t = three(false);
    let conn = connect_at(&mut t, 0);
    let id = t.session(conn);
    for other in [1, 2] {
        let (elsewhere, given) = resume_at(&mut t, other, conn);
        assert!(given == SessionId::NONE && t.is_closed(elsewhere));
        assert!(
            matches!(t.notes.last(), Some(Note::Refused { reason: Refusal::NoSuchSession(of), .. }) if *of == id)
        );
    }
    assert!(!t.is_closed(conn), "its server has heard nothing of it");
    let (back, given) = resume_at(&mut t, 0, conn);
    assert_eq!(given, id);
    assert!(t.is_closed(conn) && t.call(back, &exists("/", false)).is_ok());
}

#[test]
fn a_local_session_expires_and_needs_its_password() {
    let mut t = three(false);
    let (conn, other) = (connect_at(&mut t, 1), connect_at(&mut t, 1));
    for _ in 0..4 {
        t.advance(6_000);
        t.ping(conn);
    }
    assert!(!t.is_closed(conn), "it lives by its pings");
    assert!(t.is_closed(other), "and another one does not");
    assert_eq!(t.expired, [t.session(other)]);
    let request = ConnectRequest { session_id: t.session(conn), ..connect_request(10_000) };
    let thief = t.accept_at(Some(1));
    assert_eq!(t.handshake(thief, &request).session_id, SessionId::NONE);
    let session = t.session(conn);
    t.input(Input::Expire { session });
    assert!(t.is_closed(conn) && t.core.local_session_count() == 0);
}

#[test]
fn a_server_forgets_its_local_sessions_when_it_joins_a_quorum_or_leaves_it() {
    let breaks: [fn(&mut Driver); 4] = [
        |t| t.core.elect_server(t.now, 1).unwrap(),
        |t| {
            t.core.stop_server(t.now, 0);
            t.core.start_server(t.now, 0);
        },
        |t| {
            t.core.partition_server(t.now, 0);
            t.core.heal_server(t.now, 0);
        },
        |t| {
            t.core.set_quorum_lost(t.now, true);
            t.core.set_quorum_lost(t.now, false);
        },
    ];
    for (at, harm) in breaks.into_iter().enumerate() {
        let mut t = three(false);
        let conn = connect_at(&mut t, 0);
        harm(&mut t);
        t.drain();
        assert!(t.is_closed(conn), "{at}");
        assert_eq!(resume_at(&mut t, 0, conn).1, SessionId::NONE, "{at}");
    }
}

#[test]
fn without_a_quorum_a_read_only_client_has_another_local_session() {
    let mut t = three(false);
    let conn = connect_at(&mut t, 0);
    t.core.set_quorum_lost(t.now, true);
    t.drain();
    let credentials = t.credentials(conn);
    let request = |id, password| ConnectRequest {
        session_id: id,
        password,
        read_only: Some(true),
        ..connect_request(10_000)
    };
    let back = t.accept_at(Some(0));
    let refused = t.handshake(back, &request(credentials.id, credentials.password));
    assert_eq!(refused.session_id, SessionId::NONE);
    let fresh = t.accept_at(Some(0));
    let given = t.handshake(fresh, &request(SessionId::NONE, Some(vec![0; 16].into())));
    assert!(given.session_id != SessionId::NONE && given.read_only == Some(true));
}

#[test]
fn an_ephemeral_node_makes_a_local_session_one_of_all() {
    for server in [0, 2] {
        let mut t = three(true);
        let conn = connect_at(&mut t, server);
        let id = t.session(conn);
        let before = t.core.last_zxid();
        t.call(conn, &create("/p", CreateMode::Persistent)).unwrap();
        assert_eq!((t.core.sessions().len(), t.core.last_zxid().0), (0, before.0 + 1), "not for any other");
        t.call(conn, &ephemeral("/e")).unwrap();
        assert_eq!(t.core.last_zxid().0, before.0 + 3, "the session, and the node");
        assert_eq!(t.core.node("/e").unwrap().stat.ephemeral_owner, id);
        assert_eq!((t.core.sessions().len(), t.core.local_session_count()), (1, 0));
        t.call(conn, &ephemeral("/f")).unwrap();
        assert_eq!(t.core.last_zxid().0, before.0 + 4);

        // It lives elsewhere, and through an election.
        let (moved, given) = resume_at(&mut t, 1, conn);
        assert_eq!(given, id);
        t.core.elect_server(t.now, 1).unwrap();
        t.drain();
        let (moved, given) = resume_at(&mut t, 0, moved);
        assert_eq!(given, id);
        t.reply(moved, &CloseSession {});
        assert!(t.core.node("/e").is_none() && t.core.sessions().is_empty());
    }
}

#[test]
fn a_multi_with_an_ephemeral_node_upgrades_too_and_a_refused_create_also() {
    let mut t = three(true);
    let (first, second) = (connect_at(&mut t, 0), connect_at(&mut t, 1));
    let ops = [("/a", CreateMode::Persistent), ("/e", CreateMode::EphemeralSequential)];
    t.call(first, &multi(&ops)).unwrap();
    assert_eq!(t.core.sessions().len(), 1);
    assert_eq!(t.call(second, &ephemeral("/none/e")), Err(ErrorCode::NO_NODE));
    assert_eq!(t.core.sessions().len(), 2, "the upgrade comes first");
    // It expires as a session of all, with its nodes.
    t.advance(20_000);
    assert!(
        t.core.sessions().is_empty()
            && t.core.children("/").unwrap().iter().all(|name| !name.starts_with('e'))
    );
}

#[test]
fn a_single_server_has_no_local_sessions() {
    let mut t =
        Driver::with(Config { local_sessions: true, local_session_upgrades: true, ..Config::default() });
    let conn = t.connect(10_000);
    assert_eq!((t.core.sessions().len(), t.txns.len()), (1, 1));
    t.call(conn, &ephemeral("/e")).unwrap();
}

#[test]
fn what_is_asked_behind_a_write_is_answered_behind_it_and_so_is_the_end() {
    let mut t = three(false);
    let conn = connect_at(&mut t, 0);
    t.core.lag_server(0, Lag::Time(Millis(500))).unwrap();
    t.send(conn, &create("/a", CreateMode::Persistent));
    t.send(conn, &exists("/a", false));
    t.send(conn, &CloseSession {});
    assert_eq!(t.heard(conn).len(), 1, "the handshake");
    t.advance(500);
    let heard = &t.heard(conn)[1..];
    assert!(heard.iter().all(|heard| !matches!(heard, Heard::Reply { err, .. } if *err != ErrorCode::OK)));
    assert_eq!((heard.len(), heard.last()), (4, Some(&Heard::Closed)), "{heard:?}");
    assert_eq!(t.core.local_session_count(), 0);
}

fn rule(t: &mut Driver, on: On, then: Then) {
    t.core.add_fault(Rule::new(on, then).unwrap(), None).unwrap();
}

#[test]
fn a_create_that_a_rule_lets_not_arrive_makes_no_session_one_of_all() {
    let ops = multi(&[("/a", CreateMode::Persistent), ("/e", CreateMode::Ephemeral)]);
    for then in [Then::be_silent(), Then::disconnect(), Then::fail(ErrorCode::NO_NODE)] {
        let mut t = three(true);
        let (first, second) = (connect_at(&mut t, 0), connect_at(&mut t, 2));
        rule(&mut t, On::any(), then);
        let before = t.core.last_zxid();
        t.send(first, &ephemeral("/e"));
        t.send(second, &ops);
        let sessions = (t.core.sessions().len(), t.core.local_session_count());
        assert_eq!((t.core.last_zxid(), sessions), (before, (0, 2)), "{then}");
    }
}

#[test]
fn a_create_that_a_rule_applies_or_delays_upgrades_when_it_is_applied() {
    let mut t = three(true);
    let conn = connect_at(&mut t, 0);
    rule(&mut t, On::create("/late"), Then::delay(Duration::from_millis(500)));
    t.send(conn, &ephemeral("/late"));
    assert_eq!((t.core.sessions().len(), t.core.local_session_count()), (0, 1));
    t.advance(500);
    assert_eq!(t.core.node("/late").unwrap().stat.ephemeral_owner, t.session(conn));
    assert_eq!((t.core.sessions().len(), t.core.local_session_count()), (1, 0));

    let conn = connect_at(&mut t, 0);
    rule(&mut t, On::create("/lost"), Then::apply_and_lose_reply());
    t.send(conn, &ephemeral("/lost"));
    assert!(t.is_closed(conn) && t.core.node("/lost").is_some());
    assert_eq!((t.core.sessions().len(), t.core.local_session_count()), (2, 0));
}

#[test]
fn a_request_that_a_rule_lets_not_arrive_is_no_sign_of_life() {
    // Behind an answer that is under way, and without one; of a local session, and of one of all.
    for (is_behind, local_sessions) in [(false, true), (true, true), (true, false)] {
        let mut t = Driver::ensemble(Config { local_sessions, ..Config::default() }, 3);
        let conn = connect_at(&mut t, 0);
        if is_behind {
            t.core.lag_server(0, Lag::Time(Millis(60_000))).unwrap();
            t.send(conn, &create("/a", CreateMode::Persistent));
        }
        rule(&mut t, On::exists("/**"), Then::be_silent());
        t.advance(6_000);
        t.send(conn, &exists("/a", false));
        t.advance(6_000);
        assert_eq!(t.expired, [t.session(conn)], "{is_behind} {local_sessions}");
    }
}

#[test]
fn a_request_whose_answer_is_withheld_leaves_a_local_session_its_connection() {
    let mut t = three(false);
    let conn = connect_at(&mut t, 0);
    let rule = Rule::new(On::create("/a"), Then::apply_and_be_silent()).unwrap();
    t.core.add_fault(rule, None).unwrap();
    t.send(conn, &create("/a", CreateMode::Persistent));
    assert!(t.call(conn, &exists("/a", false)).is_ok());
}

#[test]
fn input_that_waits_is_a_sign_of_life_of_a_local_session() {
    let mut t = three(false);
    let conn = connect_at(&mut t, 0);
    for _ in 0..4 {
        t.advance(5_000);
        t.input(Input::Waiting { conn });
    }
    assert!(!t.is_closed(conn));
    assert!(t.call(conn, &exists("/a", false)).is_err_and(|code| code == ErrorCode::NO_NODE));
}
