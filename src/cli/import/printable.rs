//! Texts of a file that are shown on a terminal.

/// The maximum number of characters of a text that is shown.
pub(super) const MAX_SHOWN: usize = 32;

/// Returns a text that can be shown on a terminal: one line, not too long, without control characters.
pub(super) fn printable(text: &str) -> String {
    let is_harmful = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown: String = text.chars().take(MAX_SHOWN).map(|c| if is_harmful(c) { ' ' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
