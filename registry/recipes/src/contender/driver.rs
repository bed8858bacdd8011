//! The task behind a contender: performs the core's steps with a client.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use common::Clock;
use common::log::quietly;
use tokio::sync::watch;
use zk_client::{
    Acl, Client, CloseReason, CreateMode, Error, ErrorCode, Expected, SessionState, SessionStates, Watch,
    WeakClient,
};
use zk_wire::path;

use super::core::{Core, Input, Loss, Output, Phase, StepFailure, StepOutcome};
use super::{Report, Seat, closed};
use crate::node::Node;
use crate::protected::find;

/// Owns the core and feeds it. Ends with the client, which it does not keep open: its node goes with the session.
pub(super) struct Driver {
    client: WeakClient,
    states: SessionStates,
    clock: Clock,
    recipe: &'static str,
    path: Arc<str>,
    data: Bytes,
    core: Core,
    step: Option<Performing>,
    /// Watch on our node, once it is our turn.
    node: Option<Watch>,
    /// Watch on what is before us.
    queue: Option<Watch>,
    refused: Option<Error>,
}

type Performing = Pin<Box<dyn Future<Output = Result<Performed, Error>> + Send>>;

struct Performed {
    outcome: StepOutcome,
    watch: Option<Watch>,
}

impl Driver {
    pub(super) fn new(seat: Seat, seed: u64) -> Self {
        let Seat { client, recipe, path, terms, data } = seat;
        Self {
            client: client.downgrade(),
            states: client.states(),
            clock: client.clock(),
            recipe,
            path,
            data,
            core: Core::new(seed, terms),
            step: None,
            node: None,
            queue: None,
            refused: None,
        }
    }

    /// Runs until the turn is lost for good or withdrawn, or the client is closed.
    pub(super) async fn run(mut self, mut withdrawals: watch::Receiver<()>, reports: watch::Sender<Report>) {
        let first = self.states.wait_for(|_| true).await;
        let mut is_open = self.handle_state(first);
        let mut withdrawn = false;
        while is_open {
            if let Some(step) = self.core.poll_output() {
                let (client, path, data) = (self.client.clone(), self.path.clone(), self.data.clone());
                self.step = Some(Box::pin(perform(client, path, data, step)));
            }
            if matches!(self.report(&reports), Phase::Lost(_) | Phase::Withdrawn) {
                return;
            }
            let input = tokio::select! {
                biased;
                state = self.states.changed() => {
                    is_open = self.handle_state(state);
                    None
                }
                _ = withdrawals.changed(), if !withdrawn => {
                    withdrawn = true;
                    self.refused = None;
                    Some(Input::Withdraw)
                }
                performed = performing(&mut self.step) => {
                    self.step = None;
                    Some(Input::Done(self.done(performed)))
                }
                () = fired(&mut self.node) => {
                    self.node = None;
                    Some(Input::NodeChanged)
                }
                () = fired(&mut self.queue) => {
                    self.queue = None;
                    Some(Input::QueueChanged)
                }
                () = self.clock.sleep_until(self.core.poll_deadline()) => Some(Input::Timeout),
            };
            // The core must know of a session before it learns of steps performed in it.
            if let Some(state) = self.states.try_changed() {
                is_open = self.handle_state(Some(state));
            }
            if let Some(input) = input.filter(|_| is_open) {
                self.core.handle(self.clock.now(), input);
            }
        }
        // Whoever waits for the end of the node must not take an end that nobody has confirmed for it.
        let is_confirmed = self.states.current() == SessionState::Closed(CloseReason::Requested);
        let refused = (!is_confirmed).then(|| closed(self.recipe, &self.path));
        reports.send_modify(|report| *report = Report { phase: Phase::Lost(Loss::Closed), refused });
    }

    /// Returns false once the client is closed.
    fn handle_state(&mut self, state: Option<SessionState>) -> bool {
        let input = match state {
            Some(SessionState::Connected(session)) => Input::Connected(session),
            Some(SessionState::Disconnected(_) | SessionState::ConnectedReadOnly(_)) => Input::Disconnected,
            Some(SessionState::Connecting) => Input::SessionOver,
            Some(SessionState::Closed(_)) | None => return false,
        };
        self.core.handle(self.clock.now(), input);
        true
    }

    fn done(&mut self, performed: Result<Performed, Error>) -> StepOutcome {
        match performed {
            Ok(Performed { outcome, watch }) => {
                self.refused = None;
                match outcome {
                    StepOutcome::Checked(_) => self.node = watch,
                    StepOutcome::Listed(_) | StepOutcome::Watched(_) => self.queue = watch,
                    _ => {}
                }
                outcome
            }
            Err(error) => {
                let failure = failure(&error);
                quietly(|| tracing::debug!(path = %self.path, %error, "{}: a step failed", self.recipe));
                if failure == StepFailure::Refused {
                    quietly(|| tracing::warn!(path = %self.path, %error, "{} refused", self.recipe));
                    self.refused = Some(error);
                }
                StepOutcome::Failed(failure)
            }
        }
    }

    fn report(&mut self, reports: &watch::Sender<Report>) -> Phase {
        let phase = self.core.phase();
        if phase != Phase::Waiting {
            // Nobody wants to hear of the queue any more.
            self.queue = self.queue.take().filter(|_| self.step.is_some() && phase == Phase::Joining);
        }
        reports.send_if_modified(|report| {
            let is_new_phase = report.phase != phase;
            if is_new_phase {
                quietly(|| tracing::debug!(path = %self.path, ?phase, "{}", self.recipe));
            }
            let is_new = is_new_phase || report.refused.is_some() != self.refused.is_some();
            *report = Report { phase: phase.clone(), refused: self.refused.clone() };
            is_new
        });
        phase
    }
}

/// Performs a step; never ends once the client is about to close.
async fn perform(
    client: WeakClient,
    parent: Arc<str>,
    data: Bytes,
    step: Output,
) -> Result<Performed, Error> {
    let Some(client) = client.upgrade() else { return pending().await };
    let outcome = match step {
        Output::EnsureParent => {
            // Containers, as Curator makes them: a lock that nobody uses any more leaves nothing.
            client.ensure_path_with(&parent, CreateMode::Container, &[Acl::open()]).await?;
            StepOutcome::ParentExists
        }
        Output::Create { name } => StepOutcome::Created(create(&client, &parent, &name, data).await?),
        Output::Find { name } => StepOutcome::Found(find(&client, &parent, &name).await?),
        Output::List { watch: false } => StepOutcome::Listed(client.children(&parent).await?.0),
        Output::List { watch: true } => {
            let (names, _, watch) = client.children_and_watch(&parent).await?;
            return Ok(Performed { outcome: StepOutcome::Listed(names), watch: Some(watch) });
        }
        Output::Watch { name } => {
            // A read, because a watch on the existence of a node that has gone would stay at the server.
            match client.get_and_watch(&path::join(&parent, &name)).await {
                Ok((_, _, watch)) => {
                    return Ok(Performed { outcome: StepOutcome::Watched(true), watch: Some(watch) });
                }
                Err(error) if error.code() == Some(ErrorCode::NO_NODE) => StepOutcome::Watched(false),
                Err(error) => return Err(error),
            }
        }
        Output::Check { path } => {
            let (stat, watch) = client.exists_and_watch(&path).await?;
            let outcome = StepOutcome::Checked(stat.map(|stat| stat.ephemeral_owner));
            return Ok(Performed { outcome, watch: Some(watch) });
        }
        Output::Delete { path } => {
            client.delete(&path, Expected::Any).await?;
            StepOutcome::Deleted
        }
    };
    Ok(Performed { outcome, watch: None })
}

async fn create(client: &Client, parent: &str, name: &str, data: Bytes) -> Result<Node, Error> {
    let path = path::join(parent, name);
    let created = client.create(&path, data, CreateMode::EphemeralSequential).await?;
    Ok(Node { path: created.path, owner: created.stat.ephemeral_owner, created: created.stat.czxid })
}

fn failure(error: &Error) -> StepFailure {
    if error.code() == Some(ErrorCode::NO_NODE) {
        StepFailure::NoNode
    } else if error.may_have_been_applied() {
        StepFailure::Unanswered
    } else if error.is_retryable() || matches!(error, Error::Closed { .. }) {
        StepFailure::NotDone
    } else {
        StepFailure::Refused
    }
}

async fn performing(step: &mut Option<Performing>) -> Result<Performed, Error> {
    match step {
        Some(step) => step.await,
        None => pending().await,
    }
}

/// Waits until the watch fires or is lost; for ever without a watch.
async fn fired(watch: &mut Option<Watch>) {
    match watch {
        // The next step shows which of both it was.
        Some(watch) => drop(watch.changed().await),
        None => pending().await,
    }
}
