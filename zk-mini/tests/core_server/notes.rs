//! Notes of the core for the log.

use bytes::Bytes;
use zk_mini::core::{ConnId, Note, Refusal};
use zk_wire::*;

use crate::driver::*;

/// Returns the reason why a connection with this first frame is refused.
fn refusal(t: &mut Driver, frame: Bytes) -> Refusal {
    let conn = t.accept();
    t.notes.clear();
    t.frame(conn, frame);
    assert!(t.is_closed(conn));
    match t.notes[..] {
        [Note::Refused { conn: noted, reason }] if noted == conn => reason,
        _ => panic!("{:?}", t.notes),
    }
}

#[test]
fn opened_resumed_and_closed_sessions_are_noted() {
    let mut t = Driver::new();
    let first = t.connect(4_000);
    let credentials = t.credentials(first);
    let session = credentials.id;
    let (second, _) = t.resume(&credentials, 6_000);
    t.raw(second, OpCode::CLOSE_SESSION, b"");
    let conn_of = |note: &Note| note.conn();
    assert_eq!(t.notes.iter().map(conn_of).collect::<Vec<ConnId>>(), [first, second, second]);
    assert_eq!(
        t.notes,
        [
            Note::Opened { conn: first, session, timeout: Millis(4_000) },
            Note::Resumed { conn: second, session, timeout: Millis(6_000) },
            Note::Closed { conn: second, session },
        ]
    );
}

#[test]
fn each_refusal_has_its_reason() {
    let mut t = Driver::new();
    let conn = t.connect(4_000);
    let session = t.session(conn);
    let gone = SessionId(7);
    let last = t.core.last_zxid();
    let seen = Zxid(last.0 + 1);
    let request = || connect_request(4_000);
    assert_eq!(refusal(&mut t, Bytes::from_static(b"\0\0\0")), Refusal::Unreadable);
    let future = ConnectRequest { last_zxid_seen: seen, ..request() };
    assert_eq!(refusal(&mut t, encode(&future)), Refusal::SeenMore { seen, last });
    let wrong = ConnectRequest { session_id: session, ..request() };
    assert_eq!(refusal(&mut t, encode(&wrong)), Refusal::WrongPassword(session));
    let unknown = ConnectRequest { session_id: gone, ..request() };
    assert_eq!(refusal(&mut t, encode(&unknown)), Refusal::NoSuchSession(gone));
}
