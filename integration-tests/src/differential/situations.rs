//! Sequences of steps that chance alone would rarely produce.

use proptest::prelude::*;
use proptest::sample::select;
use zk_wire::OpCode;

use super::script::{Action, Field, Step};

/// Nodes of a quota.
const STATS: &str = "/zookeeper_stats";
const LIMITS: &str = "/zookeeper_limits";

/// Generates a sequence of steps on nodes of `paths` and their quotas.
pub(super) fn situation(paths: &'static [&'static str]) -> impl Strategy<Value = Vec<Step>> {
    let path = || select(paths);
    prop_oneof![
        6 => watched(path()),
        3 => guarded(path()),
        1 => path().prop_map(|path| vec![identify(0, "user:password"), identify(1, "other:password"), look(1, path)]),
        1 => select(vec!["", "/a"]).prop_map(with_quota),
        2 => select(vec!["", "/a"]).prop_map(|path| vec![request(1, OpCode::GET_DATA, vec![quota(path, STATS), Field::Byte(1)])]),
    ]
}

/// Generates a watch of one connection and a write of another one.
fn watched(path: impl Strategy<Value = &'static str>) -> impl Strategy<Value = Vec<Step>> {
    let watch = select(vec![
        (OpCode::EXISTS, Field::Byte(1)),
        (OpCode::GET_DATA, Field::Byte(1)),
        (OpCode::GET_CHILDREN, Field::Byte(1)),
        (OpCode::GET_CHILDREN2, Field::Byte(1)),
        (OpCode::ADD_WATCH, Field::Int(0)),
        (OpCode::ADD_WATCH, Field::Int(1)),
    ]);
    (path, watch, prop::bool::ANY, prop::bool::ANY, select(vec![0, 1, 2, 3])).prop_map(
        |(path, (op, how), below, swapped, write)| {
            let (watcher, writer) = if swapped { (1, 0) } else { (0, 1) };
            let target = if below { format!("{path}/b") } else { path.into() };
            let write = match write {
                0 => {
                    request(writer, OpCode::SET_DATA, vec![Field::Path(target), Field::Null, Field::Int(-1)])
                }
                1 => request(writer, OpCode::DELETE, vec![Field::Path(target), Field::Int(-1)]),
                2 => create(writer, Field::Path(target), Field::Null, &[(31, "world", "anyone")], 0),
                _ => create(writer, Field::Path(target), Field::Null, &[(31, "world", "anyone")], 1),
            };
            vec![request(watcher, op, vec![Field::Path(path.into()), how]), write]
        },
    )
}

/// Generates an ACL with different permissions for two identities, and requests that need them.
fn guarded(path: impl Strategy<Value = &'static str>) -> impl Strategy<Value = Vec<Step>> {
    let perms = || select(vec![0, 1, 2, 4, 8, 16, 17, 15, 30]);
    (path, perms(), perms(), 0..4_usize).prop_map(|(path, all, user, conn)| {
        let conn = conn % 2;
        let list = [(all, "world", "anyone"), (user, "digest", "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=")];
        let node = || Field::Path(path.into());
        let set =
            request(1 - conn, OpCode::SET_ACL, [vec![node()], acl(&list), vec![Field::Int(-1)]].concat());
        let child = Field::Path(format!("{path}/g"));
        vec![
            set,
            look(conn, path),
            request(conn, OpCode::GET_CHILDREN, vec![node(), Field::Byte(1)]),
            request(conn, OpCode::GET_ACL, vec![node()]),
            request(conn, OpCode::SET_DATA, vec![node(), Field::Null, Field::Int(-1)]),
            create(conn, child.clone(), Field::Null, &[(31, "world", "anyone")], 0),
            request(1 - conn, OpCode::DELETE, vec![child, Field::Int(-1)]),
        ]
    })
}

/// Gives a node a quota, which counts the usage below it from then on.
fn with_quota(path: &str) -> Vec<Step> {
    let open = &[(31, "world", "anyone")];
    let text = |text: &str| Field::Text(text.into());
    vec![
        create(0, quota("", ""), Field::Null, open, 0),
        create(0, quota("/a", ""), Field::Null, open, 0),
        create(0, quota(path, LIMITS), text("count=2,bytes=5"), open, 0),
        create(0, quota(path, STATS), text("count=0,bytes=0"), open, 0),
        request(0, OpCode::GET_DATA, vec![quota(path, STATS), Field::Byte(0)]),
    ]
}

fn quota(path: &str, below: &str) -> Field {
    Field::Quota(format!("{path}{below}"))
}

fn identify(conn: usize, user: &str) -> Step {
    request(conn, OpCode::AUTH, vec![Field::Int(0), Field::Text("digest".into()), Field::Text(user.into())])
}

fn look(conn: usize, path: &str) -> Step {
    request(conn, OpCode::GET_DATA, vec![Field::Path(path.into()), Field::Byte(1)])
}

fn create(conn: usize, path: Field, data: Field, list: &[(i32, &str, &str)], flags: i32) -> Step {
    request(conn, OpCode::CREATE, [vec![path, data], acl(list), vec![Field::Int(flags)]].concat())
}

fn acl(list: &[(i32, &str, &str)]) -> Vec<Field> {
    let len = Field::Int(i32::try_from(list.len()).unwrap_or(0));
    let entries = list.iter().flat_map(|&(perms, scheme, id)| {
        [Field::Int(perms), Field::Text(scheme.into()), Field::Text(id.into())]
    });
    [len].into_iter().chain(entries).collect()
}

fn request(conn: usize, op: OpCode, body: Vec<Field>) -> Step {
    Step { conn, action: Action::Request { xid: None, op, body } }
}
