//! Metrics of a client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::calls::{CallFamilies, CallSeries, Counter};
use crate::label::{INSTANCE_LABEL, OTHER};
use crate::name_table::NameTable;
use crate::snapshot::Snapshot;

const CALLS: CallFamilies = CallFamilies {
    calls: ("rpc_client_calls_total", "Calls that have ended, all attempts together, by status code."),
    durations: ("rpc_client_call_duration_seconds", "Time of a call, all attempts together."),
    in_flight: ("rpc_client_in_flight", "Calls that wait for their result."),
};

const ATTEMPTS: CallFamilies = CallFamilies {
    calls: ("rpc_client_attempts_total", "Attempts that have ended, by instance and status code."),
    durations: ("rpc_client_attempt_duration_seconds", "Time of an attempt, by instance."),
    in_flight: ("rpc_client_attempts_in_flight", "Attempts that wait for their reply, by instance."),
};

/// Metrics of one client. Calls are recorded without a lock.
///
/// | name | type | labels |
/// | --- | --- | --- |
/// | `rpc_client_calls_total` | counter | `service`, `method`, `code` |
/// | `rpc_client_call_duration_seconds` | histogram | `service`, `method`, `code` |
/// | `rpc_client_in_flight` | gauge | `service`, `method` |
/// | `rpc_client_attempts_total` | counter | `service`, `server_address`, `server_instance`, `code` |
/// | `rpc_client_attempt_duration_seconds` | histogram | `service`, `server_address`, `server_instance`, `code` |
/// | `rpc_client_attempts_in_flight` | gauge | `service`, `server_address`, `server_instance` |
/// | `rpc_client_retries_total`, `rpc_client_hedges_total`, `rpc_client_ejections_total` | counter | `service` |
/// | `rpc_client_instances` | gauge | `service` |
///
/// Attempts are shown by instance as long as the client is connected to it; the parent of a rpc-prefork, which adds up its workers,
/// tells those of each worker apart by the label `worker_pid`. The labels are not called `instance`, because
/// Prometheus gives that name to what it scrapes. From 256 methods on, further ones share the method `_OTHER`.
#[derive(Debug, Default)]
pub struct ClientMetrics {
    service: String,
    methods: NameTable<CallSeries>,
    instances: Mutex<BTreeMap<(String, String), Arc<CallSeries>>>,
    /// Attempts beyond the first of a call.
    pub retries: Counter,
    /// Further attempts that were sent while an earlier one was under way.
    pub hedges: Counter,
    /// Instances that were taken out of the balancing because of failures.
    pub ejections: Counter,
}

impl ClientMetrics {
    /// Makes the metrics of a client of this service.
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), ..Self::default() }
    }

    /// Returns the series of a method.
    #[must_use]
    pub fn method(&self, name: &str) -> &CallSeries {
        self.methods.get(name)
    }

    /// Returns the series of an instance, to keep as long as the client is connected to it.
    pub fn instance(&self, address: &str, identity: &str) -> Arc<CallSeries> {
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.retain(|_, calls| is_connected(calls));
        Arc::clone(instances.entry((address.to_owned(), identity.to_owned())).or_default())
    }

    /// Returns the readings of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let service = [("service", self.service.as_str())];
        for (name, calls) in self.methods.iter().chain([(OTHER, self.methods.rest())]) {
            if !calls.is_unused() {
                calls.show(&mut snapshot, &CALLS, &[service[0], ("method", name)]);
            }
        }
        let mut connected = 0;
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        for ((address, identity), calls) in instances.iter().filter(|(_, calls)| is_connected(calls)) {
            connected += 1;
            let labels = [service[0], ("server_address", address), (INSTANCE_LABEL, identity)];
            calls.show(&mut snapshot, &ATTEMPTS, &labels);
        }
        drop(instances);
        let help = "Instances that the client is connected to.";
        snapshot.gauge("rpc_client_instances", help, &service, connected);
        for (name, help, counter) in [
            ("rpc_client_retries_total", "Attempts beyond the first of a call.", &self.retries),
            (
                "rpc_client_hedges_total",
                "Attempts that were sent while an earlier one was under way.",
                &self.hedges,
            ),
            (
                "rpc_client_ejections_total",
                "Instances that were taken out of the balancing because of failures.",
                &self.ejections,
            ),
        ] {
            snapshot.counter(name, help, &service, counter.get());
        }
        snapshot
    }
}

/// Returns true if somebody but the map has the series: a connection.
fn is_connected(calls: &Arc<CallSeries>) -> bool {
    Arc::strong_count(calls) > 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_instance_is_shown_while_it_is_connected() {
        let metrics = ClientMetrics::new("shop");
        let instance = metrics.instance("10.0.0.1:80", "7-ab");
        instance.start();
        instance.end(0, Duration::from_millis(1));
        let labels = [("server_address", "10.0.0.1:80"), ("code", "OK")];
        assert_eq!(metrics.snapshot().sum("rpc_client_attempts_total", &labels), 1);
        assert_eq!(metrics.snapshot().sum("rpc_client_instances", &[]), 1);
        drop(instance);
        assert_eq!(metrics.snapshot().sum("rpc_client_attempts_total", &labels), 0);
        assert_eq!(metrics.snapshot().sum("rpc_client_instances", &[]), 0);
    }

    #[test]
    fn calls_are_counted_by_method() {
        let metrics = ClientMetrics::new("shop");
        for method in ["buy", "price", "buy"] {
            metrics.method(method).start();
            metrics.method(method).end(0, Duration::from_millis(1));
        }
        let snapshot = metrics.snapshot();
        assert_eq!(snapshot.sum("rpc_client_calls_total", &[("method", "buy")]), 2);
        assert_eq!(snapshot.label_values("rpc_client_calls_total", "method"), ["buy", "price"]);
    }
}
