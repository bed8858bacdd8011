//! The last members of each service on disk, for a start while the registry is away.

pub(crate) mod fallback;
mod file;
mod format;

use std::path::PathBuf;
use std::sync::Arc;

use common::log::quietly;
use common::{Clock, Millis};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::clock::unix_ms;
use crate::hash::Hash;
use crate::members::Members;
use crate::node::ServiceNode;
use file::{CacheFile, FileError};
use format::Origin;

/// Shortest time between two writes of a file: more changes than that are written together.
const PAUSE: Millis = Millis(1_000);

/// Pause after a write that failed.
const RETRY_AFTER: Millis = Millis(10_000);

/// Time after which members that have not changed are written again, with the time until which they were confirmed.
const CONFIRM_AFTER: Millis = Millis(300_000);

/// Maximum number of characters of a service's path in the name of its file: names of files have limits, and a hash follows.
const MAX_NAME: usize = 100;

/// Directory of the files of one registry.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
}

/// Members of one service on disk.
#[derive(Clone, Debug)]
pub(crate) struct ServiceCache {
    file: Arc<CacheFile>,
}

/// Way to the task that writes the members of one service. Dropping it lets the task write the newest ones, and end.
#[derive(Debug)]
pub(crate) struct CacheWriter {
    newest: watch::Sender<Newest>,
}

/// Members that the registry confirmed last.
#[derive(Clone, Debug, Default)]
struct Newest {
    members: Option<Arc<Members>>,
    confirmed_ms: u64,
    /// True if it confirms them still.
    is_current: bool,
}

impl Cache {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Returns the members of this service on disk.
    pub(crate) fn of(&self, node: &ServiceNode) -> ServiceCache {
        let path = format!("{}{}", node.client.chroot(), node.path);
        let codec = format!("{:?}", node.codec);
        let hash = Hash::new().add(path.as_bytes()).add(codec.as_bytes()).finish();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let shown = path.trim_start_matches('/').chars().take(MAX_NAME);
        let shown: String = shown.map(|c| if is_plain(c) { c } else { '_' }).collect();
        let servers = node.client.servers().to_vec();
        let file = CacheFile {
            path: self.directory.join(format!("{shown}-{hash:016x}.members")),
            origin: Origin { servers, path, codec },
        };
        ServiceCache { file: Arc::new(file) }
    }
}

impl ServiceCache {
    /// Reads the members, marked stale; `None` if there is no usable file, which the log tells.
    pub(crate) async fn load(self) -> Option<Members> {
        let file = self.file.clone();
        let read = spawn_blocking(move || file.read()).await.ok()?;
        read.unwrap_or_else(|error| {
            self.warn("cached members cannot be used", &error);
            None
        })
    }

    /// Starts the task that writes the file.
    pub(crate) fn writer(self) -> CacheWriter {
        let (sender, newest) = watch::channel(Newest::default());
        tokio::spawn(self.write(newest));
        CacheWriter { newest: sender }
    }

    async fn write(self, mut newest: watch::Receiver<Newest>) {
        // Not the clock of the registry, which a test may hold: disks have a time of their own.
        let clock = Clock::start();
        let (mut written, mut is_due, mut failed) = (None, false, false);
        loop {
            let Newest { members, confirmed_ms, is_current } = newest.borrow_and_update().clone();
            let is_new = !is_same(members.as_ref(), written.as_ref());
            if let Some(members) = members.filter(|_| is_new || (is_due && is_current)) {
                let confirmed_ms = if is_new { confirmed_ms } else { unix_ms() };
                let (file, shown) = (self.file.clone(), members.clone());
                let result = spawn_blocking(move || file.write(&shown, confirmed_ms)).await;
                // The runtime ends.
                let Ok(result) = result else { return };
                if let Err(error) = &result
                    && !failed
                {
                    self.warn("members cannot be cached", error);
                }
                failed = result.is_err();
                if !failed {
                    written = Some(members);
                }
                let pause = if failed { RETRY_AFTER } else { PAUSE };
                tokio::select! {
                    // The last members are written at once, or have just been tried.
                    () = is_closed(newest.clone()) => {
                        let has_newer = newest.borrow().has_changed();
                        if failed && !has_newer {
                            return;
                        }
                    }
                    () = clock.sleep_until(Some(clock.now() + pause)) => {}
                }
                is_due = false;
                continue;
            }
            let deadline = is_current.then(|| clock.now() + CONFIRM_AFTER);
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return },
                () = clock.sleep_until(deadline) => is_due = true,
            }
        }
    }

    fn warn(&self, what: &'static str, error: &FileError) {
        let path = self.file.path.display();
        quietly(|| tracing::warn!(%path, %error, "{what}"));
    }
}

impl CacheWriter {
    /// Takes the members that the registry shows. Stale ones it does not confirm.
    pub(crate) fn show(&self, members: &Arc<Members>) {
        self.newest.send_modify(|newest| {
            newest.is_current = !members.stale;
            if newest.is_current {
                (newest.members, newest.confirmed_ms) = (Some(members.clone()), unix_ms());
            }
        });
    }
}

fn is_same(one: Option<&Arc<Members>>, other: Option<&Arc<Members>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Waits until nobody will show members any more.
async fn is_closed(mut newest: watch::Receiver<Newest>) {
    while newest.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::instance::Instance;

    fn in_new_directory() -> (TempDir, ServiceCache) {
        let directory = tempfile::tempdir().unwrap();
        let origin = Origin { servers: vec!["a:1".into()], path: "/demo".into(), codec: "Json".into() };
        let file = CacheFile { path: directory.path().join("demo.members"), origin };
        (directory, ServiceCache { file: Arc::new(file) })
    }

    fn members(port: u16) -> Arc<Members> {
        Arc::new([("a".into(), Arc::new(Instance::new("a", port)))].into_iter().collect())
    }

    /// Waits until the file has a member at this port, and returns the time that passes on tokio's clock, which a test has
    /// paused: it stands still while the disk is at work.
    async fn until(cache: &ServiceCache, port: u16) -> u128 {
        let begun = Instant::now();
        let is_there = |found: Members| found.instances.values().any(|instance| instance.port() == port);
        while !cache.clone().load().await.is_some_and(is_there) {
            sleep(Duration::from_millis(250)).await;
        }
        begun.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_written_at_most_once_a_second_and_the_last_one_always() {
        let (_directory, cache) = in_new_directory();
        let writer = cache.clone().writer();
        writer.show(&members(1));
        assert!(until(&cache, 1).await < 500, "the first one at once");
        for port in 2..50 {
            writer.show(&members(port));
        }
        let passed = until(&cache, 49).await;
        assert!((500..1_500).contains(&passed), "{passed} ms");
        writer.show(&members(50));
        drop(writer);
        assert!(until(&cache, 50).await < 500, "no pause at the end");
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_stay_are_confirmed_again_as_long_as_they_are_not_stale() {
        let (directory, cache) = in_new_directory();
        let path = directory.path().join("demo.members");
        let writer = cache.clone().writer();
        writer.show(&members(1));
        until(&cache, 1).await;
        std::fs::remove_file(&path).unwrap();
        let passed = until(&cache, 1).await;
        assert!((299_000..303_000).contains(&passed), "{passed} ms");

        writer.show(&Arc::new(Members { stale: true, ..(*members(1)).clone() }));
        std::fs::remove_file(&path).unwrap();
        sleep(3 * Duration::from(CONFIRM_AFTER)).await;
        assert!(cache.load().await.is_none());
    }

    /// Shows members that cannot be written, and then takes away what was in the way.
    async fn after_a_write_that_failed() -> (TempDir, ServiceCache, CacheWriter) {
        let (directory, cache) = in_new_directory();
        let below = directory.path().join("below");
        let file = CacheFile { path: below.join("demo.members"), ..(*cache.file).clone() };
        let cache = ServiceCache { file: Arc::new(file) };
        std::fs::write(&below, "a file in the place of the directory").unwrap();
        let writer = cache.clone().writer();
        writer.show(&members(1));
        // On a paused clock, which stands still while the disk is at work.
        sleep(Duration::from_secs(1)).await;
        std::fs::remove_file(&below).unwrap();
        (directory, cache, writer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_failed_is_tried_again_soon() {
        let (_directory, cache, _writer) = after_a_write_that_failed().await;
        let passed = until(&cache, 1).await;
        assert!(passed < 12_000, "{passed} ms");
    }
    #[tokio::test(start_paused = true)]
    async fn the_last_members_are_written_although_the_write_before_has_failed() {
        let (_directory, cache, writer) = after_a_write_that_failed().await;
        writer.show(&members(2));
        drop(writer);
        assert!(until(&cache, 2).await < 500, "no pause at the end");
    }
}
