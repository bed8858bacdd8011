//! Search for a script that two servers answer differently, and for the smallest such script.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use zk_mini::core::Compat;

use super::coverage::Coverage;
use super::generate;
use super::runner::{Subject, Transcript};
use super::script::Script;

/// Maximum number of steps of a script.
const SCRIPT_STEPS: usize = 50;

/// Maximum number of attempts to make a failing script smaller.
const MAX_SHRINKS: u32 = 600;

/// Two servers with the same history.
pub struct Pair {
    subjects: [Subject; 2],
    compat: Compat,
    coverage: Coverage,
}

/// A script that two servers answer differently.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The script up to the first step with different answers.
    pub script: Script,
    /// Transcript of each server, or the error.
    pub transcripts: [Result<Transcript, String>; 2],
}

impl Pair {
    /// Connects to two servers of a release line. They must have no other clients.
    ///
    /// # Errors
    /// If one cannot be reached.
    pub fn connect(servers: [SocketAddr; 2], compat: Compat) -> io::Result<Self> {
        let [left, right] = servers;
        let subjects = [Subject::connect(left)?, Subject::connect(right)?];
        Ok(Self { subjects, compat, coverage: Coverage::default() })
    }

    /// Returns the coverage of all scripts so far.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Runs a script on both. Returns each transcript or error.
    pub fn run(&mut self, script: &Script) -> [Result<Transcript, String>; 2] {
        let run = |subject: &mut Subject| subject.run(script).map_err(|error| error.to_string());
        let transcripts = self.subjects.each_mut().map(run);
        if let [Ok(left), Ok(_)] = &transcripts {
            self.coverage.add(left);
        }
        transcripts
    }

    /// Runs a script on both and returns the first difference.
    pub fn compare(&mut self, script: &Script) -> Option<Difference> {
        let transcripts = self.run(script);
        if let [Ok(left), Ok(right)] = &transcripts {
            let first = left.steps.iter().zip(&right.steps).position(|(left, right)| left != right)?;
            let cut = |transcript: &Transcript| Ok(Transcript { steps: transcript.steps[..=first].to_vec() });
            let script = Script { steps: script.steps[..=first].to_vec() };
            return Some(Difference { script, transcripts: [cut(left), cut(right)] });
        }
        Some(Difference { script: script.clone(), transcripts })
    }
}

/// Runs random scripts with `steps` steps in all.
///
/// # Errors
/// The first difference, with the smallest script for it.
pub fn explore(pair: &mut Pair, runner: &mut TestRunner, steps: usize) -> Result<(), Box<Difference>> {
    let scripts = generate::script(SCRIPT_STEPS, pair.compat);
    let mut done = 0;
    while done < steps {
        // The strategy rejects nothing, so there always is a next script.
        let Ok(mut tree) = scripts.new_tree(runner) else { continue };
        let script = tree.current();
        done += script.steps.len();
        if let Some(difference) = pair.compare(&script) {
            return Err(Box::new(shrink(pair, &mut tree, difference)));
        }
    }
    Ok(())
}

/// Returns a source of random scripts, the same for the same seed.
pub fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn shrink(
    pair: &mut Pair,
    tree: &mut impl ValueTree<Value = Script>,
    mut smallest: Difference,
) -> Difference {
    for _ in 0..MAX_SHRINKS {
        if !tree.simplify() {
            break;
        }
        loop {
            if let Some(difference) = pair.compare(&tree.current()) {
                smallest = difference;
                break;
            }
            if !tree.complicate() {
                return smallest;
            }
        }
    }
    smallest
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.script)?;
        for (side, transcript) in ["left", "right"].into_iter().zip(&self.transcripts) {
            match transcript {
                Ok(transcript) => {
                    let Some((_, record)) = transcript.steps.last() else { continue };
                    writeln!(f, "# {side} answers the last step with\n{}", commented(&record.to_string()))?;
                }
                Err(error) => writeln!(f, "# {side} fails: {error}")?,
            }
        }
        Ok(())
    }
}

fn commented(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("#{line}")).collect();
    lines.join("\n")
}
