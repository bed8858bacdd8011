//! The public codec: round trips, hostile bytes, limits, and the example of `PROTOCOL.md`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rpc_wire::{
    Ahead, Budget, CallId, Code, Credit, DEFAULT_MAX_FRAME, DecodeError, EncodeError, Format, Frame, GoAway,
    Hello, Message, Metadata, MetadataRef, Reply, ReplyWriter, Request, look_ahead, next_message,
    split_frame, split_messages,
};

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(&mut out, DEFAULT_MAX_FRAME).unwrap();
    out
}

fn round_trip(frame: &Frame<'_>) {
    let bytes = encoded(frame);
    let (body, rest) = split_frame(&bytes, DEFAULT_MAX_FRAME).unwrap().unwrap();
    assert!(rest.is_empty());
    assert_eq!(&Frame::decode(body).unwrap(), frame);
    for cut in 0..bytes.len() {
        assert_eq!(split_frame(&bytes[..cut], DEFAULT_MAX_FRAME), Ok(None));
    }
}

proptest! {
    #[test]
    fn decode_undoes_encode(
        id in any::<u64>(),
        (version, format, max_frame, flag) in any::<(u16, u8, u32, bool)>(),
        budget in any::<(u32, u32, u32)>(),
        entries in vec(("[a-z0-9._-]{1,20}", vec(any::<u8>(), 0..20)), 0..4),
        details in ".{0,40}",
        (service, instance, message) in ("[a-z/]{0,60}", "\\PC{0,60}", ".{0,80}"),
        millis in proptest::option::of(0..u32::MAX),
        code in 1..=u8::MAX,
        kind in 0x80..=u8::MAX,
        payload in vec(any::<u8>(), 0..100),
    ) {
        let id = CallId(id);
        let (stream, connection, calls) = budget;
        let budget = (version >= 2).then_some(Budget { stream, connection, calls });
        let format = Format(format);
        let hello = Hello { version, format, max_frame, service: &service, instance: &instance, budget };
        let mut metadata = Metadata::new();
        for (name, value) in &entries {
            metadata.push(name, value).unwrap();
        }
        let metadata = metadata.as_ref();
        let time_left = millis.map(|millis| Duration::from_millis(millis.into()));
        for frame in [
            Frame::Hello(hello),
            Frame::GoAway(GoAway { last: id, code: Code(code), message: &message }),
            Frame::Ping(id.0),
            Frame::Pong(id.0),
            Frame::Request(Request {
                id,
                method: &service,
                time_left,
                metadata,
                more: flag,
                stream: !flag,
                payload: &payload,
            }),
            Frame::Message(Message { id, payload: &payload }),
            Frame::End(id),
            Frame::Credit(Credit { id, bytes: max_frame }),
            Frame::Reply(Reply::Ok { id, metadata, payload: &payload }),
            Frame::Reply(Reply::ok(id, &payload)),
            Frame::Reply(Reply::Failed {
                id,
                code: Code(code),
                message: &message,
                details: &details,
                metadata,
                not_run: flag,
            }),
            Frame::Cancel(id),
            Frame::Unknown(kind),
        ] {
            round_trip(&frame);
        }
    }

    #[test]
    fn decode_never_panics_and_accepted_frames_encode_again(
        kind in prop_oneof![1..0x16_u8, any::<u8>()],
        tail in vec(any::<u8>(), 0..64),
    ) {
        let mut body = vec![kind];
        body.extend(tail);
        if let Ok(frame) = Frame::decode(&body) {
            let bytes = encoded(&frame);
            prop_assert_eq!(Frame::decode(&bytes[4..]).unwrap(), frame);
        }
    }

    #[test]
    fn splitting_any_bytes_stays_within_them(bytes in vec(any::<u8>(), 0..64), max in 0..64_usize) {
        if let Ok(Some((body, rest))) = split_frame(&bytes, max) {
            prop_assert!(body.len() <= max);
            prop_assert_eq!(4 + body.len() + rest.len(), bytes.len());
        }
    }
}

/// Splits messages off one by one, as long as they are of the first one's call and the bound allows.
fn run_of_messages(buf: &[u8], max: usize, most: usize) -> Vec<(CallId, &[u8])> {
    let (mut run, mut rest) = (Vec::<(CallId, &[u8])>::new(), buf);
    while buf.len() - rest.len() < most
        && let Ok(Some((body, behind))) = split_frame(rest, max)
        && let Ok(Frame::Message(Message { id, payload })) = Frame::decode(body)
        && run.first().is_none_or(|first| first.0 == id)
    {
        run.push((id, payload));
        rest = behind;
    }
    run
}

proptest! {
    #[test]
    fn messages_are_split_off_together_as_they_are_one_by_one(
        frames in vec((0..8_u8, 0..3_u64, vec(any::<u8>(), 0..30)), 0..8),
        (broken, cut) in (proptest::option::of((0..400_usize, any::<u8>())), 0..400_usize),
        (max, most) in (0..60_usize, 1..200_usize),
    ) {
        let mut buf = Vec::new();
        for (kind, id, payload) in &frames {
            let id = CallId(*id);
            buf.extend(encoded(&match kind {
                0 => Frame::Ping(id.0),
                1 => Frame::Reply(Reply::ok(id, payload)),
                _ => Frame::Message(Message { id, payload }),
            }));
        }
        if let Some(byte) = broken.and_then(|(at, byte)| Some((buf.get_mut(at)?, byte))) {
            *byte.0 = byte.1;
        }
        buf.truncate(cut);
        let expected = run_of_messages(&buf, max, most);
        let Some((run, rest)) = split_messages(&buf, max, most) else {
            prop_assert!(expected.is_empty());
            return Ok(());
        };
        prop_assert_eq!([run.frames, rest].concat(), buf.clone());
        let (mut left, mut seen) = (run.frames, Vec::new());
        while let Some((payload, behind)) = next_message(left) {
            if behind.is_empty() {
                prop_assert_eq!(run.last, left.len());
            }
            seen.push((run.id, payload));
            left = behind;
        }
        prop_assert!(left.is_empty() && run.count == seen.len());
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn splitting_messages_off_any_bytes_stays_within_them(bytes in vec(any::<u8>(), 0..64), max in 0..64_usize) {
        let mut rest = &bytes[..];
        while let Some((_, behind)) = next_message(rest) {
            prop_assert!(behind.len() < rest.len());
            rest = behind;
        }
        if let Some((run, rest)) = split_messages(&bytes, max, usize::MAX) {
            prop_assert_eq!(run.frames.len() + rest.len(), bytes.len());
        }
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_prefix() {
    let prefix = 1001_u32.to_be_bytes();
    assert_eq!(split_frame(&prefix, 1000), Err(DecodeError::TooLong { len: 1001, max: 1000 }));
    for record in [[0x15, 3, 3, 0], [0x16, 3, 1, 2]] {
        assert_eq!(split_frame(&record, DEFAULT_MAX_FRAME), Err(DecodeError::Tls));
    }
    for other in [[0x15, 3, 5, 0], [0x17, 3, 3, 0], [0x16, 2, 0, 0]] {
        assert!(matches!(split_frame(&other, DEFAULT_MAX_FRAME), Err(DecodeError::TooLong { .. })));
    }
    assert_eq!(split_frame(&[0xff; 4], 1000), Err(DecodeError::TooLong { len: 0xffff_ffff, max: 1000 }));
}

#[test]
fn a_frame_over_the_receivers_limit_is_not_written() {
    let mut out = vec![1, 2, 3];
    let frame = Frame::Reply(Reply::ok(CallId(1), &[0; 100]));
    assert_eq!(frame.encode(&mut out, 110), Err(EncodeError::TooLong { len: 111, max: 110 }));
    assert_eq!(out, [1, 2, 3]);
    assert!(frame.encode(&mut out, 111).is_ok());
}

#[test]
fn a_failure_is_never_decoded_as_a_success() {
    let failed = Reply::failed(CallId(1), Code::OK, "no");
    let bytes = encoded(&Frame::Reply(failed));
    let Ok(Frame::Reply(Reply::Failed { code, .. })) = Frame::decode(&bytes[4..]) else {
        panic!("a failure")
    };
    assert_eq!(code, Code::UNKNOWN);
}

#[test]
fn a_look_ahead_recognises_requests_and_cancels() {
    let request = Request { method: "m", payload: b"", ..Request::new(CallId(9)) };
    assert_eq!(look_ahead(&encoded(&Frame::Request(request))[4..]), Ahead::Request(CallId(9)));
    assert_eq!(look_ahead(&encoded(&Frame::Cancel(CallId(7)))[4..]), Ahead::Cancel(CallId(7)));
    assert_eq!(look_ahead(&encoded(&Frame::Ping(7))[4..]), Ahead::Other);
    assert_eq!(look_ahead(&[0x13, 0]), Ahead::Other);
}

#[test]
fn a_dropped_reply_writer_leaves_nothing() {
    let mut out = vec![9];
    let mut writer = ReplyWriter::new(&mut out, CallId(1));
    writer.payload().extend_from_slice(b"half");
    drop(writer);
    assert_eq!(out, [9]);
}

#[test]
fn a_reply_writer_puts_metadata_before_a_payload_that_is_there() {
    let mut metadata = Metadata::new();
    metadata.push("cache", "miss").unwrap();
    let mut out = vec![9];
    let mut writer = ReplyWriter::new(&mut out, CallId(1));
    writer.payload().extend_from_slice(b"42");
    writer.set_metadata(Metadata::new().as_ref());
    writer.set_metadata(metadata.as_ref());
    writer.finish(DEFAULT_MAX_FRAME).unwrap();
    let reply = Reply::Ok { id: CallId(1), metadata: metadata.as_ref(), payload: b"42" };
    assert_eq!(Frame::decode(&out[5..]), Ok(Frame::Reply(reply)));
}

#[test]
fn a_method_name_over_255_bytes_is_an_error() {
    let method = "m".repeat(256);
    let request = Request { method: &method, payload: b"", ..Request::new(CallId(1)) };
    let error = Frame::Request(request).encode(&mut Vec::new(), DEFAULT_MAX_FRAME).unwrap_err();
    assert_eq!(error, EncodeError::FieldTooLong { what: "method", len: 256, max: 255 });
}

#[test]
fn unknown_kinds_are_skippable_from_128_on() {
    let body = |kind| [&[kind][..], &[0; 9], b"whatever"].concat();
    assert_eq!(Frame::decode(&body(0x80)), Ok(Frame::Unknown(0x80)));
    assert_eq!(Frame::decode(&body(0x7f)), Err(DecodeError::UnknownKind(0x7f)));
}

#[test]
fn an_http_request_is_not_a_hello() {
    assert!(matches!(
        split_frame(b"GET / HTTP/1.1\r\n", DEFAULT_MAX_FRAME),
        Err(DecodeError::TooLong { .. })
    ));
    let not_ours = [&[1, 0][..], &[0; 8], b"HTTP/1.1"].concat();
    assert_eq!(Frame::decode(&not_ours), Err(DecodeError::BadMagic));
}

#[test]
fn a_hello_of_a_newer_version_may_have_further_fields() {
    let hello = Hello {
        version: 2,
        format: Format::JSON,
        max_frame: 1 << 20,
        service: "s",
        instance: "i",
        budget: Some(Budget::default()),
    };
    let mut bytes = encoded(&Frame::Hello(hello));
    bytes.extend_from_slice(b"more");
    assert_eq!(Frame::decode(&bytes[4..]), Ok(Frame::Hello(hello)));
}

#[test]
fn the_examples_in_the_protocol_document_match_the_codec() {
    let mut metadata = Metadata::new();
    metadata.push("tenant", "blue").unwrap();
    let message = |id, payload| Frame::Message(Message { id: CallId(id), payload });
    let frames = [
        Frame::Hello(Hello {
            version: 2,
            format: Format::JSON,
            max_frame: 4 << 20,
            service: "demo",
            instance: "",
            budget: Some(Budget { stream: 256 << 10, connection: 4 << 20, calls: 32 << 20 }),
        }),
        Frame::Hello(Hello {
            version: 2,
            format: Format::JSON,
            max_frame: 4 << 20,
            service: "demo",
            instance: "4711-a1",
            budget: Some(Budget { stream: 256 << 10, connection: 4 << 20, calls: 64 << 20 }),
        }),
        Frame::Request(Request {
            method: "ping",
            time_left: Some(Duration::from_millis(1500)),
            payload: br#"{"n":7}"#,
            ..Request::new(CallId(1))
        }),
        Frame::Reply(Reply::ok(CallId(1), br#"{"n":7}"#)),
        Frame::Request(Request {
            method: "count",
            metadata: metadata.as_ref(),
            stream: true,
            payload: b"3",
            ..Request::new(CallId(2))
        }),
        message(2, b"1"),
        message(2, b"2"),
        Frame::Credit(Credit { id: CallId(2), bytes: 30 }),
        Frame::Reply(Reply::Failed {
            id: CallId(2),
            code: Code::OUT_OF_RANGE,
            message: "too far",
            details: r#"{"most":2}"#,
            metadata: MetadataRef::default(),
            not_run: false,
        }),
        Frame::Request(Request {
            method: "sum",
            time_left: Some(Duration::from_millis(1500)),
            more: true,
            ..Request::new(CallId(3))
        }),
        message(3, b"7"),
        Frame::End(CallId(3)),
        Frame::Reply(Reply::ok(CallId(3), b"7")),
    ];
    let ours: Vec<String> = frames
        .iter()
        .map(|frame| encoded(frame).iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    assert_eq!(documented(), ours);
}

/// Reads the frames of the document's `hex` blocks: one a paragraph, with comments after `#`.
fn documented() -> Vec<String> {
    let document = include_str!("../../PROTOCOL.md");
    let blocks = document.split("```hex\n").skip(1).filter_map(|rest| rest.split("```").next());
    let without_comments = |line: &str| line.split('#').next().unwrap_or_default().replace(' ', "");
    let frame = |frame: &str| frame.lines().map(without_comments).collect();
    blocks.flat_map(|block| block.split("\n\n").map(frame)).collect()
}
