//! ZooKeeper's wire protocol as plain data: records, frames, op codes, error codes and path rules.
//!
//! The crate has no state and does no I/O: bytes go in and values come out, or the other way round. Servers, clients,
//! proxies and test tools can share it. Golden frames recorded from Apache ZooKeeper 3.8 and 3.9 are part of its tests.
//!
//! | part | types |
//! | --- | --- |
//! | frames | [`next_frame`], [`first_frame`], [`whole_frames`], [`FrameWriter`] |
//! | headers | [`RequestHeader`], [`ReplyHeader`], [`Xid`] |
//! | handshake | [`ConnectRequest`], [`ConnectResponse`] |
//! | requests and their responses | [`Request`], [`Create`], [`GetData`], [`Multi`], … |
//! | watch events | [`WatchedEvent`], [`EventType`] |
//! | codes | [`OpCode`], [`ErrorCode`] |
//! | codec | [`Encode`], [`Decode`], [`DecodeError`] |
//! | requests read in place, with nulls | [`RequestView`], [`Fields`] |
//! | transaction logs and snapshots | [`TxnHeader`], [`CreateTxn`], … |
//!
//! # Example
//!
//! A client sends a getData, and a server decodes it and encodes the reply:
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use zk_wire::{
//!     DEFAULT_MAX_FRAME, Decode, ErrorCode, FrameWriter, GetData, GetDataResponse, ReplyHeader, Request,
//!     RequestHeader, Stat, Xid, Zxid, decode_all, next_frame,
//! };
//!
//! // Client: a frame is a length, a header and a record. The writer fills in the length.
//! let mut wire = BytesMut::new();
//! let mut frame = FrameWriter::new(&mut wire);
//! frame.put(&RequestHeader { xid: Xid(1), op: GetData::OP });
//! frame.put(&GetData { path: "/demo".into(), watch: false });
//! frame.finish()?;
//!
//! // Server: `next_frame` returns `None` until a whole frame has arrived.
//! let mut body = next_frame(&mut wire, DEFAULT_MAX_FRAME)?.ok_or("more bytes are needed")?;
//! let header = RequestHeader::decode(&mut body, "header")?;
//! assert_eq!(header.op, GetData::OP);
//! let request: GetData = decode_all(body)?;
//! assert_eq!(request.path, "/demo");
//!
//! let mut frame = FrameWriter::new(&mut wire);
//! frame.put(&ReplyHeader { xid: header.xid, zxid: Zxid(7), err: ErrorCode::OK });
//! frame.put(&GetDataResponse { data: Some(Bytes::from("hello")), stat: Stat::default() });
//! frame.finish()?;
//!
//! // Client: the type of the request names the type of its response.
//! let mut body = next_frame(&mut wire, DEFAULT_MAX_FRAME)?.ok_or("more bytes are needed")?;
//! ReplyHeader::decode(&mut body, "header")?.err.into_result()?;
//! let response: <GetData as Request>::Response = decode_all(body)?;
//! assert_eq!(response.data.as_deref(), Some(&b"hello"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod acl;
mod codec;
mod create_mode;
mod error_code;
mod event;
mod fields;
mod frame;
mod numbers;
mod op;
pub mod path;
mod records;
mod stat;
mod utc;
mod views;

pub use acl::{Acl, Perms};
pub use codec::{Decode, DecodeError, Encode, TooLong, decode_all, length, put_len};
pub use common::Millis;
pub use create_mode::CreateMode;
pub use error_code::ErrorCode;
pub use event::{EventType, KeeperState, WatchedEvent, WatchedEventView};
pub use fields::Fields;
pub use frame::{DEFAULT_MAX_FRAME, FrameWriter, first_frame, next_frame, split_frame, whole_frames};
pub use numbers::{Expected, SessionId, UnixMillis, Version, Xid, Zxid};
pub use op::OpCode;
pub use records::*;
pub use stat::Stat;
pub use utc::Utc;
pub use views::*;

// Strings of every record, re-exported so that users need not depend on the crate.
pub use bytestring::ByteString;
