//! `help` and `version`.

use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::help;
use crate::cli::output::answer;
use crate::cli::style::{ColorChoice, Palette};
use crate::cli::table::{self, Count, Group, Row};

pub(in crate::cli) const HELP: Row = Row {
    name: "help",
    alias: None,
    group: Group::Daemon,
    arguments: "[COMMAND]",
    count: Count::AtMost(1),
    options: &[],
    summary: "list the commands, or explain one",
    help: &["`diakonos COMMAND --help` shows the same."],
    examples: &[(
        "diakonos help start",
        "what `start` does, its options and exit codes",
    )],
    exits: &[],
    run: |given| {
        let row = match given.arguments.first() {
            Some(name) => Some(table::find_or_hint(name)?),
            None => None,
        };
        show(row, given.color)
    },
};

pub(in crate::cli) const VERSION: Row = Row {
    name: "version",
    alias: None,
    group: Group::Daemon,
    arguments: "",
    count: Count::None,
    options: &[],
    summary: "show the version",
    help: &["It is this program's; `diakonos daemon-status` shows the running daemon's."],
    examples: &[],
    exits: &[],
    run: |_: &Given| version(),
};

/// The help of one command, or the overview.
pub(in crate::cli) fn show(row: Option<&Row>, color: ColorChoice) -> Result<Exit, Failure> {
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let palette = Palette::choose(color, terminal);
    answer(match row {
        Some(row) => help::command(row, palette),
        None => help::overview(palette),
    })?;
    Ok(Exit::Done)
}

pub(in crate::cli) fn version() -> Result<Exit, Failure> {
    answer(concat!("diakonos ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(Exit::Done)
}
