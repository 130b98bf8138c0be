//! Where in a CSV cell a byte is, by the same rules as the parser of the rows.

/// Where the last byte was in its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum CellPosition {
    #[default]
    Start,
    Unquoted,
    Quoted,
    AfterQuote,
}

impl CellPosition {
    /// Returns the position after the next byte.
    pub(super) fn after(self, byte: u8, separator: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::AfterQuote,
            (Self::Quoted, _) | (Self::Start | Self::AfterQuote, b'"') => Self::Quoted,
            (_, b'\n' | b'\r') => Self::Start,
            (_, byte) if byte == separator => Self::Start,
            _ => Self::Unquoted,
        }
    }
}
