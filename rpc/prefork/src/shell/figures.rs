//! Figures of the parent and its workers, for the status port.

use std::collections::BTreeMap;

use common::Millis;
use rpc_metrics::http::Answer;
use rpc_metrics::{Snapshot, TEXT};

use super::Shell;
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
        let mut sum = self.figures.departed.clone();
        let boards = self.children.values().filter_map(|child| child.board.as_ref());
        for snapshot in boards.filter_map(|board| Snapshot::from_bytes(&board.read()?)) {
            sum.merge(&snapshot);
        }
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
