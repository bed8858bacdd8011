//! A simulated ensemble: reads from where each server is, writes by the leader, sessions that move, elections, and servers
//! without a quorum.

use zk_mini::core::{Config, ConnId, Input, Lag, Mode, Part, Role, ServerState, Unable};
use zk_wire::*;

use crate::driver::*;

const EPOCH: i64 = 1 << 32;

fn three() -> Driver {
    Driver::ensemble(Config::default(), 3)
}

/// Opens a session at a server, counted from 0.
fn connect_at(t: &mut Driver, server: usize) -> ConnId {
    let conn = t.accept_at(Some(server));
    assert_ne!(t.handshake(conn, &connect_request(10_000)).session_id, SessionId::NONE);
    conn
}

/// Tries to resume the session of a connection at a server.
fn resume_at(t: &mut Driver, server: usize, of: ConnId, seen: i64) -> ConnId {
    let credentials = t.credentials(of);
    let conn = t.accept_at(Some(server));
    let request = ConnectRequest {
        session_id: credentials.id,
        password: credentials.password,
        last_zxid_seen: Zxid(seen),
        ..connect_request(10_000)
    };
    t.frame(conn, encode(&request));
    conn
}

fn lag(t: &mut Driver, server: usize, lag: Lag) {
    t.core.lag_server(server, lag).unwrap();
    t.core.replicate(t.now);
    t.drain();
}

fn node(path: &str) -> Create {
    create(path, CreateMode::Persistent)
}

/// Numbers and codes of the replies that a connection has got.
fn replies(t: &Driver, conn: ConnId) -> Vec<(i64, ErrorCode)> {
    let reply = |heard: &Heard| match heard {
        Heard::Reply { zxid, err, .. } => Some((*zxid, *err)),
        _ => None,
    };
    t.heard(conn).iter().filter_map(reply).collect()
}

#[test]
fn a_server_that_lags_shows_the_past_until_its_client_needs_the_present() {
    let mut t = three();
    let (writer, reader) = (connect_at(&mut t, 1), connect_at(&mut t, 0));
    lag(&mut t, 0, Lag::Transactions(2));
    for path in ["/a", "/b", "/c"] {
        t.call(writer, &node(path)).unwrap();
    }
    assert!(t.call(reader, &exists("/a", false)).is_ok(), "all but the last two");
    assert_eq!(t.call(reader, &exists("/b", false)), Err(ErrorCode::NO_NODE));
    assert_eq!(t.core.servers()[0].behind, 2);
    let (zxid, _, _) = t.reply(reader, &exists("/b", false));
    assert_eq!(zxid, t.core.last_zxid().0 - 2, "the reply says how far the server is");

    t.call(reader, &Sync { path: Some("/b".into()) }).unwrap();
    assert!(t.call(reader, &exists("/c", false)).is_ok());
    t.call(writer, &node("/d")).unwrap();
    assert_eq!(t.call(reader, &exists("/d", false)), Err(ErrorCode::NO_NODE), "and lags again");
    t.call(reader, &node("/e")).unwrap();
    assert!(t.call(reader, &exists("/d", false)).is_ok(), "its own write is behind that");
}

#[test]
fn a_server_that_lags_by_a_time_answers_writes_and_sync_that_much_later_and_reads_at_once() {
    let mut t = three();
    let (writer, other) = (connect_at(&mut t, 0), connect_at(&mut t, 1));
    lag(&mut t, 0, Lag::Time(Millis(1_000)));
    t.send(writer, &node("/a"));
    t.send(writer, &exists("/a", false));
    assert!(t.call(other, &exists("/a", false)).is_ok(), "the others have it");
    t.advance(999);
    assert_eq!(replies(&t, writer), []);
    t.advance(1);
    let zxid = t.core.last_zxid().0;
    assert_eq!(replies(&t, writer), [(zxid, ErrorCode::OK); 2], "the read waits behind the write");

    t.call(other, &node("/b")).unwrap();
    t.advance(400);
    assert_eq!(
        t.call(writer, &exists("/b", false)),
        Err(ErrorCode::NO_NODE),
        "a read alone waits for nothing"
    );
    t.send(writer, &Sync { path: Some("/".into()) });
    t.advance(599);
    assert_eq!(replies(&t, writer).len(), 3);
    t.advance(1);
    assert_eq!(replies(&t, writer).len(), 4, "a sync waits for what was there when it came");
}

#[test]
fn pipelined_writes_are_made_at_once_and_answered_in_order_with_the_reads_between_them() {
    let mut t = three();
    let (writer, other) = (connect_at(&mut t, 0), connect_at(&mut t, 1));
    lag(&mut t, 0, Lag::Time(Millis(1_000)));
    t.send(writer, &node("/a"));
    t.send(writer, &exists("/b", false));
    t.send(writer, &node("/b"));
    t.send(writer, &exists("/b", false));
    assert!(t.call(other, &exists("/b", false)).is_ok());
    t.advance(1_000);
    let last = t.core.last_zxid().0;
    let ok = ErrorCode::OK;
    assert_eq!(replies(&t, writer), [(last - 1, ok), (last - 1, ErrorCode::NO_NODE), (last, ok), (last, ok)]);
}

#[test]
fn a_watch_fires_when_its_server_hears_of_the_change_and_before_the_new_data() {
    let mut t = three();
    let (writer, near, far) = (connect_at(&mut t, 2), connect_at(&mut t, 1), connect_at(&mut t, 0));
    lag(&mut t, 0, Lag::Time(Millis(500)));
    for watcher in [near, far] {
        assert_eq!(t.call(watcher, &exists("/a", true)), Err(ErrorCode::NO_NODE));
    }
    assert_eq!(t.core.watches().len(), 2);
    t.call(writer, &node("/a")).unwrap();
    assert_eq!(t.events(near), [(EventType::NODE_CREATED, "/a".into())]);
    assert_eq!(t.events(far), []);
    t.advance(500);
    assert_eq!(t.events(far), [(EventType::NODE_CREATED, "/a".into())]);
    t.lose(near);
    assert!(t.core.watches().is_empty());
}

#[test]
fn an_identity_counts_for_the_writes_behind_it_and_is_answered_in_order() {
    let mut t = three();
    let conn = connect_at(&mut t, 0);
    lag(&mut t, 0, Lag::Time(Millis(100)));
    let mine = Create {
        acl: Some(vec![Acl { perms: Perms::ALL, scheme: "auth".into(), id: "".into() }]),
        ..node("/mine")
    };
    t.send(conn, &mine);
    t.send(conn, &Auth { auth_type: 0, scheme: Some("digest".into()), auth: Some("me:secret".into()) });
    t.send(conn, &mine);
    t.advance(100);
    let codes: Vec<_> = replies(&t, conn).into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, [ErrorCode::INVALID_ACL, ErrorCode::OK, ErrorCode::OK]);
}

#[test]
fn a_session_that_has_moved_writes_nothing_at_its_earlier_server() {
    let mut t = three();
    let first = connect_at(&mut t, 0);
    t.call(first, &node("/a")).unwrap();
    let second = resume_at(&mut t, 1, first, 0);
    assert_eq!(t.session(second), t.session(first));
    assert!(!t.is_closed(first), "its earlier server does not know");
    assert!(t.call(first, &exists("/a", false)).is_ok(), "and answers reads");
    let zxid = t.core.last_zxid();
    t.send(first, &node("/b"));
    assert!(t.is_closed(first));
    assert_eq!(replies(&t, first).len(), 2, "there is no answer but the close");
    assert_eq!(t.core.last_zxid(), zxid.next(), "which takes a zxid");
    assert!(t.core.node("/b").is_none());
    t.call(second, &node("/b")).unwrap();
}

#[test]
fn the_leader_notices_at_any_request_that_a_session_has_moved() {
    let mut t = three();
    let first = connect_at(&mut t, 2);
    let second = resume_at(&mut t, 0, first, 0);
    t.send(first, &exists("/", false));
    assert!(t.is_closed(first));
    assert!(t.call(second, &exists("/", false)).is_ok());
    // It comes back: its connection elsewhere has moved then.
    let third = resume_at(&mut t, 2, second, 0);
    t.send(second, &node("/a"));
    assert!(t.is_closed(second) && !t.is_closed(third));
}

#[test]
fn a_session_that_comes_back_to_the_same_server_ends_its_earlier_connection() {
    let mut t = three();
    let first = connect_at(&mut t, 0);
    let away = resume_at(&mut t, 1, first, 0);
    let back = resume_at(&mut t, 0, first, 0);
    assert!(t.is_closed(first) && !t.is_closed(away) && !t.is_closed(back));
}

#[test]
fn no_server_takes_a_client_back_in_time() {
    let mut t = three();
    let client = connect_at(&mut t, 1);
    lag(&mut t, 0, Lag::Transactions(1));
    let (zxid, _, _) = t.reply(client, &node("/a"));
    let behind = resume_at(&mut t, 0, client, zxid);
    assert_eq!(t.heard(behind), [Heard::Closed]);
    assert!(!t.is_closed(client), "its connection lives on");
    let ahead = resume_at(&mut t, 2, client, zxid);
    assert!(t.call(ahead, &exists("/a", false)).is_ok());
}

#[test]
fn a_session_lives_by_its_pings_at_any_server_and_each_server_closes_it_when_it_hears_of_its_end() {
    let mut t = three();
    let conns = [connect_at(&mut t, 0), connect_at(&mut t, 2)];
    t.call(conns[0], &create("/e", CreateMode::Ephemeral)).unwrap();
    let moved = resume_at(&mut t, 1, conns[0], 0);
    for _ in 0..5 {
        t.advance(4_000);
        t.ping(conns[0]);
        t.ping(conns[1]);
    }
    lag(&mut t, 0, Lag::Time(Millis(3_000)));
    let session = t.session(moved);
    t.input(Input::Expire { session });
    assert!(t.is_closed(moved) && !t.is_closed(conns[0]));
    assert_eq!(t.call(conns[1], &exists("/e", false)), Err(ErrorCode::NO_NODE));
    assert!(t.call(conns[0], &exists("/e", false)).is_ok());
    t.advance(3_000);
    assert!(t.is_closed(conns[0]));
    assert_eq!(t.core.sessions().len(), 1);
}

#[test]
fn an_election_closes_all_connections_and_begins_an_epoch() {
    let mut t = three();
    assert_eq!(
        t.core.servers().iter().map(|info| info.role).collect::<Vec<_>>(),
        [Role::Follower, Role::Follower, Role::Leader]
    );
    let conns: Vec<_> = (0..3).map(|server| connect_at(&mut t, server)).collect();
    assert_eq!(t.core.last_zxid(), Zxid(EPOCH + 3));
    t.core.elect_server(t.now, 0).unwrap();
    t.drain();
    assert!(conns.iter().all(|conn| t.is_closed(*conn)));
    assert_eq!(t.core.servers()[0].role, Role::Leader);
    let again = resume_at(&mut t, 1, conns[1], EPOCH + 3);
    let (zxid, code, _) = t.reply(again, &node("/a"));
    assert_eq!((zxid, code), (2 * EPOCH + 1, ErrorCode::OK));
}

#[test]
fn a_leader_that_stops_has_a_successor_and_without_a_majority_there_is_none() {
    let mut t = three();
    let conn = connect_at(&mut t, 0);
    t.core.stop_server(t.now, 2);
    t.drain();
    assert_eq!(t.core.servers()[1].role, Role::Leader);
    assert!(t.is_closed(conn) && t.core.is_server_stopped(2));
    let again = resume_at(&mut t, 0, conn, 0);
    t.call(again, &node("/a")).unwrap();
    t.core.stop_server(t.now, 0);
    t.drain();
    assert!(t.is_closed(again));
    assert_eq!(t.core.servers()[1].state, ServerState::ReadOnly);
    assert_eq!(t.core.elect_server(t.now, 1), Err(Unable::TakesNoPart { server: 2 }));
    t.core.start_server(t.now, 2);
    t.drain();
    assert_eq!(t.core.servers()[2].role, Role::Leader);
    let again = resume_at(&mut t, 2, conn, 0);
    assert!(t.call(again, &exists("/a", false)).is_ok(), "it has what happened meanwhile");
}

#[test]
fn a_follower_that_stops_disturbs_only_its_own_clients() {
    let mut t = three();
    let conns: Vec<_> = (0..3).map(|server| connect_at(&mut t, server)).collect();
    t.core.stop_server(t.now, 0);
    t.drain();
    assert_eq!(conns.iter().map(|conn| t.is_closed(*conn)).collect::<Vec<_>>(), [true, false, false]);
    t.call(conns[1], &node("/a")).unwrap();
    t.core.start_server(t.now, 0);
    let back = resume_at(&mut t, 0, conns[0], 0);
    assert!(t.call(back, &exists("/a", false)).is_ok());
    assert!(!t.is_closed(conns[1]));
}

#[test]
fn a_partitioned_server_closes_its_connections_and_answers_new_ones_when_it_is_healed() {
    let mut t = three();
    let (inside, outside) = (connect_at(&mut t, 0), connect_at(&mut t, 1));
    t.core.partition_server(t.now, 0);
    t.drain();
    assert!(t.is_closed(inside));
    t.call(outside, &node("/a")).unwrap();
    let waits = resume_at(&mut t, 0, inside, 0);
    assert_eq!(t.heard(waits), []);
    t.advance(3_000);
    assert_eq!(t.heard(waits), []);
    t.core.heal_server(t.now, 0);
    t.drain();
    assert!(t.call(waits, &exists("/a", false)).is_ok());
}

#[test]
fn a_frozen_server_is_silent_and_stays_in_touch() {
    let mut t = three();
    let (frozen, other) = (connect_at(&mut t, 0), connect_at(&mut t, 1));
    t.call(frozen, &get_children("/", true)).unwrap();
    let before = t.heard(frozen).len();
    t.core.freeze_server(0);
    t.drain();
    assert!(t.core.is_part_frozen(Part::Listener(0)));
    t.call(other, &node("/a")).unwrap();
    t.send(frozen, &exists("/a", false));
    assert_eq!(t.heard(frozen).len(), before);
    t.core.thaw_server(t.now, 0);
    t.drain();
    assert_eq!(t.events(frozen), [(EventType::NODE_CHILDREN_CHANGED, "/".into())]);
    assert_eq!(replies(&t, frozen).last().map(|(_, code)| *code), Some(ErrorCode::OK));
}

fn read_only_request() -> ConnectRequest {
    ConnectRequest { read_only: Some(true), ..connect_request(10_000) }
}

#[test]
fn without_a_quorum_only_read_only_clients_are_served() {
    let mut t = three();
    let before = connect_at(&mut t, 0);
    t.call(before, &node("/a")).unwrap();
    t.core.set_quorum_lost(t.now, true);
    t.drain();
    assert!(t.is_closed(before));
    assert_eq!(t.core.mode(), Mode::ReadOnly);

    let refused = t.accept_at(Some(0));
    t.frame(refused, encode(&connect_request(10_000)));
    assert_eq!(t.heard(refused), [Heard::Closed]);
    let global = resume_at(&mut t, 0, before, 0);
    assert_eq!(t.heard(global), [Heard::Closed], "nobody can say whether its session lives");

    let conn = t.accept_at(Some(0));
    let granted = t.handshake(conn, &read_only_request());
    assert_eq!(granted.read_only, Some(true));
    assert!(t.call(conn, &get_data("/a", true)).is_ok());
    let zxid = t.core.last_zxid();
    assert_eq!(t.call(conn, &node("/b")), Err(ErrorCode::NOT_READ_ONLY));
    assert_eq!(t.call(conn, &Sync { path: Some("/".into()) }), Err(ErrorCode::NOT_READ_ONLY));
    assert_eq!(t.core.last_zxid(), zxid);
    assert_eq!(t.core.sessions().len(), 1, "its session is not one of the ensemble");
    t.ping(conn);
    assert!(!t.is_closed(conn));

    t.core.set_quorum_lost(t.now, false);
    t.drain();
    assert!(t.is_closed(conn));
    let (_, local) = t.resume(&Credentials { id: granted.session_id, password: granted.password }, 10_000);
    assert_eq!(local.session_id, SessionId::NONE, "it has ended");
    let back = resume_at(&mut t, 1, before, 0);
    assert_eq!(t.heard(back).len(), 1);
    assert!(matches!(&t.heard(back)[0], Heard::Handshake(response) if response.read_only == Some(false)));
    t.call(back, &node("/b")).unwrap();
}

#[test]
fn sessions_of_the_ensemble_wait_for_a_quorum_and_those_of_one_server_expire() {
    let mut t = three();
    let before = connect_at(&mut t, 0);
    t.core.set_quorum_lost(t.now, true);
    t.drain();
    let conn = t.accept_at(Some(1));
    let local = t.handshake(conn, &read_only_request());
    let credentials = Credentials { id: local.session_id, password: local.password };
    t.lose(conn);
    let back = t.accept_at(Some(1));
    let request =
        ConnectRequest { session_id: credentials.id, password: credentials.password, ..read_only_request() };
    assert_eq!(t.handshake(back, &request).session_id, credentials.id, "its server knows it");
    let elsewhere = t.accept_at(Some(2));
    assert_eq!(t.handshake(elsewhere, &request).session_id, SessionId::NONE, "no other does");
    t.advance(60_000);
    assert!(t.is_closed(back));
    assert_eq!(t.expired, [credentials.id]);
    t.core.set_quorum_lost(t.now, false);
    t.drain();
    assert_eq!(t.core.sessions().iter().map(|info| info.id).collect::<Vec<_>>(), [t.session(before)]);
    t.advance(60_000);
    assert!(t.core.sessions().is_empty());
}

#[test]
fn a_read_only_session_can_be_closed() {
    let mut t = three();
    t.core.set_quorum_lost(t.now, true);
    let conn = t.accept_at(Some(1));
    t.handshake(conn, &read_only_request());
    assert_eq!(t.call(conn, &CloseSession {}), Ok(()));
    assert!(t.is_closed(conn));
    t.advance(60_000);
    assert_eq!(t.expired, []);
}

#[test]
fn what_cannot_be_done_to_a_server_says_why() {
    let mut t = three();
    assert_eq!(t.core.lag_server(2, Lag::Transactions(1)), Err(Unable::Leads { server: 3 }));
    assert_eq!(t.core.find_server(4), Err(Unable::NoSuchServer { server: 4, count: 3 }));
    t.core.stop_server(t.now, 0);
    t.drain();
    let error = t.core.elect_server(t.now, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "server 1 cannot lead: it is stopped or partitioned, or the quorum is lost"
    );
    assert!(Driver::new().core.find_server(1).unwrap_err().to_string().contains("a single server"));
}

#[test]
fn a_client_whose_requests_pile_up_behind_a_lag_is_disconnected() {
    let mut t = Driver::ensemble(Config { max_held: 10_000, ..Config::default() }, 3);
    let conn = connect_at(&mut t, 0);
    lag(&mut t, 0, Lag::Time(Millis(1_000)));
    for _ in 0..200 {
        if !t.is_closed(conn) {
            t.send(conn, &node("/a"));
        }
    }
    assert!(t.is_closed(conn));
    t.advance(1_000);
    assert_eq!(replies(&t, conn), []);
}

#[test]
fn long_answers_that_wait_for_a_lag_count_with_their_length() {
    let mut t = Driver::ensemble(Config { max_held: 10_000, ..Config::default() }, 3);
    let conn = connect_at(&mut t, 0);
    lag(&mut t, 0, Lag::Time(Millis(1_000)));
    t.send(conn, &node("/a"));
    let sync = Sync { path: Some(format!("/{}", "a".repeat(3_000)).into()) };
    for sent in 1..=4 {
        assert!(!t.is_closed(conn), "{sent}");
        t.send(conn, &sync);
    }
    assert!(t.is_closed(conn));
}

#[test]
fn one_answer_may_be_longer_than_all_that_may_wait() {
    let mut t = Driver::ensemble(Config { max_held: 1_000, ..Config::default() }, 3);
    let conn = connect_at(&mut t, 0);
    let sync = Sync { path: Some(format!("/{}", "a".repeat(3_000)).into()) };
    assert!(t.call(conn, &sync).is_ok());
}

#[test]
fn an_election_is_logged_with_the_first_zxid_of_its_epoch() {
    let mut t = three();
    let before = t.txns.len();
    t.core.elect_server(t.now, 0).unwrap();
    t.drain();
    let epoch = t.core.last_zxid();
    assert_eq!(epoch.0 & 0xffff_ffff, 0);
    let logged: Vec<_> = t.txns[before..].iter().map(|txn| txn.zxid).collect();
    assert_eq!(logged, [epoch]);
}
