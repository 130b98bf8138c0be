//! The colours of what is printed for people: on a terminal that may have them, and nowhere else.

use std::io::IsTerminal;

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Style};

use crate::config::LogSettings;

/// The colours of the help.
pub(super) const HELP: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// A style for each part of what is printed. Written as `{style}` it begins, as `{style:#}` it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Palette {
    /// What a part of it is called.
    pub(super) title: Style,
    /// What can be opened, typed or copied.
    pub(super) accent: Style,
    /// What only some look for.
    pub(super) faint: Style,
    /// What is wrong.
    pub(super) alarm: Style,
}

impl Palette {
    /// The colours of standard output.
    pub(super) fn of_output(settings: &LogSettings) -> Self {
        Self::of(settings.color && std::io::stdout().is_terminal())
    }

    /// The colours of standard error.
    pub(super) fn of_errors(settings: &LogSettings) -> Self {
        Self::of(settings.color && std::io::stderr().is_terminal())
    }

    fn of(has_colors: bool) -> Self {
        let style = |style| if has_colors { style } else { Style::new() };
        Self {
            title: style(Style::new().bold()),
            accent: style(AnsiColor::Cyan.on_default()),
            faint: style(Style::new().dimmed()),
            alarm: style(AnsiColor::Yellow.on_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_nothing_where_there_are_no_colors() {
        let (plain, colored) = (Palette::of(false), Palette::of(true));
        let text = |palette: Palette| format!("{0}x{0:#}{1}y{1:#}", palette.title, palette.accent);
        assert_eq!(text(plain), "xy");
        assert!(text(colored).contains("\u{1b}[") && text(colored).ends_with("\u{1b}[0m"));
    }
}
