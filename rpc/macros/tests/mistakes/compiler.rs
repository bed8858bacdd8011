//! The compiler, and its complaints without what differs between machines and with each change of the library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, io::Write};

/// Directory of the cases in the workspace.
pub(crate) const CASES: &str = "rpc/macros/tests/mistakes/cases";

/// Returns the directory of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Compiler with the library that the cases use.
pub(crate) struct Compiler {
    /// Directory of everything that cargo has compiled.
    dependencies: PathBuf,
    /// Build of `rpc-server`.
    server: PathBuf,
}

impl Compiler {
    /// Finds the library beside this program. The newest build is of the present sources: cargo has made sure of that before it
    /// started this program.
    pub(crate) fn find() -> Self {
        let program = env::current_exe().unwrap();
        let dependencies = program.parent().unwrap().to_owned();
        let files = fs::read_dir(&dependencies).unwrap().map(|file| file.unwrap().path());
        let is_build = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("librpc_server-") && name.ends_with(".rlib")
        };
        let mut builds: Vec<_> = files.filter(is_build).collect();
        builds.sort_by_key(|path| fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap());
        let compilers =
            builds.into_iter().rev().map(|server| Self { dependencies: dependencies.clone(), server });
        // That of another compiler, or one of whose dependencies a file is gone, does not do.
        let found = { compilers }.find(|compiler| compiler.compile("-", "fn main() {}").status.success());
        found.unwrap_or_else(|| panic!("no build of rpc-server in {}", dependencies.display()))
    }

    /// Returns what the compiler says of a case, whose path is relative to the workspace.
    pub(crate) fn complaints(&self, case: &Path) -> String {
        let compiled = self.compile(case.to_str().unwrap(), "");
        assert!(!compiled.status.success(), "{} compiles", case.display());
        lasting(&String::from_utf8(compiled.stderr).unwrap())
    }

    fn compile(&self, file: &str, input: &str) -> Output {
        let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        // There the paths of the library's sources begin.
        command.current_dir(workspace());
        command.args(["--edition=2024", "--crate-name=mistake", "--crate-type=bin", "--emit=metadata", "-o"]);
        command.arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistake"));
        command.args(["--color=never", "--diagnostic-width=140", "-L"]);
        command.arg(format!("dependency={}", self.dependencies.display()));
        command.args(["--extern", &format!("rpc_server={}", self.server.display()), file]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut compiler = command.spawn().unwrap();
        // One that does not read it has its case in a file.
        let _ = compiler.stdin.take().unwrap().write_all(input.as_bytes());
        compiler.wait_with_output().unwrap()
    }
}

/// Returns complaints without the numbers of the library's lines, without lists of other types, and without the summary.
fn lasting(complaints: &str) -> String {
    let (mut lasting, mut is_in_library) = (String::new(), false);
    for line in complaints.lines() {
        let text = line.trim_start();
        let (before, after) = text.split_once('|').unwrap_or((text, ""));
        if ["error: aborting ", "For more information ", "Some errors have "]
            .iter()
            .any(|end| line.starts_with(end))
        {
            break;
        } else if let Some(place) = text.strip_prefix("--> ") {
            is_in_library = !place.starts_with(CASES);
            let place = if is_in_library { place.split(':').next().unwrap_or(place) } else { place };
            lasting.push_str(&format!("  --> {place}"));
        } else if text.contains('|') && before.chars().all(|one| one.is_ascii_digit() || one == ' ') {
            let number = if is_in_library { "" } else { before.trim() };
            lasting.push_str(&format!("{number:>2} |{after}"));
        } else if let Some(note) = text.strip_prefix("= ") {
            lasting.push_str(&format!("   = {note}"));
        } else if line.starts_with("      ") {
            // Part of a list of other types. There are more with some features of serde's crates, and cargo compiles the library
            // with and without them, in any order.
            continue;
        } else {
            lasting.push_str(line);
        }
        lasting.push('\n');
    }
    lasting.trim_end().to_owned() + "\n"
}
