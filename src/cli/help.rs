//! Help texts, made from the table.

use crate::sorted;

use super::exit::Exit;
use super::style::{Palette, Tone};
use super::table::{COMMANDS, Choice, GLOBAL, Group, Row};

/// Where help texts break.
const WIDTH: usize = 80;

/// `diakonos help`: every command with its summary.
pub(super) fn overview(palette: Palette) -> String {
    let mut out = String::new();
    out.push_str(
        "Diakonos starts services in the order of their dependencies, watches, restarts,\n",
    );
    out.push_str("logs and stops them. Its daemon starts by itself.\n\n");
    title(&mut out, palette, "Usage");
    out.push_str("  diakonos COMMAND [ARGUMENT…] [OPTION…]\n");
    for group in Group::ALL {
        out.push('\n');
        title(&mut out, palette, group.title());
        for row in COMMANDS.iter().filter(|row| row.group == group) {
            let alias = row
                .alias
                .map(|alias| format!(", {alias}"))
                .unwrap_or_default();
            let name = format!("{}{alias}", row.name);
            entry(&mut out, palette, &name, row.summary);
        }
    }
    out.push('\n');
    title(&mut out, palette, "Options for every command");
    options(&mut out, palette, GLOBAL);
    out.push('\n');
    title(&mut out, palette, "Environment");
    let places = [
        ("DIAKONOS_HOME", "the daemon's folder (default ~/.diakonos)"),
        (
            "DIAKONOS_SERVICE_DIR",
            "folders with unit files, with `:` between them",
        ),
        ("NO_COLOR", "never any colour"),
    ];
    for (name, text) in places {
        entry(&mut out, palette, name, text);
    }
    out.push('\n');
    title(&mut out, palette, "Exit codes");
    let codes = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::NotRunning,
        Exit::NoSuchUnit,
        Exit::NoDaemon,
        Exit::NotAllowed,
        Exit::OutOfTime,
        Exit::Detached,
    ];
    for exit in codes {
        exit_code(&mut out, exit, exit.meaning());
    }
    out.push_str("\n`diakonos help COMMAND` says more about one command.\n");
    out
}

/// `diakonos help COMMAND`.
pub(super) fn command(row: &Row, palette: Palette) -> String {
    let mut out = format!("{}\n\n", sentence(row.summary));
    title(&mut out, palette, "Usage");
    let arguments = [
        row.arguments,
        if row.options.is_empty() {
            ""
        } else {
            "[OPTION…]"
        },
    ];
    let mut usage = format!("  diakonos {}", row.name);
    for part in arguments.iter().filter(|part| !part.is_empty()) {
        usage.push(' ');
        usage.push_str(part);
    }
    out.push_str(&usage);
    out.push('\n');
    if let Some(alias) = row.alias {
        out.push_str(&format!("  diakonos {alias} is the same\n"));
    }
    for paragraph in row.help {
        out.push('\n');
        wrap(&mut out, paragraph, 0);
    }
    if row.options.iter().any(|option| !option.help.is_empty()) {
        out.push('\n');
        title(&mut out, palette, "Options");
        options(&mut out, palette, row.options);
    }
    if !row.examples.is_empty() {
        out.push('\n');
        title(&mut out, palette, "Examples");
        for (line, text) in row.examples {
            out.push_str(&format!("  {}\n", palette.paint(Tone::Strong, line)));
            wrap(&mut out, text, 6);
        }
    }
    out.push('\n');
    title(&mut out, palette, "Exit codes");
    let mut codes = row.exits.to_vec();
    for exit in [Exit::Done, Exit::Usage] {
        if !codes.iter().any(|(known, _)| *known == exit) {
            codes.push((exit, exit.meaning()));
        }
    }
    sorted::sort_by_key(&mut codes, |(exit, _)| exit.code());
    for (exit, text) in codes {
        exit_code(&mut out, exit, text);
    }
    out
}

fn sentence(summary: &str) -> String {
    let mut letters = summary.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn title(out: &mut String, palette: Palette, text: &str) {
    out.push_str(&palette.paint(Tone::Strong, &format!("{text}:")));
    out.push('\n');
}

fn exit_code(out: &mut String, exit: Exit, text: &str) {
    out.push_str(&format!("  {:>3}  {text}\n", exit.code()));
}

fn options(out: &mut String, palette: Palette, options: &[Choice]) {
    for option in options.iter().filter(|option| !option.help.is_empty()) {
        let short = if option.short.is_empty() {
            "    ".to_owned()
        } else {
            format!("{}, ", option.short)
        };
        let value = if option.takes_value() {
            format!(" {}", option.value)
        } else {
            String::new()
        };
        entry(
            out,
            palette,
            &format!("{short}{}{value}", option.long),
            option.help,
        );
    }
}

/// A name and its text beside it, from column 24 on.
fn entry(out: &mut String, palette: Palette, name: &str, text: &str) {
    const COLUMN: usize = 26;
    let padding = COLUMN.saturating_sub(2 + name.chars().count()).max(2);
    out.push_str("  ");
    out.push_str(&palette.paint(Tone::Good, name));
    out.extend(std::iter::repeat_n(' ', padding));
    let mut wrapped = String::new();
    wrap(&mut wrapped, text, COLUMN);
    out.push_str(wrapped.trim_start());
}

/// The text in lines of at most [`WIDTH`] columns, each after `indent` spaces.
fn wrap(out: &mut String, text: &str, indent: usize) {
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > WIDTH {
            out.push('\n');
            used = 0;
        }
        if used == 0 {
            out.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        } else {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::golden;

    #[test]
    fn help_texts_are_as_in_the_golden_files() {
        golden::check("help", &overview(Palette::Plain));
        for row in COMMANDS {
            golden::check(&format!("help-{}", row.name), &command(row, Palette::Plain));
        }
    }

    #[test]
    fn no_line_is_too_wide() {
        let texts = COMMANDS.iter().map(|row| command(row, Palette::Plain));
        for text in texts.chain([overview(Palette::Plain)]) {
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{line}");
            }
        }
    }
}
