//! What the demonstration's server offers: the tutorial's `ping` and `pi`.

use rpc_server::{Context, Service, Status};
use serde::{Deserialize, Serialize};

/// The most terms that one call of `pi` sums up: a worker has one thread, and others wait for it.
pub(crate) const MAX_TERMS: u32 = 1_000_000;

/// The argument of `ping`: is anybody there?
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ping {
    /// Comes back.
    pub(crate) text: String,
}

/// The result of `ping`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Pong {
    /// As asked.
    pub(crate) text: String,
    /// The worker that answered.
    pub(crate) pid: u32,
}

/// The argument of `pi`: what is it, about?
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Pi {
    /// How many terms of the series to sum up; [`MAX_TERMS`] at most.
    pub(crate) terms: u32,
}

/// The result of `pi`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PiResult {
    /// Pi, about.
    pub(crate) pi: f64,
    /// The worker that answered.
    pub(crate) pid: u32,
}

/// The service, under the name that it has in the registry.
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

/// The tutorial's series: the reciprocals of the odd squares add up to pi squared over eight.
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
