//! Conditions of rules as JSON.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zk_mini::{CaseKind, Condition, ConnId, On};
use zk_wire::OpCode;

use crate::error::ApiError;
use crate::hex::Hex;
use crate::whole::Whole;

/// Condition of a rule: one of `op`, `event`, `connect`, `reattach` and `expiry`, and the cases of it that count. All that is said
/// must hold; then `nth`, `every`, `probability` and `times` decide, in this order.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    /// Requests of this operation, by ZooKeeper's name, or of any of several. `create` stands for every create, `getChildren` for
    /// `getChildren2`, too; `*` for all but pings, with a path for all that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!("create"))]
    op: Option<Ops>,
    /// Watch events of this kind: `NodeCreated`, `NodeDeleted`, `NodeDataChanged`, `NodeChildrenChanged`, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    /// True for handshakes: the first frame of every ZooKeeper connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<bool>,
    /// True for handshakes that bring the id of a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    reattach: Option<bool>,
    /// True for sessions that expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<bool>,
    /// Path, or a pattern: `*` stands for any characters within one name, `/a/**` for everything below `/a`. With `op` and `event`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Session only.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Hex>,
    /// Connection only, as in `/v1/connections`.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<Hex>,
    /// Listening address only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    listener: Option<SocketAddr>,
    /// The nth case only, from 1; with `every` the nth, and then every so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<Whole>,
    /// Every nth case.
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<Whole>,
    /// At most so many times.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<Whole>,
    /// Probability from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// Seed of the decisions by `probability`: the same one gives the same; 0 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<Whole>,
}

/// Names of operations.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(
    untagged,
    expecting = "the name of an operation, or a list of names, such as \"create\" or [\"create\",\"delete\"]"
)]
enum Ops {
    One(String),
    Several(Vec<String>),
}

impl When {
    /// Returns the condition.
    ///
    /// # Errors
    /// 400, with what was wrong and what is allowed.
    pub(super) fn on(self) -> Result<On, ApiError> {
        let mut on = On::of(self.kind()?);
        if self.probability.is_none() && self.seed.is_some() {
            return Err(ApiError::bad_request("`seed` goes with `probability`, which is missing"));
        }
        on = self.path.into_iter().fold(on, On::path);
        on = self.session.into_iter().fold(on, |on, id| on.session(id.into()));
        on = self.connection.into_iter().fold(on, |on, id| on.connection(ConnId(id.0.cast_unsigned())));
        on = self.listener.into_iter().fold(on, On::listener);
        on = self.nth.into_iter().fold(on, |on, Whole(n)| on.nth(n));
        on = self.every.into_iter().fold(on, |on, Whole(n)| on.every(n));
        on = self.times.into_iter().fold(on, |on, Whole(n)| on.times(n));
        let seed = self.seed.map_or(0, |Whole(seed)| seed);
        Ok(self.probability.into_iter().fold(on, |on, p| on.probability(p, seed)))
    }

    fn kind(&self) -> Result<CaseKind, ApiError> {
        let one_of = || {
            let allowed = "one of `op`, `event`, `connect`, `reattach` and `expiry`, such as {\"op\":\"create\"} or {\"expiry\":true}";
            ApiError::bad_request(format!("`when` says {allowed}"))
        };
        for (name, flag) in [("connect", self.connect), ("reattach", self.reattach), ("expiry", self.expiry)]
        {
            if flag == Some(false) {
                return Err(ApiError::bad_request(format!("`{name}` is true, or left out")));
            }
        }
        match (&self.op, &self.event, self.connect, self.reattach, self.expiry) {
            (Some(ops), None, None, None, None) => ops.kind(),
            (None, Some(name), None, None, None) => {
                let named =
                    On::event_named(name, "/").map_err(|error| ApiError::bad_request(error.to_string()))?;
                Ok(named.condition().kind)
            }
            (None, None, Some(_), None, None) => Ok(CaseKind::Connect),
            (None, None, None, Some(_), None) => Ok(CaseKind::Reattach),
            (None, None, None, None, Some(_)) => Ok(CaseKind::Expiry),
            _ => Err(one_of()),
        }
    }
}

impl Ops {
    fn kind(&self) -> Result<CaseKind, ApiError> {
        let names = match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        };
        if names == ["*"] {
            return Ok(CaseKind::AnyRequest);
        }
        if names.is_empty() {
            return Err(ApiError::bad_request(
                "`op` is an empty list: name operations, or write \"*\" for all",
            ));
        }
        if names.iter().any(|name| name == "*") {
            return Err(ApiError::bad_request(
                "`op` has \"*\" beside other names: it stands for all of them",
            ));
        }
        let mut ops: Vec<OpCode> = Vec::new();
        for name in names {
            match On::op_named(name).map(|on| on.condition().kind) {
                Ok(CaseKind::Request(named)) => ops.extend(named),
                Ok(_) => {}
                Err(error) => return Err(ApiError::bad_request(error.to_string())),
            }
        }
        Ok(CaseKind::Request(ops))
    }
}

impl From<Condition> for When {
    fn from(condition: Condition) -> Self {
        let mut when = Self {
            path: condition.path,
            session: condition.session.map(Hex::from),
            connection: condition.connection.map(Hex::from),
            listener: condition.listener,
            nth: condition.nth.map(Whole),
            every: condition.every.map(Whole),
            times: condition.times.map(Whole),
            probability: condition.probability.map(|(p, _)| p),
            seed: condition.probability.map(|(_, seed)| Whole(seed)),
            ..Self::default()
        };
        match condition.kind {
            CaseKind::Request(ops) => {
                let name = |op: &OpCode| op.name().map_or_else(|| op.to_string(), Into::into);
                let names: Vec<_> = ops.iter().map(name).collect();
                let one = (names.len() == 1).then(|| names.first().cloned()).flatten();
                when.op = Some(one.map_or(Ops::Several(names), Ops::One));
            }
            CaseKind::AnyRequest => when.op = Some(Ops::One("*".into())),
            CaseKind::Event(kind) => {
                when.event = Some(kind.map_or_else(|| "*".into(), |kind| kind.to_string()));
            }
            CaseKind::Connect => when.connect = Some(true),
            CaseKind::Reattach => when.reattach = Some(true),
            CaseKind::Expiry => when.expiry = Some(true),
            // Its text says what it is.
            _ => {}
        }
        when
    }
}
