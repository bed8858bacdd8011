//! ACLs and identities (rules 2, 25, 26, 40, 48, 54 to 61).

use bytes::Bytes;
use zk_mini::core::{Compat, Config, ConnId, Peer};
use zk_wire::*;

use crate::driver::*;

fn auth(t: &mut Driver, conn: ConnId, scheme: &str, data: &str) -> (i64, ErrorCode) {
    let request = Auth {
        auth_type: 0,
        scheme: Some(scheme.into()),
        auth: Some(Bytes::copy_from_slice(data.as_bytes())),
    };
    let (zxid, err, _) = t.reply(conn, &request);
    (zxid, err)
}

fn entry(perms: Perms, scheme: &str, id: &str) -> Acl {
    Acl { perms, scheme: scheme.into(), id: id.into() }
}

fn with_acl(path: &str, acl: &[Acl]) -> Create {
    Create { acl: Some(acl.to_vec()), ..create(path, CreateMode::Persistent) }
}

fn set_acl(path: &str, acl: &[Acl], version: i32) -> SetAcl {
    SetAcl { path: Some(path.into()), acl: Some(acl.to_vec()), version: Version(version).into() }
}

fn get_acl(t: &mut Driver, conn: ConnId, path: &str) -> Result<Vec<Acl>, ErrorCode> {
    t.call(conn, &GetAcl { path: path.into() }).map(|response| response.acl)
}

const USER: &str = "user:smGaoVKd/cQkjm7b88GyorAUz20=";

#[test]
fn auth_is_answered_with_zxid_zero_and_adds_up() {
    // 2, 60
    let mut t = Driver::new();
    let a = t.connect(10_000);
    for data in ["user:pass", "user:pass", "other:x", "nocolon", ""] {
        assert_eq!(auth(&mut t, a, "digest", data), (0, ErrorCode::OK));
    }
    assert_eq!(auth(&mut t, a, "ip", "anything"), (0, ErrorCode::OK));
    let info = t.call(a, &WhoAmI {}).unwrap().client_info;
    let info: Vec<_> = info.iter().map(|info| (&*info.auth_scheme, &*info.user)).collect();
    let expected =
        [("ip", "127.0.0.1"), ("digest", "user"), ("digest", "other"), ("digest", "nocolon"), ("digest", "")];
    assert_eq!(info, expected);
}

#[test]
fn who_am_i_lists_super_too_and_writes_addresses_in_full() {
    // 72
    let super_digest = Some("super:lK75jTNcA+U9vtVEw5vB51mj/w4=".into());
    let mut t = Driver::with(Config { super_digest, ..Config::default() });
    let conn = t.accept_from(Peer { ip: "2001:db8::1".parse().unwrap(), port: 1 });
    t.handshake(conn, &connect_request(10_000));
    for data in ["user:pass", "super:secret", "super:secret"] {
        auth(&mut t, conn, "digest", data);
    }
    let info = t.call(conn, &WhoAmI {}).unwrap().client_info;
    let info: Vec<_> = info.iter().map(|info| (&*info.auth_scheme, &*info.user)).collect();
    assert_eq!(
        info,
        [("ip", "2001:db8:0:0:0:0:0:1"), ("digest", "user"), ("super", ""), ("digest", "super")]
    );
}

#[test]
fn other_schemes_and_null_data_are_refused_and_closed() {
    // 60: the session survives.
    for (scheme, data) in [("world", Some("")), ("sasl", Some("x")), ("", Some("")), ("digest", None)] {
        let mut t = Driver::new();
        let a = t.connect(10_000);
        let data = data.map(|data| Bytes::from_static(data.as_bytes()));
        let request = Auth { auth_type: 0, scheme: Some(scheme.into()), auth: data };
        let (zxid, err, _) = t.reply(a, &request);
        assert_eq!((zxid, err), (0, ErrorCode::AUTH_FAILED), "{scheme}");
        assert!(t.is_closed(a));
        assert_eq!(t.core.sessions().len(), 1);
    }
}

#[test]
fn each_operation_asks_for_its_permission() {
    // 25, 26, 55
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = Driver::compat(compat);
        let (owner, other) = (t.connect(10_000), t.connect(10_000));
        auth(&mut t, owner, "digest", "user:pass");
        t.call(owner, &with_acl("/p", &[entry(Perms::ALL, "digest", USER)])).unwrap();
        t.call(owner, &create("/p/child", CreateMode::Persistent)).unwrap();
        let denied = Err(ErrorCode::NO_AUTH);
        assert_eq!(t.call(other, &get_data("/p", false)).map(|_| ()), denied);
        assert_eq!(t.call(other, &get_children("/p", false)).map(|_| ()), denied);
        assert_eq!(t.call(other, &GetAllChildrenNumber { path: "/p".into() }).map(|_| ()), denied);
        assert_eq!(t.call(other, &set_data("/p", b"", -1)).map(|_| ()), denied);
        assert_eq!(t.call(other, &create("/p/x", CreateMode::Persistent)).map(|_| ()), denied);
        assert_eq!(t.call(other, &delete("/p/child")), denied, "the parent's ACL");
        assert_eq!(t.call(other, &delete("/p/none")), denied, "25: before the node is looked for");
        assert_eq!(t.call(other, &set_acl("/p", &[Acl::open()], -1)).map(|_| ()), denied);
        assert_eq!(get_acl(&mut t, other, "/p").map(|_| ()), denied);
        let multi =
            Multi { ops: vec![MultiOp::Check(Check { path: Some("/p".into()), version: Expected::Any })] };
        assert_eq!(t.call(other, &multi).unwrap().results, [MultiResult::Error(ErrorCode::NO_AUTH)], "40");
        assert_eq!(t.call(other, &exists("/p", true)).map(|_| ()), denied);
        assert_eq!(t.core.watch_count(), 0);
        assert_eq!(
            t.call(other, &delete("/p")),
            Err(ErrorCode::NOT_EMPTY),
            "the node's own ACL is not asked"
        );
        t.call(owner, &delete("/p/child")).unwrap();
        assert_eq!(t.call(other, &delete("/p")), Ok(()));
    }
}

#[test]
fn set_watches_sends_missed_events_only_to_readers() {
    // 48: ZooKeeper 3.9.5 sends the events to every client, the later 3.8.7 does not.
    for compat in [Compat::V3_8, Compat::V3_9] {
        let mut t = Driver::compat(compat);
        let (owner, other) = (t.connect(10_000), t.connect(10_000));
        auth(&mut t, owner, "digest", "user:pass");
        t.call(owner, &with_acl("/p", &[entry(Perms::ALL, "auth", "")])).unwrap();
        let request = SetWatches {
            relative_zxid: Zxid(0),
            data_watches: vec!["/p".into()],
            exist_watches: vec!["/p".into()],
            child_watches: vec!["/p".into(), "/none".into()],
        };
        t.call(other, &request).unwrap();
        assert_eq!(t.events(other), [(EventType::NODE_DELETED, "/none".into())]);
        assert_eq!(t.core.watch_count(), 0, "no watch is set either");
        t.call(owner, &request).unwrap();
        assert_eq!(t.events(owner).len(), 4);
    }
}

#[test]
fn without_admin_hashes_are_hidden() {
    // 55
    let mut t = Driver::new();
    let (owner, other) = (t.connect(10_000), t.connect(10_000));
    auth(&mut t, owner, "digest", "user:pass");
    let acl = [entry(Perms::ALL, "digest", USER), entry(Perms::READ, "world", "anyone")];
    t.call(owner, &with_acl("/p", &acl)).unwrap();
    assert_eq!(get_acl(&mut t, owner, "/p").unwrap(), acl);
    let shown = [entry(Perms::ALL, "digest", "user:x"), acl[1].clone()];
    assert_eq!(get_acl(&mut t, other, "/p").unwrap(), shown);
    assert_eq!(get_acl(&mut t, other, "/none"), Err(ErrorCode::NO_NODE));
}

#[test]
fn duplicates_are_dropped_and_order_and_any_perms_are_kept() {
    // 56
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let (odd, open) = (entry(Perms(-1), "ip", "10.0.0.1"), Acl::open());
    let none = entry(Perms(0), "world", "anyone");
    let acl = [open.clone(), odd.clone(), open.clone(), none.clone(), odd.clone()];
    t.call(a, &with_acl("/p", &acl)).unwrap();
    assert_eq!(get_acl(&mut t, a, "/p").unwrap(), [open, odd, none]);
}

#[test]
fn auth_stands_for_all_proven_ids() {
    // 57
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let acl = [entry(Perms::READ, "auth", "ignored")];
    assert_eq!(t.call(a, &with_acl("/p", &acl)), Err(ErrorCode::INVALID_ACL));
    auth(&mut t, a, "digest", "user:pass");
    auth(&mut t, a, "digest", "super:test");
    t.call(a, &with_acl("/p", &acl)).unwrap();
    // Without ADMIN, hashes are hidden even from their owner.
    let shown = [entry(Perms::READ, "digest", "user:x"), entry(Perms::READ, "digest", "super:x")];
    assert_eq!(get_acl(&mut t, a, "/p").unwrap(), shown);
    let kept = &t.core.node("/p").unwrap().acl;
    assert_eq!(kept[0], entry(Perms::READ, "digest", USER));
}

#[test]
fn ids_are_checked_by_their_scheme() {
    // 57, 58, 59
    for (compat, v6) in [(Compat::V3_8, false), (Compat::V3_9, true)] {
        let mut t = Driver::compat(compat);
        let a = t.connect(10_000);
        for (scheme, id, valid) in [
            ("world", "anyone", true),
            ("world", "everyone", false),
            ("digest", "a:b", true),
            ("digest", ":b", true),
            ("digest", "a:b:", true),
            ("digest", "a:", false),
            ("digest", ":", false),
            ("digest", "a", false),
            ("digest", "a:b:c", false),
            ("ip", "127.0.0.1", true),
            ("ip", "+127.00.0.01", true),
            ("ip", "127.0.0.1/0", true),
            ("ip", "127.0.0.1/32", true),
            ("ip", "127.0.0.1/33", false),
            ("ip", "127.0.0.1/-1", false),
            ("ip", "127.0.0.1/", false),
            ("ip", "127.0.0", false),
            ("ip", "127.0.0.256", false),
            ("ip", "::1", v6),
            ("ip", "::1/128", v6),
            ("ip", "::1/129", false),
            ("sasl", "x", false),
            ("x509", "x", false),
            ("super", "", false),
            ("", "", false),
        ] {
            let outcome = t.call(a, &with_acl("/p", &[entry(Perms::ALL, scheme, id)]));
            let expected = if valid { Ok(()) } else { Err(ErrorCode::INVALID_ACL) };
            assert_eq!(outcome.map(|_| ()), expected, "{scheme} {id:?}");
            if valid {
                t.call(a, &delete("/p")).unwrap();
            }
        }
    }
}

#[test]
fn addresses_match_by_their_leading_bits() {
    // 59
    let mut t = Driver::new();
    let maker = t.connect(10_000);
    for (i, (id, from, allowed)) in [
        ("127.0.0.2/31", "127.0.0.1", false),
        ("127.0.0.2/30", "127.0.0.1", true),
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "11.1.2.3", false),
        ("1.2.3.4/0", "9.9.9.9", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("fe80::1/64", "fe80::2", true),
        ("fe80::1", "fe80::2", false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/n{i}");
        t.call(maker, &with_acl(&path, &[entry(Perms::READ, "ip", id)])).unwrap();
        let conn = t.accept_from(Peer { ip: from.parse().unwrap(), port: 1 });
        t.handshake(conn, &connect_request(10_000));
        assert_eq!(t.call(conn, &get_data(&path, false)).is_ok(), allowed, "{id} from {from}");
    }
}

#[test]
fn null_ids_are_marshalling_errors_and_null_schemes_invalid() {
    // 57
    let mut t = Driver::new();
    let a = t.connect(10_000);
    let good = encode(&with_acl("/p", &[entry(Perms::ALL, "world", "anyone")])).to_vec();
    let null_id = [&good[..good.len() - 14], &[0xff; 4], &[0; 4]].concat();
    assert_eq!(t.raw(a, OpCode::CREATE, &null_id).1, ErrorCode::MARSHALLING_ERROR);
    let null_scheme = [&good[..good.len() - 23], &[0xff; 4], &good[good.len() - 14..]].concat();
    assert_eq!(t.raw(a, OpCode::CREATE, &null_scheme).1, ErrorCode::INVALID_ACL);
}

#[test]
fn an_owner_can_lock_itself_out_but_not_the_super_user() {
    // 61
    let config =
        Config { super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into()), ..Config::default() };
    let mut t = Driver::with(config);
    let a = t.connect(10_000);
    t.call(a, &create("/p", CreateMode::Persistent)).unwrap();
    t.call(a, &set_acl("/p", &[entry(Perms::READ, "world", "anyone")], 0)).unwrap();
    assert_eq!(t.call(a, &set_acl("/p", &[Acl::open()], -1)), Err(ErrorCode::NO_AUTH));
    auth(&mut t, a, "digest", "super:wrong");
    assert_eq!(t.call(a, &set_acl("/p", &[Acl::open()], -1)), Err(ErrorCode::NO_AUTH));
    auth(&mut t, a, "digest", "super:test");
    assert_eq!(t.call(a, &set_acl("/p", &[Acl::open()], 7)), Err(ErrorCode::BAD_VERSION));
    assert_eq!(t.call(a, &set_acl("/p", &[Acl::open()], 1)).unwrap().stat.aversion, Version(2));
    assert_eq!(t.call(a, &set_data("/zookeeper/config", b"x", -1)).unwrap().stat.version, Version(1));
}

#[test]
fn set_acl_checks_in_zookeepers_order() {
    // 26
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &with_acl("/p", &[entry(Perms::READ, "world", "anyone")])).unwrap();
    assert_eq!(t.call(a, &set_acl("/p/", &[], -1)), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(t.call(a, &set_acl("/none", &[], -1)), Err(ErrorCode::INVALID_ACL));
    assert_eq!(t.call(a, &set_acl("/none", &[Acl::open()], -1)), Err(ErrorCode::NO_NODE));
    assert_eq!(t.call(a, &set_acl("/p", &[Acl::open()], 9)), Err(ErrorCode::NO_AUTH));
}

#[test]
fn skip_acl_keeps_lists_and_checks_none() {
    let mut t = Driver::with(Config { skip_acl: true, ..Config::default() });
    let a = t.connect(10_000);
    let acl = [entry(Perms(0), "world", "anyone")];
    t.call(a, &with_acl("/p", &acl)).unwrap();
    assert!(t.call(a, &get_data("/p", true)).is_ok());
    assert!(t.call(a, &set_data("/p", b"", -1)).is_ok());
    assert_eq!(t.events(a).len(), 1);
    assert_eq!(get_acl(&mut t, a, "/p").unwrap(), acl);
    let invalid = with_acl("/q", &[entry(Perms::ALL, "sasl", "x")]);
    assert_eq!(t.call(a, &invalid), Err(ErrorCode::INVALID_ACL));
}
