//! `rpc load`: many calls, and how long they take.

mod histogram;
mod plan;
mod report;
mod tally;
mod timeline;

use std::io::{Write, stderr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rpc_client::{Call, Client};
use serde_json::Value;
use tokio::signal::ctrl_c;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep_until, timeout_at};

use crate::call::{MethodArgs, with_metadata};
use crate::error::CliError;
use crate::output::{Output, is_watched};
use crate::parse::{rate, seconds, some_seconds};
use crate::service::{ServiceArgs, block_on};
use plan::Pace;
use report::Report;
use tally::{Progress, Tally};

/// Maximum time for the calls that still run at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maximum delay of a timer at the end that is not counted against this program.
const LATE: Duration = Duration::from_millis(100);

/// Call a method again and again, and print how long the calls took
///
/// A closed loop (the usual case): each of --concurrency callers makes its next call
/// when the last one has ended. An open loop, with --rate: calls begin at fixed
/// times, however long the others take, and a call's time counts from then; so a
/// service that stalls cannot hide it.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    method: MethodArgs,

    /// Number of callers; with --rate the maximum number of calls at a time
    #[arg(long, short, value_name = "N", default_value = "16")]
    concurrency: NonZeroUsize,

    /// Calls to begin in each second: an open loop
    #[arg(long, short, value_name = "CALLS", value_parser = rate)]
    rate: Option<f64>,

    /// Time to measure
    #[arg(long, short, value_name = "SECONDS", default_value = "10", value_parser = some_seconds)]
    duration: Duration,

    /// Time to run before it is measured
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warm_up: Duration,

    /// Connections to each address
    #[arg(long, value_name = "N")]
    connections: Option<NonZeroUsize>,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// Calls of a load.
#[derive(Debug)]
struct Work {
    client: Client,
    method: String,
    argument: Value,
    metadata: Vec<(String, String)>,
    tally: Tally,
}

/// Time that is measured.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    end: Instant,
}

pub(crate) fn run(args: &LoadArgs) -> Result<(), CliError> {
    let mut out = Output::new(args.service.registry.json);
    let argument = args.method.argument()?;
    let MethodArgs { service, method, metadata, .. } = &args.method;
    let configure = |builder: rpc_client::ClientBuilder| match args.connections {
        Some(connections) => builder.connections(connections.get()),
        None => builder,
    };
    let report = block_on(args.service.with_client(service, configure, async |client| {
        let (method, metadata) = (method.clone(), metadata.clone());
        // The first call tells whether there is any sense in it.
        let work = Arc::new(Work { client, method, argument, metadata, tally: Tally::default() });
        work.call_once().await?;
        load(args, &work).await
    }))?;
    out.print(&report.to_json(), &report)?;
    if report.ok() == 0 { Err(CliError::NothingSucceeded(report.calls())) } else { Ok(()) }
}

async fn load(args: &LoadArgs, work: &Arc<Work>) -> Result<Report, CliError> {
    let begin = Instant::now();
    let start = begin + args.warm_up;
    let window = Window { start, end: start + args.duration };
    let pace = args.rate.map(Pace::new);
    let mut callers = JoinSet::new();
    match pace {
        None => {
            for _ in 0..args.concurrency.get() {
                callers.spawn(closed(Arc::clone(work), window));
            }
        }
        Some(pace) => {
            callers.spawn(open(Arc::clone(work), pace, args.concurrency.get(), begin, window));
        }
    }
    let finished = async { while callers.join_next().await.is_some() {} };
    let stopped = async {
        tokio::select! {
            biased;
            _ = timeout_at(window.end + PATIENCE, finished) => {}
            _ = ctrl_c() => {}
        }
    };
    tokio::select! {
        biased;
        () = stopped => {}
        () = progress(work, start, args.duration) => {}
    }
    let measured = Instant::now().min(window.end).saturating_duration_since(start);
    if measured.is_zero() {
        return Err(CliError::NothingMeasured);
    }
    Ok(work.tally.report(measured, pace.map(|pace| pace.due_before(measured))))
}

/// Makes one call after the other.
async fn closed(work: Arc<Work>, window: Window) {
    loop {
        let now = Instant::now();
        if now >= window.end {
            break;
        }
        work.call(now, now >= window.start, window).await;
    }
}

/// Begins calls at fixed times.
async fn open(work: Arc<Work>, pace: Pace, most: usize, begin: Instant, window: Window) {
    let mut calls = JoinSet::new();
    // What was due in the warm-up and could not begin is forgotten at its end.
    for (from, until) in [(begin, window.start), (window.start, window.end)] {
        begin_calls(&work, pace, most, (from, until), window, &mut calls).await;
    }
    while calls.join_next().await.is_some() {}
    sleep_until(window.end).await;
}

/// Begins the calls that are due in a span of time, unless all callers are busy up to its end.
async fn begin_calls(
    work: &Arc<Work>,
    pace: Pace,
    most: usize,
    (from, until): (Instant, Instant),
    window: Window,
    calls: &mut JoinSet<()>,
) {
    let mut woken = from;
    for number in 0.. {
        let Some(due) = from.checked_add(pace.due(number)).filter(|due| *due < until) else { break };
        if due > Instant::now() {
            sleep_until(due).await;
            woken = Instant::now();
        }
        // A timer's lateness is not the service's.
        let due = due.max(woken);
        while calls.try_join_next().is_some() {}
        // Late from here on: its time counts from when it was due.
        if calls.len() >= most && timeout_at(until, calls.join_next()).await.is_err() {
            break;
        }
        // This program itself is too slow. A timer may be late by a little, also at the end.
        if Instant::now() > until + LATE {
            break;
        }
        let (work, counted) = (Arc::clone(work), from == window.start);
        calls.spawn(async move { work.call(due, counted, window).await });
    }
}

impl Work {
    /// Makes a call that is due at `due`, and counts it if that is while it is measured.
    async fn call(&self, due: Instant, counted: bool, window: Window) {
        if counted {
            self.tally.begin();
        }
        let result = self.call_once().await;
        let (ended, failure) = (Instant::now(), result.err().map(|error| error.code()));
        let took = ended.saturating_duration_since(due);
        if counted {
            self.tally.end(took, failure);
        }
        if (window.start..window.end).contains(&ended) {
            self.tally.answered(ended - window.start, failure.is_none().then_some(took));
        }
    }

    async fn call_once(&self) -> Result<(), rpc_client::Error> {
        let call = self.client.call::<_, Value>(&self.method, &self.argument);
        with_metadata(&self.metadata, call, Call::metadata).await.map(drop)
    }
}

/// Tells a person each second how far it is.
async fn progress(work: &Work, start: Instant, duration: Duration) {
    if !is_watched() {
        return std::future::pending().await;
    }
    let mut ticks = interval_at(Instant::now() + Duration::from_secs(1), Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let passed = Instant::now().saturating_duration_since(start).min(duration);
        let Progress { calls, failed, last } = work.tally.progress();
        let last = last.map(|last| format!(", {} in the last second, p99 {:.1?}", last.ok, last.p99()));
        let last = last.unwrap_or_default();
        let _ =
            write!(stderr(), "\r{passed:.0?} of {duration:.0?}: {calls} calls, {failed} failed{last}\x1b[K");
        if passed == duration {
            let _ = writeln!(stderr());
            return std::future::pending().await;
        }
    }
}
