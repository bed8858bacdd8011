//! The core's operations without I/O, on a nearly empty server and on a full one.
#![forbid(unsafe_code)]

mod served;

use std::hint::black_box;

use bytes::{BufMut, Bytes, BytesMut};
use zk_mini::core::{Config, ConnId, Core, Input, Now, Output, Peer};
use zk_wire::{
    Acl, ConnectRequest, Create, CreateMode, Delete, Encode, Exists, Expected, FrameWriter, GetChildren,
    GetData, Multi, MultiOp, Request, RequestHeader, SessionId, SetData, Zxid,
};

pub use served::{Batch, DEPTH, Served, open_session};

/// Contents of a full server.
const NODES: usize = 1_000_000;
const SESSIONS: usize = 10_000;
const WATCHES_OF_EACH: usize = 10;

/// A core with one session that sends requests.
pub struct Server {
    core: Core,
    conn: ConnId,
    conns: u64,
}

/// A repeatable operation: requests after which the state is as before.
pub struct Operation {
    pub name: &'static str,
    pub requests: Vec<Bytes>,
}

impl Server {
    /// Makes a server with two nodes, one of which has 1,000 children.
    pub fn small() -> Self {
        Self::with_history(0)
    }

    /// Makes a small server whose history has so many entries.
    pub fn with_history(history: usize) -> Self {
        let mut server = Self {
            core: Core::new(Config { transactions: false, history, ..Config::default() }),
            conn: ConnId(0),
            conns: 0,
        };
        server.conn = server.connect();
        server.ask(&create("/node", CreateMode::Persistent));
        server.ask(&create("/many", CreateMode::Persistent));
        for number in 0..1_000 {
            server.ask(&create(&format!("/many/child-{number}"), CreateMode::Persistent));
        }
        server
    }

    /// Makes a server with a million nodes, ten thousand sessions and a hundred thousand watches more.
    pub fn full() -> Self {
        let mut server = Self::small();
        for number in 0..NODES / 1_000 {
            server.ask(&create(&format!("/{number}"), CreateMode::Persistent));
            for below in 0..1_000 {
                server.ask(&create(&format!("/{number}/{below}"), CreateMode::Persistent));
            }
        }
        let asking = server.conn;
        for session in 0..SESSIONS {
            server.conn = server.connect();
            for watch in 0..WATCHES_OF_EACH {
                let path = format!("/{}/{}", session % 1_000, 10 * (session / 1_000) + watch);
                server.ask(&request(&GetData { path: path.as_str().into(), watch: true }));
            }
        }
        server.conn = asking;
        server
    }

    /// Hands in the requests of an operation, and drains the outputs.
    #[inline(never)]
    pub fn run(&mut self, operation: &Operation) {
        for request in &operation.requests {
            self.ask(request);
        }
    }

    fn ask(&mut self, frame: &Bytes) {
        self.core.handle_frame(Now::default(), self.conn, frame);
        loop {
            while let Some(frame) = self.core.poll_frame() {
                black_box(frame);
            }
            match self.core.poll_output() {
                Some(output) => drop(black_box::<Output>(output)),
                None => break,
            }
        }
    }

    fn connect(&mut self) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.core.handle(Now::default(), Input::Accepted { conn, peer: Peer::LOCAL, listener: None });
        let before = std::mem::replace(&mut self.conn, conn);
        self.ask(&handshake().slice(4..));
        self.conn = before;
        conn
    }
}

/// All measured operations.
pub fn operations() -> Vec<Operation> {
    let set_data = SetData {
        path: Some("/node".into()),
        data: Some(Bytes::from_static(&[7; 100])),
        version: Expected::Any,
    };
    let get_data = |watch| request(&GetData { path: "/node".into(), watch });
    let delete = |path: &str| request(&Delete { path: path.into(), version: Expected::Any });
    vec![
        Operation { name: "getData", requests: vec![get_data(false)] },
        Operation { name: "setData 100 B", requests: vec![request(&set_data)] },
        Operation {
            name: "create, delete",
            requests: vec![create("/new", CreateMode::Ephemeral), delete("/new")],
        },
        // Twice a create and a delete: its numbers begin anew with its parent.
        Operation {
            name: "sequence node, delete, in a new node",
            requests: vec![
                create("/new", CreateMode::Persistent),
                create("/new/s", CreateMode::EphemeralSequential),
                delete("/new/s0000000000"),
                delete("/new"),
            ],
        },
        Operation {
            name: "getChildren 1,000",
            requests: vec![request(&GetChildren { path: "/many".into(), watch: false })],
        },
        Operation { name: "watch, setData", requests: vec![get_data(true), request(&set_data)] },
        Operation { name: "multi of 10", requests: vec![multi()] },
    ]
}

/// Encodes a multi that sets the data of a node ten times.
pub fn multi() -> Bytes {
    let set_data = SetData {
        path: Some("/node".into()),
        data: Some(Bytes::from_static(&[7; 100])),
        version: Expected::Any,
    };
    request(&Multi { ops: vec![MultiOp::SetData(set_data); 10] })
}

/// Encodes a create as it comes from the wire.
pub fn create(path: &str, mode: CreateMode) -> Bytes {
    let data = Some(Bytes::from_static(&[7; 100]));
    request(&Create { path: path.into(), data, acl: Some(vec![Acl::open()]), flags: mode.flags() })
}

/// Encodes an exists with its length.
pub fn exists(path: &str) -> Bytes {
    let mut out = BytesMut::new();
    let mut frame = FrameWriter::new(&mut out);
    frame.put(&RequestHeader { xid: served::XID, op: Exists::OP });
    frame.put(&Exists { path: path.into(), watch: false });
    drop(frame);
    out.freeze()
}

/// Appends a frame with its length.
fn with_length(frame: &Bytes, out: &mut BytesMut) {
    out.put_u32(u32::try_from(frame.len()).expect("a short frame"));
    out.put_slice(frame);
}

fn request<R: Request>(body: &R) -> Bytes {
    let mut out = BytesMut::new();
    RequestHeader { xid: served::XID, op: R::OP }.encode(&mut out);
    body.encode(&mut out);
    out.freeze()
}

/// Encodes the first frame of a connection, with its length.
pub fn handshake() -> Bytes {
    let mut out = BytesMut::new();
    FrameWriter::new(&mut out).put(&ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid(0),
        timeout: 40_000,
        session_id: SessionId::NONE,
        password: None,
        read_only: Some(false),
    });
    out.freeze()
}
