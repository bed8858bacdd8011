//! Table of permissions, as text, for any server: each operation against each permission.
//!
//! A cell is an error code (0 for success), with a `!` if the connection ends, or `event` or `silent` for a watch.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use zk_wire::{
    Acl, Auth, ByteString, Create, Decode, ErrorCode, MultiHeader, OpCode, Perms, ReplyHeader, SessionId, Xid,
};

use super::peer::{Arrival, Peer};
use super::runner::{attach, call, ends_connection, ping};
use super::script::{Bindings, Field, encode_request};

/// Digest of `SUPER`. Both servers must know it as the superuser's.
pub const SUPER_DIGEST: &str = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=";

const SUPER: &str = "super:secret";
const OWNER: &str = "owner:secret";

/// Digest id of `OWNER`.
const OWNER_ID: &str = "owner:Vj++wdU3sMAbt+g9TyKj1BT+usI=";

/// Permissions: none, each alone, all but each, all.
const PERMS: [(&str, i32); 12] = [
    ("none", 0),
    ("r", 1),
    ("w", 2),
    ("c", 4),
    ("d", 8),
    ("a", 16),
    ("-r", 30),
    ("-w", 29),
    ("-c", 27),
    ("-d", 23),
    ("-a", 15),
    ("all", 31),
];

/// Nodes of the system, and the root.
const SYSTEM: [&str; 5] = ["/", "", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// A request: name, operation, and its fields for a path.
type Case = (&'static str, OpCode, fn(&str) -> Vec<Field>);

fn text(path: &str) -> Field {
    Field::Text(path.into())
}

fn create(path: &str, flags: i32) -> Vec<Field> {
    let open = [Field::Int(1), Field::Int(31), text("world"), text("anyone")];
    [vec![text(&format!("{path}/x")), Field::Null], open.to_vec(), vec![Field::Int(flags)]].concat()
}

fn set_acl(path: &str) -> Vec<Field> {
    let open = [Field::Int(1), Field::Int(31), text("world"), text("anyone")];
    [vec![text(path)], open.to_vec(), vec![Field::Int(-1)]].concat()
}

fn with_flag(path: &str) -> Vec<Field> {
    vec![text(path), Field::Byte(0)]
}

fn with_version(path: &str) -> Vec<Field> {
    vec![text(path), Field::Int(-1)]
}

fn set_data(path: &str) -> Vec<Field> {
    vec![text(path), text("new"), Field::Int(-1)]
}

fn multi(op: OpCode, body: Vec<Field>) -> Vec<Field> {
    let header = |op: OpCode, done: u8| vec![Field::Int(op.0), Field::Byte(done), Field::Int(-1)];
    [header(op, 0), body, header(OpCode::ERROR, 1)].concat()
}

/// Fields of `setWatches` or `setWatches2` with one path in the first list and the lowest zxid.
fn set_watches(path: &str, lists: usize) -> Vec<Field> {
    [vec![Field::Long(0), Field::Int(1), text(path)], vec![Field::Int(0); lists - 1]].concat()
}

const REQUESTS: &[Case] = &[
    ("create", OpCode::CREATE, |path| create(path, 0)),
    ("create sequential", OpCode::CREATE, |path| create(path, 2)),
    ("create ephemeral", OpCode::CREATE, |path| create(path, 1)),
    ("create2", OpCode::CREATE2, |path| create(path, 0)),
    ("createContainer", OpCode::CREATE_CONTAINER, |path| create(path, 4)),
    ("createTTL", OpCode::CREATE_TTL, |path| [create(path, 5), vec![Field::Long(1_000_000)]].concat()),
    ("delete", OpCode::DELETE, with_version),
    ("delete what is not there", OpCode::DELETE, |path| with_version(&format!("{path}/none"))),
    ("deleteContainer", OpCode::DELETE_CONTAINER, |path| vec![text(path)]),
    ("exists", OpCode::EXISTS, with_flag),
    ("exists what is not there", OpCode::EXISTS, |path| with_flag(&format!("{path}/none"))),
    ("getData", OpCode::GET_DATA, with_flag),
    ("setData", OpCode::SET_DATA, set_data),
    ("getACL", OpCode::GET_ACL, |path| vec![text(path)]),
    ("setACL", OpCode::SET_ACL, set_acl),
    ("getChildren", OpCode::GET_CHILDREN, with_flag),
    ("getChildren2", OpCode::GET_CHILDREN2, with_flag),
    ("getAllChildrenNumber", OpCode::GET_ALL_CHILDREN_NUMBER, |path| vec![text(path)]),
    ("getEphemerals", OpCode::GET_EPHEMERALS, |path| vec![text(path)]),
    ("sync", OpCode::SYNC, |path| vec![text(path)]),
    ("check", OpCode::CHECK, with_version),
    ("multi create", OpCode::MULTI, |path| multi(OpCode::CREATE, create(path, 0))),
    ("multi create2", OpCode::MULTI, |path| multi(OpCode::CREATE2, create(path, 0))),
    ("multi delete", OpCode::MULTI, |path| multi(OpCode::DELETE, with_version(path))),
    ("multi setData", OpCode::MULTI, |path| multi(OpCode::SET_DATA, set_data(path))),
    ("multi check", OpCode::MULTI, |path| multi(OpCode::CHECK, with_version(path))),
    ("multi deleteContainer", OpCode::MULTI, |path| multi(OpCode::DELETE_CONTAINER, vec![text(path)])),
    ("multi setACL", OpCode::MULTI, |path| multi(OpCode::SET_ACL, set_acl(path))),
    ("multiRead getData", OpCode::MULTI_READ, |path| multi(OpCode::GET_DATA, with_flag(path))),
    ("multiRead getChildren", OpCode::MULTI_READ, |path| multi(OpCode::GET_CHILDREN, with_flag(path))),
    ("setWatches", OpCode::SET_WATCHES, |path| set_watches(path, 3)),
    ("setWatches2", OpCode::SET_WATCHES2, |path| set_watches(path, 5)),
    ("addWatch", OpCode::ADD_WATCH, |path| vec![text(path), Field::Int(0)]),
    ("checkWatches", OpCode::CHECK_WATCHES, |path| vec![text(path), Field::Int(3)]),
    ("removeWatches", OpCode::REMOVE_WATCHES, |path| vec![text(path), Field::Int(3)]),
];

/// Operations of the superuser that watchers may hear of.
const HEARD: &[Case] = &[
    ("hears of setData", OpCode::SET_DATA, set_data),
    ("hears of delete", OpCode::DELETE, with_version),
    ("hears of a child", OpCode::CREATE, |path| create(path, 0)),
];

/// Operations that name no node. They have no effect on later cells.
const WITHOUT_PATH: &[Case] = &[
    ("reconfig", OpCode::RECONFIG, |_| {
        vec![Field::Null, text("server.2=h:1:2;3"), Field::Null, Field::Long(-1)]
    }),
    ("createSession", OpCode::CREATE_SESSION, |_| vec![Field::Int(30_000)]),
    ("whoAmI", OpCode::WHO_AM_I, |_| vec![]),
    ("getEphemerals of all", OpCode::GET_EPHEMERALS, |_| vec![Field::Null]),
    ("error", OpCode::ERROR, |_| vec![Field::Int(0)]),
    ("operation 0", OpCode::NOTIFICATION, |_| vec![]),
];

/// A connection with an identity, which is opened again after its end.
struct Role {
    name: &'static str,
    credentials: &'static str,
    peer: Peer,
}

impl Role {
    fn connect(server: SocketAddr, name: &'static str, credentials: &'static str) -> io::Result<Self> {
        let (mut peer, _) = attach(server, SessionId::NONE, Bytes::new())?;
        let auth = Some(Bytes::from_static(credentials.as_bytes()));
        let header = call(&mut peer, &Auth { auth_type: 0, scheme: Some("digest".into()), auth })?;
        if header.err == ErrorCode::OK { Ok(Self { name, credentials, peer }) } else { Err(odd(&header)) }
    }

    /// Sends a request and returns its cell.
    fn ask(&mut self, server: SocketAddr, op: OpCode, body: &[Field]) -> io::Result<String> {
        self.peer.send(&encode_request(Xid(7), op, body, &Bindings::default()));
        let mut arrivals = self.peer.receive_reply()?;
        let reply = arrivals.pop();
        let ends = ends_connection(op, reply.as_ref());
        let Some(Arrival::Frame(mut frame)) = reply else {
            *self = Self::connect(server, self.name, self.credentials)?;
            return Ok("closed".into());
        };
        if op == OpCode::CREATE_SESSION && frame.len() > 30 {
            return Ok("granted".into());
        }
        let header = ReplyHeader::decode(&mut frame, "header").map_err(io::Error::other)?;
        let mut cell = if header.err == ErrorCode::OK && matches!(op, OpCode::MULTI | OpCode::MULTI_READ) {
            first_result(&mut frame)?
        } else {
            header.err.0.to_string()
        };
        if !arrivals.is_empty() {
            cell.push_str("+event");
        }
        if op == OpCode::GET_ACL && frame.windows(2).any(|bytes| bytes == b":x") {
            cell.push_str("-hash"); // It is hidden.
        }
        if ends {
            cell.push('!');
            *self = Self::connect(server, self.name, self.credentials)?;
        }
        Ok(cell)
    }

    /// Returns `event` if an event comes before the answer to a ping.
    fn hears(&mut self) -> io::Result<&'static str> {
        self.peer.send(&ping());
        let arrivals = self.peer.receive_reply()?;
        Ok(if arrivals.iter().any(Arrival::is_event) { "event" } else { "silent" })
    }
}

/// Returns the code of the first result of a multi.
fn first_result(body: &mut Bytes) -> io::Result<String> {
    let header = MultiHeader::decode(body, "header").map_err(io::Error::other)?;
    if header.op != OpCode::ERROR {
        return Ok("0".into());
    }
    let code = ErrorCode::decode(body, "code").map_err(io::Error::other)?;
    Ok(code.0.to_string())
}

/// Fills the table: first for ordinary nodes, then for those of the system.
///
/// # Errors
/// If the server can no longer be reached, or gives wrong answers to the harness's own requests. It must know
/// [`SUPER_DIGEST`].
pub fn table(server: SocketAddr) -> io::Result<String> {
    let mut admin = Role::connect(server, "super", SUPER)?;
    let mut roles = [
        Role::connect(server, "owner", OWNER)?,
        Role::connect(server, "stranger", "stranger:secret")?,
        Role::connect(server, "super", SUPER)?,
    ];
    let mut out = String::new();
    let mut nodes = Nodes::default();
    let _ = write!(out, "{:26}{:7}{:9}", "", "list of", "who");
    for (name, _) in PERMS {
        let _ = write!(out, "{name:>8}");
    }
    out.push('\n');
    for (heard, &(name, op, body)) in
        REQUESTS.iter().map(|case| (false, case)).chain(HEARD.iter().map(|case| (true, case)))
    {
        for guarded in ["node", "parent"] {
            for role in &mut roles {
                let _ = write!(out, "{name:26}{guarded:7}{:9}", role.name);
                for (_, perms) in PERMS {
                    let path = nodes.plant(&mut admin.peer, guarded, perms)?;
                    let cell = if heard {
                        role.ask(server, OpCode::ADD_WATCH, &[text(&path), Field::Int(0)])?;
                        admin.ask(server, op, &body(&path))?;
                        role.hears()?.into()
                    } else {
                        role.ask(server, op, &body(&path))?
                    };
                    let _ = write!(out, "{cell:>8}");
                }
                out.push('\n');
            }
        }
    }
    system(server, &mut roles, &mut out)?;
    Ok(out)
}

/// Fills the table for the nodes of the system, which have ACLs of their own.
fn system(server: SocketAddr, roles: &mut [Role], out: &mut String) -> io::Result<()> {
    let _ = write!(out, "\n{:26}{:18}", "", "node");
    for role in &*roles {
        let _ = write!(out, "{:>10}", role.name);
    }
    out.push('\n');
    // Changes of an ACL come last.
    let is_late = |case: &&Case| case.1 == OpCode::SET_ACL;
    let requests = REQUESTS.iter().filter(|case| !is_late(case)).chain(REQUESTS.iter().filter(is_late));
    let on_nodes = requests.flat_map(|case| SYSTEM.map(|path| (case, path)));
    for (&(name, op, body), path) in on_nodes.chain(WITHOUT_PATH.iter().map(|case| (case, "-"))) {
        let _ = write!(out, "{name:26}{path:18}");
        for role in &mut *roles {
            let place = if path == "-" { role.name } else { path.trim_end_matches('/') };
            let place = if path == "/" && !name.contains("create") { "/" } else { place };
            let cell = role.ask(server, op, &body(place))?;
            let _ = write!(out, "{cell:>10}");
        }
        out.push('\n');
    }
    Ok(())
}

/// Source of fresh nodes for each cell.
#[derive(Default)]
struct Nodes(usize);

impl Nodes {
    /// Creates a parent and its child. The guarded one gives the owner these permissions, the other one gives all to everybody.
    /// Returns the path of the child.
    fn plant(&mut self, admin: &mut Peer, guarded: &str, perms: i32) -> io::Result<String> {
        self.0 += 1;
        let parent = format!("/n{}", self.0);
        let child = format!("{parent}/n");
        for (path, name) in [(&parent, "parent"), (&child, "node")] {
            let own = Acl { perms: Perms(perms), scheme: "digest".into(), id: OWNER_ID.into() };
            let acl = Some(vec![if name == guarded { own } else { Acl::open() }]);
            let path = ByteString::from(path.as_str());
            let header = call(admin, &Create { path, data: Some(Bytes::new()), acl, flags: 0 })?;
            if header.err != ErrorCode::OK {
                return Err(odd(&header));
            }
        }
        Ok(child)
    }
}

fn odd(header: &ReplyHeader) -> io::Error {
    io::Error::other(format!("a request of the harness's own is answered with {}", header.err))
}
