//! Bytes as each record of the protocol.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use zk_wire::*;

/// Decodes the bytes as a frame and as each record in turn.
///
/// # Panics
/// A decoder panics, or a decoded record is different after an encode and a decode.
pub(crate) fn decode_each(bytes: &[u8]) {
    let _ = next_frame(&mut BytesMut::from(bytes), DEFAULT_MAX_FRAME);
    let bytes = &Bytes::copy_from_slice(bytes);
    macro_rules! decode {
        ($($record:ty),* $(,)?) => {$( decode::<$record>(bytes); )*};
    }
    macro_rules! decode_requests {
        ($($request:ty),* $(,)?) => {$(
            decode::<$request>(bytes);
            decode::<<$request as Request>::Response>(bytes);
        )*};
    }
    decode!(ConnectRequest, ConnectResponse, RequestHeader, ReplyHeader, WatchedEvent, Stat, Acl);
    decode_requests!(
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
    );
}

fn decode<T: Encode + Decode + PartialEq + Debug>(bytes: &Bytes) {
    let Ok(record) = T::decode(&mut bytes.clone(), "fuzzed") else { return };
    let mut encoded = BytesMut::new();
    record.encode(&mut encoded);
    assert_eq!(decode_all::<T>(encoded.freeze()).as_ref(), Ok(&record));
}
