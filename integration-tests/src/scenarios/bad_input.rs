//! Input that no honest client sends: answered or closed as ZooKeeper does, and nobody else is disturbed.

use std::net::SocketAddr;

use crate::raw::{RawClient, Reply, buffer, frame, op, path_and_watch};

/// ZooKeeper's default `jute.maxbuffer`: the longest frame that it accepts.
const MAX_FRAME: usize = 0xf_ffff;

const MARSHALLING_ERROR: i32 = -5;
const UNIMPLEMENTED: i32 = -6;

/// All of this module on one server, with a bystander who must not notice.
///
/// # Panics
/// When something is answered otherwise.
pub fn bad_input_hurts_only_who_sends_it(server: SocketAddr) {
    let mut bystander = RawClient::with_session(server);
    let scenarios = [
        lengths_out_of_range_close_the_connection,
        the_longest_frame_is_accepted,
        a_frame_that_never_ends_closes_with_its_sender,
        garbage_before_the_handshake_closes_the_connection,
        garbage_records_are_answered,
        unknown_operations_are_answered_and_closed,
    ];
    for scenario in scenarios {
        scenario(server);
        bystander.assert_in_order();
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
    body.resize(MAX_FRAME - 8, 0); // what follows a record is ignored
    client.request(1, op::EXISTS, &body);
    let reply = client.reply().expect("an answer");
    assert_eq!((reply.xid, reply.error), (1, 0));
    client.assert_in_order();
}

fn a_frame_that_never_ends_closes_with_its_sender(server: SocketAddr) {
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
        b"GET / HTTP/1.1\r\n\r\n",
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
    // A write whose data claims more than there is.
    client.request(9, op::SET_DATA, &[&buffer(b"/")[..], &i32::MAX.to_be_bytes()].concat());
    assert_eq!(client.reply().map(|reply| (reply.xid, reply.error)), Some((9, MARSHALLING_ERROR)));
    client.assert_in_order();
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
