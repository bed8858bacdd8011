//! Transactions of several writes, all or none, and requests of several reads.
//!
//! On the wire each operation follows a `MultiHeader` (type, done, error). A last header with `done` set ends the
//! list.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    Check, Create, Create2, Create2Response, CreateContainer, CreateResponse, CreateTtl, Delete, GetChildren,
    GetChildrenResponse, GetData, GetDataResponse, Request, SetData, StatResponse,
};
use crate::codec::{Decode, DecodeError, Encode, decoded_records};
use crate::error_code::ErrorCode;
use crate::op::OpCode;
use crate::stat::Stat;

/// Several writes, all or none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Multi {
    /// Operations in order. Each sees the changes of earlier ones.
    pub ops: Vec<MultiOp>,
}

/// Operation in a [`Multi`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each variant is documented by the record that it holds")]
pub enum MultiOp {
    Create(Create),
    Create2(Create2),
    CreateContainer(CreateContainer),
    CreateTtl(CreateTtl),
    Delete(Delete),
    SetData(SetData),
    Check(Check),
}

/// Answer to a [`Multi`]: a result for each operation. If one operation failed, all results are errors.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MultiResponse {
    /// Results in the order of the operations.
    pub results: Vec<MultiResult>,
}

/// Result of an operation in a [`Multi`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MultiResult {
    /// Path of the created node.
    Create(ByteString),
    /// Path and `Stat` of the created node: the result of all creates but [`Create`].
    Create2 {
        /// Path of the node.
        path: ByteString,
        /// `Stat` of the node.
        stat: Stat,
    },
    /// The node is deleted.
    Delete,
    /// The data is set.
    SetData(Stat),
    /// The node has the expected version.
    Check,
    /// The operation failed, or another one of the multi did: [`OK`](ErrorCode::OK) before the one that failed,
    /// [`RUNTIME_INCONSISTENCY`](ErrorCode::RUNTIME_INCONSISTENCY) after it.
    Error(ErrorCode),
}

/// Several reads in one request. The server ignores their watch flags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MultiRead {
    /// Reads in order.
    pub ops: Vec<ReadOp>,
}

/// Operation in a [`MultiRead`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each variant is documented by the record that it holds")]
pub enum ReadOp {
    GetData(GetData),
    GetChildren(GetChildren),
}

/// Answer to a [`MultiRead`]: a result for each read, even if others failed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MultiReadResponse {
    /// Results in the order of the reads.
    pub results: Vec<ReadResult>,
}

/// Result of an operation in a [`MultiRead`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each variant is documented by the record that it holds")]
pub enum ReadResult {
    GetData(GetDataResponse),
    GetChildren(GetChildrenResponse),
    Error(ErrorCode),
}

decoded_records! {
    /// Header of each operation and each result; alone at the end.
    #[derive(Copy)]
    MultiHeader {
        /// Operation.
        op: OpCode,
        /// `true` at the end of the list.
        done: bool,
        /// Error of the result; -1 in requests.
        err: ErrorCode,
    }
}

impl MultiHeader {
    /// Length on the wire, in bytes.
    pub const LEN: usize = 9;

    /// Header after the last operation or result.
    pub const END: Self = Self { op: OpCode::ERROR, done: true, err: ErrorCode(-1) };
}

impl Encode for MultiHeader {
    /// Writes all fields at once: there is a header before each operation and each result.
    fn encode(&self, out: &mut BytesMut) {
        let mut bytes = [0; Self::LEN];
        let mut rest = &mut bytes[..];
        rest.put_i32(self.op.0);
        rest.put_u8(u8::from(self.done));
        rest.put_i32(self.err.0);
        out.put_slice(&bytes);
    }
}

/// Reads items until the end marker.
fn decode_items<T>(
    input: &mut Bytes,
    mut item: impl FnMut(OpCode, &mut Bytes) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    loop {
        let header = MultiHeader::decode(input, "MultiHeader")?;
        if header.done {
            return Ok(items);
        }
        items.push(item(header.op, input)?);
    }
}

fn encode_request<R: Request>(request: &R, out: &mut BytesMut) {
    MultiHeader { op: R::OP, done: false, err: ErrorCode(-1) }.encode(out);
    request.encode(out);
}

fn encode_result<T: Encode>(op: OpCode, result: &T, out: &mut BytesMut) {
    MultiHeader { op, done: false, err: ErrorCode::OK }.encode(out);
    result.encode(out);
}

/// Writes the result of a failed operation, which has its code twice.
fn encode_error(code: ErrorCode, out: &mut BytesMut) {
    MultiHeader { op: OpCode::ERROR, done: false, err: code }.encode(out);
    code.encode(out);
}

impl Encode for Multi {
    fn encode(&self, out: &mut BytesMut) {
        for op in &self.ops {
            match op {
                MultiOp::Create(request) => encode_request(request, out),
                MultiOp::Create2(request) => encode_request(request, out),
                MultiOp::CreateContainer(request) => encode_request(request, out),
                MultiOp::CreateTtl(request) => encode_request(request, out),
                MultiOp::Delete(request) => encode_request(request, out),
                MultiOp::SetData(request) => encode_request(request, out),
                MultiOp::Check(request) => encode_request(request, out),
            }
        }
        MultiHeader::END.encode(out);
    }
}

impl Decode for Multi {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        let ops = decode_items(input, |op, input| {
            Ok(match op {
                OpCode::CREATE => MultiOp::Create(Create::decode(input, what)?),
                OpCode::CREATE2 => MultiOp::Create2(Create2::decode(input, what)?),
                OpCode::CREATE_CONTAINER => MultiOp::CreateContainer(CreateContainer::decode(input, what)?),
                OpCode::CREATE_TTL => MultiOp::CreateTtl(CreateTtl::decode(input, what)?),
                OpCode::DELETE => MultiOp::Delete(Delete::decode(input, what)?),
                OpCode::SET_DATA => MultiOp::SetData(SetData::decode(input, what)?),
                OpCode::CHECK => MultiOp::Check(Check::decode(input, what)?),
                OpCode(op) => return Err(DecodeError::UnexpectedType { what: "Multi.op", op }),
            })
        })?;
        Ok(Self { ops })
    }
}

impl Encode for MultiResult {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create(path) => encode_result(OpCode::CREATE, path, out),
            Self::Create2 { path, stat } => {
                encode_result(OpCode::CREATE2, path, out);
                stat.encode(out);
            }
            Self::Delete => encode_result(OpCode::DELETE, &(), out),
            Self::SetData(stat) => encode_result(OpCode::SET_DATA, stat, out),
            Self::Check => encode_result(OpCode::CHECK, &(), out),
            Self::Error(code) => encode_error(*code, out),
        }
    }
}

impl Encode for MultiResponse {
    fn encode(&self, out: &mut BytesMut) {
        for result in &self.results {
            result.encode(out);
        }
        MultiHeader::END.encode(out);
    }
}

impl Decode for MultiResponse {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        let results = decode_items(input, |op, input| {
            Ok(match op {
                OpCode::CREATE => MultiResult::Create(CreateResponse::decode(input, what)?.path),
                OpCode::CREATE2 => {
                    let Create2Response { path, stat } = Create2Response::decode(input, what)?;
                    MultiResult::Create2 { path, stat }
                }
                OpCode::DELETE => MultiResult::Delete,
                OpCode::SET_DATA => MultiResult::SetData(StatResponse::decode(input, what)?.stat),
                OpCode::CHECK => MultiResult::Check,
                OpCode::ERROR => MultiResult::Error(ErrorCode::decode(input, "MultiResponse.err")?),
                OpCode(op) => return Err(DecodeError::UnexpectedType { what: "MultiResponse.op", op }),
            })
        })?;
        Ok(Self { results })
    }
}

impl Encode for MultiRead {
    fn encode(&self, out: &mut BytesMut) {
        for op in &self.ops {
            match op {
                ReadOp::GetData(request) => encode_request(request, out),
                ReadOp::GetChildren(request) => encode_request(request, out),
            }
        }
        MultiHeader::END.encode(out);
    }
}

impl Decode for MultiRead {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        let ops = decode_items(input, |op, input| {
            Ok(match op {
                OpCode::GET_DATA => ReadOp::GetData(GetData::decode(input, what)?),
                OpCode::GET_CHILDREN => ReadOp::GetChildren(GetChildren::decode(input, what)?),
                OpCode(op) => return Err(DecodeError::UnexpectedType { what: "MultiRead.op", op }),
            })
        })?;
        Ok(Self { ops })
    }
}

impl Encode for MultiReadResponse {
    fn encode(&self, out: &mut BytesMut) {
        for result in &self.results {
            match result {
                ReadResult::GetData(data) => encode_result(OpCode::GET_DATA, data, out),
                ReadResult::GetChildren(children) => encode_result(OpCode::GET_CHILDREN, children, out),
                ReadResult::Error(code) => encode_error(*code, out),
            }
        }
        MultiHeader::END.encode(out);
    }
}

impl Decode for MultiReadResponse {
    fn decode(input: &mut Bytes, what: &'static str) -> Result<Self, DecodeError> {
        let results = decode_items(input, |op, input| {
            Ok(match op {
                OpCode::GET_DATA => ReadResult::GetData(GetDataResponse::decode(input, what)?),
                OpCode::GET_CHILDREN => ReadResult::GetChildren(GetChildrenResponse::decode(input, what)?),
                OpCode::ERROR => ReadResult::Error(ErrorCode::decode(input, "MultiReadResponse.err")?),
                OpCode(op) => return Err(DecodeError::UnexpectedType { what: "MultiReadResponse.op", op }),
            })
        })?;
        Ok(Self { results })
    }
}
