//! Members of an ensemble: what `/zookeeper/config` shows, who may change it and what is refused, and what a change does to
//! the servers.

use zk_mini::core::{Config, ConnId, Core, Lag, Mode, Replacement, Role, ServerSetup, ServerState, Unable};
use zk_wire::*;

use crate::driver::*;

const NODE: &str = "/zookeeper/config";
const EPOCH: i64 = 1 << 32;

fn config() -> Config {
    let super_digest = Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into());
    Config { reconfig_enabled: true, super_digest, ..Config::default() }
}

fn setups(observers: usize) -> Vec<ServerSetup> {
    let addr = |port: u16| Some(([127, 0, 0, 1], 2180 + port).into());
    let setup =
        |number: u16| ServerSetup { addr: addr(number), is_observer: number > 3, ..ServerSetup::default() };
    (1..).take(3 + observers).map(setup).collect()
}

fn three() -> Driver {
    Driver::ensemble_of(config(), &setups(0))
}

fn connect_at(t: &mut Driver, server: usize) -> ConnId {
    let conn = t.accept_at(Some(server));
    assert_ne!(t.handshake(conn, &connect_request(10_000)).session_id, SessionId::NONE);
    conn
}

/// Opens a session of a client that may do everything.
fn super_at(t: &mut Driver, server: usize) -> ConnId {
    let conn = connect_at(t, server);
    t.call(conn, &Auth { auth_type: 0, scheme: Some("digest".into()), auth: Some("super:test".into()) })
        .unwrap();
    conn
}

fn incremental(leaving: &str, joining: &str) -> Reconfig {
    let text = |text: &str| (!text.is_empty()).then(|| text.into());
    Reconfig {
        joining_servers: text(joining),
        leaving_servers: text(leaving),
        new_members: None,
        current_config_id: Zxid(-1),
    }
}

fn whole(members: &str) -> Reconfig {
    Reconfig { new_members: Some(members.into()), ..incremental("", "") }
}

/// Text of a member, as it began or with another role.
fn member(number: usize, role: &str) -> String {
    format!(
        "server.{number}=127.0.0.1:{}:{}:{role};127.0.0.1:{}",
        2887 + number,
        3887 + number,
        2180 + number
    )
}

fn text(members: &[(usize, &str)], version: i64) -> String {
    let lines: String = members.iter().map(|(number, role)| member(*number, role) + "\n").collect();
    format!("{lines}version={version:x}")
}

fn shown(t: &mut Driver, conn: ConnId) -> (String, Stat) {
    let GetDataResponse { data, stat } = t.call(conn, &get_data(NODE, false)).unwrap();
    (String::from_utf8(data.unwrap().into()).unwrap(), stat)
}

fn roles(t: &Driver) -> Vec<Role> {
    t.core.servers().iter().map(|info| info.role).collect()
}

const VOTERS: [(usize, &str); 3] = [(1, "participant"), (2, "participant"), (3, "participant")];

#[test]
fn every_server_shows_the_configuration_with_the_zxid_of_its_epoch() {
    let mut t = three();
    for server in 0..3 {
        let conn = connect_at(&mut t, server);
        let (data, stat) = shown(&mut t, conn);
        assert_eq!(data, text(&VOTERS, EPOCH));
        assert_eq!((stat.mzxid, stat.version, stat.aversion), (Zxid(EPOCH), Version(-1), Version(-1)));
        assert_eq!((stat.czxid, stat.mtime), (Zxid(0), t.now.wall));
        let acl = t.call(conn, &GetAcl { path: NODE.into() }).unwrap().acl;
        assert_eq!(acl, [Acl { perms: Perms::READ, ..Acl::open() }]);
    }
    assert_eq!(t.txns.len(), 3, "sessions: it is no transaction");
}

#[test]
fn a_configuration_that_cannot_be_changed_has_the_version_zero() {
    let mut t = Driver::ensemble_of(Config::default(), &setups(0));
    let conn = connect_at(&mut t, 0);
    let (data, stat) = shown(&mut t, conn);
    assert_eq!((data, stat.mzxid), (text(&VOTERS, 0), Zxid(0)));
    assert_eq!(t.call(conn, &incremental("", "some thing")), Err(ErrorCode::RECONFIG_DISABLED));
}

#[test]
fn the_configuration_outlives_elections_resets_and_restarts() {
    let mut t = three();
    let conn = super_at(&mut t, 0);
    t.call(conn, &incremental("1", "")).unwrap();
    let (before, version) = (shown(&mut t, conn), t.core.last_zxid().0);
    assert_eq!(before.0, text(&VOTERS[1..], version));
    t.core.elect_server(t.now, 1).unwrap();
    t.core.restart(t.now);
    let config = t.core.config().clone();
    t.core.replace(t.now, Core::new(config), Replacement::Reset);
    t.drain();
    for server in 0..3 {
        let conn = connect_at(&mut t, server);
        assert_eq!(shown(&mut t, conn), before);
    }
}

#[test]
fn a_change_is_answered_with_the_configuration_and_its_version_is_its_zxid() {
    let mut t = three();
    let (watcher, conn) = (connect_at(&mut t, 1), super_at(&mut t, 0));
    t.call(watcher, &get_data(NODE, true)).unwrap();
    let (zxid, code, body) = t.reply(conn, &incremental("", ""));
    assert_eq!((zxid, code), (t.core.last_zxid().0, ErrorCode::OK));
    let answer: GetDataResponse = decode_all(body).unwrap();
    assert_eq!(answer.data.unwrap(), text(&VOTERS, zxid));
    assert_eq!(
        (answer.stat.mzxid, answer.stat.version, answer.stat.mtime),
        (Zxid(zxid), Version(-1), t.now.wall)
    );
    assert_eq!(shown(&mut t, watcher).1, answer.stat);
    assert_eq!(t.events(watcher), [(EventType::NODE_DATA_CHANGED, NODE.to_owned())]);

    let of = |version| Reconfig { current_config_id: Zxid(version), ..incremental("2", "") };
    assert_eq!(t.call(conn, &of(zxid + 1)), Err(ErrorCode::BAD_VERSION));
    let data = t.call(conn, &of(zxid)).unwrap().data.unwrap();
    assert_eq!(data, text(&[VOTERS[0], VOTERS[2]], t.core.last_zxid().0));
}

#[test]
fn a_whole_configuration_takes_the_place_of_the_one_before() {
    let mut t = three();
    let conn = super_at(&mut t, 0);
    let members = [member(2, "participant"), member(3, "participant"), member(1, "observer")].join(",");
    let data = t.call(conn, &whole(&members)).unwrap().data.unwrap();
    let expected = [(1, "observer"), (2, "participant"), (3, "participant")];
    assert_eq!(data, text(&expected, t.core.last_zxid().0));
    assert!(t.is_closed(conn), "its server begins again as an observer");
    assert_eq!(roles(&t), [Role::Observer, Role::Follower, Role::Leader]);
}

#[test]
fn refusals_come_in_zookeepers_order_and_take_a_zxid() {
    let mut t = three();
    let conn = connect_at(&mut t, 0);
    let nobody = "server.7=127.0.0.1:1:2;3,server.8=127.0.0.1:1:2;4";
    let future = |request: Reconfig| Reconfig { current_config_id: Zxid(7), ..request };
    for (request, expected) in [
        (incremental("", ""), ErrorCode::NO_AUTH),
        (incremental("77", ""), ErrorCode::NO_AUTH),
        (incremental("", "server.9=127.0.0.1:1:2;3"), ErrorCode::NO_AUTH),
        (future(incremental("", "some thing")), ErrorCode::BAD_VERSION),
        (incremental("", "some thing"), ErrorCode::BAD_ARGUMENTS),
        (incremental("x", ""), ErrorCode::MARSHALLING_ERROR),
        (incremental("2,3", ""), ErrorCode::BAD_ARGUMENTS),
        (whole(""), ErrorCode::BAD_ARGUMENTS),
        (whole("server.1=127.0.0.1:1:2;3"), ErrorCode::BAD_ARGUMENTS),
        (whole(nobody), ErrorCode::NEW_CONFIG_NO_QUORUM),
        (incremental("2", nobody), ErrorCode::NEW_CONFIG_NO_QUORUM),
        (whole(&(nobody.to_owned() + "\ngroup.1=7:8")), ErrorCode::UNIMPLEMENTED),
    ] {
        let before = t.core.last_zxid().0;
        let (zxid, code, body) = t.reply(conn, &request);
        assert_eq!((zxid, code, body.len()), (before + 1, expected, 0), "{request:?}");
    }
    assert_eq!(shown(&mut t, conn).0, text(&VOTERS, EPOCH));
}

#[test]
fn write_access_to_the_node_or_no_access_control_at_all_allows_it() {
    let mut t = Driver::ensemble_of(Config { skip_acl: true, ..config() }, &setups(0));
    let conn = connect_at(&mut t, 0);
    t.call(conn, &incremental("3", "")).unwrap();

    let mut t = three();
    let (owner, anyone) = (super_at(&mut t, 0), connect_at(&mut t, 0));
    assert_eq!(t.call(anyone, &incremental("", "")), Err(ErrorCode::NO_AUTH));
    let acl = vec![Acl { perms: Perms::READ | Perms::WRITE, ..Acl::open() }];
    t.call(owner, &SetAcl { path: Some(NODE.into()), acl: Some(acl), version: Expected::Any }).unwrap();
    t.call(anyone, &incremental("", "")).unwrap();
}

#[test]
fn a_server_without_a_vote_goes_on_as_a_follower() {
    let mut t = three();
    let (conn, other) = (super_at(&mut t, 0), connect_at(&mut t, 1));
    t.call(conn, &incremental("1", "")).unwrap();
    assert!(!t.is_closed(conn));
    assert_eq!(roles(&t), [Role::Follower, Role::Follower, Role::Leader]);
    assert_eq!(t.core.elect_server(t.now, 0), Err(Unable::HasNoVote { server: 1 }));

    // Two have a vote, and both are needed.
    t.core.stop_server(t.now, 0);
    t.drain();
    t.call(other, &create("/a", CreateMode::Persistent)).unwrap();
    t.core.start_server(t.now, 0);
    t.core.stop_server(t.now, 1);
    t.drain();
    assert_eq!(t.core.mode(), Mode::ReadOnly);
    t.core.start_server(t.now, 1);
    let conn = super_at(&mut t, 0);
    t.call(conn, &incremental("", &member(1, "participant"))).unwrap();
    assert!(!t.is_closed(conn));
    t.core.stop_server(t.now, 1);
    t.drain();
    t.call(conn, &create("/b", CreateMode::Persistent)).unwrap();
}

#[test]
fn a_server_that_becomes_an_observer_or_ceases_to_be_one_closes_its_connections_behind_the_answer() {
    let mut t = three();
    t.core.lag_server(0, Lag::Transactions(5)).unwrap();
    for (number, leaving, role) in
        [(1, "", "observer"), (1, "", "participant"), (1, "", "observer"), (1, "1", "")]
    {
        let (own, other) = (super_at(&mut t, 0), connect_at(&mut t, 1));
        let joining = if role.is_empty() { String::new() } else { member(number, role) };
        assert!(t.call(own, &incremental(leaving, &joining)).is_ok());
        assert!(t.is_closed(own) && !t.is_closed(other));
        let expected = if role == "observer" { Role::Observer } else { Role::Follower };
        assert_eq!(roles(&t), [expected, Role::Follower, Role::Leader]);
        assert_eq!(t.core.servers()[0].behind, 0);
        assert_eq!(t.core.servers()[0].last_zxid, t.core.last_zxid());
    }
}

#[test]
fn a_leader_that_loses_its_vote_or_its_address_appoints_the_next_one() {
    let other_place = "server.3=127.0.0.1:1:3890:participant;127.0.0.1:2183";
    for (request, expected) in [
        (incremental("3", ""), [Role::Leader, Role::Follower, Role::Follower]),
        (incremental("", &member(3, "observer")), [Role::Leader, Role::Follower, Role::Observer]),
        (incremental("", other_place), [Role::Leader, Role::Follower, Role::Follower]),
    ] {
        let mut t = three();
        let (conn, watcher) = (super_at(&mut t, 1), connect_at(&mut t, 0));
        t.call(watcher, &get_data(NODE, true)).unwrap();
        let answer = t.call(conn, &request).unwrap();
        assert_eq!(t.events(watcher), [(EventType::NODE_DATA_CHANGED, NODE.to_owned())]);
        assert!(t.is_closed(conn) && t.is_closed(watcher));
        assert_eq!(roles(&t), expected);
        assert_eq!(t.core.last_zxid(), Zxid(2 * EPOCH));
        let conn = connect_at(&mut t, 2);
        assert_eq!(shown(&mut t, conn).1, answer.stat, "the version stays");
    }
}

#[test]
fn observers_do_not_count_and_never_lead() {
    let mut t = Driver::ensemble_of(config(), &setups(2));
    assert_eq!(roles(&t), [Role::Follower, Role::Follower, Role::Leader, Role::Observer, Role::Observer]);
    let conn = connect_at(&mut t, 4);
    t.call(conn, &create("/a", CreateMode::Persistent)).unwrap();
    assert_eq!(t.core.elect_server(t.now, 3), Err(Unable::HasNoVote { server: 4 }));
    t.core.stop_server(t.now, 2);
    t.drain();
    assert_eq!(t.core.servers()[1].role, Role::Leader, "the highest number with a vote");
    let conn = connect_at(&mut t, 4);
    t.core.stop_server(t.now, 3);
    t.drain();
    t.call(conn, &create("/b", CreateMode::Persistent)).unwrap();
    t.core.stop_server(t.now, 1);
    t.drain();
    assert!(t.is_closed(conn));
    assert_eq!(
        t.core.servers()[4].state,
        ServerState::ReadOnly,
        "one of three is no majority, with an observer, too"
    );

    // An observer is not asked before it has a vote.
    let mut t = Driver::ensemble_of(config(), &setups(2));
    let conn = super_at(&mut t, 0);
    let both = [member(4, "participant"), member(5, "participant")].join(",");
    assert_eq!(t.call(conn, &incremental("1,2", &both)), Err(ErrorCode::NEW_CONFIG_NO_QUORUM));
    t.call(conn, &incremental("1", &member(4, "participant"))).unwrap();
    assert_eq!(roles(&t)[3..], [Role::Follower, Role::Observer]);
}

#[test]
fn a_new_member_is_a_server_that_listens_at_its_address_and_knows_everything() {
    let mut t = three();
    let conn = super_at(&mut t, 0);
    t.call(conn, &create("/a", CreateMode::Persistent)).unwrap();
    let joining =
        "server.100=10.0.0.1:1:2:observer;0.0.0.0:7,server.7=zk7:1:2;zk7:9,server.-3=zk3:1:2:observer;9";
    t.call(conn, &incremental("", joining)).unwrap();
    assert_eq!(t.listens, [(3, ([0, 0, 0, 0], 9).into()), (4, ([0, 0, 0, 0], 7).into())]);
    let numbers: Vec<_> = t.core.servers().iter().map(|info| info.server).collect();
    assert_eq!(numbers, [1, 2, 3, 7, 100]);
    assert_eq!(roles(&t)[3..], [Role::Follower, Role::Observer]);
    assert_eq!(
        (t.core.find_server(100), t.core.find_server(4)),
        (Ok(4), Err(Unable::NoSuchServer { server: 4, count: 3 }))
    );
    let reader = connect_at(&mut t, 4);
    t.call(reader, &exists("/a", false)).unwrap();
    t.call(reader, &create("/b", CreateMode::Persistent)).unwrap();
    t.call(conn, &exists("/b", false)).unwrap();

    // It comes and goes; another port is another place.
    t.call(conn, &incremental("100,7,-3", "")).unwrap();
    assert_eq!(t.core.servers().len(), 5);
    t.call(conn, &incremental("", "server.7=zk7:1:2;zk7:9,server.100=10.0.0.1:1:2;[::1]:8")).unwrap();
    assert_eq!(t.listens[2..], [(4, "[::1]:8".parse().unwrap())]);
    t.core.elect_server(t.now, 4).unwrap();
    t.drain();
    assert_eq!(roles(&t)[4], Role::Leader);
}

#[test]
fn a_server_may_have_the_number_zero() {
    let mut t = three();
    let conn = super_at(&mut t, 0);
    t.call(conn, &incremental("", "server.0=zk0:1:2;9")).unwrap();
    assert_eq!(t.core.find_server(0), Ok(3));
    let reader = connect_at(&mut t, 3);
    t.call(reader, &exists("/", false)).unwrap();
}

#[test]
fn more_servers_than_there_can_be_are_refused_before_they_are_compared() {
    let mut t = three();
    let conn = super_at(&mut t, 0);
    let joining: Vec<_> =
        (10..40_010).map(|id| format!("server.{id}=10.0.{}.{}:1:2;9", id / 250, id % 250)).collect();
    let refused = t.call(conn, &incremental("", &joining[..40_000].join(",")));
    assert_eq!(refused.unwrap_err(), ErrorCode::BAD_ARGUMENTS);
    assert_eq!(t.core.servers().len(), 3);
}

#[test]
fn an_ensemble_that_is_healed_has_the_servers_that_it_began_with() {
    let mut t = three();
    let conn = super_at(&mut t, 0);
    t.call(conn, &incremental("2", "server.9=zk9:1:2;2189")).unwrap();
    t.core.elect_server(t.now, 3).unwrap();
    t.drain();
    let (gone, stays) = (connect_at(&mut t, 3), connect_at(&mut t, 1));
    t.core.heal_ensemble(t.now);
    t.drain();
    assert_eq!(roles(&t), [Role::Leader, Role::Follower, Role::Follower]);
    assert!(t.is_closed(gone) && t.is_closed(stays), "the leader has gone");
    let conn = connect_at(&mut t, 1);
    let (data, stat) = shown(&mut t, conn);
    assert_eq!(data, text(&VOTERS, stat.mzxid.0));
    assert!(stat.mzxid > Zxid(2 * EPOCH));
    assert!(t.core.servers().iter().all(|info| info.state == ServerState::Running));
    let before = t.core.last_zxid();
    t.core.heal_ensemble(t.now);
    assert_eq!(t.core.last_zxid(), before, "nothing is to be undone");
}

#[test]
fn there_are_at_most_99_servers() {
    let mut t = three();
    let conn = super_at(&mut t, 0);
    let joining = |numbers: std::ops::Range<usize>| {
        let text = |number| format!("server.{number}=zk{number}:1:2:observer;3");
        numbers.map(text).collect::<Vec<_>>().join(",")
    };
    t.call(conn, &incremental("", &joining(4..99))).unwrap();
    assert_eq!(t.call(conn, &incremental("", &joining(99..101))), Err(ErrorCode::BAD_ARGUMENTS));
    t.call(conn, &incremental("", &joining(99..100))).unwrap();
}

#[test]
fn the_leader_counts_those_who_follow_it_by_their_votes() {
    let mut t = Driver::ensemble_of(config(), &setups(2));
    let count = |t: &Driver| {
        let figures = t.core.ensemble_figures(t.now.mono).unwrap();
        let leader = figures.leader.unwrap();
        (figures.voters, leader.followers, leader.non_voting, leader.observers)
    };
    assert_eq!(count(&t), (3, 2, 0, 2));
    let conn = super_at(&mut t, 2);
    t.call(conn, &incremental("1", "")).unwrap();
    t.core.stop_server(t.now, 4);
    assert_eq!(count(&t), (2, 2, 1, 1));
}
