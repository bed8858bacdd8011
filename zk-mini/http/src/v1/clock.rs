//! The clock of the server.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zk_mini::{ClockRuns, Jump};
use zk_wire::Utc;

use crate::app::App;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::v1::sessions::millis;
use crate::whole::Whole;

/// Most milliseconds that one request moves a clock: 100 years.
const FARTHEST: u64 = 100 * 31_557_600_000;

pub(super) fn routes() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(clock, change))
}

/// Clock of the server.
#[derive(Serialize, ToSchema)]
struct Clock {
    /// `real`, or `manual` if time moves only by `POST /v1/clock`.
    mode: Mode,
    /// Wall-clock time, by ISO 8601, in UTC.
    #[schema(example = "2026-11-28T09:41:07.120Z")]
    now: String,
    /// Wall-clock time, in milliseconds since 1970.
    now_ms: i64,
    /// Monotonic time, by which sessions expire: milliseconds since the start of the server.
    monotonic_ms: u64,
    /// ZooKeeper's `tickTime`.
    tick_ms: u64,
    /// Time until something happens without a client, such as an expiry; null if nothing ever will.
    next_deadline_ms: Option<u64>,
    /// Time by which this request has moved the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    advanced_ms: Option<u64>,
}

/// Change of the clock: one of these.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"advance_ms\":1000}")]
struct ClockChange {
    /// `manual` stops the clock at the present time; `real` lets it run on from the time that it shows.
    mode: Option<Mode>,
    /// Moves a manual clock by so many milliseconds; everything that is due on the way happens.
    advance_ms: Option<Whole>,
    /// Moves a manual clock by so many ticks.
    advance_ticks: Option<Whole>,
    /// Moves a manual clock to the next deadline, if there is one.
    to_next_deadline: Option<bool>,
    /// Moves the wall clock alone, as an administrator or NTP does; negative for back. Sessions do not notice.
    jump_wall_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Manual,
    Real,
}

/// Clock of the server.
#[utoipa::path(get, path = "/clock", tag = "time", responses((status = 200, body = Clock)))]
async fn clock(app: App) -> Json<Clock> {
    Json(Clock::of(&app, None))
}

/// Takes the clock over, moves it, or lets it run. Answers when what that caused has been performed: sessions have expired, events and
/// replies have been sent.
#[utoipa::path(
    post, path = "/clock", operation_id = "change_clock", tag = "time",
    request_body = ClockChange, responses(
    (status = 200, body = Clock), (status = 400, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "the clock runs by itself"),
))]
async fn change(app: App, Json(change): Json<ClockChange>) -> Result<Json<Clock>, ApiError> {
    let server = &app.server;
    let moved = match change {
        ClockChange {
            mode: Some(mode),
            advance_ms: None,
            advance_ticks: None,
            to_next_deadline: None,
            jump_wall_ms: None,
        } => {
            match mode {
                Mode::Manual => server.hold_clock().await,
                Mode::Real => server.release_clock(),
            }
            None
        }
        ClockChange {
            mode: None,
            advance_ms: Some(by),
            advance_ticks: None,
            to_next_deadline: None,
            jump_wall_ms: None,
        } => Some(advance(&app, "advance_ms", Some(by.0)).await?),
        ClockChange {
            mode: None,
            advance_ms: None,
            advance_ticks: Some(ticks),
            to_next_deadline: None,
            jump_wall_ms: None,
        } => {
            let by = ticks.0.checked_mul(millis(server.tick()));
            Some(advance(&app, "advance_ticks", by).await?)
        }
        ClockChange {
            mode: None,
            advance_ms: None,
            advance_ticks: None,
            to_next_deadline: Some(true),
            jump_wall_ms: None,
        } => {
            let moved = server.try_advance_to_next_deadline().await.map_err(runs)?;
            Some(moved.map_or(0, millis))
        }
        ClockChange {
            mode: None,
            advance_ms: None,
            advance_ticks: None,
            to_next_deadline: None,
            jump_wall_ms: Some(by),
        } => {
            jump(&app, by)?;
            None
        }
        _ => {
            let message = "say one thing: {\"mode\":\"manual\"}, {\"mode\":\"real\"}, {\"advance_ms\":1000}, {\"advance_ticks\":1}, \
                           {\"to_next_deadline\":true} or {\"jump_wall_ms\":-1000}";
            return Err(ApiError::bad_request(message));
        }
    };
    Ok(Json(Clock::of(&app, moved)))
}

/// Moves the clock by milliseconds; `None` is too far.
async fn advance(app: &App, field: &str, by: Option<u64>) -> Result<u64, ApiError> {
    let by = by.filter(|by| *by <= FARTHEST).ok_or_else(|| too_far(field))?;
    app.server.try_advance(Duration::from_millis(by)).await.map_err(runs)?;
    Ok(by)
}

fn jump(app: &App, by: i64) -> Result<(), ApiError> {
    let span = by.unsigned_abs();
    if span > FARTHEST {
        return Err(too_far("jump_wall_ms"));
    }
    let span = Duration::from_millis(span);
    app.server.jump_wall_clock(if by < 0 { Jump::Back(span) } else { Jump::Forward(span) });
    Ok(())
}

fn too_far(field: &str) -> ApiError {
    ApiError::bad_request(format!(
        "{field} moves the clock too far: one request moves it by at most {FARTHEST} ms, 100 years"
    ))
}

fn runs(_: ClockRuns) -> ApiError {
    ApiError::conflict("the clock runs by itself: send {\"mode\":\"manual\"} to POST /v1/clock first")
}

impl Clock {
    fn of(app: &App, advanced_ms: Option<u64>) -> Self {
        let (server, now) = (&app.server, app.server.now());
        Self {
            mode: if server.is_clock_held() { Mode::Manual } else { Mode::Real },
            now: format!("{:#}", Utc(now.wall)),
            now_ms: now.wall.0,
            monotonic_ms: now.mono.0,
            tick_ms: millis(server.tick()),
            next_deadline_ms: server.next_deadline().map(millis),
            advanced_ms,
        }
    }
}
