//! `zk-mini completions` and `zk-mini man`: what shells and `man` know of the program, from its own options.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::error::CliError;
use crate::offline::print;

const NAME: &str = "zk-mini";

/// Print the completions of a shell
///
///   bash   zk-mini completions bash > ~/.local/share/bash-completion/completions/zk-mini
///   zsh    zk-mini completions zsh > DIR/_zk-mini, for a DIR of $fpath
///   fish   zk-mini completions fish > ~/.config/fish/completions/zk-mini.fish
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write all pages to a directory
///
/// As in `zk-mini man ~/.local/share/man/man1`, then `man zk-mini-serve`.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ManArgs {
    /// Directory for zk-mini.1, and a page for each command; made if it is missing
    dir: Option<PathBuf>,
}

/// Returns the program without its hidden commands: clap's generators print those, too.
fn visible(program: &Command) -> Command {
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut visible = Command::new(NAME).subcommands(commands).version(env!("CARGO_PKG_VERSION"));
    if let Some(about) = program.get_about() {
        visible = visible.about(about.clone());
    }
    if let Some(about) = program.get_long_about() {
        visible = visible.long_about(about.clone());
    }
    if let Some(help) = program.get_after_help() {
        visible = visible.after_help(help.clone());
    }
    visible
}

pub(crate) fn completions(args: &CompletionsArgs, program: &Command) -> Result<ExitCode, CliError> {
    let mut program = visible(program);
    // Not straight to standard output: the generator panics if its reader has gone.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, NAME, &mut script);
    // For bash it spells a name with a hyphen in two ways, so that no option of a command would be completed (clap#6421).
    let script = String::from_utf8_lossy(&script).replace("zk__subcmd__mini", "zk__mini");
    print(|out| out.write_all(script.as_bytes()))
}

pub(crate) fn man(args: &ManArgs, program: &Command) -> Result<ExitCode, CliError> {
    let program = visible(program).disable_help_subcommand(true);
    let Some(dir) = &args.dir else {
        return print(|mut out| Man::new(program).render(&mut out));
    };
    write_pages(dir, program).map_err(|source| CliError::Pages { dir: dir.display().to_string(), source })?;
    Ok(ExitCode::SUCCESS)
}

fn write_pages(dir: &Path, mut program: Command) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    // Gives the commands their full names.
    program.build();
    let commands: Vec<Command> = program.get_subcommands().cloned().collect();
    for command in [program].into_iter().chain(commands) {
        let page = Man::new(command);
        let mut text = Vec::new();
        page.render(&mut text)?;
        fs::write(dir.join(page.get_filename()), text)?;
    }
    Ok(())
}
