//! `rpc completions` and `rpc man`: what shells and `man` know of the program, from its own options.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::error::CliError;

/// Print the completions of a shell
///
///   bash   rpc completions bash > ~/.local/share/bash-completion/completions/rpc
///   zsh    rpc completions zsh > DIR/_rpc, for a DIR of $fpath
///   fish   rpc completions fish > ~/.config/fish/completions/rpc.fish
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write all pages to a directory
///
/// As in `rpc man ~/.local/share/man/man1`, then `man rpc-call`.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ManArgs {
    /// Directory for rpc.1, and a page for each command; made if it is missing
    dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs, mut program: Command) -> Result<(), CliError> {
    // Not straight to standard output: the generator panics if its reader has gone.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "rpc", &mut script);
    io::stdout().write_all(&script).map_err(CliError::Output)
}

pub(crate) fn man(args: &ManArgs, program: Command) -> Result<(), CliError> {
    let mut program = program.disable_help_subcommand(true);
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(program).render(&mut page).map_err(CliError::Output)?;
        return io::stdout().write_all(&page).map_err(CliError::Output);
    };
    fs::create_dir_all(dir).map_err(|source| CliError::Page { path: dir.clone(), source })?;
    // Gives the commands their full names.
    program.build();
    let commands: Vec<Command> = program.get_subcommands().cloned().collect();
    for command in [program].into_iter().chain(commands) {
        write_page(dir, command)?;
    }
    Ok(())
}

fn write_page(dir: &Path, command: Command) -> Result<(), CliError> {
    let page = Man::new(command);
    let path = dir.join(page.get_filename());
    let mut text = Vec::new();
    let written = page.render(&mut text).and_then(|()| fs::write(&path, text));
    written.map_err(|source| CliError::Page { path, source })
}
