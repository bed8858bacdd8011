//! Metrics of a server.

use std::sync::OnceLock;
use std::time::Duration;

use crate::calls::{CallFamilies, CallSeries, Counter};
use crate::label::OTHER;
use crate::snapshot::Snapshot;

const FAMILIES: CallFamilies = CallFamilies {
    calls: ("rpc_server_calls_total", "Calls that have ended, by status code."),
    durations: ("rpc_server_call_duration_seconds", "Time from the start of the handler to its reply."),
    in_flight: ("rpc_server_in_flight", "Calls whose handler runs."),
};

/// Reason for which a server refuses a call, or a connection, without running anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The server drains.
    Draining,
    /// Too many calls in flight on the connection.
    Connection,
    /// Too many calls in flight from the peer.
    Peer,
    /// Too many calls in flight on the server.
    Server,
    /// Too many bytes of arguments in flight on the connection.
    Bytes,
    /// Too little time is left, or none.
    Late,
    /// The server is overloaded: its adaptive limit, or the time in its queue.
    Overload,
    /// Another reason.
    Other,
}

const REFUSALS: [(Refusal, &str); 8] = [
    (Refusal::Draining, "draining"),
    (Refusal::Connection, "connection"),
    (Refusal::Peer, "peer"),
    (Refusal::Server, "server"),
    (Refusal::Bytes, "bytes"),
    (Refusal::Late, "late"),
    (Refusal::Overload, "overload"),
    (Refusal::Other, "other"),
];

/// Metrics of one server. All of it is recorded without a lock.
///
/// | name | type | labels |
/// | --- | --- | --- |
/// | `rpc_server_calls_total` | counter | `service`, `method`, `code` |
/// | `rpc_server_call_duration_seconds` | histogram | `service`, `method`, `code` |
/// | `rpc_server_in_flight` | gauge | `service`, `method` |
/// | `rpc_server_stream_messages_received_total`, `rpc_server_stream_messages_sent_total` | counter | `service`, `method` |
/// | `rpc_server_refused_calls_total` | counter | `reason` |
/// | `rpc_server_connections` | gauge | |
/// | `rpc_server_accepted_connections_total`, `rpc_server_refused_connections_total` | counter | |
/// | `rpc_server_received_bytes_total`, `rpc_server_sent_bytes_total` | counter | |
///
/// Calls of unknown methods share the method `_OTHER`, and codes without a name the code `_OTHER`: clients cannot make new
/// series.
#[derive(Debug, Default)]
pub struct ServerMetrics {
    methods: OnceLock<Vec<Method>>,
    other: CallSeries,
    refused: [Counter; REFUSALS.len()],
    /// Connections that were accepted.
    pub opened: Counter,
    /// Connections that have ended, of those that were accepted.
    pub closed: Counter,
    /// Connections that were refused.
    pub turned_away: Counter,
    /// Bytes that have been received.
    pub received: Counter,
    /// Bytes that have been sent.
    pub sent: Counter,
}

#[derive(Debug)]
struct Method {
    service: String,
    name: String,
    calls: CallSeries,
}

impl ServerMetrics {
    /// Sets the methods, each a service and a name, in the order of [`ServerMetrics::method`]. Only the first call has an
    /// effect.
    pub fn set_methods<'a>(&self, methods: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let new = |(service, name): (&str, &str)| Method {
            service: service.to_owned(),
            name: name.to_owned(),
            calls: CallSeries::default(),
        };
        self.methods.get_or_init(|| methods.into_iter().map(new).collect());
    }

    /// Returns the series of a method, by its place; those of other methods for an unknown place.
    #[must_use]
    pub fn method(&self, index: usize) -> &CallSeries {
        self.methods.get().and_then(|methods| methods.get(index)).map_or(&self.other, |method| &method.calls)
    }

    /// Records a call of a method that does not exist, with the code of its answer.
    pub fn reject_unknown_method(&self, code: u8) {
        self.other.start();
        self.other.end(code, Duration::ZERO);
    }

    /// Records a call that was refused.
    pub fn refuse(&self, why: Refusal) {
        self.refused[why as usize].increment();
    }

    /// Returns the readings of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let services = self.methods.get().map_or(&[][..], Vec::as_slice);
        for Method { service, name, calls } in services {
            let labels = [("service", service.as_str()), ("method", name.as_str())];
            calls.show(&mut snapshot, &FAMILIES, &labels);
            show_messages(&mut snapshot, calls, &labels);
        }
        if !self.other.is_unused() {
            let service = services.first().map_or("", |method| &method.service);
            self.other.show(&mut snapshot, &FAMILIES, &[("service", service), ("method", OTHER)]);
        }
        for ((_, reason), refused) in REFUSALS.iter().zip(&self.refused) {
            let (name, help) = ("rpc_server_refused_calls_total", "Calls that were refused and did not run.");
            snapshot.counter(name, help, &[("reason", reason)], refused.get());
        }
        let closed = self.closed.get();
        let open = self.opened.get().saturating_sub(closed);
        snapshot.gauge("rpc_server_connections", "Connections that are open.", &[], open);
        for (name, help, counter) in [
            ("rpc_server_accepted_connections_total", "Connections that were accepted.", &self.opened),
            ("rpc_server_refused_connections_total", "Connections that were refused.", &self.turned_away),
            ("rpc_server_received_bytes_total", "Bytes that were received.", &self.received),
            ("rpc_server_sent_bytes_total", "Bytes that were sent.", &self.sent),
        ] {
            snapshot.counter(name, help, &[], counter.get());
        }
        snapshot
    }
}

/// Shows the messages of streams; methods without any have no series of them.
fn show_messages(snapshot: &mut Snapshot, calls: &CallSeries, labels: &[(&str, &str)]) {
    for (name, help, counter) in [
        (
            "rpc_server_stream_messages_received_total",
            "Messages of streams that were received.",
            &calls.received,
        ),
        ("rpc_server_stream_messages_sent_total", "Messages of streams that were sent.", &calls.sent),
    ] {
        let number = counter.get();
        if number > 0 {
            snapshot.counter(name, help, labels, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_place() {
        for (index, (refusal, _)) in REFUSALS.iter().enumerate() {
            assert_eq!(*refusal as usize, index);
        }
    }

    #[test]
    fn a_call_is_in_flight_until_its_end() {
        let metrics = ServerMetrics::default();
        metrics.set_methods([("shop", "buy"), ("shop", "price")]);
        let price = [("service", "shop"), ("method", "price")];
        metrics.method(1).start();
        assert_eq!(metrics.snapshot().sum("rpc_server_in_flight", &price), 1);
        assert_eq!(metrics.snapshot().sum("rpc_server_calls_total", &price), 0);
        metrics.method(1).end(5, Duration::from_millis(7));
        let snapshot = metrics.snapshot();
        assert_eq!(snapshot.sum("rpc_server_in_flight", &price), 0);
        assert_eq!(snapshot.sum("rpc_server_calls_total", &[("code", "NOT_FOUND")]), 1);
        assert_eq!(snapshot.distribution("rpc_server_call_duration_seconds", &price).count(), 1);
        assert_eq!(snapshot.sum("rpc_server_calls_total", &[("method", "buy")]), 0);
    }

    #[test]
    fn unknown_methods_and_codes_share_a_series_each() {
        let metrics = ServerMetrics::default();
        metrics.set_methods([("shop", "buy")]);
        for code in [12, 200, 255] {
            metrics.method(7).start();
            metrics.method(7).end(code, Duration::ZERO);
        }
        let snapshot = metrics.snapshot();
        assert_eq!(snapshot.sum("rpc_server_calls_total", &[("method", OTHER), ("code", OTHER)]), 2);
        assert_eq!(snapshot.label_values("rpc_server_calls_total", "code"), ["UNIMPLEMENTED", OTHER]);
    }
}
