//! `contacts completions`: prints shell completion scripts.

use clap::Args;
use clap_complete::Shell;

use super::error::CliError;
use super::output::print;

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell to print a script for
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments, mut command: clap::Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "contacts", &mut script);
    print(&String::from_utf8_lossy(&script))
}
