//! Methods of the demonstration's server: the tutorial's `ping` and `pi`.

use rpc_server::{Context, Service, Status};
use serde::{Deserialize, Serialize};

/// Maximum number of terms in one call of `pi`: a worker has one thread, and other calls wait for it.
pub(crate) const MAX_TERMS: u32 = 1_000_000;

/// Argument of `ping`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ping {
    /// Text to return.
    pub(crate) text: String,
}

/// Result of `ping`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Pong {
    /// Text of the request.
    pub(crate) text: String,
    /// Process id of the worker.
    pub(crate) pid: u32,
}

/// Argument of `pi`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Pi {
    /// Number of terms of the series to sum up; at most [`MAX_TERMS`].
    pub(crate) terms: u32,
}

/// Result of `pi`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PiResult {
    /// Approximation of pi.
    pub(crate) pi: f64,
    /// Process id of the worker.
    pub(crate) pid: u32,
}

/// Builds the service, under its name in the registry.
pub(crate) fn service(name: &str) -> Service {
    Service::builder(name).method("ping", ping).method("pi", pi).build()
}

async fn ping(request: Ping, _: Context) -> Result<Pong, Status> {
    Ok(Pong { text: request.text, pid: std::process::id() })
}

async fn pi(request: Pi, _: Context) -> Result<PiResult, Status> {
    if request.terms > MAX_TERMS {
        return Err(Status::invalid_argument(format!("terms is {}; at most {MAX_TERMS}", request.terms)));
    }
    Ok(PiResult { pi: sum_up(request.terms), pid: std::process::id() })
}

/// Sums up the tutorial's series: the reciprocals of the odd squares add up to pi squared over eight.
fn sum_up(terms: u32) -> f64 {
    let sum: f64 = (0..terms).map(|term| (2.0 * f64::from(term) + 1.0).powi(-2)).sum();
    (8.0 * sum).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_comes_close_to_pi() {
        assert!((sum_up(10_000) - std::f64::consts::PI).abs() < 1e-4);
        assert!((sum_up(1) - 8_f64.sqrt()).abs() < 1e-12);
    }
}
