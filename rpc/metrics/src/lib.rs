//! Metrics of RPC servers and clients: counts, calls in flight and latency histograms, recorded without a lock and without
//! an allocation; sums over processes; the text format of Prometheus.
//!
//! Servers and clients of `rpc-server` and `rpc-client` record into it. Take the readings from `Server::metrics` and
//! `Client::metrics`, in the process, or as text from a status port.
//!
//! ```
//! use std::time::Duration;
//!
//! use rpc_metrics::ServerMetrics;
//!
//! // A server records its calls …
//! let metrics = ServerMetrics::default();
//! metrics.set_methods([("shop", "price")]);
//! let price = metrics.method(0);
//! for ms in [3, 5, 90] {
//!     price.start();
//!     price.end(0, Duration::from_millis(ms));
//! }
//!
//! // … and a snapshot answers questions,
//! let snapshot = metrics.snapshot();
//! assert_eq!(snapshot.sum("rpc_server_calls_total", &[("method", "price"), ("code", "OK")]), 3);
//! let latencies = snapshot.distribution("rpc_server_call_duration_seconds", &[("method", "price")]);
//! assert!(latencies.percentile(50.0) < Duration::from_millis(6));
//! assert!(latencies.percentile(99.0) >= Duration::from_millis(90));
//!
//! // is added to those of other processes,
//! let mut sum = snapshot.clone();
//! sum.merge(&snapshot);
//! assert_eq!(sum.sum("rpc_server_calls_total", &[]), 6);
//!
//! // and is what Prometheus reads.
//! assert!(sum.to_text().contains("rpc_server_calls_total{service=\"shop\",method=\"price\",code=\"OK\"} 6\n"));
//! ```
//!
//! # Parts
//! | type | purpose |
//! | --- | --- |
//! | [`ServerMetrics`], [`ClientMetrics`] | all that a server, or a client, records; their tables list the names |
//! | [`CallSeries`], [`Histogram`], [`Counter`] | the parts, for metrics of your own |
//! | [`Snapshot`], [`Distribution`] | readings: sums, percentiles, text |
//! | [`http`] | the answers of a status port |
//!
//! The file `dashboard.json` beside the sources is a dashboard for Grafana.
//!
//! # Bounds
//! A method has a series for each status code that it has answered with; codes without a name, unknown methods, and names
//! beyond 256, share one. A series takes 1.8 KiB.
//!
//! # Features
//! | feature | default | effect |
//! | --- | --- | --- |
//! | none | | the crate has no cargo features and no dependencies |
#![forbid(unsafe_code)]

mod bytes;
mod calls;
mod client;
mod distribution;
mod histogram;
pub mod http;
mod label;
mod name_table;
mod server;
mod snapshot;
mod text;

pub use calls::{CallSeries, Counter};
pub use client::ClientMetrics;
pub use distribution::Distribution;
pub use histogram::Histogram;
pub use server::{Refusal, ServerMetrics};
pub use snapshot::Snapshot;
pub use text::TEXT;
