//! The task behind a subscription: performs the core's steps with a client.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use zk_client::{Client, Error, ErrorCode, EventType, State, Watch, quietly};

use super::View;
use super::core::{Core, Input, Outcome, ReadId, Step};
use crate::clock::Clock;
use crate::members::InstanceId;

/// Most nodes that are no instances, and that are named in the log, at a time: whoever may write makes as many as he likes.
const MOST_TOLD: usize = 8;

/// What to watch.
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
    /// Whether the data of instances is watched.
    updates: bool,
    clock: Clock,
    list_watch: Option<Watch>,
    tasks: JoinSet<Done>,
    refused: Option<Error>,
}

/// What a task of the driver ends with.
enum Done {
    Listed(Result<(Vec<String>, Watch), Error>),
    Read { id: InstanceId, read: ReadId, outcome: Outcome, watch: Option<Watch> },
    Fired { id: InstanceId, deleted: bool },
}

impl Driver {
    pub(crate) fn new(place: Place, core: Core, updates: bool) -> Self {
        let (clock, tasks) = (Clock::start(), JoinSet::new());
        Self { place, core, updates, clock, list_watch: None, tasks, refused: None }
    }

    /// Runs until nobody listens or the client is closed.
    pub(crate) async fn run(mut self, views: watch::Sender<View>) {
        self.drive(&views).await;
        // What is known will not be asked again.
        self.core.handle(self.clock.now(), Input::Disconnected);
        self.publish(&views);
    }

    async fn drive(&mut self, views: &watch::Sender<View>) {
        let mut states = self.place.client.state();
        states.mark_changed();
        loop {
            while let Some(step) = self.core.poll_step() {
                self.begin(step);
            }
            self.publish(views);
            let input = tokio::select! {
                biased;
                () = views.closed() => return,
                changed = states.changed() => {
                    let state = *states.borrow_and_update();
                    match state {
                        State::Closed(_) => return,
                        _ if changed.is_err() => return,
                        State::Connected(_) => Input::Connected,
                        State::Disconnected(_) | State::Connecting => Input::Disconnected,
                    }
                }
                () = fired(&mut self.list_watch) => {
                    self.list_watch = None;
                    Input::ListChanged
                }
                Some(Ok(done)) = self.tasks.join_next() => self.done(done),
                () = self.clock.sleep_until(self.core.poll_deadline()) => Input::Timeout,
            };
            self.core.handle(self.clock.now(), input);
            self.handle_what_is_ready();
        }
    }

    /// Many reads that are over at once are one change for the subscribers, not many.
    fn handle_what_is_ready(&mut self) {
        for _ in 0..MOST_AT_ONCE {
            let Some(joined) = self.tasks.try_join_next() else { return };
            let Ok(done) = joined else { continue };
            let input = self.done(done);
            self.core.handle(self.clock.now(), input);
        }
    }

    fn begin(&mut self, step: Step) {
        let Place { client, path, .. } = self.place.clone();
        let watched = self.updates;
        match step {
            Step::List => self.tasks.spawn(async move { Done::Listed(list(&client, &path).await) }),
            Step::Read { id, read } => self.tasks.spawn(async move {
                let path = zk_wire::path::join(&path, id.as_str());
                let (outcome, watch) = self::read(&client, &path, watched).await;
                Done::Read { id, read, outcome, watch }
            }),
        };
    }

    fn done(&mut self, done: Done) -> Input {
        match done {
            Done::Listed(Ok((names, watch))) => {
                self.list_watch = Some(watch);
                self.refused = None;
                Input::Listed(Some(names))
            }
            Done::Listed(Err(error)) => {
                quietly(
                    || tracing::debug!(service = %self.place.service, %error, "subscription: cannot list"),
                );
                if !error.is_retryable() {
                    quietly(
                        || tracing::warn!(service = %self.place.service, %error, "service cannot be listed"),
                    );
                    self.refused = Some(error);
                }
                Input::Listed(None)
            }
            Done::Read { id, read, outcome, watch } => {
                if let Some(mut watch) = watch {
                    let id = id.clone();
                    self.tasks.spawn(async move {
                        let deleted = watch.changed().await.is_ok_and(|e| e.event == EventType::NODE_DELETED);
                        Done::Fired { id, deleted }
                    });
                }
                Input::Read { id, read, outcome }
            }
            Done::Fired { id, deleted: true } => Input::NodeDeleted(id),
            Done::Fired { id, deleted: false } => Input::NodeChanged(id),
        }
    }

    fn publish(&mut self, views: &watch::Sender<View>) {
        if let Some(members) = self.core.poll_members(self.clock.now()) {
            let before = views.borrow().members.clone().unwrap_or_default();
            let mut new = members.skipped.iter().filter(|skipped| !before.skipped.contains(skipped));
            for skipped in new.by_ref().take(MOST_TOLD) {
                quietly(
                    || tracing::warn!(service = %self.place.service, node = %skipped, "not an instance: skipped"),
                );
            }
            let more = new.count();
            if more > 0 {
                quietly(
                    || tracing::warn!(service = %self.place.service, more, "more nodes are not instances: skipped"),
                );
            }
            views.send_modify(|view| *view = View { members: Some(members), refused: None });
        } else if self.refused.is_some() && views.borrow().members.is_none() {
            views.send_modify(|view| view.refused = self.refused.clone());
        }
    }
}

/// The names of the node's children; none if there is no such node.
async fn list(client: &Client, path: &str) -> Result<(Vec<String>, Watch), Error> {
    loop {
        match client.children_and_watch(path).await {
            Ok((names, _, watch)) => return Ok((names, watch)),
            Err(error) if error.code() == Some(ErrorCode::NO_NODE) => {}
            Err(error) => return Err(error),
        }
        let (stat, watch) = client.exists_and_watch(path).await?;
        if stat.is_none() {
            return Ok((Vec::new(), watch));
        }
    }
}

async fn read(client: &Client, path: &str, watched: bool) -> (Outcome, Option<Watch>) {
    let read = if watched {
        client.get_and_watch(path).await.map(|(data, _, watch)| (data, Some(watch)))
    } else {
        client.get(path).await.map(|(data, _)| (data, None))
    };
    match read {
        Ok((data, watch)) => (Outcome::Data(data), watch),
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => (Outcome::Gone, None),
        Err(error @ Error::Server { .. }) if error.is_retryable() => {
            (Outcome::Deferred(error.to_string()), None)
        }
        Err(error) if error.is_retryable() => (Outcome::Failed, None),
        Err(error) => (Outcome::Unreadable(error.to_string()), None),
    }
}

/// Waits until the watch fires or is lost.
async fn fired(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => drop(watch.changed().await),
        None => std::future::pending().await,
    }
}

/// How many finished tasks are handled before the members are published.
const MOST_AT_ONCE: usize = 4096;
