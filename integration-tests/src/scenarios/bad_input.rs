//! Input that no correct client sends: the server answers or closes the connection as ZooKeeper does, and other clients notice
//! nothing.

use std::net::SocketAddr;

use crate::raw::{RawClient, Reply, buffer, frame, op, path_and_watch};

/// Longest frame that ZooKeeper accepts by default (`jute.maxbuffer`).
const MAX_FRAME: usize = 0xf_ffff;

const MARSHALLING_ERROR: i32 = -5;
const UNIMPLEMENTED: i32 = -6;

/// Runs every case of this module on one server. Another client is connected all the time and must not be disturbed.
///
/// # Panics
/// If an answer differs.
pub fn bad_input_disturbs_no_other_client(server: SocketAddr) {
    let mut bystander = RawClient::with_session(server);
    let scenarios = [
        lengths_out_of_range_close_the_connection,
        the_longest_frame_is_accepted,
        an_unfinished_frame_ends_with_the_connection,
        garbage_before_the_handshake_closes_the_connection,
        garbage_records_are_answered,
        unknown_operations_are_answered_and_closed,
    ];
    for scenario in scenarios {
        scenario(server);
        bystander.assert_works();
    }
}

fn lengths_out_of_range_close_the_connection(server: SocketAddr) {
    for length in [i32::MIN, -2, -1, 0, 1, 7, 0x10_0000, i32::MAX] {
        let mut client = RawClient::with_session(server);
        client.send(&length.to_be_bytes());
        client.send(&[0; 7][..usize::try_from(length).unwrap_or(0).min(7)]);
        assert_eq!(client.receive(), None, "length {length}");
    }
}

fn the_longest_frame_is_accepted(server: SocketAddr) {
    let mut client = RawClient::with_session(server);
    let mut body = path_and_watch("/");
    body.resize(MAX_FRAME - 8, 0); // bytes after a record are ignored
    client.request(1, op::EXISTS, &body);
    let reply = client.reply().expect("an answer");
    assert_eq!((reply.xid, reply.error), (1, 0));
    client.assert_works();
}

fn an_unfinished_frame_ends_with_the_connection(server: SocketAddr) {
    let mut client = RawClient::with_session(server);
    client.send(&100_i32.to_be_bytes());
    client.send(&[0; 10]);
    client.half_close();
    assert_eq!(client.receive(), None);
}

fn garbage_before_the_handshake_closes_the_connection(server: SocketAddr) {
    let request =
        frame(&[&1_i32.to_be_bytes()[..], &op::EXISTS.to_be_bytes(), &path_and_watch("/")].concat());
    let first_bytes: [&[u8]; 5] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", // TLS
        &(-1_i32).to_be_bytes(),
        &frame(&[0xff; 20]),
        &request,
    ];
    for bytes in first_bytes {
        let mut client = RawClient::connect(server);
        client.send(bytes);
        assert_eq!(client.receive(), None, "{bytes:?}");
    }
}

fn garbage_records_are_answered(server: SocketAddr) {
    let bodies: [(&str, &[u8]); 6] = [
        ("nothing", &[]),
        ("a string longer than the frame", &[0x7f, 0xff, 0xff, 0xff, b'/']),
        ("a string of 100 bytes that has 1", &[0, 0, 0, 100, b'/']),
        ("a negative length", &[0xff, 0xff, 0xff, 0xfe, b'/']),
        ("a string cut short", &[0, 0]),
        ("a path without its flag", &buffer(b"/")),
    ];
    let mut client = RawClient::with_session(server);
    for (xid, (what, body)) in (1..).zip(bodies) {
        client.request(xid, op::GET_DATA, body);
        let reply = client.reply().expect("an answer");
        assert_eq!((reply.xid, reply.error, reply.body), (xid, MARSHALLING_ERROR, vec![]), "{what}");
    }
    // A write whose data claims to be longer than the frame.
    client.request(9, op::SET_DATA, &[&buffer(b"/")[..], &i32::MAX.to_be_bytes()].concat());
    assert_eq!(client.reply().map(|reply| (reply.xid, reply.error)), Some((9, MARSHALLING_ERROR)));
    client.assert_works();
}

fn unknown_operations_are_answered_and_closed(server: SocketAddr) {
    for unknown in [-99, -1, 0, 10, 9_999, i32::MAX] {
        let mut client = RawClient::with_session(server);
        client.request(5, unknown, &[]);
        let refusal = Reply { xid: 5, zxid: -1, error: UNIMPLEMENTED, body: vec![] };
        assert_eq!(client.reply(), Some(refusal), "operation {unknown}");
        assert_eq!(client.receive(), None, "operation {unknown}");
    }
}
