//! The command line: a thin client of the daemon, and the daemon's own front door.
//!
//! One table of commands (`table.rs`, a row in each command's file) gives parsing and help. What only the daemon
//! knows comes from the daemon (`client.rs`); what can be read is read here: unit files, logs, `/proc`, cgroups.
//! Rendering (`render/`) is pure. Owns no rule about services.

mod along;
mod announced;
mod args;
mod attentive;
mod autostart;
mod blame;
mod client;
mod commands;
mod definitions;
mod drafts;
mod edges;
mod exit;
mod family;
mod first;
mod forbearance;
mod forest;
#[cfg(test)]
mod golden;
mod help;
mod instances;
mod json;
mod lint;
mod log_silence;
mod logchoice;
mod logfailure;
mod logjson;
mod loglook;
mod lognames;
mod logruns;
mod logs;
mod logtail;
mod logwatch;
mod missing;
mod moment;
mod newcomers;
mod output;
mod own_log;
mod past;
mod patient;
mod pattern;
mod place;
mod record;
mod render;
mod repeat;
mod schema;
mod sequence;
mod shown;
mod sift;
mod silence;
mod stamp;
mod startup;
mod style;
mod table;
mod tend_logs;
mod text;
mod unbegun;
mod units;
mod untold;
mod usage;
mod wait;
mod why;

use std::process::ExitCode;

use args::Wish;
use style::{ColorChoice, Palette};

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).collect();
    let (result, palette) = match args::parse(words) {
        Ok(Wish::Run(given)) => ((given.row.run)(&given), given.error_palette()),
        Ok(Wish::Help(row, color)) => (commands::help::show(row, color), errors(color)),
        Ok(Wish::Version) => (commands::help::version(), errors(ColorChoice::Auto)),
        Err(failure) => (Err(failure), errors(ColorChoice::Auto)),
    };
    let exit = result.unwrap_or_else(|failure| {
        output::failure(&failure, palette);
        failure.exit
    });
    first::leave(palette);
    ExitCode::from(exit.code())
}

fn errors(color: ColorChoice) -> Palette {
    Palette::choose(color, std::io::IsTerminal::is_terminal(&std::io::stderr()))
}
