//! Properties of the codec: decoding undoes encoding, and no input panics.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use zk_wire::*;

pub(crate) fn text() -> impl Strategy<Value = ByteString> {
    "[ -~é漢]{0,12}".prop_map(ByteString::from)
}

pub(crate) fn data() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from))
}

pub(crate) fn acl() -> impl Strategy<Value = Option<Vec<Acl>>> {
    let entry = (any::<i32>(), text(), text()).prop_map(|(perms, scheme, id)| Acl {
        perms: Perms(perms),
        scheme,
        id,
    });
    proptest::option::of(proptest::collection::vec(entry, 0..3))
}

fn stat() -> impl Strategy<Value = Stat> {
    (any::<[i64; 6]>(), any::<[i32; 5]>()).prop_map(|(longs, ints)| Stat {
        czxid: Zxid(longs[0]),
        mzxid: Zxid(longs[1]),
        ctime: UnixMillis(longs[2]),
        mtime: UnixMillis(longs[3]),
        version: Version(ints[0]),
        cversion: Version(ints[1]),
        aversion: Version(ints[2]),
        ephemeral_owner: SessionId(longs[4]),
        data_length: ints[3],
        num_children: ints[4],
        pzxid: Zxid(longs[5]),
    })
}

fn multi_op() -> impl Strategy<Value = MultiOp> {
    let version = any::<i32>().prop_map(|version| Expected::from(Version(version)));
    prop_oneof![
        (text(), data(), acl(), any::<i32>()).prop_map(|(path, data, acl, flags)| MultiOp::Create(Create {
            path,
            data,
            acl,
            flags
        })),
        (text(), data(), acl(), any::<i32>(), any::<i64>()).prop_map(|(path, data, acl, flags, ttl)| {
            MultiOp::CreateTtl(CreateTtl { path, data, acl, flags, ttl })
        }),
        (text(), version.clone()).prop_map(|(path, version)| MultiOp::Delete(Delete { path, version })),
        (proptest::option::of(text()), data(), version.clone())
            .prop_map(|(path, data, version)| MultiOp::SetData(SetData { path, data, version })),
        (proptest::option::of(text()), version)
            .prop_map(|(path, version)| MultiOp::Check(Check { path, version })),
    ]
}

fn multi_result() -> impl Strategy<Value = MultiResult> {
    prop_oneof![
        text().prop_map(MultiResult::Create),
        (text(), stat()).prop_map(|(path, stat)| MultiResult::Create2 { path, stat }),
        Just(MultiResult::Delete),
        stat().prop_map(MultiResult::SetData),
        Just(MultiResult::Check),
        any::<i32>().prop_map(|code| MultiResult::Error(ErrorCode(code))),
    ]
}

fn round_trip<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T) {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    assert_eq!(decode_all::<T>(out.freeze()).as_ref(), Ok(value));
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(
        ops in proptest::collection::vec(multi_op(), 0..4),
        results in proptest::collection::vec(multi_result(), 0..4),
        acl in acl(),
        data in data(),
        stat in stat(),
        names in proptest::collection::vec(text(), 0..5),
        read_only in any::<Option<bool>>(),
        number in any::<i64>(),
        timeout in any::<i32>(),
    ) {
        round_trip(&Multi { ops });
        round_trip(&MultiResponse { results });
        round_trip(&SetAcl { path: None, acl, version: Expected::Any });
        round_trip(&GetDataResponse { data: data.clone(), stat });
        round_trip(&GetChildren2Response { children: names.clone(), stat });
        round_trip(&SetWatches {
            relative_zxid: Zxid(number),
            data_watches: names.clone(),
            exist_watches: vec![],
            child_watches: names,
        });
        round_trip(&ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(number),
            timeout,
            session_id: SessionId(number),
            password: data.clone(),
            read_only,
        });
        round_trip(&ConnectResponse {
            protocol_version: 0,
            timeout,
            session_id: SessionId(number),
            password: data,
            read_only,
        });
    }

    #[test]
    fn decoding_any_bytes_does_not_panic(input in proptest::collection::vec(any::<u8>(), 0..200), small in any::<bool>()) {
        // Small integers give lengths and types that lead deeper into the records.
        let input: Vec<u8> = if small { input.iter().map(|byte| byte % 8).collect() } else { input };
        let bytes = Bytes::from(input);
        let _ = decode_all::<ConnectRequest>(bytes.clone());
        let _ = decode_all::<ConnectResponse>(bytes.clone());
        let _ = decode_all::<CreateTtl>(bytes.clone());
        let _ = decode_all::<SetAcl>(bytes.clone());
        let _ = decode_all::<Multi>(bytes.clone());
        let _ = decode_all::<MultiResponse>(bytes.clone());
        let _ = decode_all::<MultiRead>(bytes.clone());
        let _ = decode_all::<MultiReadResponse>(bytes.clone());
        let _ = decode_all::<SetWatches2>(bytes.clone());
        let _ = decode_all::<WhoAmIResponse>(bytes.clone());
        let _ = next_frame(&mut BytesMut::from(&bytes[..]), DEFAULT_MAX_FRAME);
    }
}
