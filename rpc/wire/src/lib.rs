//! The RPC protocol of zk-mini as data: frames, status codes, payload formats.
//!
//! A client and a server exchange length-prefixed frames over TCP: a [`Hello`] from each side, then any number of calls at
//! a time, each a [`Request`] and a [`Reply`] with the same [`CallId`]. Payloads are values of any serde type, in JSON or
//! postcard. `PROTOCOL.md`, in this crate's package, has the bytes and the rules. The crates `rpc-client` and `rpc-server`
//! are the two sides; use this one alone to write a proxy, a recorder or a side of your own.
//!
//! This crate encodes and decodes, and nothing else: it has no socket, no clock and no state of a connection. It never
//! panics on what a peer sends, and bounds lengths, nesting and numbers of elements before it allocates. A [`Frame`]
//! borrows from the bytes that it was decoded from, so an arriving payload is not copied. A [`ReplyWriter`] lets a reply be
//! serialised straight into the buffer for the socket.
//!
//! # Example
//!
//! ```
//! use rpc_wire::{CallId, DEFAULT_MAX_FRAME, Format, Frame, Request, split_frame};
//!
//! let mut payload = Vec::new();
//! Format::JSON.encode(&"hello", &mut payload)?;
//! let request = Request { method: "echo", payload: &payload, ..Request::new(CallId(1)) };
//!
//! let mut out = Vec::new();
//! Frame::Request(request).encode(&mut out, DEFAULT_MAX_FRAME)?;
//!
//! let (body, rest) = split_frame(&out, DEFAULT_MAX_FRAME)?.expect("the frame is complete");
//! assert!(rest.is_empty());
//! let Frame::Request(decoded) = Frame::decode(body)? else { panic!("not a request") };
//! assert_eq!(Format::JSON.decode::<String>(decoded.payload)?, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A failed call carries a [`Status`]: a [`Code`], with gRPC's names and numbers, and a message. The crate has no Cargo
//! features.
#![forbid(unsafe_code)]

mod call_id;
mod code;
mod depth;
mod descriptor;
mod error;
mod format;
mod frame;
mod health;
mod hello;
mod layout;
mod metadata;
mod status;
mod window;

pub use call_id::CallId;
pub use code::Code;
pub use depth::MAX_DEPTH;
pub use descriptor::{MethodDescriptor, MethodKind, ServiceDescriptor};
pub use error::{DecodeError, EncodeError};
pub use format::{Format, PayloadError};
pub use frame::{Credit, Frame, GoAway, Message, Reply, Request};
pub use health::{HealthReport, HealthRequest, HealthStatus};
pub use hello::{Budget, Hello};
pub use layout::{
    Ahead, BodyAndRest, HEADER_LEN, MAGIC, MessageRun, MessageWriter, ReplyWriter, look_ahead, next_message,
    split_frame, split_messages,
};
pub use metadata::{Metadata, MetadataRef};
pub use status::{RetryAfter, Status};
pub use window::{ReceiveWindow, SendWindow};

/// The newest version of the protocol that this crate speaks.
pub const VERSION: u16 = 2;

/// The oldest version of the protocol that this crate speaks.
pub const OLDEST_VERSION: u16 = 1;

/// Default of the largest frame body that is accepted: 4 MiB.
pub const DEFAULT_MAX_FRAME: usize = 4 << 20;

/// Name of the field in a server's registry entry that holds the identity of its process. The server's [`Hello`] carries
/// the same identity.
pub const INSTANCE_FIELD: &str = "instance";

/// Field of an instance in the registry with the address of this process alone, `{"host": "…", "port": N}`. The fields `host`
/// and `port` beside it may be an address that several processes share.
pub const DIRECT_FIELD: &str = "direct";
