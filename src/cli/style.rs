//! Colours: whether there are any, and which tone means what. Nothing else in the room names a colour.

use yansi::{Color, Paint, Style};

/// What `--color` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColorChoice {
    Always,
    Never,
    Auto,
}

/// What a text is to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Up and well.
    Good,
    /// On its way.
    Busy,
    Bad,
    /// Less important than what stands beside it.
    Quiet,
    Strong,
    /// The colour of the n-th of several services.
    Nth(usize),
}

/// The colours of several services side by side: those that mean nothing else here.
const SERVICE_COLORS: [Color; 6] = [
    Color::Cyan,
    Color::Magenta,
    Color::Blue,
    Color::BrightCyan,
    Color::BrightMagenta,
    Color::BrightBlue,
];

/// Paints, or leaves the text as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Palette {
    Colored,
    Plain,
}

impl Palette {
    /// Colour only on a terminal and never with `NO_COLOR`, unless it was asked for.
    pub(super) fn choose(choice: ColorChoice, terminal: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match choice {
            ColorChoice::Always => Self::Colored,
            ColorChoice::Never => Self::Plain,
            ColorChoice::Auto if terminal && !no_color && !dumb => Self::Colored,
            ColorChoice::Auto => Self::Plain,
        }
    }

    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        if self == Self::Plain || text.is_empty() {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Good => Style::new().green(),
            Tone::Busy => Style::new().yellow(),
            Tone::Bad => Style::new().red().bold(),
            Tone::Quiet => Style::new().bright_black(),
            Tone::Strong => Style::new().bold(),
            Tone::Nth(n) => Style::new().fg(SERVICE_COLORS[n % SERVICE_COLORS.len()]),
        };
        text.paint(style).to_string()
    }
}

/// The tone of a state's word, see `engine::State::word`; `error` and `template` are the client's own.
pub(super) fn state_tone(state: &str) -> Tone {
    match state {
        "running" | "exited" => Tone::Good,
        "waiting" | "starting" | "reloading" | "stopping" | "restarting" | "frozen" => Tone::Busy,
        "failed" | "error" => Tone::Bad,
        _ => Tone::Quiet,
    }
}
