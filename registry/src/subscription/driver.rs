//! The task of a source: performs the core's requests with a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::log::quietly;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zk_client::{Clock, Error, ErrorCode, EventType, SessionState, Watch};

use super::core::{Core, Input, Lost, Output, ReadId, ReadOutcome};
use super::view::View;
use crate::members::{InstanceId, Members};
use crate::node::{ServiceNode, fired, is_connected, list};

/// Maximum number of finished tasks that are handled before the members are published.
const MAX_AT_ONCE: usize = 4096;

/// Maximum number of skipped nodes that are named in the log at a time: any client may create many.
const MAX_LOGGED: usize = 8;

/// Owns the core and feeds it.
pub(super) struct Driver {
    node: ServiceNode,
    core: Core,
    /// True if the data of instances is watched.
    updates: bool,
    clock: Clock,
    list_watch: Option<Watch>,
    tasks: JoinSet<Finished>,
    refused: Option<Error>,
    /// The last refusal, until there is a list.
    logged: Option<String>,
}

/// Result of a task of the driver.
enum Finished {
    Listed(Result<(Vec<String>, Watch), Error>),
    Read { id: InstanceId, read: ReadId, outcome: ReadOutcome, watch: Option<Watch> },
    Fired { id: InstanceId, deleted: bool, may_come_again: bool },
}

impl Driver {
    pub(super) fn new(node: ServiceNode, core: Core, updates: bool, clock: Clock) -> Self {
        Self {
            node,
            core,
            updates,
            clock,
            list_watch: None,
            tasks: JoinSet::new(),
            refused: None,
            logged: None,
        }
    }

    /// Runs until the last subscriber is gone or the client is closed.
    pub(super) async fn run(mut self, views: watch::Sender<View>) {
        self.drive(&views).await;
        // The last members are never asked for again: they are stale.
        self.core.handle(self.clock.now(), Input::Disconnected);
        self.perform_outputs(&views);
    }

    async fn drive(&mut self, views: &watch::Sender<View>) {
        let mut states = self.node.client.states();
        let Some(input) = states.wait_for(|_| true).await.and_then(connection) else { return };
        self.core.handle(self.clock.now(), input);
        loop {
            self.perform_outputs(views);
            let input = tokio::select! {
                biased;
                () = views.closed() => return,
                state = states.changed() => match state.and_then(connection) {
                    Some(input) => input,
                    None => return,
                },
                () = fired(&mut self.list_watch) => {
                    self.list_watch = None;
                    Input::ListChanged
                }
                Some(Ok(finished)) = self.tasks.join_next() => self.input(finished),
                () = self.clock.sleep_until(self.core.poll_deadline()) => Input::Timeout,
            };
            self.core.handle(self.clock.now(), input);
            self.handle_finished();
        }
    }

    /// Feeds all finished tasks to the core, so that reads which end together are one change for subscribers.
    fn handle_finished(&mut self) {
        for _ in 0..MAX_AT_ONCE {
            let Some(joined) = self.tasks.try_join_next() else { return };
            let Ok(finished) = joined else { continue };
            let input = self.input(finished);
            self.core.handle(self.clock.now(), input);
        }
    }

    fn perform_outputs(&mut self, views: &watch::Sender<View>) {
        while let Some(output) = self.core.poll_output() {
            let node = self.node.clone();
            match output {
                Output::List => {
                    let list = async move { Finished::Listed(list(&node.client, &node.path).await) };
                    self.tasks.spawn(self.clock.attend(list));
                }
                Output::Read { id, read } if !node.codec.reads_data() => {
                    // A name does not get better.
                    let outcome =
                        ReadOutcome::Decoded { decoded: node.decode(id.as_str(), &[]), watched: true };
                    self.core.handle(self.clock.now(), Input::Read { id, read, outcome });
                }
                Output::Read { id, read } => {
                    let watched = self.updates || node.may_come_again(id.as_str());
                    let read = async move {
                        let (outcome, watch) = self::read(&node, id.as_str(), watched).await;
                        Finished::Read { id, read, outcome, watch }
                    };
                    self.tasks.spawn(self.clock.attend(read));
                }
                Output::Publish(members, lost) => self.publish(members, lost, views),
            }
        }
        if let Some(error) = self.refused.take_if(|_| views.borrow().members.is_none()) {
            views.send_replace(View { refused: Some(error), ..View::default() });
        }
    }

    fn input(&mut self, finished: Finished) -> Input {
        match finished {
            Finished::Listed(Ok((names, watch))) => {
                self.list_watch = Some(watch);
                self.logged = None;
                Input::Listed(Some(
                    names.into_iter().filter(|name| self.node.codec.is_instance(name)).collect(),
                ))
            }
            Finished::Listed(Err(error)) => {
                quietly(
                    || tracing::debug!(service = %self.node.service, %error, "subscription: cannot list"),
                );
                if error.is_retryable() {
                    return Input::Listed(None);
                }
                let text = error.to_string();
                if self.logged.as_ref() != Some(&text) {
                    quietly(
                        || tracing::warn!(service = %self.node.service, %error, "service cannot be listed"),
                    );
                    self.logged = Some(text);
                }
                self.refused = Some(error);
                Input::ListRefused
            }
            Finished::Read { id, read, outcome, watch } => {
                if let Some(mut watch) = watch {
                    let (id, may_come_again) = (id.clone(), self.node.may_come_again(id.as_str()));
                    let fired = async move {
                        let deleted = watch.changed().await.is_ok_and(|e| e.event == EventType::NODE_DELETED);
                        Finished::Fired { id, deleted, may_come_again }
                    };
                    self.tasks.spawn(self.clock.attend(fired));
                }
                Input::Read { id, read, outcome }
            }
            Finished::Fired { id, deleted: true, may_come_again: true } => Input::NodeDeletedOrReplaced(id),
            Finished::Fired { id, deleted: true, .. } => Input::NodeDeleted(id),
            Finished::Fired { id, .. } => Input::NodeChanged(id),
        }
    }

    fn publish(&self, members: Arc<Members>, lost: Option<Lost>, views: &watch::Sender<View>) {
        let before = views.borrow().members.clone().unwrap_or_default();
        let known: BTreeMap<_, _> = before.skipped.iter().map(|skipped| (&skipped.id, skipped)).collect();
        let mut new = members.skipped.iter().filter(|skipped| known.get(&skipped.id) != Some(skipped));
        for skipped in new.by_ref().take(MAX_LOGGED) {
            quietly(
                || tracing::warn!(service = %self.node.service, node = %skipped, "not an instance: skipped"),
            );
        }
        let more = new.count();
        if more > 0 {
            quietly(
                || tracing::warn!(service = %self.node.service, more, "more nodes are not instances: skipped"),
            );
        }
        views.send_replace(View { members: Some(members), lost, refused: None });
    }
}

async fn read(node: &ServiceNode, name: &str, watched: bool) -> (ReadOutcome, Option<Watch>) {
    let path = zk_wire::path::join(&node.path, name);
    let read = if watched {
        node.client.get_and_watch(&path).await.map(|(data, _, watch)| (data, Some(watch)))
    } else {
        node.client.get(&path).await.map(|(data, _)| (data, None))
    };
    match read {
        Ok((data, watch)) => (ReadOutcome::Decoded { decoded: node.decode(name, &data), watched }, watch),
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => (ReadOutcome::Gone, None),
        Err(error @ Error::Server { .. }) if error.is_retryable() => {
            (ReadOutcome::Deferred(error.to_string()), None)
        }
        Err(error) if error.is_retryable() => (ReadOutcome::Failed, None),
        Err(error) => (ReadOutcome::Unreadable(error.to_string()), None),
    }
}

/// Returns the input for a state of the client; `None` once the client is closed.
fn connection(state: SessionState) -> Option<Input> {
    is_connected(state).map(|connected| if connected { Input::Connected } else { Input::Disconnected })
}
