//! Golden frames: exchanges recorded from Apache ZooKeeper, one file each. Each frame is read by the record that its
//! op code names, and written again to the same bytes. `ci/differential --record` records them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use zk_wire::*;

/// Kind of a recorded frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    ConnectRequest,
    ConnectResponse,
    Request(Reads),
    /// Reply or event.
    Reply,
}

/// Result of reading a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reads {
    /// Read, and written again to the same bytes.
    Exactly,
    /// Read, but written differently: the server accepts requests that no client writes.
    Leniently,
    Not,
}

#[test]
fn recorded_frames_are_read_and_written_again_to_the_same_bytes() {
    let mut answered = BTreeSet::new();
    for path in recordings() {
        let mut asked = None;
        for (kind, frame) in frames(&path) {
            let at = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match kind {
                Kind::ConnectRequest => exactly::<ConnectRequest>(&at, &frame),
                Kind::ConnectResponse => exactly::<ConnectResponse>(&at, &frame),
                Kind::Request(reads) => asked = Some(request(&at, &frame, reads)),
                Kind::Reply => {
                    let op = asked.unwrap_or_else(|| panic!("{at}: a reply before the request"));
                    if reply(&at, &frame, op) {
                        answered.insert(op);
                    }
                }
            }
        }
    }
    let missing: Vec<_> = SUCCEEDING.iter().filter(|op| !answered.contains(*op)).collect();
    assert!(missing.is_empty(), "no recording of a successful {missing:?}");
}

/// Functions that read the frames of one operation.
struct Record {
    read: fn(&Bytes) -> Reads,
    response: fn(&str, &Bytes),
}

fn record_of(op: OpCode) -> Option<Record> {
    macro_rules! records {
        ($($request:ty),*) => {
            match op {
                $(op if op == <$request>::OP => {
                    Some(Record { read: read::<$request>, response: exactly::<<$request as Request>::Response> })
                })*
                _ => None,
            }
        };
    }
    records!(
        Create,
        Create2,
        CreateContainer,
        CreateTtl,
        Delete,
        DeleteContainer,
        Exists,
        GetData,
        SetData,
        GetAcl,
        SetAcl,
        GetChildren,
        GetChildren2,
        GetAllChildrenNumber,
        GetEphemerals,
        Sync,
        Check,
        Multi,
        MultiRead,
        Reconfig,
        SetWatches,
        SetWatches2,
        AddWatch,
        CheckWatches,
        RemoveWatches,
        Auth,
        Sasl,
        WhoAmI,
        Ping,
        CloseSession
    )
}

/// Operations that succeed, with an answer, on a server with default settings.
const SUCCEEDING: &[OpCode] = &[
    OpCode::CREATE,
    OpCode::CREATE2,
    OpCode::CREATE_CONTAINER,
    OpCode::DELETE,
    OpCode::EXISTS,
    OpCode::GET_DATA,
    OpCode::SET_DATA,
    OpCode::GET_ACL,
    OpCode::SET_ACL,
    OpCode::GET_CHILDREN,
    OpCode::GET_CHILDREN2,
    OpCode::GET_ALL_CHILDREN_NUMBER,
    OpCode::GET_EPHEMERALS,
    OpCode::SYNC,
    OpCode::MULTI,
    OpCode::MULTI_READ,
    OpCode::SET_WATCHES,
    OpCode::SET_WATCHES2,
    OpCode::ADD_WATCH,
    OpCode::CHECK_WATCHES,
    OpCode::REMOVE_WATCHES,
    OpCode::AUTH,
    OpCode::SASL,
    OpCode::WHO_AM_I,
    OpCode::PING,
    OpCode::CLOSE_SESSION,
];

/// Checks a request and returns its op code.
fn request(at: &str, frame: &Bytes, reads: Reads) -> OpCode {
    let mut body = frame.clone();
    let header = RequestHeader::decode(&mut body, "header").unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(encoded(&header)[..], frame[..8], "{at}: header");
    match record_of(header.op) {
        Some(record) => assert_eq!((record.read)(&body), reads, "{at}: the {} reads otherwise", header.op),
        None => assert_eq!(header.op.name(), None, "{at}: a known operation without a record"),
    }
    header.op
}

fn read<R: Request>(body: &Bytes) -> Reads {
    match R::decode(&mut body.clone(), "request") {
        Err(_) => Reads::Not,
        Ok(record) if encoded(&record) == *body => Reads::Exactly,
        Ok(_) => Reads::Leniently,
    }
}

/// Checks a reply or an event; returns `true` for a successful reply.
fn reply(at: &str, frame: &Bytes, op: OpCode) -> bool {
    let mut body = frame.clone();
    let header = ReplyHeader::decode(&mut body, "header").unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(encoded(&header)[..], frame[..16], "{at}: header");
    if header.xid == Xid::NOTIFICATION {
        exactly::<WatchedEvent>(at, &body);
        return false;
    }
    if header.err != ErrorCode::OK && body.is_empty() {
        return false;
    }
    // A multi that failed while it was read carries the results before the failure.
    assert!(header.err == ErrorCode::OK || op == OpCode::MULTI, "{at}: an error with a body");
    let record = record_of(op).unwrap_or_else(|| panic!("{at}: a body in reply to {op}"));
    (record.response)(at, &body);
    header.err == ErrorCode::OK
}

fn exactly<T: Encode + Decode>(at: &str, frame: &Bytes) {
    match decode_all::<T>(frame.clone()) {
        Ok(record) => assert_eq!(encoded(&record), *frame, "{at}: {}", std::any::type_name::<T>()),
        Err(error) => panic!("{at}: {}: {error}", std::any::type_name::<T>()),
    }
}

fn encoded<T: Encode>(value: &T) -> BytesMut {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    out
}

fn recordings() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> =
        fs::read_dir(&dir).expect("the recordings").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    assert!(paths.len() > 50, "{}: recordings are missing", dir.display());
    paths
}

/// Returns the frames of a file: each has a line with its kind, then lines of hexadecimal digits and, after a `|`, of
/// text.
fn frames(path: &Path) -> Vec<(Kind, Bytes)> {
    let mut frames: Vec<(Kind, Vec<u8>)> = Vec::new();
    for line in fs::read_to_string(path).expect("a recording").lines().filter(|line| !line.starts_with('#')) {
        if let Some(bytes) = line.strip_prefix("  ") {
            let digits: String = bytes.chars().take_while(|c| *c != '|').filter(|c| *c != ' ').collect();
            let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
            frames
                .last_mut()
                .expect("a kind before the bytes")
                .1
                .extend((0..digits.len()).step_by(2).map(byte));
            continue;
        }
        let kind = match line {
            "connect request" => Kind::ConnectRequest,
            "connect response" => Kind::ConnectResponse,
            "request" => Kind::Request(Reads::Exactly),
            "request lenient" => Kind::Request(Reads::Leniently),
            "request malformed" => Kind::Request(Reads::Not),
            "reply" | "event" => Kind::Reply,
            _ => panic!("{}: what is {line:?}?", path.display()),
        };
        frames.push((kind, Vec::new()));
    }
    frames.into_iter().map(|(kind, bytes)| (kind, bytes.into())).collect()
}
