//! multi: several writes in one request, all or none.

use zk_wire::{Encode, ErrorCode, Fields, MultiHeader, MultiOpView, MultiResponse, MultiResult, OpCode};

use crate::core::Core;
use crate::core::apply::Applied;
use crate::core::prepare::Unreadable;
use crate::core::requests::call::{Answer, Call, Reply};
use crate::core::txn::Change;

impl Core {
    pub(crate) fn multi(&mut self, call: &Call, body: &Fields<'_>) -> Answer {
        let mut prepare = self.prepare(call)?;
        let prepared = MultiOpView::read_all(*body)
            .map_err(Unreadable::from)
            .and_then(|ops| Ok((prepare.multi(&ops)?, ops)));
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
                Ok(Reply::Body(self.outputs.body(|out| {
                    for (result, op) in self.results.drain(..).zip(&ops) {
                        multi_result(result, op.op()).encode(out);
                    }
                    MultiHeader::END.encode(out);
                })))
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

fn multi_result(result: Applied, op: OpCode) -> MultiResult {
    match result {
        Applied::Created { path, .. } if op == OpCode::CREATE => MultiResult::Create(path),
        Applied::Created { path, stat } => MultiResult::Create2 { path, stat },
        Applied::Set(stat) => MultiResult::SetData(stat),
        Applied::Done if op == OpCode::CHECK => MultiResult::Check,
        Applied::Done => MultiResult::Delete,
        Applied::Refused(code) => MultiResult::Error(code),
    }
}
