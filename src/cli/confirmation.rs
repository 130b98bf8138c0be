//! Questions that a person answers on the terminal.

use std::io::{self, BufRead, Write};

use super::error::CliError;

/// Shows a question on standard error, and returns the line that is entered on standard input, without blanks around it. Empty if the
/// input ends.
///
/// # Errors
/// The question could not be shown, or no answer be read.
pub(super) fn ask(question: &str) -> Result<String, CliError> {
    let ask = || {
        let mut prompt = io::stderr();
        write!(prompt, "{question} ")?;
        prompt.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok::<_, io::Error>(answer.trim().to_owned())
    };
    ask().map_err(|error| CliError::Other(format!("could not ask for confirmation: {error}")))
}
