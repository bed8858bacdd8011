//! ZooKeeper's wire protocol as data: the jute codec, the records of every operation, frames, op and
//! error codes, path rules.
//!
//! No state and no I/O: bytes go in and values come out, or the other way round. Server and client
//! share this crate; golden frames recorded from Apache ZooKeeper keep a mistake here from cancelling
//! itself out.
//!
//! ```
//! use bytes::BytesMut;
//! use zk_wire::{FrameWriter, GetData, Request, RequestHeader, Xid, next_frame, decode_all, Decode};
//!
//! let mut buffer = BytesMut::new();
//! let mut frame = FrameWriter::new(&mut buffer);
//! frame.put(&RequestHeader { xid: Xid(1), op: GetData::OP });
//! frame.put(&GetData { path: "/demo".into(), watch: false });
//! frame.finish().expect("it fits"); // patches the length
//!
//! let mut body = next_frame(&mut buffer, zk_wire::DEFAULT_MAX_FRAME)?.expect("a whole frame");
//! let header = RequestHeader::decode(&mut body, "header")?;
//! assert_eq!(header.op, GetData::OP);
//! let request: GetData = decode_all(body)?;
//! assert_eq!(request.path, "/demo");
//! # Ok::<(), zk_wire::DecodeError>(())
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
mod views;

pub use acl::{Acl, Perms};
pub use codec::{Decode, DecodeError, Encode, TooLong, decode_all, length, put_len};
pub use common::Millis;
pub use create_mode::CreateMode;
pub use error_code::ErrorCode;
pub use event::{EventType, KeeperState, WatchedEvent, WatchedEventView};
pub use fields::Fields;
pub use frame::{DEFAULT_MAX_FRAME, FrameWriter, next_frame};
pub use numbers::{Expected, SessionId, UnixMillis, Version, Xid, Zxid};
pub use op::OpCode;
pub use records::*;
pub use stat::Stat;
pub use views::*;

// The strings of every record; re-exported so that users need not name the crate it comes from.
pub use bytestring::ByteString;
