//! Random scripts: few connections and few nodes, which get into each other's way, and arguments that are right, wrong or
//! absurd.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use zk_wire::{OpCode, Xid};

use zk_mini::core::Compat;

use super::script::{Action, Field, Script, Step};
use super::situations::situation;

/// Weights of the operations. `deleteContainer` is missing, because zk-mini deliberately differs from 3.9 there.
const OPERATIONS: &[(u32, OpCode)] = &[
    (24, OpCode::CREATE),
    (8, OpCode::CREATE2),
    (3, OpCode::CREATE_CONTAINER),
    (6, OpCode::CREATE_TTL),
    (14, OpCode::DELETE),
    (14, OpCode::EXISTS),
    (14, OpCode::GET_DATA),
    (14, OpCode::SET_DATA),
    (5, OpCode::GET_ACL),
    (8, OpCode::SET_ACL),
    (10, OpCode::GET_CHILDREN),
    (6, OpCode::GET_CHILDREN2),
    (2, OpCode::GET_ALL_CHILDREN_NUMBER),
    (2, OpCode::GET_EPHEMERALS),
    (2, OpCode::SYNC),
    (1, OpCode::PING),
    (1, OpCode::CHECK),
    (20, OpCode::MULTI),
    (5, OpCode::MULTI_READ),
    (1, OpCode::RECONFIG),
    (6, OpCode::SET_WATCHES),
    (4, OpCode::SET_WATCHES2),
    (8, OpCode::ADD_WATCH),
    (4, OpCode::CHECK_WATCHES),
    (5, OpCode::REMOVE_WATCHES),
    (4, OpCode::AUTH),
    (1, OpCode::SASL),
    (2, OpCode::WHO_AM_I),
    (1, OpCode::CREATE_SESSION),
    (3, OpCode::CLOSE_SESSION),
    (1, OpCode(999)),
];

/// Weights of the operations in multis. Some are not allowed there.
const IN_MULTI: &[(u32, OpCode)] = &[
    (20, OpCode::CREATE),
    (8, OpCode::CREATE2),
    (3, OpCode::CREATE_CONTAINER),
    (1, OpCode::CREATE_TTL),
    (12, OpCode::DELETE),
    (12, OpCode::SET_DATA),
    (10, OpCode::CHECK),
    (1, OpCode::GET_DATA),
    (1, OpCode::SET_ACL),
];

const IN_MULTI_READ: &[(u32, OpCode)] =
    &[(10, OpCode::GET_DATA), (10, OpCode::GET_CHILDREN), (1, OpCode::EXISTS)];

/// Operations whose null path is left out. The real server accepts a persistent watch on a null path, and fails when the
/// connection ends or removes its watches; zk-mini refuses it.
const NULL_WATCHES: &[OpCode] = &[OpCode::ADD_WATCH, OpCode::SET_WATCHES2];

/// Number of connections of a script.
const CONNS: usize = 3;

/// Nodes of all scripts; frequent ones stand here several times.
const NODES: [&str; 18] = [
    "/a",
    "/a",
    "/a",
    "/a",
    "/a/b",
    "/a/b",
    "/a/b",
    "/d",
    "/d",
    "/d",
    "",
    "",
    "/a/b/c",
    "/d/e",
    "/a/s-",
    "/a/s-0000000001",
    "/s-",
    "/s-0000000002",
];

/// Flags and time to live of nodes. (Other flags with a negative time would bring the real server down.)
const TTLS: [(i32, i64); 9] = [
    (5, 1_000_000),
    (5, 1_000_000),
    (6, 1_000_000),
    (5, 0),
    (5, -1),
    (6, 0xff_ffff_ffff),
    (5, 0x100_0000_0000),
    (0, 0),
    (0, 1_000_000),
];

/// First nodes of many scripts: creating connection, path, flags.
const GARDEN: [(usize, &str, i32); 4] = [(0, "/a", 0), (0, "/a/b", 0), (0, "/d", 0), (1, "/d/e", 1)];

/// Invalid paths, and paths of nodes that no client can create. (Beyond U+FFFF the real server's encoder does not write UTF-8;
/// zk-mini does not copy that.)
const ODD_PATHS: [&str; 13] = [
    "/",
    "//a",
    "/a/",
    "/a/b/",
    "/./x",
    "/a/.",
    "/a/..",
    "/...",
    "/a\0",
    "/é",
    "/\u{1f}",
    "/\u{f8ff}",
    "/a b",
];

/// Returns the operations of random scripts.
pub(super) fn operations() -> impl Iterator<Item = OpCode> {
    OPERATIONS.iter().map(|(_, op)| *op)
}

/// Generates scripts of up to `steps` steps, behind some that open connections and create nodes.
pub(super) fn script(steps: usize, compat: Compat) -> impl Strategy<Value = Script> {
    any_script(steps).prop_map(move |mut script| {
        if compat == Compat::V3_9 {
            script.steps.iter_mut().for_each(ask_for_nothing_missed);
        }
        script
    })
}

/// Changes a request that sets watches again, so that it has missed no event of a node that is there: the real 3.9 reports
/// these also to clients that may not read the node, which zk-mini deliberately does not copy. (Scripts for 3.8 and kept ones
/// test it.) The rest stays as it is, spoiled or not.
fn ask_for_nothing_missed(step: &mut Step) {
    let Action::Request { op: OpCode::SET_WATCHES | OpCode::SET_WATCHES2, body, .. } = &mut step.action
    else {
        return;
    };
    if let Some(zxid @ (Field::Long(_) | Field::Zxid(_))) = body.first_mut() {
        *zxid = Field::Long(i64::MAX);
    }
    // A list that is not there as a whole cannot be read.
    let paths = |at: usize| match body.get(at) {
        Some(Field::Int(len)) => usize::try_from(*len).ok().filter(|len| at + len < body.len()).unwrap_or(0),
        _ => 0,
    };
    // The second list: nodes that were missing, and may be there by now.
    let awaited = 2 + paths(1);
    let last = awaited + paths(awaited);
    if last > awaited {
        body.splice(awaited..=last, [Field::Int(0)]);
    }
}

fn any_script(steps: usize) -> impl Strategy<Value = Script> {
    let garden = vec(prop::bool::weighted(0.8), GARDEN.len());
    let steps = vec(prop_oneof![12 => step().prop_map(|step| vec![step]), 1 => situation(&NODES)], 1..=steps);
    (garden, steps).prop_map(|(garden, more)| {
        let open = |conn| Step { conn, action: Action::Connect(connect_fields(Field::Long(0), Field::Null)) };
        let planted = GARDEN.iter().zip(garden).filter(|(_, planted)| *planted).map(|(node, _)| plant(*node));
        Script { steps: [open(0), open(1)].into_iter().chain(planted).chain(more.concat()).collect() }
    })
}

fn plant((conn, path, flags): (usize, &str, i32)) -> Step {
    let body = joined_create((Field::Path(path.into()), Field::Null, open_acl(), Field::Int(flags)));
    Step { conn, action: Action::Request { xid: None, op: OpCode::CREATE, body } }
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        40 => request(),
        2 => connect().prop_map(Action::Connect),
        1 => Just(Action::Disconnect),
    ];
    // Rare, because a broken frame ends the connection.
    let broken = prop_oneof![
        vec(any::<u8>(), 0..8).prop_map(|bytes| Action::Frame(vec![Field::Raw(bytes)])),
        Just(Action::Bytes(vec![Field::Int(-1)])),
        Just(Action::Bytes(vec![Field::Int(1 << 20)])),
    ];
    let action = prop_oneof![200 => action, 1 => broken];
    // Connection 2 is open only if the script opens it.
    let conn = select(vec![0, 0, 0, 0, 1, 1, 1, 2]);
    (conn, action).prop_map(|(conn, action)| Step { conn, action })
}

fn connect_fields(session: Field, password: Field) -> Vec<Field> {
    vec![Field::Int(0), Field::Long(0), Field::Int(30_000), session, password, Field::Byte(0)]
}

fn connect() -> impl Strategy<Value = Vec<Field>> {
    let session = prop_oneof![
        4 => Just((Field::Long(0), Field::Null)),
        8 => (0..CONNS).prop_map(|conn| (Field::Session(conn), Field::Password(conn))),
        1 => (0..CONNS).prop_map(|conn| (Field::Session(conn), Field::Text("a wrong password".into()))),
        1 => (0..CONNS).prop_map(|conn| (Field::Session(conn), Field::Null)),
        1 => Just((Field::Long(12_345), Field::Text("0123456789abcdef".into()))),
    ];
    let seen = prop_oneof![
        12 => Just(Field::Long(0)),
        4 => Just(Field::Zxid(0)),
        1 => Just(Field::Zxid(1_000)),
        1 => Just(Field::Long(-1)),
    ];
    let timeout = select(vec![30_000, 30_000, 30_000, 0, -1, 15_000, 1_000_000]);
    let read_only = prop_oneof![
        8 => Just(vec![Field::Byte(0)]),
        1 => Just(vec![Field::Byte(1)]),
        1 => Just(vec![]),
        1 => Just(vec![Field::Byte(0), Field::Raw(vec![1, 2, 3])]),
    ];
    (session, seen, timeout, read_only).prop_map(|((session, password), seen, timeout, read_only)| {
        let mut fields = connect_fields(session, password);
        (fields[1], fields[2]) = (seen, Field::Int(timeout));
        fields.pop();
        fields.extend(read_only);
        fields
    })
}

fn request() -> impl Strategy<Value = Action> {
    let xid = prop_oneof![
        20 => Just(None),
        1 => select(vec![0, -3, -2, -4, -8, 1, i32::MIN, i32::MAX]).prop_map(|xid| Some(Xid(xid))),
    ];
    let requests = OPERATIONS.iter().map(|&(weight, op)| {
        // A spoiled request could ask for a short timeout, and the session would end while the script runs.
        let how_often = if op == OpCode::CREATE_SESSION { 0 } else { 2 };
        let spoiled = prop_oneof![30 => body(op), how_often => spoiled(op)];
        (weight, (Just(op), spoiled).boxed())
    });
    let requests = proptest::strategy::Union::new_weighted(requests.collect());
    (xid, requests).prop_map(|(xid, (op, body))| Action::Request { xid, op, body })
}

/// Generates the fields of an operation.
fn body(op: OpCode) -> BoxedStrategy<Vec<Field>> {
    let watch = || select(vec![Field::Byte(0), Field::Byte(1), Field::Byte(1)]);
    match op {
        OpCode::CREATE | OpCode::CREATE2 | OpCode::CREATE_CONTAINER => {
            (path(), data(), acl(), flags()).prop_map(joined_create).boxed()
        }
        OpCode::CREATE_TTL => (path(), data(), acl(), select(TTLS.to_vec()))
            .prop_map(|(path, data, acl, (flags, ttl))| {
                let mut fields = joined_create((path, data, acl, Field::Int(flags)));
                fields.push(Field::Long(ttl));
                fields
            })
            .boxed(),
        OpCode::DELETE | OpCode::CHECK => (path(), version()).prop_map(fields2).boxed(),
        OpCode::EXISTS | OpCode::GET_DATA | OpCode::GET_CHILDREN | OpCode::GET_CHILDREN2 => {
            (path(), watch()).prop_map(fields2).boxed()
        }
        OpCode::SET_DATA => {
            (path(), data(), version()).prop_map(|(path, data, version)| vec![path, data, version]).boxed()
        }
        OpCode::SET_ACL => (node(), acl(), version())
            .prop_map(|(path, acl, version)| [vec![path], acl, vec![version]].concat())
            .boxed(),
        OpCode::GET_ACL | OpCode::GET_EPHEMERALS | OpCode::SYNC | OpCode::GET_ALL_CHILDREN_NUMBER => {
            path().prop_map(|path| vec![path]).boxed()
        }
        OpCode::MULTI => multi(IN_MULTI).boxed(),
        OpCode::MULTI_READ => multi(IN_MULTI_READ).boxed(),
        OpCode::RECONFIG => Just(vec![Field::Null, Field::Null, Field::Null, Field::Long(-1)]).boxed(),
        OpCode::SET_WATCHES => set_watches(3).boxed(),
        OpCode::SET_WATCHES2 => set_watches(5).boxed(),
        OpCode::ADD_WATCH => (node(), int(&[0, 0, 1, 1, 2, -1])).prop_map(fields2).boxed(),
        OpCode::CHECK_WATCHES | OpCode::REMOVE_WATCHES => {
            (node(), int(&[1, 2, 3, 3, 4, 5, 0])).prop_map(fields2).boxed()
        }
        OpCode::AUTH => auth().boxed(),
        OpCode::CREATE_SESSION => {
            select(vec![vec![Field::Int(20_000)], vec![Field::Int(60_000)], vec![]]).boxed()
        }
        OpCode::SASL => Just(vec![Field::Text("token".into())]).boxed(),
        _ => Just(vec![]).boxed(),
    }
}

fn joined_create((path, data, acl, flags): (Field, Field, Vec<Field>, Field)) -> Vec<Field> {
    [vec![path, data], acl, vec![flags]].concat()
}

fn fields2((first, second): (Field, Field)) -> Vec<Field> {
    vec![first, second]
}

fn int(values: &[i32]) -> impl Strategy<Value = Field> + use<> {
    select(values.to_vec()).prop_map(Field::Int)
}

fn node() -> impl Strategy<Value = Field> {
    select(NODES.to_vec()).prop_map(|path| Field::Path(path.into()))
}

fn path() -> impl Strategy<Value = Field> {
    prop_oneof![
        60 => node(),
        2 => select(ODD_PATHS.to_vec()).prop_map(|path| Field::Path(path.into())),
        1 => select(vec!["", "/", "a", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"])
            .prop_map(|path| Field::Text(path.into())),
        1 => Just(Field::Raw(vec![0, 0, 0, 2, b'/', 0xff])),
    ]
}

fn data() -> impl Strategy<Value = Field> {
    prop_oneof![
        select(vec!["", "x", "more data"]).prop_map(|text| Field::Text(text.into())),
        Just(Field::Null)
    ]
}

fn version() -> impl Strategy<Value = Field> {
    int(&[-1, -1, -1, -1, -1, -1, 0, 0, 1, 2, -2, i32::MAX])
}

fn flags() -> impl Strategy<Value = Field> {
    prop_oneof![20 => int(&[0, 0, 0, 1, 2, 3]), 1 => int(&[4, 5, 6, 7, -1])]
}

fn acl() -> impl Strategy<Value = Vec<Field>> {
    let entry = |(perms, scheme, id): (i32, &str, &str)| {
        vec![Field::Int(perms), Field::Text(scheme.into()), Field::Text(id.into())]
    };
    let entries = vec![
        (31, "world", "anyone"),
        (1, "world", "anyone"),
        (2, "world", "anyone"),
        (28, "world", "anyone"),
        (15, "world", "anyone"),
        (30, "world", "anyone"),
        (0, "world", "anyone"),
        (31, "world", "someone"),
        (31, "auth", ""),
        (31, "auth", "ignored"),
        (3, "auth", ""),
        (31, "digest", "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY="),
        (31, "digest", "user:hash"),
        (31, "digest", "a:b:"),
        (31, "digest", "a:"),
        (31, "ip", "127.0.0.1"),
        (15, "ip", "127.0.0.2/31"),
        (31, "ip", "127.0.0.2/30"),
        (31, "ip", "256.0.0.1"),
        (31, "super", "x"),
        (31, "", ""),
    ];
    let list = vec(select(entries).prop_map(entry), 0..3).prop_map(|entries| {
        let len = Field::Int(i32::try_from(entries.len()).unwrap_or(0));
        [vec![len], entries.concat()].concat()
    });
    prop_oneof![30 => Just(open_acl()), 10 => list, 1 => Just(vec![Field::Null]), 1 => Just(vec![Field::Int(-2)])]
}

fn open_acl() -> Vec<Field> {
    vec![Field::Int(1), Field::Int(31), Field::Text("world".into()), Field::Text("anyone".into())]
}

fn auth() -> impl Strategy<Value = Vec<Field>> {
    let digest = |user: &str| (Field::Text("digest".into()), Field::Text(user.into()));
    prop_oneof![
        14 => Just(digest("user:password")),
        4 => Just(digest("other")),
        1 => Just(digest("")),
        1 => Just((Field::Text("ip".into()), Field::Null)),
        1 => Just((Field::Text("digest".into()), Field::Null)),
        1 => Just((Field::Text("nobody".into()), Field::Text("x".into()))),
    ]
    .prop_map(|(scheme, auth)| vec![Field::Int(0), scheme, auth])
}

/// Generates operations, each behind a header, and the header that ends them (sometimes missing).
fn multi(operations: &'static [(u32, OpCode)]) -> impl Strategy<Value = Vec<Field>> {
    let header = |op: OpCode, done: u8| vec![Field::Int(op.0), Field::Byte(done), Field::Int(-1)];
    let items = operations.iter().map(move |&(weight, op)| {
        (weight, body(op).prop_map(move |body| [header(op, 0), body].concat()).boxed())
    });
    let items = proptest::strategy::Union::new_weighted(items.collect());
    let end = prop_oneof![30 => Just(header(OpCode::ERROR, 1)), 1 => Just(vec![])];
    (vec(items, 0..5), end).prop_map(|(items, end)| [items.concat(), end].concat())
}

fn set_watches(lists: usize) -> impl Strategy<Value = Vec<Field>> {
    let zxid = prop_oneof![
        4 => (0_i64..40).prop_map(Field::Zxid),
        1 => Just(Field::Long(0)),
        1 => Just(Field::Long(i64::MAX)),
    ];
    let list = vec(node(), 0..3).prop_map(|nodes| {
        let len = Field::Int(i32::try_from(nodes.len()).unwrap_or(0));
        [vec![len], nodes].concat()
    });
    (zxid, vec(list, lists)).prop_map(|(zxid, lists)| [vec![zxid], lists.concat()].concat())
}

/// Generates fields of which one is wrong or missing, or which are followed by a surplus one.
fn spoiled(op: OpCode) -> impl Strategy<Value = Vec<Field>> {
    let null = if NULL_WATCHES.contains(&op) { Field::Int(-2) } else { Field::Null };
    let wrong = select(vec![
        Some(null),
        Some(Field::Int(-2)),
        Some(Field::Int(i32::MAX)),
        Some(Field::Raw(vec![0, 0])),
        None,
    ]);
    (body(op), any::<prop::sample::Index>(), wrong, 0..4).prop_map(|(mut body, index, wrong, how)| {
        let at = if body.is_empty() { 0 } else { index.index(body.len()) };
        match (how, wrong) {
            (0, _) => body.truncate(at),
            (1, Some(field)) => body.push(field),
            (_, Some(field)) if at < body.len() => body[at] = field,
            _ => {
                body.pop();
            }
        }
        body
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest! {
        #[test]
        fn every_script_is_read_as_it_is_written(script in any_script(20)) {
            prop_assert_eq!(script.to_string().parse::<Script>(), Ok(script));
        }
    }
}
