//! Figures of the parent and its workers, for the status port.

use std::collections::BTreeMap;

use common::Millis;
use nix::unistd::Pid;
use rpc_metrics::http::Answer;
use rpc_metrics::{Snapshot, TEXT};

use super::Shell;
use super::child::ChildProcess;
use crate::supervisor::{ChildStatus, Exit};
use crate::worker::Worker;

/// Maximum number of series of a family that workers which have ended leave.
const MAX_SERIES: usize = 1_000;

/// Counts that outlive the workers.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Sum of what workers that have ended have counted; bounded, because workers may end for years.
    departed: Snapshot,
    /// Number of workers that have ended, by the way.
    ended: BTreeMap<&'static str, u64>,
}

impl Figures {
    /// Adds a worker that has ended, with its last entry.
    pub(super) fn absorb(&mut self, exit: Exit, entry: Option<&[u8]>) {
        let how = match exit {
            Exit::Status(0) => "exited",
            Exit::Status(_) => "failed",
            Exit::Signal(_) => "killed",
        };
        *self.ended.entry(how).or_default() += 1;
        if let Some(mut last) = entry.and_then(Snapshot::from_bytes) {
            last.retain_counted();
            self.departed.merge_within(MAX_SERIES, &last);
        }
    }

    /// Returns the sum of what workers have counted, those that have ended and those that live, each with its process id.
    fn sum(&self, living: impl Iterator<Item = (Pid, Snapshot)>) -> Snapshot {
        let mut sum = self.departed.clone();
        for (pid, mut snapshot) in living {
            snapshot.label_connections("worker_pid", &pid.to_string());
            sum.merge(&snapshot);
        }
        sum
    }
}

impl<F: FnMut(Worker) -> i32> Shell<F> {
    /// Answers a request on the status port.
    pub(super) fn answer(&self, path: &str) -> Answer {
        match path {
            "/" => Answer::text(200, self.status()),
            "/metrics" => Answer { status: 200, content_type: TEXT, body: self.metrics().to_text() },
            "/health" if self.core.serves() => Answer::text(200, "SERVING\n"),
            "/health" => Answer::text(503, "NOT_SERVING\n"),
            _ => Answer::not_found(),
        }
    }

    /// Returns the sum over all workers, living and dead, and the parent's own metrics.
    fn metrics(&self) -> Snapshot {
        let snapshot = |child: &ChildProcess| Snapshot::from_bytes(&child.board.as_ref()?.read()?);
        let living = self.children.values().filter_map(|child| Some((child.pid, snapshot(child)?)));
        let mut sum = self.figures.sum(living);
        for (how, number) in &self.figures.ended {
            let help =
                "Workers that have ended, by the way: exited with status 0, failed, or killed by a signal.";
            sum.counter("prefork_workers_ended_total", help, &[("how", how)], *number);
        }
        let help = "Workers that there should be.";
        sum.gauge("prefork_workers_wanted", help, &[], self.core.workers_wanted().into());
        let now = self.clock.now();
        for status in self.core.status(now) {
            show_child(&mut sum, &status);
        }
        for (slot, restarts) in self.core.restarts() {
            let help = "Times that the slot was filled again.";
            let slot = slot.to_string();
            sum.counter("prefork_slot_restarts_total", help, &[("slot", &slot)], restarts.into());
        }
        let Millis(up) = now;
        sum.gauge("prefork_uptime_seconds", "Time since the start of the parent.", &[], up / 1_000);
        sum
    }
}

fn show_child(sum: &mut Snapshot, status: &ChildStatus) {
    let help = "Children of the parent, by their state.";
    sum.gauge("prefork_children", help, &[("state", status.state)], 1);
    if let Some(slot) = status.name.slot_of_worker() {
        let (slot, help) = (slot.to_string(), "Workers in the slot that serve.");
        sum.gauge("prefork_slot_up", help, &[("slot", &slot)], status.serves().into());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rpc_metrics::ClientMetrics;

    use super::*;

    #[test]
    fn no_sum_falls_when_one_of_two_workers_that_call_the_same_instance_ends() {
        let client = ClientMetrics::new("shop");
        let instance = client.instance("10.0.0.1:80", "7-ab");
        for calls in [client.method("price"), &*instance] {
            calls.start();
            calls.end(0, Duration::from_millis(1));
        }
        let snapshot = client.snapshot();
        let workers = [1, 2].map(|pid| (Pid::from_raw(pid), snapshot.clone()));
        let mut figures = Figures::default();
        let both = figures.sum(workers.clone().into_iter());
        figures.absorb(Exit::Status(0), Some(&snapshot.to_bytes()));
        let one = figures.sum(workers.into_iter().skip(1));
        assert_eq!((both.sum("rpc_client_calls_total", &[]), one.sum("rpc_client_calls_total", &[])), (2, 2));
        let attempts = |sum: &Snapshot, pid| sum.sum("rpc_client_attempts_total", &[("worker_pid", pid)]);
        assert_eq!((attempts(&both, "1"), attempts(&both, "2")), (1, 1));
        assert_eq!((attempts(&one, "1"), attempts(&one, "2")), (0, 1), "a series of its own goes");
        assert_eq!(one.sum("rpc_client_attempts_total", &[]), 1);
    }
}
