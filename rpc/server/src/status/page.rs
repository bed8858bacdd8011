//! The page about a server, as JSON.

use rpc_metrics::Snapshot;
use rpc_metrics::http::Answer;
use rpc_wire::{Format, OLDEST_VERSION, VERSION};
use serde::Serialize;

use crate::session::SessionConfig;

#[derive(Serialize)]
struct Page<'a> {
    services: Vec<&'a str>,
    instance: &'a str,
    state: &'static str,
    versions: Versions,
    connections: u64,
    in_flight: u64,
    methods: Vec<MethodFigures<'a>>,
    limits: ShownLimits,
}

#[derive(Serialize)]
struct Versions {
    rpc_server: &'static str,
    /// Oldest and newest version of the protocol.
    protocol: [u16; 2],
}

#[derive(Serialize)]
struct MethodFigures<'a> {
    service: &'a str,
    name: &'a str,
    calls: u64,
    in_flight: u64,
    /// Upper bounds of latencies, in milliseconds.
    p50_ms: f64,
    p99_ms: f64,
}

#[derive(Serialize)]
struct ShownLimits {
    connections: usize,
    in_flight: usize,
    in_flight_per_connection: usize,
    bytes: usize,
    max_frame: usize,
}

/// Returns the page.
pub(super) fn page(config: &SessionConfig, metrics: &Snapshot, state: &'static str) -> Answer {
    let limits = &config.limits;
    let page = Page {
        services: config.methods.offered().collect(),
        instance: &config.instance,
        state,
        versions: Versions { rpc_server: env!("CARGO_PKG_VERSION"), protocol: [OLDEST_VERSION, VERSION] },
        connections: metrics.sum("rpc_server_connections", &[]),
        in_flight: metrics.sum("rpc_server_in_flight", &[]),
        methods: config.methods.names().map(|(service, name)| method(service, name, metrics)).collect(),
        limits: ShownLimits {
            connections: limits.connections,
            in_flight: limits.in_flight,
            in_flight_per_connection: limits.in_flight_per_connection,
            bytes: limits.bytes,
            max_frame: limits.max_frame,
        },
    };
    let mut body = Vec::new();
    // Numbers and texts are always JSON.
    let _ = Format::JSON.encode(&page, &mut body);
    let body = String::from_utf8(body).unwrap_or_default() + "\n";
    Answer { status: 200, content_type: "application/json", body }
}

fn method<'a>(service: &'a str, name: &'a str, metrics: &Snapshot) -> MethodFigures<'a> {
    let labels = [("service", service), ("method", name)];
    let latencies = metrics.distribution("rpc_server_call_duration_seconds", &labels);
    let percentile = |percent| latencies.percentile(percent).as_secs_f64() * 1e3;
    MethodFigures {
        service,
        name,
        calls: latencies.count(),
        in_flight: metrics.sum("rpc_server_in_flight", &labels),
        p50_ms: percentile(50.0),
        p99_ms: percentile(99.0),
    }
}
