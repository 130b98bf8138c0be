//! Texts of a file that are shown on a terminal.

/// The maximum number of characters of a text that is shown.
pub(super) const MAX_SHOWN: usize = 32;

/// Returns a text that can be shown on a terminal: one line, not too long, without control characters.
pub(super) fn printable(text: &str) -> String {
    printable_up_to(MAX_SHOWN, text)
}

/// Returns at most `max` characters of a text that can be shown on a terminal: one line, without control characters.
pub(super) fn printable_up_to(max: usize, text: &str) -> String {
    let is_harmful = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown: String = text.chars().take(max).map(|c| if is_harmful(c) { ' ' } else { c }).collect();
    if text.chars().nth(max).is_some() {
        shown.push('…');
    }
    shown
}
