//! The task behind a registration: performs the core's steps with a client.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use zk_client::{Acl, Client, CreateMode, Error, ErrorCode, Expected, SessionId, State, Watch, quietly};

use super::core::{Core, Failure, Input, Node, Outcome, Phase, Step};
use super::{RegistrationState, Report, Wish};
use crate::clock::Clock;

/// Where to register.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) service: Arc<str>,
    /// The service's node.
    pub(crate) path: Arc<str>,
}

/// Owns the core, and feeds it.
pub(crate) struct Driver {
    place: Place,
    core: Core,
    clock: Clock,
    step: Option<Performing>,
    watch: Option<Watch>,
    told: Option<u64>,
    heard: u64,
    refused: Option<Error>,
}

type Performing = Pin<Box<dyn Future<Output = Result<Performed, Error>> + Send>>;

struct Performed {
    outcome: Outcome,
    watch: Option<Watch>,
}

impl Driver {
    pub(crate) fn new(place: Place, data: Bytes, seed: u64) -> Self {
        let core = Core::new(seed, data);
        Self {
            place,
            core,
            clock: Clock::start(),
            step: None,
            watch: None,
            told: None,
            heard: 0,
            refused: None,
        }
    }

    /// Runs until the registration is withdrawn or the client is closed.
    pub(crate) async fn run(mut self, mut wishes: watch::Receiver<Wish>, reports: watch::Sender<Report>) {
        let mut states = self.place.client.state();
        states.mark_changed();
        let mut withdrawn = false;
        loop {
            if let Some(step) = self.core.poll_step() {
                self.step = Some(Box::pin(perform(self.place.clone(), step)));
            }
            if self.report(&reports) == RegistrationState::Withdrawn {
                return;
            }
            let input = tokio::select! {
                biased;
                _ = states.changed() => {
                    states.mark_changed();
                    None
                }
                gone = wishes.changed(), if !withdrawn => {
                    let wish = wishes.borrow_and_update().clone();
                    withdrawn = wish.withdrawn || gone.is_err();
                    self.heard = wish.revision;
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
            // The core hears of a session before it hears of what was done in it.
            match states.has_changed() {
                Ok(false) => {}
                Ok(true) => match connection(*states.borrow_and_update()) {
                    Some(input) => self.core.handle(self.clock.now(), input),
                    None => break,
                },
                Err(_) => break,
            }
            if let Some(input) = input {
                self.core.handle(self.clock.now(), input);
            }
        }
        reports.send_modify(|report| {
            report.state = RegistrationState::Closed;
            report.refused = None;
        });
    }

    fn done(&mut self, performed: Result<Performed, Error>) -> Outcome {
        match performed {
            Ok(Performed { outcome, watch }) => {
                self.refused = None;
                self.watch = watch.or_else(|| self.watch.take());
                outcome
            }
            Err(error) => {
                let failure = failure(&error);
                quietly(
                    || tracing::debug!(service = %self.place.service, %error, "registration: a step failed"),
                );
                if failure == Failure::Refused {
                    quietly(|| tracing::warn!(service = %self.place.service, %error, "registration refused"));
                    self.refused = Some(error);
                }
                Outcome::Failed(failure)
            }
        }
    }

    fn report(&mut self, reports: &watch::Sender<Report>) -> RegistrationState {
        let state = match self.core.phase() {
            Phase::Pending => RegistrationState::Pending,
            Phase::Registered { path } => RegistrationState::Registered { path },
            Phase::Withdrawn => RegistrationState::Withdrawn,
        };
        self.told = self.told.max(self.core.told());
        reports.send_if_modified(|report| {
            let is_new_state = report.state != state;
            if is_new_state {
                quietly(|| tracing::info!(service = %self.place.service, ?state, "registration"));
            }
            let is_new = is_new_state
                || report.told != self.told
                || report.heard != self.heard
                || report.refused.is_some() != self.refused.is_some();
            let (told, heard, refused) = (self.told, self.heard, self.refused.clone());
            *report = Report { state: state.clone(), told, heard, refused };
            is_new
        });
        state
    }
}

/// What a state of the client is to the core; `None` for its end.
fn connection(state: State) -> Option<Input> {
    match state {
        State::Connected(session) => Some(Input::Connected(session)),
        State::Disconnected(_) | State::Connecting => Some(Input::Disconnected),
        State::Closed(_) => None,
    }
}

async fn perform(place: Place, step: Step) -> Result<Performed, Error> {
    let Place { client, path: parent, .. } = place;
    let outcome = match step {
        Step::EnsureParent => {
            client.ensure_path(&parent).await?;
            Outcome::ParentExists
        }
        Step::Create { name, data } => {
            let path = zk_wire::path::join(&parent, &name);
            let mode = CreateMode::EphemeralSequential;
            let created = client.create(&path, data, mode, &[Acl::open()]).await?;
            Outcome::Created(Node { path: created.path, owner: created.stat.ephemeral_owner })
        }
        Step::Find { name } => Outcome::Found(find(&client, &parent, &name).await?),
        Step::Check { path } => {
            let (stat, watch) = client.exists_and_watch(&path).await?;
            let outcome = Outcome::Checked(stat.map(|stat| stat.ephemeral_owner));
            return Ok(Performed { outcome, watch: Some(watch) });
        }
        Step::Set { path, data, .. } => {
            client.set(&path, data, Expected::Any).await?;
            Outcome::Set
        }
        Step::Delete { path } => {
            client.delete(&path, Expected::Any).await?;
            Outcome::Deleted
        }
    };
    Ok(Performed { outcome, watch: None })
}

/// The node below `parent` whose name begins with `name`.
async fn find(client: &Client, parent: &str, name: &str) -> Result<Option<Node>, Error> {
    // We may have come to a server that has not yet seen what the last one did for us.
    client.sync(parent).await?;
    let (children, _) = client.children(parent).await?;
    let Some(child) = children.iter().find(|child| child.starts_with(name)) else { return Ok(None) };
    let path = zk_wire::path::join(parent, child);
    let owner: Option<SessionId> = client.exists(&path).await?.map(|stat| stat.ephemeral_owner);
    Ok(owner.map(|owner| Node { path, owner }))
}

fn failure(error: &Error) -> Failure {
    if error.code() == Some(ErrorCode::NO_NODE) {
        Failure::NoNode
    } else if error.may_have_been_applied() {
        Failure::Unanswered
    } else if error.is_retryable() || matches!(error, Error::Closed { .. }) {
        Failure::NotDone
    } else {
        Failure::Refused
    }
}

async fn performing(step: &mut Option<Performing>) -> Result<Performed, Error> {
    match step {
        Some(step) => step.await,
        None => std::future::pending().await,
    }
}

/// Waits until the watch fires or is lost.
async fn fired(watch: &mut Option<Watch>) {
    match watch {
        // Which of both it is the next check will show.
        Some(watch) => drop(watch.changed().await),
        None => std::future::pending().await,
    }
}
