//! `rpc load`: many calls, and how long they take.

mod histogram;
mod plan;
mod report;

use std::io::{Write, stderr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rpc_client::Client;
use serde_json::Value;
use tokio::signal::ctrl_c;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep_until, timeout_at};

use crate::call::MethodArgs;
use crate::error::CliError;
use crate::output::{Output, is_watched};
use crate::parse::{rate, seconds};
use crate::service::{ServiceArgs, block_on};
use plan::Pace;
use report::{Report, Tally};

/// Maximum time for the calls that still run at the end.
const PATIENCE: Duration = Duration::from_secs(10);

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
    #[arg(long, short, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    duration: Duration,

    /// Time to run before it is measured
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warm_up: Duration,

    /// Connections to each address
    #[arg(long, value_name = "N")]
    connections: Option<NonZeroUsize>,

    #[command(flatten)]
    service: ServiceArgs,
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
        Ok(load(args, &work).await)
    }))?;
    out.print(&report.to_json(), &report)?;
    if report.ok == 0 { Err(CliError::NothingSucceeded(report.calls())) } else { Ok(()) }
}

async fn load(args: &LoadArgs, work: &Arc<Work>) -> Report {
    let start = Instant::now() + args.warm_up;
    let end = start + args.duration;
    let mut callers = JoinSet::new();
    match args.rate {
        None => {
            for _ in 0..args.concurrency.get() {
                callers.spawn(closed(Arc::clone(work), start, end));
            }
        }
        Some(rate) => {
            callers.spawn(open(Arc::clone(work), rate, args.concurrency.get(), start, end));
        }
    }
    let finished = async { while callers.join_next().await.is_some() {} };
    let stopped = async {
        tokio::select! {
            biased;
            _ = timeout_at(end + PATIENCE, finished) => {}
            _ = ctrl_c() => {}
        }
    };
    tokio::select! {
        biased;
        () = stopped => {}
        () = progress(work, start, args.duration) => {}
    }
    let measured = Instant::now().min(end).saturating_duration_since(start);
    work.tally.report(measured)
}

/// Makes one call after the other.
async fn closed(work: Arc<Work>, start: Instant, end: Instant) {
    while Instant::now() < end {
        let began = Instant::now();
        work.call(began, start, end).await;
    }
}

/// Begins calls at fixed times.
async fn open(work: Arc<Work>, rate: f64, most: usize, start: Instant, end: Instant) {
    let mut calls = JoinSet::new();
    let mut pace = Pace::new(rate);
    let began = Instant::now();
    loop {
        let due = began + pace.next();
        if due >= end {
            break;
        }
        sleep_until(due).await;
        while calls.try_join_next().is_some() {}
        if calls.len() >= most {
            // Late from here on: its time counts from when it was due.
            calls.join_next().await;
        }
        let work = Arc::clone(&work);
        calls.spawn(async move { work.call(due, start, end).await });
    }
    while calls.join_next().await.is_some() {}
}

impl Work {
    /// Makes a call that began at `began`, and counts it if that was while it is measured.
    async fn call(&self, began: Instant, start: Instant, end: Instant) {
        let result = self.call_once().await;
        if (start..end).contains(&began) {
            self.tally.add(began.elapsed(), result.err().map(|error| error.code()));
        }
    }

    async fn call_once(&self) -> Result<(), rpc_client::Error> {
        let mut call = self.client.call::<_, Value>(&self.method, &self.argument);
        for (name, value) in &self.metadata {
            call = call.metadata(name, value);
        }
        call.await.map(drop)
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
        let (calls, failed) = work.tally.counts();
        let _ = write!(stderr(), "\r{passed:.0?} of {duration:.0?}: {calls} calls, {failed} failed ");
        if passed == duration {
            let _ = writeln!(stderr());
            return std::future::pending().await;
        }
    }
}
