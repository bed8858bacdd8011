//! Faults: rules by which the server misbehaves.

mod condition;
mod effect;
mod hit;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::{FaultId, FaultInfo, FaultState, Rule, RuleError};

use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path};
use crate::hex::Hex;
use crate::v1::entry::small_id;
use condition::When;
use effect::Effect;
use hit::HitBody;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list, add, remove_all)).routes(routes!(show, remove))
}

/// Rule of faults: when something happens, then the server misbehaves so.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `when` and `then`")]
#[schema(example = json!({"when": {"op": "create", "path": "/services/**", "nth": 1}, "then": {"drop": "after_apply"}}))]
struct RuleBody {
    when: When,
    then: Effect,
}

/// Rule of the server, and its counts.
#[derive(Debug, Serialize, ToSchema)]
struct Fault {
    /// Id of the rule.
    id: Hex,
    /// Number of times that it has fired.
    fired: u64,
    /// Number of cases that it was shown and is about.
    matched: u64,
    /// `active`, or `used_up` if its condition allows no further case.
    state: &'static str,
    /// The rule as a sentence.
    #[schema(
        example = "create of /services/**, the 1st: apply, then close the connection without the reply"
    )]
    text: String,
    when: When,
    then: Effect,
}

/// Rule of the server, its counts, and what it has hit.
#[derive(Debug, Serialize, ToSchema)]
struct FaultWithHits {
    #[serde(flatten)]
    fault: Fault,
    /// Cases in which the rule has fired, in order: the latest hundred.
    hits: Vec<HitBody>,
}

/// Rules that were removed.
#[derive(Debug, Serialize, ToSchema)]
struct Removed {
    /// The rules, with their last counts.
    faults: Vec<Fault>,
}

/// Rules, in the order in which they are asked: the first that fires decides.
#[utoipa::path(
    get, path = "/faults", operation_id = "list_faults", tag = "faults",
    responses((status = 200, body = [Fault])))]
async fn list(app: App) -> Json<Vec<Fault>> {
    Json(app.server.faults().into_iter().map(Fault::from).collect())
}

/// Adds a rule behind the others. It stays until it is removed, or the server stops.
#[utoipa::path(
    post, path = "/faults", operation_id = "add_fault", tag = "faults",
    request_body = RuleBody, responses(
    (status = 200, body = Fault), (status = 400, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "too many rules"),
))]
async fn add(app: App, Json(body): Json<RuleBody>) -> Result<Json<Fault>, ApiError> {
    let rule = Rule::new(body.when.on()?, body.then.then()?).map_err(|error| refused(&error))?;
    let id = app.server.try_fault(rule).map_err(|error| refused(&error))?.keep();
    fault(&app, id).map(Json)
}

/// A rule, and what it has hit.
#[utoipa::path(
    get, path = "/faults/{id}", operation_id = "show_fault", tag = "faults",
    params(("id" = Hex, Path)), responses(
    (status = 200, body = FaultWithHits), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
))]
async fn show(app: App, Path(id): Path<String>) -> Result<Json<FaultWithHits>, ApiError> {
    let id = id_of(&id)?;
    let fault = fault(&app, id)?;
    let hits = app.server.fault_hits(id).into_iter().map(HitBody::from).collect();
    Ok(Json(FaultWithHits { fault, hits }))
}

/// Removes a rule. Connections that it has slowed down are fast again; what else it holds stays held.
#[utoipa::path(
    delete, path = "/faults/{id}", operation_id = "remove_fault", tag = "faults",
    params(("id" = Hex, Path)), responses(
    (status = 200, body = Fault, description = "the rule, with its last counts"),
    (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
))]
async fn remove(app: App, Path(id): Path<String>) -> Result<Json<Fault>, ApiError> {
    let id = id_of(&id)?;
    let fault = fault(&app, id)?;
    if app.server.remove_fault(id) { Ok(Json(fault)) } else { Err(unknown(id)) }
}

/// Removes all rules.
#[utoipa::path(
    delete, path = "/faults", operation_id = "remove_faults", tag = "faults",
    responses((status = 200, body = Removed)))]
async fn remove_all(app: App) -> Json<Removed> {
    let mut faults = app.server.faults();
    faults.retain(|fault| app.server.remove_fault(fault.id));
    Json(Removed { faults: faults.into_iter().map(Fault::from).collect() })
}

fn fault(app: &App, id: FaultId) -> Result<Fault, ApiError> {
    let info = app.server.fault_info(id).filter(|fault| fault.state != FaultState::Removed);
    info.map(Fault::from).ok_or_else(|| unknown(id))
}

fn unknown(id: FaultId) -> ApiError {
    let id = Hex::from(id);
    ApiError::not_found(format!(
        "there is no fault {id}: it was removed, or never was; GET /v1/faults lists all"
    ))
}

fn id_of(text: &str) -> Result<FaultId, ApiError> {
    small_id(text).map(FaultId)
}

fn refused(error: &RuleError) -> ApiError {
    let message = error.to_string();
    match error {
        RuleError::TooMany(_) => ApiError::conflict(message),
        _ => ApiError::bad_request(message),
    }
}

impl From<FaultId> for Hex {
    fn from(id: FaultId) -> Self {
        Self(id.0.cast_signed())
    }
}

impl From<FaultInfo> for Fault {
    fn from(info: FaultInfo) -> Self {
        Self {
            id: info.id.into(),
            fired: info.fired,
            matched: info.matched,
            state: if info.state == FaultState::Active { "active" } else { "used_up" },
            text: info.rule.to_string(),
            when: info.rule.on().condition().into(),
            then: info.rule.then().into(),
        }
    }
}
