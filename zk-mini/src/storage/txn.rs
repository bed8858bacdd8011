//! Transactions in a log: a header, and a record whose type the header names.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use zk_wire::{
    Acl, CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn, CreateTxn,
    Decode, DecodeError, DeleteTxn, Encode, ErrorCode, ErrorTxn, Millis, MultiTxn, OpCode, SessionId,
    SetAclTxn, SetDataTxn, SubTxn, TreeDigest, TxnHeader, Version,
};

use crate::core::{Change, CreateNode, NodeKind, Txn};

/// Length of the offset behind a transaction and its digest, up to which the log was durable when it was written.
/// Apache ZooKeeper skips it, even where a digest could stand, as it is shorter.
pub(crate) const DURABLE: usize = 8;

/// Length of a null list, which stands for the nodes of a session if they would make its transaction too long.
const NO_LIST: i32 = -1;

/// Appends a transaction, and the digest of the tree after it, which releases from 3.6 on read.
pub(super) fn encode(txn: &Txn, out: &mut BytesMut) {
    let op = op_of(&txn.change);
    TxnHeader { session: txn.session, xid: txn.xid, zxid: txn.zxid, time: txn.time, op }.encode(out);
    encode_change(&txn.change, out);
    if let Some(digest) = txn.digest {
        TreeDigest::new(digest).encode(out);
    }
}

/// Reads a transaction and its digest, and leaves what lies behind them.
pub(super) fn decode(input: &mut Bytes) -> Result<Txn, DecodeError> {
    let header = TxnHeader::decode(input, "TxnHeader")?;
    let change = match header.op {
        // Logs of releases before 3.6 lack the record, and later ones if so configured. It is not needed: the nodes
        // are known.
        OpCode::CLOSE_SESSION if input.is_empty() || is_digest(input) => {
            Change::CloseSession { ephemerals: None }
        }
        op => decode_change(op, header.session, input)?,
    };
    // Releases before 3.6 write no digest.
    let digest =
        if input.len() < TreeDigest::LEN { None } else { TreeDigest::decode(input, "digest")?.known() };
    let TxnHeader { zxid, time, session, xid, .. } = header;
    Ok(Txn { zxid, time, session, xid, change, digest })
}

/// Returns true if there is a digest without a record before it. A record begins with the number of nodes; two nodes,
/// which is the version of a digest, do not fit into so few bytes.
fn is_digest(input: &Bytes) -> bool {
    input.len() == TreeDigest::LEN
        && TreeDigest::decode(&mut input.clone(), "digest").is_ok_and(|it| it.known().is_some())
}

fn op_of(change: &Change) -> OpCode {
    match change {
        Change::CreateSession { .. } => OpCode::CREATE_SESSION,
        Change::CloseSession { .. } => OpCode::CLOSE_SESSION,
        Change::Create(node) => match node.kind {
            // Not create2: inside a multi, Apache ZooKeeper 3.8 skips it.
            NodeKind::Persistent | NodeKind::Ephemeral(_) => OpCode::CREATE,
            NodeKind::Container => OpCode::CREATE_CONTAINER,
            NodeKind::Ttl(_) => OpCode::CREATE_TTL,
        },
        Change::Delete { .. } => OpCode::DELETE,
        Change::SetData { .. } => OpCode::SET_DATA,
        Change::SetAcl { .. } => OpCode::SET_ACL,
        Change::Check { .. } => OpCode::CHECK,
        Change::Error(_) => OpCode::ERROR,
        Change::Multi(_) => OpCode::MULTI,
    }
}

fn encode_change(change: &Change, out: &mut BytesMut) {
    match change {
        Change::CreateSession { timeout } => {
            CreateSessionTxn { timeout: i32::try_from(timeout.0).unwrap_or(i32::MAX) }.encode(out);
        }
        Change::CloseSession { ephemerals: None } => NO_LIST.encode(out),
        Change::CloseSession { ephemerals: Some(paths) } => {
            CloseSessionTxn { paths_to_delete: paths.clone() }.encode(out);
        }
        Change::Create(node) => encode_create(node, out),
        Change::Delete { path } => DeleteTxn { path: path.clone() }.encode(out),
        Change::SetData { path, data, version } => {
            SetDataTxn { path: path.clone(), data: data.clone(), version: *version }.encode(out);
        }
        Change::SetAcl { path, acl, version } => {
            SetAclTxn { path: path.clone(), acl: acl.to_vec(), version: *version }.encode(out);
        }
        // A reader of a log does not check again.
        Change::Check { path } => CheckVersionTxn { path: path.clone(), version: Version(-1) }.encode(out),
        Change::Error(err) => ErrorTxn { err: *err }.encode(out),
        Change::Multi(changes) => {
            let sub = |change: &Change| {
                let mut data = BytesMut::new();
                encode_change(change, &mut data);
                SubTxn { op: op_of(change), data: Some(data.freeze()) }
            };
            MultiTxn { txns: changes.iter().map(sub).collect() }.encode(out);
        }
    }
}

fn encode_create(node: &CreateNode, out: &mut BytesMut) {
    let (path, data, acl) = (node.path.clone(), node.data.clone(), node.acl.to_vec());
    let parent_cversion = node.parent_cversion;
    match node.kind {
        NodeKind::Persistent => CreateTxn { path, data, acl, ephemeral: false, parent_cversion }.encode(out),
        NodeKind::Ephemeral(_) => CreateTxn { path, data, acl, ephemeral: true, parent_cversion }.encode(out),
        NodeKind::Container => CreateContainerTxn { path, data, acl, parent_cversion }.encode(out),
        NodeKind::Ttl(ttl) => {
            let ttl = i64::try_from(ttl.0).unwrap_or(i64::MAX);
            CreateTtlTxn { path, data, acl, parent_cversion, ttl }.encode(out);
        }
    }
}

fn decode_change(op: OpCode, session: SessionId, input: &mut Bytes) -> Result<Change, DecodeError> {
    const WHAT: &str = "transaction";
    Ok(match op {
        OpCode::CREATE_SESSION => {
            let CreateSessionTxn { timeout } = Decode::decode(input, WHAT)?;
            Change::CreateSession { timeout: millis(timeout.into()) }
        }
        OpCode::CLOSE_SESSION if input.starts_with(&NO_LIST.to_be_bytes()) => {
            input.advance(NO_LIST.to_be_bytes().len());
            Change::CloseSession { ephemerals: None }
        }
        OpCode::CLOSE_SESSION => {
            let CloseSessionTxn { paths_to_delete } = Decode::decode(input, WHAT)?;
            Change::CloseSession { ephemerals: Some(paths_to_delete) }
        }
        OpCode::CREATE | OpCode::CREATE2 => {
            let CreateTxn { path, data, acl, ephemeral, parent_cversion } = Decode::decode(input, WHAT)?;
            let kind = if ephemeral { NodeKind::Ephemeral(session) } else { NodeKind::Persistent };
            let data = own(data.as_ref());
            Change::Create(CreateNode { path, data, acl: list(acl), kind, parent_cversion })
        }
        OpCode::CREATE_CONTAINER => {
            let CreateContainerTxn { path, data, acl, parent_cversion } = Decode::decode(input, WHAT)?;
            let (data, kind) = (own(data.as_ref()), NodeKind::Container);
            Change::Create(CreateNode { path, data, acl: list(acl), kind, parent_cversion })
        }
        OpCode::CREATE_TTL => {
            let CreateTtlTxn { path, data, acl, parent_cversion, ttl } = Decode::decode(input, WHAT)?;
            let kind = NodeKind::Ttl(millis(ttl));
            let data = own(data.as_ref());
            Change::Create(CreateNode { path, data, acl: list(acl), kind, parent_cversion })
        }
        OpCode::DELETE | OpCode::DELETE_CONTAINER => {
            let DeleteTxn { path } = Decode::decode(input, WHAT)?;
            Change::Delete { path }
        }
        OpCode::SET_DATA | OpCode::RECONFIG => {
            let SetDataTxn { path, data, version } = Decode::decode(input, WHAT)?;
            Change::SetData { path, data: own(data.as_ref()), version }
        }
        OpCode::SET_ACL => {
            let SetAclTxn { path, acl, version } = Decode::decode(input, WHAT)?;
            Change::SetAcl { path, acl: list(acl), version }
        }
        OpCode::CHECK => {
            let CheckVersionTxn { path, .. } = Decode::decode(input, WHAT)?;
            Change::Check { path }
        }
        OpCode::ERROR => {
            let ErrorTxn { err } = Decode::decode(input, WHAT)?;
            Change::Error(err)
        }
        OpCode::MULTI => {
            let MultiTxn { txns } = Decode::decode(input, WHAT)?;
            // A refused multi of Apache ZooKeeper still has the changes before the refusal, which must not be
            // applied.
            let refused = txns.iter().any(|sub| sub.op == OpCode::ERROR);
            let change = |sub: SubTxn| match sub.op {
                OpCode::MULTI => Err(DecodeError::UnexpectedType { what: WHAT, op: sub.op.0 }),
                op if refused && op != OpCode::ERROR => Ok(Change::Error(ErrorCode::OK)),
                op => decode_change(op, session, &mut sub.data.unwrap_or_default()),
            };
            Change::Multi(txns.into_iter().map(change).collect::<Result<_, _>>()?)
        }
        op => return Err(DecodeError::UnexpectedType { what: WHAT, op: op.0 }),
    })
}

/// Copies data, so that a node does not keep the whole record alive.
fn own(data: Option<&Bytes>) -> Option<Bytes> {
    data.map(|data| Bytes::copy_from_slice(data))
}

fn list(acl: Vec<Acl>) -> Arc<[Acl]> {
    acl.into()
}

fn millis(n: i64) -> Millis {
    Millis(u64::try_from(n).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use zk_wire::{ByteString, UnixMillis, Xid, Zxid};

    use super::*;

    fn node(kind: NodeKind, data: Option<&'static str>) -> Change {
        let acl = [Acl::open()].into();
        let data = data.map(|data| Bytes::from_static(data.as_bytes()));
        Change::Create(CreateNode { path: "/a".into(), data, acl, kind, parent_cversion: 3 })
    }

    fn txn(change: Change, digest: Option<u64>) -> Txn {
        Txn { zxid: Zxid(5), time: UnixMillis(6), session: SessionId(7), xid: Xid(8), change, digest }
    }

    fn again(change: Change) -> Result<Txn, DecodeError> {
        let txn = txn(change, Some(0xFEDC_BA98_7654_3210));
        let mut bytes = BytesMut::new();
        encode(&txn, &mut bytes);
        let len = bytes.len();
        let decoded = decode(&mut bytes.freeze())?;
        assert_eq!(decoded, txn);
        assert_eq!(crate::core::size::of_txn(&txn.change), len, "{txn:?}");
        Ok(decoded)
    }

    #[test]
    fn every_change_is_read_as_it_was_written() -> Result<(), DecodeError> {
        let path = || ByteString::from_static("/a");
        let changes = vec![
            node(NodeKind::Persistent, Some("x")),
            node(NodeKind::Ephemeral(SessionId(7)), Some("")),
            node(NodeKind::Container, None),
            node(NodeKind::Ttl(Millis(1_000)), None),
            Change::Delete { path: path() },
            Change::SetData { path: path(), data: None, version: Version(2) },
            Change::SetAcl { path: path(), acl: [Acl::open()].into(), version: Version(2) },
        ];
        for change in changes.clone() {
            again(change)?;
        }
        again(Change::Multi([changes, vec![Change::Check { path: path() }]].concat()))?;
        again(Change::Multi(vec![Change::Error(ErrorCode::OK), Change::Error(ErrorCode::NO_NODE)]))?;
        again(Change::Error(ErrorCode::NO_NODE))?;
        again(Change::CreateSession { timeout: Millis(4_000) })?;
        again(Change::CloseSession { ephemerals: Some(vec![path()]) })?;
        Ok(())
    }

    #[test]
    fn a_check_outside_a_multi_of_an_older_zk_mini_is_still_read() -> Result<(), DecodeError> {
        let mut bytes = BytesMut::new();
        encode(&txn(Change::Delete { path: "/a".into() }, None), &mut bytes);
        bytes[28..32].copy_from_slice(&OpCode::CHECK.0.to_be_bytes());
        bytes.extend_from_slice(&[0xff; 4]);
        assert_eq!(decode(&mut bytes.freeze())?, txn(Change::Check { path: "/a".into() }, None));
        Ok(())
    }

    #[test]
    fn a_refused_multi_changes_nothing_even_if_it_lists_changes() -> Result<(), DecodeError> {
        let refused =
            Change::Multi(vec![node(NodeKind::Persistent, None), Change::Error(ErrorCode::NO_NODE)]);
        let txn = txn(refused, None);
        let mut bytes = BytesMut::new();
        encode(&txn, &mut bytes);
        let expected = Change::Multi(vec![Change::Error(ErrorCode::OK), Change::Error(ErrorCode::NO_NODE)]);
        assert_eq!(decode(&mut bytes.freeze())?.change, expected);
        Ok(())
    }

    #[test]
    fn a_closed_session_is_known_with_or_without_its_record_and_a_digest() -> Result<(), DecodeError> {
        for digest in [None, Some(7)] {
            let listed = txn(Change::CloseSession { ephemerals: Some(Vec::new()) }, digest);
            let mut bytes = BytesMut::new();
            encode(&listed, &mut bytes);
            let whole = bytes.freeze();
            assert_eq!(decode(&mut whole.clone())?, listed);
            // The header has 32 bytes, the record of no node 4.
            let without = [&whole[..32], &whole[36..]].concat();
            let not_listed = txn(Change::CloseSession { ephemerals: None }, digest);
            assert_eq!(decode(&mut without.into())?, not_listed);
            // A null list: Apache ZooKeeper takes the nodes that it knows of, and reads on behind it.
            let mut bytes = BytesMut::new();
            encode(&not_listed, &mut bytes);
            assert_eq!(bytes, [&whole[..32], &[0xff; 4], &whole[36..]].concat());
            bytes.extend_from_slice(&16_u64.to_be_bytes());
            let mut with_mark = bytes.freeze();
            assert_eq!(decode(&mut with_mark)?, not_listed);
            assert_eq!(with_mark.len(), DURABLE);
        }
        Ok(())
    }

    #[test]
    fn a_closed_session_with_one_short_path_is_no_digest() -> Result<(), DecodeError> {
        let txn = txn(Change::CloseSession { ephemerals: Some(vec!["/abc".into()]) }, None);
        let mut bytes = BytesMut::new();
        encode(&txn, &mut bytes);
        assert_eq!(decode(&mut bytes.freeze())?, txn);
        Ok(())
    }

    #[test]
    fn a_digest_of_another_version_is_ignored() -> Result<(), DecodeError> {
        let txn = txn(Change::Delete { path: "/a".into() }, None);
        let mut bytes = BytesMut::new();
        encode(&txn, &mut bytes);
        bytes.extend_from_slice(&[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(decode(&mut bytes.freeze())?, txn);
        Ok(())
    }
}
