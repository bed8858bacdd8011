//! Requests of the closed loops.

use std::io;

use crate::codec::{self, Frame};
use crate::session::Session;

/// A kind of load.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    encode: fn(&mut Vec<u8>, &Place, u32),
    /// Number of children of the session's own node.
    children: usize,
}

/// Node that a session works on.
pub struct Place {
    own: String,
}

pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "ping",
        encode: |out, _, n| Frame::request(out, xid(n), codec::PING).end(),
        children: 0,
    },
    Workload { name: "exists", encode: |out, place, n| read(out, place, n, codec::EXISTS), children: 0 },
    Workload { name: "getData", encode: |out, place, n| read(out, place, n, codec::GET_DATA), children: 0 },
    Workload { name: "setData-100", encode: set_data, children: 0 },
    Workload { name: "create+delete", encode: create_and_delete, children: 0 },
    Workload { name: "sequence", encode: create_sequential, children: 0 },
    Workload {
        name: "getChildren-10",
        encode: |out, place, n| read(out, place, n, codec::GET_CHILDREN),
        children: 10,
    },
    Workload {
        name: "getChildren-1000",
        encode: |out, place, n| read(out, place, n, codec::GET_CHILDREN),
        children: 1000,
    },
    Workload { name: "multi-10", encode: multi, children: 0 },
    Workload { name: "watch re-arm", encode: watch_and_set, children: 0 },
];

impl Workload {
    /// Creates the node that a session works on, in a place that no earlier run has used.
    pub async fn prepare(&self, session: &mut Session, run: &str, number: usize) -> io::Result<Place> {
        let own = format!("/bench-{run}-{number}");
        session.call(|out| create(out, &own, codec::PERSISTENT)).await?;
        for child in 0..self.children {
            session.call(|out| create(out, &format!("{own}/child-{child:06}"), codec::EPHEMERAL)).await?;
        }
        Ok(Place { own })
    }

    /// Appends the session's n-th request.
    pub fn encode(&self, out: &mut Vec<u8>, place: &Place, n: u32) {
        (self.encode)(out, place, n);
    }
}

fn xid(n: u32) -> i32 {
    i32::try_from(n & 0x7fff_ffff).expect("31 bits")
}

fn create(out: &mut Vec<u8>, path: &str, flags: i32) {
    Frame::request(out, 0, codec::CREATE).create(path, DATA, flags);
}

fn read(out: &mut Vec<u8>, place: &Place, n: u32, op: i32) {
    Frame::request(out, xid(n), op).bytes(place.own.as_bytes()).bool(false);
}

fn set_data(out: &mut Vec<u8>, place: &Place, n: u32) {
    Frame::request(out, xid(n), codec::SET_DATA).set_data(&place.own, DATA);
}

fn create_and_delete(out: &mut Vec<u8>, place: &Place, n: u32) {
    let path = format!("{}/e{}", place.own, n / 2);
    if n.is_multiple_of(2) {
        Frame::request(out, xid(n), codec::CREATE).create(&path, DATA, codec::EPHEMERAL);
    } else {
        Frame::request(out, xid(n), codec::DELETE).bytes(path.as_bytes()).int(-1);
    }
}

fn create_sequential(out: &mut Vec<u8>, place: &Place, n: u32) {
    let path = format!("{}/s", place.own);
    Frame::request(out, xid(n), codec::CREATE).create(&path, DATA, codec::EPHEMERAL_SEQUENTIAL);
}

fn multi(out: &mut Vec<u8>, place: &Place, n: u32) {
    let mut frame = Frame::request(out, xid(n), codec::MULTI);
    for _ in 0..10 {
        frame = frame.multi_header(codec::SET_DATA, false).set_data(&place.own, DATA);
    }
    frame.multi_header(-1, true);
}

fn watch_and_set(out: &mut Vec<u8>, place: &Place, n: u32) {
    if n.is_multiple_of(2) {
        Frame::request(out, xid(n), codec::GET_DATA).bytes(place.own.as_bytes()).bool(true);
    } else {
        set_data(out, place, n);
    }
}

const DATA: &[u8] = &[b'x'; 100];
