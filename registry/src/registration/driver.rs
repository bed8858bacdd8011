//! The task behind a registration: performs the core's steps with a client.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use common::log::quietly;
use tokio::sync::watch;
use zk_client::{
    Acl, Client, Clock, CreateMode, Error, ErrorCode, Expected, SessionId, SessionState, SessionStates,
    Watch, WeakClient,
};

use super::core::{
    Core, Input, LossReason, Node, NodeInput, NodeName, OnDelete, Output, RegistrationState, StepFailure,
    StepOutcome,
};
use super::publication::Publication;
use super::{Report, Wish};
use crate::codec::{Codec, Parents};
use crate::node::{ServiceNode, fired};

/// Owns the core and feeds it. Ends with the client, which it does not keep open: its nodes go with the session.
pub(crate) struct Driver {
    core: Core,
    clock: Clock,
    /// Session in which steps are performed; one that comes too late must not touch the node of another client.
    session: SessionId,
    nodes: Vec<NodeTask>,
    handled: u64,
}

/// One node of the instance, with what is under way for it.
struct NodeTask {
    place: NodePlace,
    step: Option<Performing>,
    watch: Option<Watch>,
    /// Error of the last step, if the servers refused it.
    refused: Option<Error>,
}

/// Place of a node of the instance, with the way to it.
#[derive(Clone)]
struct NodePlace {
    client: WeakClient,
    service: Arc<str>,
    parent: Arc<str>,
    codec: Arc<dyn Codec>,
    acl: Arc<[Acl]>,
}

type Performing = Pin<Box<dyn Future<Output = Result<Performed, Error>> + Send>>;

struct Performed {
    outcome: StepOutcome,
    watch: Option<Watch>,
}

impl Driver {
    /// Takes the nodes of the service and the data of the instance, one for each format.
    pub(crate) fn new(
        nodes: Vec<ServiceNode>,
        publication: &Publication,
        on_delete: OnDelete,
        data: &Arc<[Bytes]>,
        seed: u64,
        clock: Clock,
    ) -> Self {
        let nodes = nodes.into_iter().map(NodePlace::of);
        let nodes = nodes.map(|place| NodeTask { place, step: None, watch: None, refused: None });
        Self {
            core: Core::new(seed, publication.names(), publication.id(), on_delete, data),
            clock,
            session: SessionId::NONE,
            nodes: nodes.collect(),
            handled: 0,
        }
    }

    /// Runs until the registration is over or the client is closed.
    pub(crate) async fn run(
        mut self,
        mut states: SessionStates,
        mut wishes: watch::Receiver<Wish>,
        reports: watch::Sender<Report>,
    ) {
        let first = states.wait_for(|_| true).await;
        let mut is_open = self.handle_state(first);
        let mut withdrawn = false;
        while is_open {
            while let Some((index, step)) = self.core.poll_output() {
                if let Some(task) = self.nodes.get_mut(index) {
                    task.step = Some(Box::pin(perform(task.place.clone(), self.session, step)));
                }
            }
            self.report(&reports);
            if self.core.is_over() {
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
                    self.nodes.iter_mut().for_each(|task| task.refused = None);
                    Some(match withdrawn {
                        true => Input::All(NodeInput::Withdraw),
                        false => Input::Update { data: wish.data, revision: wish.revision },
                    })
                }
                (index, input) = next_input(&mut self.nodes) => Some(Input::One(index, input)),
                () = self.clock.sleep_until(self.core.poll_deadline()) => {
                    Some(Input::All(NodeInput::Timeout))
                }
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
            report.is_over = true;
        });
    }

    /// Returns false once the client is closed.
    fn handle_state(&mut self, state: Option<SessionState>) -> bool {
        let Some(input) = state.and_then(connection) else { return false };
        if let NodeInput::Connected(session) = input {
            self.session = session;
        }
        self.core.handle(self.clock.now(), Input::All(input));
        true
    }

    fn report(&self, reports: &watch::Sender<Report>) {
        let refused = self.nodes.iter().find_map(|task| task.refused.clone());
        let state = match (self.core.state(), &refused) {
            (RegistrationState::Reregistering(_), Some(error)) => {
                RegistrationState::Reregistering(LossReason::Refused(error.to_string()))
            }
            (state, _) => state,
        };
        let next = Report {
            state,
            visible: self.core.visible_revision(),
            handled: self.handled,
            refused,
            is_over: self.core.is_over(),
        };
        reports.send_if_modified(|report| {
            if report.state != next.state
                && let Some(task) = self.nodes.first()
            {
                quietly(
                    || tracing::info!(service = %task.place.service, state = ?next.state, "registration"),
                );
            }
            let is_new = report.differs_from(&next);
            *report = next;
            is_new
        });
    }
}

impl NodePlace {
    fn of(node: ServiceNode) -> Self {
        let ServiceNode { client, service, path: parent, codec, acl } = node;
        Self { client: client.downgrade(), service, parent, codec, acl }
    }
}

impl NodeTask {
    /// Returns the next event of this node, if there is one.
    fn poll_input(&mut self, cx: &mut std::task::Context<'_>) -> Poll<NodeInput> {
        if let Some(step) = &mut self.step
            && let Poll::Ready(performed) = step.as_mut().poll(cx)
        {
            self.step = None;
            return Poll::Ready(NodeInput::Done(self.done(performed)));
        }
        if pin!(fired(&mut self.watch)).poll(cx).is_ready() {
            self.watch = None;
            return Poll::Ready(NodeInput::NodeChanged);
        }
        Poll::Pending
    }

    fn done(&mut self, performed: Result<Performed, Error>) -> StepOutcome {
        let service = &self.place.service;
        match performed {
            Ok(Performed { outcome, watch }) => {
                self.refused = None;
                self.watch = watch.or_else(|| self.watch.take());
                outcome
            }
            Err(error) => {
                let failure = failure(&error);
                quietly(|| tracing::debug!(%service, %error, "registration: a step failed"));
                if failure == StepFailure::Refused {
                    quietly(|| tracing::warn!(%service, %error, "registration refused"));
                    self.refused = Some(error);
                }
                StepOutcome::Failed(failure)
            }
        }
    }
}

/// Waits for the next event of any node, and returns it with the node's index.
async fn next_input(nodes: &mut [NodeTask]) -> (usize, NodeInput) {
    poll_fn(|cx| {
        let ready = nodes.iter_mut().enumerate().find_map(|(index, task)| match task.poll_input(cx) {
            Poll::Ready(input) => Some((index, input)),
            Poll::Pending => None,
        });
        ready.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Returns the input for a state of the client; `None` once the client is closed.
fn connection(state: SessionState) -> Option<NodeInput> {
    match state {
        SessionState::Connected(session) => Some(NodeInput::Connected(session)),
        SessionState::Disconnected(_) | SessionState::ConnectedReadOnly(_) => Some(NodeInput::Disconnected),
        SessionState::Connecting => Some(NodeInput::SessionOver),
        SessionState::Closed(_) => None,
    }
}

/// Performs a step; never ends once the client is about to close.
async fn perform(place: NodePlace, session: SessionId, step: Output) -> Result<Performed, Error> {
    let NodePlace { client, parent, codec, acl, .. } = place;
    let Some(client) = client.upgrade() else { return pending().await };
    let client = client.in_session(session);
    let outcome = match step {
        Output::EnsureParent => {
            let mode = match codec.parents() {
                Parents::Persistent => CreateMode::Persistent,
                Parents::Container => CreateMode::Container,
            };
            client.ensure_path_with(&parent, mode, &acl).await?;
            StepOutcome::ParentExists
        }
        Output::Create { name, data } => {
            let (name, mode) = match name {
                NodeName::Sequential(name) => (name, CreateMode::EphemeralSequential),
                NodeName::Fixed(name) => (name, CreateMode::Ephemeral),
            };
            let path = zk_wire::path::join(&parent, &name);
            let created = client.create_with_acl(&path, data, mode, &acl).await?;
            StepOutcome::Created(Node::new(created.path, &created.stat))
        }
        Output::Replace { name, version, data, writes_twice } => {
            let path = zk_wire::path::join(&parent, &name);
            let transaction = client.transaction().delete(&path, Expected::Exactly(version));
            let transaction = transaction.create_with_acl(&path, data.clone(), CreateMode::Ephemeral, &acl);
            let transaction =
                if writes_twice { transaction.set(&path, data, Expected::Any) } else { transaction };
            transaction.commit().await?;
            StepOutcome::Replaced
        }
        Output::Find { name } => StepOutcome::Found(find(&client, &parent, &name).await?),
        Output::Check { path } => {
            let (stat, watch) = client.exists_and_watch(&path).await?;
            let outcome = StepOutcome::Checked(stat.map(|stat| Node::new(path, &stat)));
            return Ok(Performed { outcome, watch: Some(watch) });
        }
        Output::Set { path, version, data, .. } => {
            let stat = client.set(&path, data, version).await?;
            StepOutcome::Set(Node::new(path, &stat))
        }
        Output::Delete { path, version } => {
            client.delete(&path, version).await?;
            StepOutcome::Deleted
        }
    };
    Ok(Performed { outcome, watch: None })
}

/// Returns the node of this name below `parent`.
async fn find(client: &Client, parent: &str, name: &NodeName) -> Result<Option<Node>, Error> {
    // The present server may not have seen yet what the last one did for us.
    client.sync(parent).await?;
    let path = match name {
        NodeName::Fixed(name) => zk_wire::path::join(parent, name),
        NodeName::Sequential(name) => {
            let (children, _) = client.children(parent).await?;
            let Some(child) = children.iter().find(|child| child.starts_with(name)) else { return Ok(None) };
            zk_wire::path::join(parent, child)
        }
    };
    let stat = client.exists(&path).await?;
    Ok(stat.map(|stat| Node::new(path, &stat)))
}

fn failure(error: &Error) -> StepFailure {
    let code = error.code();
    if code == Some(ErrorCode::NO_NODE) {
        StepFailure::NoNode
    } else if code == Some(ErrorCode::NODE_EXISTS) {
        StepFailure::NodeExists
    } else if code == Some(ErrorCode::BAD_VERSION) {
        StepFailure::BadVersion
    } else if error.may_have_been_applied() {
        StepFailure::Unanswered
    } else if error.is_retryable() || matches!(error, Error::Closed { .. }) {
        StepFailure::NotDone
    } else {
        StepFailure::Refused
    }
}
