//! Requests that change one node.

use zk_wire::{
    CreateView, Encode, ErrorCode, Fields, OpCode, ReconfigView, SetAclView, SetDataView, VersionedPathView,
};

use crate::core::apply::Applied;
use crate::core::audit::{AuditOperation, AuditedWrite};
use crate::core::prepare::{Prepare, Prepared};
use crate::core::requests::audited::{of_set_acl, znode_type};
use crate::core::requests::call::{Answer, Call, Failure, Reply};
use crate::core::txn::Change;
use crate::core::{Core, size};

impl Core {
    /// Handles all creates.
    #[inline]
    pub(crate) fn create(&mut self, call: &Call, request: &CreateView<'_>) -> Answer {
        let prepared = self.prepare(call)?.create(request, None);
        let answer = self.write(call, prepared);
        if self.config.audit && request.path.is_some() && znode_type(request).is_some() {
            let write =
                AuditedWrite { znode_type: znode_type(request), ..AuditedWrite::to(request.path.as_deref()) };
            self.audit(call, AuditOperation::Create, write, &answer);
        }
        answer
    }

    #[inline]
    pub(crate) fn delete(&mut self, call: &Call, request: &VersionedPathView<'_>) -> Answer {
        let prepared = self.prepare(call)?.delete(request);
        let answer = self.write(call, prepared);
        if self.config.audit {
            let write = AuditedWrite::to(request.path.as_deref());
            self.audit(call, AuditOperation::Delete, write, &answer);
        }
        answer
    }

    #[inline]
    pub(crate) fn set_data(&mut self, call: &Call, request: &SetDataView<'_>) -> Answer {
        let prepared = self.prepare(call)?.set_data(request);
        let answer = self.write(call, prepared);
        if self.config.audit {
            let write = AuditedWrite::to(request.path.as_deref());
            self.audit(call, AuditOperation::SetData, write, &answer);
        }
        answer
    }

    pub(crate) fn set_acl(&mut self, call: &Call, request: &SetAclView<'_>) -> Answer {
        let prepared = self.prepare(call)?.set_acl(request);
        let answer = self.write(call, prepared);
        if self.config.audit {
            self.audit(call, AuditOperation::SetAcl, of_set_acl(request), &answer);
        }
        answer
    }

    /// Refuses the delete of a container by a client: only the server does it, without any check of ACLs.
    pub(crate) fn delete_container(&mut self, call: &Call) -> Answer {
        let answer = self.refuse(call, ErrorCode::BAD_ARGUMENTS);
        if self.config.audit {
            self.audit(call, AuditOperation::Delete, AuditedWrite::default(), &answer);
        }
        answer
    }

    /// Handles a change of members. A single server has none, and refuses it. A readable request takes a zxid, as every
    /// refused write.
    pub(crate) fn reconfig(&mut self, call: &Call, body: &Fields<'_>) -> Answer {
        let Ok(request) = call.read::<ReconfigView<'_>>(*body) else {
            return Err(ErrorCode::MARSHALLING_ERROR.into());
        };
        let answer = if self.config.reconfig_enabled {
            self.reconfigure(call, &request)
        } else {
            self.refuse(call, ErrorCode::RECONFIG_DISABLED)
        };
        if self.config.audit {
            self.audit(call, AuditOperation::Reconfig, AuditedWrite::default(), &answer);
        }
        answer
    }

    /// Returns the rules for writes of a request.
    #[inline(always)]
    pub(crate) fn prepare(&self, call: &Call) -> Result<Prepare<'_>, Failure> {
        let mut prepare = Prepare::new(&self.tree, call.session, self.requester(call.conn)?, &self.config);
        if self.config.local_sessions {
            prepare.no_ephemerals = self.refusal_of_ephemerals(call);
        }
        Ok(prepare)
    }

    /// Commits a write or its refusal, and replies with the result.
    #[inline]
    fn write(&mut self, call: &Call, prepared: Prepared) -> Answer {
        // Before the change, which would be moved once more to make room for it.
        let cause = call.into();
        let change = match prepared {
            Ok(change) if size::fits(&change, &self.config) => change,
            // Neither a log nor a frame can hold it.
            Ok(_) => Change::Error(ErrorCode::MARSHALLING_ERROR),
            Err(code) => Change::Error(code),
        };
        self.commit(call.now, call.session, call.xid, cause, change);
        let result = self.results.last().ok_or(Failure::Close)?;
        if self.config.audit
            && let Applied::Created { path, .. } = result
        {
            self.created = Some(path.clone());
        }
        // As a `CreateResponse`, a `Create2Response` or a `StatResponse`, which are not made for it.
        let answer = match result {
            Applied::Created { path, .. } if call.op == OpCode::CREATE => Ok(self.outputs.record(path)),
            Applied::Created { path, stat } => Ok(self.outputs.body(|out| {
                path.encode(out);
                stat.encode(out);
            })),
            Applied::Set(stat) => Ok(self.outputs.record(stat)),
            Applied::Done => return Ok(Reply::Header),
            Applied::Refused(code) => Err((*code).into()),
        };
        self.results.clear();
        answer.map(Reply::Body)
    }

    /// Refuses a write, which takes a zxid, too.
    pub(crate) fn refuse(&mut self, call: &Call, code: ErrorCode) -> Answer {
        self.commit(call.now, call.session, call.xid, call.into(), Change::Error(code));
        Err(code.into())
    }
}
