//! Standard output, and numbers for people.

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

/// Returns a number for people, with a comma between groups of three digits. Programs read plain digits.
pub(super) fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let is_start = |index: usize| index > 0 && (digits.len() - index).is_multiple_of(3);
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if is_start(index) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, grouped) in [(0, "0"), (999, "999"), (1_000, "1,000"), (86_400_000, "86,400,000")] {
            assert_eq!(group_digits(number), grouped);
        }
    }
}
