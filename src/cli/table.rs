//! The one table of commands. Parsing, dispatch, nearest names and help read it; a command's row stands in its own
//! file.

use super::args::Given;
use super::commands::{
    blame, cat, check, daemon, diff, edit, enable, events, freeze, help, list, logs, plan, probe,
    run, scale, schema, set, show, startup, status, tree, up, upgrade, verbs, why,
};
use super::exit::{Exit, Failure};

/// One command.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) alias: Option<&'static str>,
    pub(super) group: Group,
    /// What stands after the name in the usage line: `NAME…`.
    pub(super) arguments: &'static str,
    /// How many arguments there may be.
    pub(super) count: Count,
    pub(super) options: &'static [Choice],
    /// One line.
    pub(super) summary: &'static str,
    /// Paragraphs, each one line here; the help wraps them.
    pub(super) help: &'static [&'static str],
    /// A command line and what it is for.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// Exit codes beside 0 and 2, where the usual meaning says too little.
    pub(super) exits: &'static [(Exit, &'static str)],
    pub(super) run: fn(&Given) -> Result<Exit, Failure>,
}

/// Where a command stands in the overview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Services,
    Looking,
    Scripts,
    Files,
    Daemon,
}

impl Group {
    pub(super) const ALL: [Self; 5] = [
        Self::Services,
        Self::Looking,
        Self::Files,
        Self::Scripts,
        Self::Daemon,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Services => "Services",
            Self::Looking => "Looking",
            Self::Scripts => "For scripts",
            Self::Files => "Unit files",
            Self::Daemon => "The daemon and this program",
        }
    }
}

/// How many arguments a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    None,
    Any,
    /// At least so many.
    AtLeast(usize),
    /// At least so many, unless this flag stands for all.
    AtLeastOr(usize, &'static str),
    AtMost(usize),
    /// A program and its arguments: from the first of them on, nothing is an option of ours.
    Program,
}

/// One option.
#[derive(Debug)]
pub(super) struct Choice {
    /// `-n`, or nothing.
    pub(super) short: &'static str,
    /// `--lines`.
    pub(super) long: &'static str,
    /// The value's name in the help; nothing for a flag.
    pub(super) value: &'static str,
    /// Empty: the option is between this program and itself, and no help names it.
    pub(super) help: &'static str,
    pub(super) times: Times,
}

/// How often an option may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    Often,
}

impl Choice {
    pub(super) const fn flag(short: &'static str, long: &'static str, help: &'static str) -> Self {
        Self {
            short,
            long,
            value: "",
            help,
            times: Times::Once,
        }
    }

    pub(super) const fn value(
        short: &'static str,
        long: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            short,
            long,
            value,
            help,
            times: Times::Once,
        }
    }

    /// The same, as often as it is needed.
    pub(super) const fn values(
        short: &'static str,
        long: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            times: Times::Often,
            ..Self::value(short, long, value, help)
        }
    }

    pub(super) fn takes_value(&self) -> bool {
        !self.value.is_empty()
    }
}

/// Understood by every command, before or after its name.
pub(super) const GLOBAL: &[Choice] = &[
    Choice::value(
        "",
        "--service-dir",
        "DIR",
        "folder with unit files; may be given several times, the first has precedence (instead of ./services)",
    ),
    Choice::value("", "--color", "WHEN", "always, never or auto (default)"),
    Choice::flag("-h", "--help", "show this help"),
    Choice::flag("-V", "--version", "show the version"),
];

/// Every command, in the order of the overview.
pub(super) const COMMANDS: &[&Row] = &[
    &list::ROW,
    &verbs::START,
    &verbs::STOP,
    &verbs::RESTART,
    &verbs::RELOAD,
    &up::ROW,
    &run::ROW,
    &enable::ENABLE,
    &enable::DISABLE,
    &verbs::SIGNAL,
    &freeze::FREEZE,
    &freeze::THAW,
    &verbs::RESET,
    &scale::ROW,
    &set::ROW,
    &status::ROW,
    &why::ROW,
    &logs::ROW,
    &events::ROW,
    &blame::ROW,
    &tree::ROW,
    &plan::ROW,
    &check::ROW,
    &cat::ROW,
    &show::ROW,
    &edit::ROW,
    &diff::DIFF,
    &diff::DAEMON_RELOAD,
    &schema::ROW,
    &probe::IS_ACTIVE,
    &probe::IS_FAILED,
    &probe::IS_ENABLED,
    &probe::PID,
    &daemon::DAEMON,
    &daemon::STATUS,
    &upgrade::ROW,
    &daemon::KILL,
    &startup::STARTUP,
    &startup::UNSTARTUP,
    &help::HELP,
    &help::VERSION,
];

/// The command of this name or alias.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    COMMANDS
        .iter()
        .find(|row| row.name == name || row.alias == Some(name))
        .copied()
}

/// The same, or the nearest known command as a hint.
pub(super) fn find_or_hint(name: &str) -> Result<&'static Row, Failure> {
    find(name).ok_or_else(|| {
        let known = COMMANDS.iter().flat_map(|row| [Some(row.name), row.alias]);
        let hint = match crate::unit::nearest(name, known.flatten()) {
            Some(near) => format!("did you mean `diakonos {near}`?"),
            None => "`diakonos help` lists the commands".to_owned(),
        };
        Failure::usage(format!("unknown command `{}`", super::text::clean(name))).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_options_are_well_formed() {
        let mut names: Vec<&str> = COMMANDS
            .iter()
            .flat_map(|row| [Some(row.name), row.alias])
            .flatten()
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for row in COMMANDS {
            let options = row.options.iter().chain(GLOBAL);
            let mut keys: Vec<&str> = Vec::new();
            for option in options {
                assert!(option.long.starts_with("--"), "{}", row.name);
                assert!(
                    option.short.is_empty() || option.short.len() == 2,
                    "{}",
                    row.name
                );
                for key in [option.short, option.long] {
                    assert!(key.is_empty() || !keys.contains(&key), "{} {key}", row.name);
                    keys.push(key);
                }
            }
            assert!(
                !row.summary.ends_with('.') && row.summary.len() <= 70,
                "{}",
                row.name
            );
        }
    }
}
