//! Standard output.

use std::io::{ErrorKind, Write};

use super::error::CliError;

/// Writes a text to standard output. A closed pipe is not an error: the reader may stop early, as `head` does.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut output = std::io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::Other(format!("could not write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
