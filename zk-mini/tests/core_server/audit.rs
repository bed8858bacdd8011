//! Audit records: who has changed what.

use zk_mini::core::{AuditOperation, AuditRecord, Config};
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
