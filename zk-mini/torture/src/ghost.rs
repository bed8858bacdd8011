//! Ghosts: instances without a process, for days on which instances come and go faster than processes could.
//!
//! A ghost is made after the pattern of a real instance, which the command has registered, so the days know nothing of the
//! layout that a registry gives its nodes.

use nix::sys::signal::Signal;

use crate::stage::{END_LIMIT, PATH, Stage};
use crate::trouble::Trouble;

/// Name of the instance that is the pattern.
const ORIGINAL: &str = "alpha";

/// Nodes of a real instance, parents first: path and data.
#[derive(Debug)]
pub(crate) struct Pattern {
    nodes: Vec<(String, Vec<u8>)>,
}

impl Stage {
    /// Lets the command register an instance, copies its nodes, and ends the process.
    pub(crate) async fn pattern(&mut self) -> Result<Pattern, Trouble> {
        let (actor, _) = self.registrant(ORIGINAL).await?;
        let copy = |path: String| self.zk.get(&path).map(|(data, _)| (path, data.to_vec()));
        let nodes = self.nodes(ORIGINAL).into_iter().filter_map(|node| copy(node.path)).collect();
        actor.signal(Signal::SIGTERM);
        if self.until(END_LIMIT, || actor.ended()).await.is_none() {
            actor.signal(Signal::SIGKILL);
        }
        // A command that leaves its nodes behind is judged on another day.
        for node in self.nodes(ORIGINAL) {
            let _ = self.zk.delete(&node.path).await;
        }
        self.tell(format!(
            "{ORIGINAL} has ended; from here on, instances are copies of its nodes, without a process"
        ));
        Ok(Pattern { nodes })
    }

    /// Creates the nodes of an instance, and their parents.
    pub(crate) async fn appear(&mut self, pattern: &Pattern, name: &str) -> Result<(), Trouble> {
        for (path, data) in pattern.of(name) {
            self.zk.create(&path, data).parents().await?;
        }
        self.tell(format!("{name} appears"));
        Ok(())
    }

    /// Deletes the nodes of an instance.
    pub(crate) async fn vanish(&mut self, pattern: &Pattern, name: &str) -> Result<(), Trouble> {
        for (path, _) in pattern.of(name).into_iter().rev() {
            self.zk.delete(&path).await?;
        }
        self.tell(format!("{name} vanishes"));
        Ok(())
    }
}

impl Pattern {
    /// Returns the nodes of an instance with this name.
    pub(crate) fn of(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        self.nodes.iter().map(|(path, data)| (rename(path, name), rename_data(data, name))).collect()
    }

    /// Returns a glob for the nodes of other instances.
    pub(crate) fn glob(&self) -> String {
        format!("{}/*", self.parent())
    }

    /// Returns the node above those of instances.
    pub(crate) fn parent(&self) -> &str {
        let first = self.nodes.first().and_then(|(path, _)| path.rsplit_once('/'));
        first.map_or(PATH, |(parent, _)| parent)
    }
}

/// Returns the path of another instance: with its name for the original's, or else with another counter.
fn rename(path: &str, name: &str) -> String {
    if name == ORIGINAL {
        return path.into();
    }
    if path.contains(ORIGINAL) {
        return path.replace(ORIGINAL, name);
    }
    let stem = path.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let digits = path.len() - stem.len();
    // Names differ in their first letters, and in the number behind it.
    let number = name.bytes().fold(0_u64, |sum, byte| sum * 31 + u64::from(byte)) % 1_000_000_000;
    if digits == 0 { format!("{path}-{name}") } else { format!("{stem}{number:0digits$}") }
}

fn rename_data(data: &[u8], name: &str) -> Vec<u8> {
    match std::str::from_utf8(data) {
        Ok(text) => text.replace(ORIGINAL, name).into_bytes(),
        Err(_) => data.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_differ_in_their_paths() {
        assert_eq!(rename("/torture/alpha", "bravo"), "/torture/bravo");
        assert_eq!(rename("/torture/rpc0000000000", "alpha"), "/torture/rpc0000000000");
        let (bravo, charlie) =
            (rename("/torture/rpc0000000000", "bravo"), rename("/torture/rpc0000000000", "charlie"));
        assert!(
            bravo.starts_with("/torture/rpc0") && bravo.len() == 22 && bravo != charlie,
            "{bravo} {charlie}"
        );
        assert_eq!(rename("/torture/x-y", "bravo"), "/torture/x-y-bravo");
        assert_eq!(rename_data(b"{\"name\":\"alpha\"}", "bravo"), b"{\"name\":\"bravo\"}");
    }
}
