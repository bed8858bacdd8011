//! Audit records: who has changed what.

use zk_mini::core::{AuditOperation, AuditRecord, Config, NewNode, NodeKind};
use zk_wire::*;

use crate::driver::*;

fn audited() -> Driver {
    Driver::with(Config { audit: true, ..Config::default() })
}

/// Returns the records since the last call: operation, node, kind and outcome.
fn taken(t: &mut Driver) -> Vec<(AuditOperation, String, Option<&'static str>, bool)> {
    let short = |record: AuditRecord| {
        let znode = record.znode.map(String::from).unwrap_or_default();
        (record.operation, znode, record.znode_type, record.success)
    };
    std::mem::take(&mut t.audited).into_iter().map(short).collect()
}

#[test]
fn changes_are_recorded_with_their_client_and_so_are_refusals() {
    use AuditOperation::{Create, Delete, Reconfig, SetAcl, SetData};
    let mut t = audited();
    let a = t.connect(10_000);
    let digest = Auth { auth_type: 0, scheme: Some("digest".into()), auth: Some("bob:secret".into()) };
    t.reply(a, &digest);
    t.call(a, &create("/a", CreateMode::Persistent)).unwrap();
    let first = t.audited[0].clone();
    assert_eq!((first.session, first.time), (t.session(a), t.now.wall));
    assert_eq!((first.user.as_deref(), first.ip.as_deref()), (Some("127.0.0.1,bob"), Some("127.0.0.1")));
    t.call(a, &create("/a/n-", CreateMode::EphemeralSequential)).unwrap();
    t.call(a, &create("/a", CreateMode::Container)).unwrap_err();
    t.call(a, &set_data("/a", b"1", -1)).unwrap();
    t.call(a, &set_data("/a", b"1", 7)).unwrap_err();
    t.call(
        a,
        &zk_wire::SetAcl { path: Some("/a".into()), acl: Some(vec![Acl::open()]), version: Expected::Any },
    )
    .unwrap();
    assert_eq!(t.audited.last().unwrap().acl.as_deref(), Some("world:anyone:cdrwa"));
    t.call(a, &delete("/a")).unwrap_err();
    t.raw(a, OpCode::RECONFIG, &[[0xff; 12].as_slice(), &[0; 8]].concat());
    // No change, and nothing that can be understood.
    t.call(a, &get_data("/a", false)).unwrap();
    t.raw(a, OpCode::CREATE, b"");
    assert_eq!(
        taken(&mut t),
        [
            (Create, "/a".into(), Some("persistent"), true),
            (Create, "/a/n-0000000000".into(), Some("ephemeral_sequential"), true),
            (Create, "/a".into(), Some("container"), false),
            (SetData, "/a".into(), None, true),
            (SetData, "/a".into(), None, false),
            (SetAcl, "/a".into(), None, true),
            (Delete, "/a".into(), None, false),
            (Reconfig, String::new(), None, false),
        ]
    );
}

#[test]
fn a_multi_has_a_record_for_each_operation_or_one_for_its_refusal() {
    use AuditOperation::{Create, Delete, Multi, SetData};
    let mut t = audited();
    let a = t.connect(10_000);
    let op = |path: &str| MultiOp::Create(create(path, CreateMode::Persistent));
    let ops = vec![
        op("/a"),
        MultiOp::Check(Check { path: Some("/a".into()), version: Expected::Any }),
        MultiOp::SetData(set_data("/a", b"1", -1)),
        op("/b"),
        MultiOp::Delete(delete("/b")),
    ];
    t.call(a, &zk_wire::Multi { ops }).unwrap();
    assert_eq!(
        taken(&mut t),
        [
            (Create, "/a".into(), Some("persistent"), true),
            (SetData, "/a".into(), None, true),
            (Create, "/b".into(), Some("persistent"), true),
            (Delete, "/b".into(), None, true),
        ]
    );
    t.call(a, &zk_wire::Multi { ops: vec![op("/c"), op("/a")] }).unwrap();
    assert_eq!(taken(&mut t), [(Multi, String::new(), None, false)]);
}

#[test]
fn a_multi_finds_the_kind_of_a_node_by_the_path_that_was_asked_for() {
    let mut t = Driver::with(Config { audit: true, extended_types: true, ..Config::default() });
    let a = t.connect(10_000);
    let ttl = CreateTtl { path: "/t".into(), data: None, acl: Some(vec![Acl::open()]), flags: 5, ttl: 1_000 };
    let ops = vec![
        MultiOp::Create(create("/s-", CreateMode::PersistentSequential)),
        MultiOp::Create(create("/c", CreateMode::Container)),
        MultiOp::CreateTtl(ttl),
    ];
    t.call(a, &Multi { ops }).unwrap();
    let kinds: Vec<_> = taken(&mut t).into_iter().map(|(_, znode, kind, _)| (znode, kind)).collect();
    let expected = [("/s-0000000000", None), ("/c", Some("container")), ("/t", None)];
    assert_eq!(kinds, expected.map(|(znode, kind)| (znode.to_owned(), kind)));
}

#[test]
fn a_multi_that_cannot_be_read_is_a_multi_that_was_refused() {
    let mut t = audited();
    let a = t.connect(10_000);
    t.raw(a, OpCode::MULTI, b"\0\0\0\x01");
    assert_eq!(taken(&mut t), [(AuditOperation::Multi, String::new(), None, false)]);
}

#[test]
fn direct_writes_are_recorded_for_the_program() {
    use AuditOperation::{Create, Delete, SetAcl, SetData};
    let mut t = audited();
    let now = t.now;
    let acl = [Acl::open()];
    let node = |path| NewNode {
        path,
        data: None,
        acl: &acl,
        kind: NodeKind::Persistent,
        sequential: false,
        parents: true,
    };
    t.core.create_directly(now, &node("/a/b/c")).unwrap();
    t.core.create_directly(now, &NewNode { sequential: true, ..node("/a/n-") }).unwrap();
    t.core.create_directly(now, &NewNode { kind: NodeKind::Container, ..node("/a/b/c") }).unwrap_err();
    t.core
        .create_directly(now, &NewNode { kind: NodeKind::Ephemeral(SessionId(7)), ..node("/e") })
        .unwrap_err();
    t.core.set_directly(now, "/a", Some(b"1"), Expected::Any).unwrap();
    t.core.set_directly(now, "/none", Some(b"1"), Expected::Any).unwrap_err();
    t.core.set_acl_directly(now, "/a", &acl).unwrap();
    t.core.delete_directly(now, "/a", Expected::Any).unwrap_err();
    t.core.delete_all_directly(now, "/none").unwrap_err();
    t.core.delete_all_directly(now, "/a/b").unwrap();
    t.drain();
    for record in &t.audited {
        assert_eq!((record.session, record.user.as_deref()), (SessionId::NONE, Some("handle")));
        assert_eq!((record.ip.as_deref(), record.server, record.time), (None, None, now.wall));
        assert_eq!(record.acl.is_some(), record.operation == SetAcl);
    }
    let persistent = Some("persistent");
    assert_eq!(
        taken(&mut t),
        [
            (Create, "/a".into(), persistent, true),
            (Create, "/a/b".into(), persistent, true),
            (Create, "/a/b/c".into(), persistent, true),
            (Create, "/a/n-0000000001".into(), Some("persistent_sequential"), true),
            (Create, "/a/b/c".into(), Some("container"), false),
            (Create, "/e".into(), Some("ephemeral"), false),
            (SetData, "/a".into(), None, true),
            (SetData, "/none".into(), None, false),
            (SetAcl, "/a".into(), None, true),
            (Delete, "/a".into(), None, false),
            (Delete, "/none".into(), None, false),
            (Delete, "/a/b/c".into(), None, true),
            (Delete, "/a/b".into(), None, true),
        ]
    );
}

#[test]
fn each_server_of_an_ensemble_records_the_changes_of_its_own_clients() {
    let mut t = Driver::ensemble(Config { audit: true, ..Config::default() }, 3);
    let conns = [0, 1, 2].map(|server| {
        let conn = t.accept_at(Some(server));
        t.handshake(conn, &connect_request(10_000));
        conn
    });
    for conn in conns {
        t.call(conn, &create("/a", CreateMode::Ephemeral)).ok();
    }
    let servers =
        |t: &Driver| t.audited.iter().map(|record| (record.server, record.success)).collect::<Vec<_>>();
    assert_eq!(servers(&t), [(Some(1), true), (Some(2), false), (Some(3), false)]);
    t.audited.clear();
    // A session that has moved: the write of its earlier connection is refused, and recorded.
    let credentials = t.credentials(conns[0]);
    let moved = t.accept_at(Some(1));
    let request = ConnectRequest {
        session_id: credentials.id,
        password: credentials.password,
        ..connect_request(10_000)
    };
    t.handshake(moved, &request);
    t.send(conns[0], &set_data("/a", b"late", -1));
    assert_eq!(servers(&t), [(Some(1), false)]);
    assert_eq!(taken(&mut t), [(AuditOperation::SetData, "/a".into(), None, false)]);
    // The nodes of its end are recorded once, and for no server.
    t.reply(moved, &CloseSession {});
    assert_eq!(servers(&t), [(None, true)]);
    assert_eq!(t.audited[0].operation, AuditOperation::EphemeralDeletion);
}

#[test]
fn ephemeral_nodes_of_a_session_that_ends_are_recorded_for_the_server() {
    let mut t = audited();
    let a = t.connect(4_000);
    t.call(a, &create("/e", CreateMode::Ephemeral)).unwrap();
    let session = t.session(a);
    t.audited.clear();
    t.advance(10_000);
    let record = t.audited.pop().unwrap();
    assert_eq!((record.session, record.user, record.ip), (session, None, None));
    assert_eq!(record.operation, AuditOperation::EphemeralDeletion);
    assert_eq!(record.znode.as_deref(), Some("/e"));
    assert!(t.audited.is_empty());
}

#[test]
fn a_record_comes_after_its_transaction_and_before_the_reply() {
    use zk_mini::core::{Input, Output};
    let mut t = audited();
    let a = t.connect(10_000);
    let mut frame = bytes::BytesMut::new();
    RequestHeader { xid: Xid(1), op: OpCode::CREATE }.encode(&mut frame);
    create("/a", CreateMode::Persistent).encode(&mut frame);
    t.core.handle(t.now, Input::Frame { conn: a, frame: frame.freeze() });
    let outputs: Vec<Output> = std::iter::from_fn(|| t.core.poll_output()).collect();
    assert!(
        matches!(&outputs[..], [Output::Persist(_), Output::Audit(_), Output::Send { .. }]),
        "{outputs:?}"
    );
}

#[test]
fn without_the_setting_there_are_no_records() {
    let mut t = Driver::new();
    let a = t.connect(10_000);
    t.call(a, &create("/a", CreateMode::Ephemeral)).unwrap();
    t.reply(a, &CloseSession {});
    assert!(t.audited.is_empty());
}
