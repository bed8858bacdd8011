//! Bad input on one connection does not disturb others.

use zk_mini::ZkMini;

use crate::raw::{GET_DATA, PING, Raw, create, eventually, frame, get_data, request};

/// A server with a well-behaved client that must not be disturbed.
struct Bystander {
    zk: ZkMini,
    client: Raw,
}

impl Bystander {
    async fn new() -> Self {
        let zk = ZkMini::start().await.unwrap();
        let mut client = Raw::tcp(&zk).await;
        client.open_session(30_000).await;
        assert_eq!(client.create("/kept", 0).await.err, 0);
        Self { zk, client }
    }

    /// Sends bytes as the first ones of a connection, and returns the server's bytes until it closes the connection.
    async fn closes_after(&self, bytes: &[u8]) -> Vec<u8> {
        let mut raw = Raw::tcp(&self.zk).await;
        raw.write(bytes).await;
        raw.rest().await
    }

    async fn with_session(&self) -> Raw {
        let mut raw = Raw::tcp(&self.zk).await;
        raw.open_session(30_000).await;
        raw
    }

    /// Checks that the client is answered, and that no other connection is left.
    async fn assert_undisturbed(mut self) {
        assert_eq!(self.client.request(9, GET_DATA, &get_data("/kept", false)).await.err, 0);
        eventually("the bad connections are gone", || self.zk.connections().len() == 1).await;
    }
}

#[tokio::test]
async fn impossible_lengths_close_the_connection_silently() {
    let bystander = Bystander::new().await;
    for length in [-1_i32, i32::MIN, i32::MAX, 0x10_0000] {
        assert_eq!(bystander.closes_after(&length.to_be_bytes()).await, b"", "{length} at the start");
        let mut raw = bystander.with_session().await;
        raw.write(&length.to_be_bytes()).await;
        assert_eq!(raw.rest().await, b"", "{length} in a session");
    }
    bystander.assert_undisturbed().await;
}

#[tokio::test]
async fn requests_before_a_bad_length_are_still_answered() {
    let bystander = Bystander::new().await;
    let mut raw = bystander.with_session().await;
    raw.write(&[&frame(&request(5, GET_DATA, &get_data("/kept", false)))[..], &[0xff; 4]].concat()).await;
    assert_eq!(raw.reply().await.xid, 5);
    assert_eq!(raw.receive().await, None);
    bystander.assert_undisturbed().await;
}

#[tokio::test]
async fn frames_without_a_whole_header_close_the_connection_silently() {
    let bystander = Bystander::new().await;
    for length in 0..8 {
        assert_eq!(bystander.closes_after(&frame(&vec![0; length])).await, b"", "{length} at the start");
        let mut raw = bystander.with_session().await;
        raw.send(&vec![0; length]).await;
        assert_eq!(raw.rest().await, b"", "{length} in a session");
    }
    bystander.assert_undisturbed().await;
}

#[tokio::test]
async fn a_frame_of_the_maximum_length_is_accepted_and_a_longer_one_is_not() {
    const MAX: usize = 0xf_ffff;
    let bystander = Bystander::new().await;
    let mut raw = bystander.with_session().await;
    let mut ping = request(-2, PING, &[]);
    ping.resize(MAX, 0);
    raw.send(&ping).await;
    assert_eq!(raw.reply().await.xid, -2);
    raw.write(&u32::try_from(MAX + 1).unwrap().to_be_bytes()).await;
    assert_eq!(raw.receive().await, None);
    bystander.assert_undisturbed().await;
}

#[tokio::test]
async fn garbage_or_a_request_before_the_handshake_closes_the_connection() {
    let bystander = Bystander::new().await;
    assert_eq!(bystander.closes_after(b"GET / HTTP/1.1\r\nHost: zk\r\n\r\n").await, b"");
    bystander.closes_after(&frame(&request(1, 1, &create("/early", 0)))).await;
    assert!(bystander.zk.get("/early").is_none());
    bystander.assert_undisturbed().await;
}

#[tokio::test]
async fn an_unknown_op_code_gets_an_error_and_closes_the_connection() {
    let bystander = Bystander::new().await;
    let mut raw = bystander.with_session().await;
    raw.write(&[frame(&request(5, 4711, b"?")), frame(&request(-2, PING, &[]))].concat()).await;
    let reply = raw.reply().await;
    assert_eq!((reply.xid, reply.zxid, reply.err), (5, -1, -6));
    assert_eq!(raw.receive().await, None, "further requests are not answered");
    bystander.assert_undisturbed().await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_gets_an_error_and_the_connection_stays() {
    let bystander = Bystander::new().await;
    let mut raw = bystander.with_session().await;
    assert_eq!(raw.request(5, GET_DATA, &[0x7f, 0xff, 0xff, 0xff]).await.err, -5);
    assert_eq!(raw.request(6, GET_DATA, &get_data("/kept", false)).await.err, 0);
    drop(raw);
    bystander.assert_undisturbed().await;
}

#[tokio::test]
async fn connections_that_end_inside_a_frame_leave_nothing() {
    let bystander = Bystander::new().await;
    let whole = frame(&request(5, 1, &create("/half", 0)));
    for cut in [1, 3, 4, 9, whole.len() - 1] {
        let mut raw = bystander.with_session().await;
        raw.write(&whole[..cut]).await;
        drop(raw);
    }
    eventually("they are gone", || bystander.zk.connections().len() == 1).await;
    assert!(bystander.zk.get("/half").is_none());
    bystander.assert_undisturbed().await;
}
