//! multi: several writes in one request, all or none.

use bytes::BytesMut;
use zk_wire::{Encode, ErrorCode, Fields, MultiHeader, MultiOpView, MultiResponse, OpCode};

use crate::core::Core;
use crate::core::apply::Applied;
use crate::core::prepare::Unreadable;
use crate::core::requests::call::{Answer, Call, Reply};
use crate::core::txn::Change;

impl Core {
    pub(crate) fn multi(&mut self, call: &Call, body: &Fields<'_>) -> Answer {
        let changes = std::mem::take(&mut self.changes);
        let mut prepare = self.prepare(call)?;
        let prepared = MultiOpView::read_all(*body)
            .map_err(Unreadable::from)
            .and_then(|ops| Ok((prepare.multi(&ops, changes)?, ops)));
        match prepared {
            Ok((changes, ops)) => {
                self.commit(call.now, call.session, call.xid, call.into(), Change::Multi(changes));
                let mut refused = self.results.iter().filter_map(Applied::refusal);
                if self.history.is_on()
                    && let Some(code) = refused
                        .find(|code| !matches!(*code, ErrorCode::OK | ErrorCode::RUNTIME_INCONSISTENCY))
                {
                    self.history.multi_failed(code);
                }
                if self.config.audit {
                    let results = std::mem::take(&mut self.results);
                    self.audit_multi(call, &ops, &results);
                    self.results = results;
                }
                let body = self.outputs.body(|out| {
                    for (result, op) in self.results.iter().zip(&ops) {
                        encode_result(result, op.op(), out);
                    }
                    MultiHeader::END.encode(out);
                });
                self.results.clear();
                Ok(Reply::Body(body))
            }
            Err(null @ (Unreadable::NullPath | Unreadable::TakesNoZxid))
                if self.rules.null_in_multi_is_marked =>
            {
                // 3.8 has taken the number already, and no transaction gets it.
                self.skipped_zxids += i64::from(null == Unreadable::NullPath);
                let body = self.outputs.record(&MultiResponse::default());
                Ok(Reply::ErrorAndBody(ErrorCode::MARSHALLING_ERROR, body))
            }
            Err(Unreadable::TakesNoZxid) => Err(ErrorCode::MARSHALLING_ERROR.into()),
            Err(Unreadable::TakesZxid | Unreadable::NullPath) => {
                let answer = self.refuse(call, ErrorCode::MARSHALLING_ERROR);
                self.audit_refusal(call, *body);
                answer
            }
        }
    }
}

/// Writes the result of an operation: a [`MultiResult`](zk_wire::MultiResult), which is not made for it.
fn encode_result(result: &Applied, op: OpCode, out: &mut BytesMut) {
    let header = |op, err| MultiHeader { op, done: false, err };
    match result {
        Applied::Created { path, .. } if op == OpCode::CREATE => {
            header(OpCode::CREATE, ErrorCode::OK).encode(out);
            path.encode(out);
        }
        Applied::Created { path, stat } => {
            header(OpCode::CREATE2, ErrorCode::OK).encode(out);
            path.encode(out);
            stat.encode(out);
        }
        Applied::Set(stat) => {
            header(OpCode::SET_DATA, ErrorCode::OK).encode(out);
            stat.encode(out);
        }
        Applied::Done if op == OpCode::CHECK => header(OpCode::CHECK, ErrorCode::OK).encode(out),
        Applied::Done => header(OpCode::DELETE, ErrorCode::OK).encode(out),
        Applied::Refused(code) => {
            header(OpCode::ERROR, *code).encode(out);
            code.encode(out);
        }
    }
}
