//! The task behind a cache: performs the core's reads with a client.

use bytes::Bytes;
use common::Clock;
use common::log::quietly;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use zk_client::{Client, Error, ErrorCode, EventType, PersistentWatch, SessionState, WatchUpdate};

use super::core::{Core, Input, Output, ReadId, TreeRead, What};
use super::tree::Tree;

/// Maximum number of inputs that are handled before the copy is published.
const MAX_AT_ONCE: usize = 4096;

/// Maximum number of skipped nodes that are named in the log at a time: any client may create many.
const MAX_LOGGED: usize = 8;

/// Owns the core and feeds it.
pub(crate) struct Driver {
    client: Client,
    watch: PersistentWatch,
    core: Core,
    clock: Clock,
    reads: JoinSet<Input>,
}

impl Driver {
    /// Takes a recursive watch on the path of the core.
    pub(crate) fn new(client: Client, watch: PersistentWatch, core: Core) -> Self {
        let (clock, reads) = (client.clock(), JoinSet::new());
        Self { client, watch, core, clock, reads }
    }

    /// Runs until the last handle is gone or the client is closed.
    pub(crate) async fn run(mut self, trees: watch::Sender<Tree>) {
        self.drive(&trees).await;
        // Nobody looks for changes any more.
        self.handle(Input::Disconnected);
        self.perform_outputs(&trees);
    }

    async fn drive(&mut self, trees: &watch::Sender<Tree>) {
        let mut states = self.client.states();
        let Some(input) = connection(states.current()) else { return };
        self.handle(input);
        self.handle(Input::Missed);
        loop {
            self.perform_outputs(trees);
            let input = tokio::select! {
                biased;
                () = trees.closed() => return,
                state = states.changed() => match state.and_then(connection) {
                    Some(input) => input,
                    None => return,
                },
                update = self.watch.next() => match update {
                    Some(update) => changed(update),
                    None => return,
                },
                Some(read) = self.reads.join_next() => {
                    self.handle_read(read).await;
                    continue;
                }
                () = self.clock.sleep_until(self.core.poll_deadline()) => Input::Timeout,
            };
            self.handle(input);
            self.handle_ready().await;
        }
    }

    /// Feeds all that is ready to the core, so that it makes one change of the copy.
    async fn handle_ready(&mut self) {
        for _ in 0..MAX_AT_ONCE {
            let Some(read) = self.reads.try_join_next() else {
                self.handle_events().await;
                return;
            };
            self.handle_read(read).await;
        }
    }

    /// Feeds the result of a read to the core, and the events before it first: the copy never goes back.
    async fn handle_read(&mut self, read: Result<Input, JoinError>) {
        self.handle_events().await;
        if let Ok(input) = read {
            self.handle(input);
        }
    }

    async fn handle_events(&mut self) {
        for _ in 0..MAX_AT_ONCE {
            let update = tokio::select! {
                biased;
                update = self.watch.next() => update,
                () = std::future::ready(()) => return,
            };
            let Some(update) = update else { return };
            self.handle(changed(update));
        }
    }

    fn handle(&mut self, input: Input) {
        self.core.handle(self.clock.now(), input);
    }

    fn perform_outputs(&mut self, trees: &watch::Sender<Tree>) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Read { path, read, what } => {
                    let read = perform(self.client.clone(), path, read, what);
                    self.reads.spawn(self.clock.attend(read));
                }
                Output::Publish(tree) => {
                    log_skipped(&trees.borrow(), &tree);
                    trees.send_replace(tree);
                }
            }
        }
    }
}

/// Copies data that is short: it would keep the whole buffer in memory that it came in, with the answers beside it.
fn own(data: Bytes) -> Bytes {
    const LONG: usize = 64 << 10;
    if data.len() < LONG { Bytes::copy_from_slice(&data) } else { data }
}

async fn perform(client: Client, path: String, read: ReadId, what: What) -> Input {
    let outcome = match what {
        What::Data => client.get(&path).await.map(|(data, stat)| TreeRead::Data(own(data), stat)),
        What::Stat => client.exists(&path).await.map(|stat| stat.map_or(TreeRead::Gone, TreeRead::Stat)),
        What::Children => client.children(&path).await.map(|(names, stat)| TreeRead::Children(names, stat)),
    };
    let outcome = outcome.unwrap_or_else(|error| match error {
        Error::Server { code: ErrorCode::NO_NODE, .. } => TreeRead::Gone,
        error if error.is_retryable() => TreeRead::Failed,
        error => TreeRead::Refused(error.to_string()),
    });
    Input::Read { path, read, outcome }
}

fn changed(update: WatchUpdate) -> Input {
    match update {
        WatchUpdate::Missed => Input::Missed,
        WatchUpdate::Changed(event) if event.event == EventType::NODE_DELETED => {
            Input::Deleted(event.path.to_string())
        }
        WatchUpdate::Changed(event) => Input::Changed(event.path.to_string()),
    }
}

/// Returns the input for a state of the client; `None` once the client is closed.
fn connection(state: SessionState) -> Option<Input> {
    match state {
        SessionState::Connected(_) | SessionState::ConnectedReadOnly(_) => Some(Input::Connected),
        SessionState::Disconnected(_) | SessionState::Connecting => Some(Input::Disconnected),
        SessionState::Closed(_) => None,
    }
}

fn log_skipped(before: &Tree, next: &Tree) {
    let is_new = |path: &&String| !before.skipped().contains_key(*path);
    let mut new = next.skipped().keys().filter(is_new);
    for path in new.by_ref().take(MAX_LOGGED) {
        let why = next.skipped().get(path);
        quietly(|| tracing::warn!(tree = next.path(), path, why, "node cannot be read: skipped"));
    }
    let more = new.count();
    if more > 0 {
        quietly(|| tracing::warn!(tree = next.path(), more, "more nodes cannot be read: skipped"));
    }
}
