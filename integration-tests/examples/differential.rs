//! Differential test by hand; see `ci/differential`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use integration_tests::differential::servers::Settings;
use integration_tests::differential::{Difference, Pair, Script, Subject, Transcript};
use integration_tests::differential::{explore, golden, runner, servers};
use zk_mini::core::Compat;

/// Steps of a server before it is replaced by a fresh one, because the nodes of scripts are never removed.
const STEPS_OF_A_SERVER: usize = 50_000;

/// Runs the same scripts on Apache ZooKeeper and on zk-mini, and compares the answers.
#[derive(Parser)]
struct Args {
    /// Number of steps of all random scripts together.
    #[arg(long, default_value_t = 20_000)]
    steps: usize,
    /// Seed of the random scripts: the same seed gives the same scripts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Release line to compare with.
    #[arg(long, value_enum, default_value_t)]
    compat: Line,
    /// Allow nodes with a time to live on both servers.
    #[arg(long)]
    extended_types: bool,
    /// Run this script instead of random ones; can be given several times.
    #[arg(long)]
    replay: Vec<PathBuf>,
    /// Print all answers to the replayed scripts.
    #[arg(long)]
    show: bool,
    /// Compare with a second Apache ZooKeeper instead of zk-mini; the two must agree.
    #[arg(long)]
    real: bool,
    /// Record the golden frames of zk-wire instead.
    #[arg(long)]
    record: bool,
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Line {
    /// 3.8.7.
    #[value(name = "3.8")]
    V3_8,
    /// 3.9.5.
    #[default]
    #[value(name = "3.9")]
    V3_9,
}

impl From<Line> for Compat {
    fn from(line: Line) -> Self {
        match line {
            Line::V3_8 => Self::V3_8,
            Line::V3_9 => Self::V3_9,
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args = Args::parse();
    if args.record {
        return record();
    }
    let found = if args.replay.is_empty() { explore_all(&args)? } else { replay(&args)? };
    match found {
        None => Ok(()),
        Some(difference) => {
            print!("{difference}");
            Err("the servers differ".into())
        }
    }
}

/// Runs an action with a pair of fresh servers.
fn with_pair<T>(args: &Args, action: impl FnOnce(&mut Pair) -> T) -> Result<T> {
    let settings = Settings { compat: args.compat.into(), extended_types: args.extended_types };
    let real = servers::real(settings)?;
    if args.real {
        let other = servers::real(settings)?;
        return Ok(action(&mut Pair::connect([real.addr(0), other.addr(0)], settings.compat)?));
    }
    let mini = servers::mini(settings)?;
    Ok(action(&mut Pair::connect([real.addr(0), mini.addr()], settings.compat)?))
}

fn explore_all(args: &Args) -> Result<Option<Difference>> {
    let mut runner = runner(args.seed);
    let mut left = args.steps;
    while left > 0 {
        let steps = left.min(STEPS_OF_A_SERVER);
        left -= steps;
        let found = with_pair(args, |pair| {
            let found = explore(pair, &mut runner, steps);
            eprint!("{}", pair.coverage());
            found
        })?;
        if let Err(difference) = found {
            return Ok(Some(*difference));
        }
    }
    Ok(None)
}

fn replay(args: &Args) -> Result<Option<Difference>> {
    for path in &args.replay {
        let script: Script = fs::read_to_string(path)?.parse()?;
        if args.show {
            show(&with_pair(args, |pair| pair.run(&script))?);
        } else if let Some(difference) = with_pair(args, |pair| pair.compare(&script))? {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

/// Prints each step with the answer of the first server and, if it differs, that of the other.
fn show(transcripts: &[std::result::Result<Transcript, String>; 2]) {
    match transcripts {
        [Ok(left), Ok(right)] => {
            for ((step, left), (_, right)) in left.steps.iter().zip(&right.steps) {
                println!("{step}\n{left}");
                if left != right {
                    println!("  but the other server:\n{right}");
                }
            }
        }
        failed => println!("{failed:?}"),
    }
}

fn record() -> Result<()> {
    let real = servers::real(Settings::of(Compat::V3_8))?;
    let server: SocketAddr = real.addr(0);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = fs::read_to_string(root.join("tests/differential/golden.script"))?;
    let dir = root.join("../zk-mini/wire/tests/golden");
    let mut subject = Subject::connect(server)?;
    print!("{}", golden::record(&mut subject, &servers::version(server)?, &script, &dir)?);
    Ok(())
}
