//! The task behind a registration: performs the core's steps with a client.

use std::future::pending;
use std::pin::Pin;

use bytes::Bytes;
use common::Clock;
use common::log::quietly;
use tokio::sync::watch;
use zk_client::{Client, CreateMode, Error, ErrorCode, Expected, SessionId, SessionState, Watch};

use super::core::{Core, Input, Node, Output, Phase, StepFailure, StepOutcome};
use super::{RegistrationState, Report, Wish};
use crate::node::{ServiceNode, fired};

/// Owns the core and feeds it.
pub(crate) struct Driver {
    node: ServiceNode,
    core: Core,
    clock: Clock,
    step: Option<Performing>,
    watch: Option<Watch>,
    visible: Option<u64>,
    handled: u64,
    refused: Option<Error>,
}

type Performing = Pin<Box<dyn Future<Output = Result<Performed, Error>> + Send>>;

struct Performed {
    outcome: StepOutcome,
    watch: Option<Watch>,
}

impl Driver {
    pub(crate) fn new(node: ServiceNode, data: Bytes, seed: u64) -> Self {
        Self {
            node,
            core: Core::new(seed, data),
            clock: Clock::start(),
            step: None,
            watch: None,
            visible: None,
            handled: 0,
            refused: None,
        }
    }

    /// Runs until the registration is withdrawn or the client is closed.
    pub(crate) async fn run(mut self, mut wishes: watch::Receiver<Wish>, reports: watch::Sender<Report>) {
        let mut states = self.node.client.states();
        let first = states.wait_for(|_| true).await;
        let mut is_open = self.handle_state(first);
        let mut withdrawn = false;
        while is_open {
            if let Some(step) = self.core.poll_output() {
                self.step = Some(Box::pin(perform(self.node.clone(), step)));
            }
            if self.report(&reports) == RegistrationState::Withdrawn {
                return;
            }
            let input = tokio::select! {
                biased;
                state = states.changed() => {
                    is_open = self.handle_state(state);
                    None
                }
                gone = wishes.changed(), if !withdrawn => {
                    let wish = wishes.borrow_and_update().clone();
                    withdrawn = wish.withdrawn || gone.is_err();
                    self.handled = wish.revision;
                    self.refused = None;
                    Some(match withdrawn {
                        true => Input::Withdraw,
                        false => Input::Update { data: wish.data, revision: wish.revision },
                    })
                }
                performed = performing(&mut self.step) => {
                    self.step = None;
                    Some(Input::Done(self.done(performed)))
                }
                () = fired(&mut self.watch) => {
                    self.watch = None;
                    Some(Input::NodeChanged)
                }
                () = self.clock.sleep_until(self.core.poll_deadline()) => Some(Input::Timeout),
            };
            // The core must know of a session before it learns of steps performed in it.
            if let Some(state) = states.try_changed() {
                is_open = self.handle_state(Some(state));
            }
            if let Some(input) = input.filter(|_| is_open) {
                self.core.handle(self.clock.now(), input);
            }
        }
        reports.send_modify(|report| {
            report.state = RegistrationState::Closed;
            report.refused = None;
        });
    }

    /// Returns false once the client is closed.
    fn handle_state(&mut self, state: Option<SessionState>) -> bool {
        let Some(input) = state.and_then(connection) else { return false };
        self.core.handle(self.clock.now(), input);
        true
    }

    fn done(&mut self, performed: Result<Performed, Error>) -> StepOutcome {
        match performed {
            Ok(Performed { outcome, watch }) => {
                self.refused = None;
                self.watch = watch.or_else(|| self.watch.take());
                outcome
            }
            Err(error) => {
                let failure = failure(&error);
                quietly(
                    || tracing::debug!(service = %self.node.service, %error, "registration: a step failed"),
                );
                if failure == StepFailure::Refused {
                    quietly(|| tracing::warn!(service = %self.node.service, %error, "registration refused"));
                    self.refused = Some(error);
                }
                StepOutcome::Failed(failure)
            }
        }
    }

    fn report(&mut self, reports: &watch::Sender<Report>) -> RegistrationState {
        let state = match self.core.phase() {
            Phase::Pending => RegistrationState::Pending,
            Phase::Registered { path } => RegistrationState::Registered { path },
            Phase::Withdrawn => RegistrationState::Withdrawn,
        };
        self.visible = self.visible.max(self.core.visible_revision());
        reports.send_if_modified(|report| {
            let is_new_state = report.state != state;
            if is_new_state {
                quietly(|| tracing::info!(service = %self.node.service, ?state, "registration"));
            }
            let is_new = is_new_state
                || report.visible != self.visible
                || report.handled != self.handled
                || report.refused.is_some() != self.refused.is_some();
            let (visible, handled, refused) = (self.visible, self.handled, self.refused.clone());
            *report = Report { state: state.clone(), visible, handled, refused };
            is_new
        });
        state
    }
}

/// Returns the input for a state of the client; `None` once the client is closed.
fn connection(state: SessionState) -> Option<Input> {
    match state {
        SessionState::Connected(session) => Some(Input::Connected(session)),
        SessionState::Disconnected(_) | SessionState::Connecting => Some(Input::Disconnected),
        SessionState::Closed(_) => None,
    }
}

async fn perform(node: ServiceNode, step: Output) -> Result<Performed, Error> {
    let ServiceNode { client, path: parent, .. } = node;
    let outcome = match step {
        Output::EnsureParent => {
            client.ensure_path(&parent).await?;
            StepOutcome::ParentExists
        }
        Output::Create { name, data } => {
            let path = zk_wire::path::join(&parent, &name);
            let mode = CreateMode::EphemeralSequential;
            let created = client.create(&path, data, mode).await?;
            StepOutcome::Created(Node { path: created.path, owner: created.stat.ephemeral_owner })
        }
        Output::Find { name } => StepOutcome::Found(find(&client, &parent, &name).await?),
        Output::Check { path } => {
            let (stat, watch) = client.exists_and_watch(&path).await?;
            let outcome = StepOutcome::Checked(stat.map(|stat| stat.ephemeral_owner));
            return Ok(Performed { outcome, watch: Some(watch) });
        }
        Output::Set { path, data, .. } => {
            client.set(&path, data, Expected::Any).await?;
            StepOutcome::Set
        }
        Output::Delete { path } => {
            client.delete(&path, Expected::Any).await?;
            StepOutcome::Deleted
        }
    };
    Ok(Performed { outcome, watch: None })
}

/// Returns the node below `parent` whose name begins with `name`.
async fn find(client: &Client, parent: &str, name: &str) -> Result<Option<Node>, Error> {
    // The present server may not have seen yet what the last one did for us.
    client.sync(parent).await?;
    let (children, _) = client.children(parent).await?;
    let Some(child) = children.iter().find(|child| child.starts_with(name)) else { return Ok(None) };
    let path = zk_wire::path::join(parent, child);
    let owner: Option<SessionId> = client.exists(&path).await?.map(|stat| stat.ephemeral_owner);
    Ok(owner.map(|owner| Node { path, owner }))
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
