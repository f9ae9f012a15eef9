//! From words on the command line to a row of the table and what was given with it.
//!
//! Owns the order of parsing: global options first, wherever they stand; then the command; then its options, values
//! before flags; then its arguments. What is left over is an error that names the nearest known option.

use std::ffi::OsString;

use pico_args::Arguments;

use super::exit::Failure;
use super::style::{ColorChoice, Palette};
use super::table::{self, Choice, Count, GLOBAL, Row, Times};
use super::text::clean;

/// The most words that a command line may have: as many names as there may be units, and options.
const WORDS_MAX: usize = 10_100;

/// A command as it was given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) row: &'static Row,
    pub(super) arguments: Vec<String>,
    flags: Vec<&'static str>,
    values: Vec<(&'static str, String)>,
    pub(super) service_dirs: Vec<String>,
    pub(super) color: ColorChoice,
}

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Wish {
    Run(Given),
    /// Of one command, or the overview.
    Help(Option<&'static Row>, ColorChoice),
    Version,
}

impl Given {
    pub(super) fn flag(&self, long: &str) -> bool {
        self.flags.contains(&long)
    }

    pub(super) fn value(&self, long: &str) -> Option<&str> {
        let found = self.values.iter().find(|(key, _)| *key == long)?;
        Some(&found.1)
    }

    /// The values of an option that may be given several times, in their order.
    pub(super) fn all(&self, long: &str) -> Vec<String> {
        let mine = self.values.iter().filter(|(key, _)| *key == long);
        mine.map(|(_, value)| value.clone()).collect()
    }

    /// The value of an option that is a number, and at most `max`.
    pub(super) fn number(&self, long: &str, max: u64) -> Result<Option<u64>, Failure> {
        let Some(text) = self.value(long) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if number <= max => Ok(Some(number)),
            _ => Err(Failure::usage(format!(
                "{long} takes a number from 0 to {max}, not `{}`",
                clean(text)
            ))),
        }
    }

    /// The colours of standard output.
    pub(super) fn palette(&self) -> Palette {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        Palette::choose(self.color, terminal)
    }

    /// The colours of standard error.
    pub(super) fn error_palette(&self) -> Palette {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        Palette::choose(self.color, terminal)
    }
}

/// Reads the command line, without the program's own name.
pub(super) fn parse(words: Vec<OsString>) -> Result<Wish, Failure> {
    let (words, after) = split(words)?;
    let mut words = join_values(words);
    let mut globals = pico(&mut words, GLOBAL);
    let service_dirs = values(&mut globals, &GLOBAL[0])?;
    let color = color(values(&mut globals, &GLOBAL[1])?)?;
    let help = flag(&mut globals, &GLOBAL[2]);
    let version = flag(&mut globals, &GLOBAL[3]);
    let mut words = rest(globals);
    let place = words.iter().position(|word| !word.starts_with('-'));
    let Some(place) = place else {
        return without_command(&words, help, version, color);
    };
    let row = table::find_or_hint(&words.remove(place))?;
    if help {
        return Ok(Wish::Help(Some(row), color));
    }
    if version {
        return Ok(Wish::Version);
    }
    let mut given = Given {
        row,
        arguments: Vec::new(),
        flags: Vec::new(),
        values: Vec::new(),
        service_dirs,
        color,
    };
    let mut options = pico(&mut words, row.options);
    for option in row.options.iter().filter(|option| option.takes_value()) {
        let found = values(&mut options, option)?;
        if found.len() > 1 && option.times == Times::Once {
            return Err(Failure::usage(format!("{} is given twice", option.long)));
        }
        let found = found.into_iter().map(|value| (option.long, value));
        given.values.extend(found);
    }
    for option in row.options.iter().filter(|option| !option.takes_value()) {
        if flag(&mut options, option) {
            given.flags.push(option.long);
        }
    }
    given.arguments = rest(options);
    if let Some(stranger) = given.arguments.iter().find(|word| is_option(word)) {
        return Err(unknown_option(row, stranger));
    }
    given.arguments.extend(after);
    check_count(&given)?;
    Ok(Wish::Run(given))
}

/// The words before and after `--`, all of them text.
fn split(words: Vec<OsString>) -> Result<(Vec<String>, Vec<String>), Failure> {
    if words.len() > WORDS_MAX {
        return Err(Failure::usage(format!("more than {WORDS_MAX} words")));
    }
    let mut texts = Vec::with_capacity(words.len());
    for word in words {
        let text = word.into_string().map_err(|word| {
            let shown = clean(&word.to_string_lossy());
            Failure::usage(format!("`{shown}` is not UTF-8"))
        })?;
        texts.push(text);
    }
    if let Some(place) = program_place(&texts) {
        let after = texts.split_off(place);
        return Ok((texts, after));
    }
    let mut after = Vec::new();
    if let Some(place) = texts.iter().position(|word| word == "--") {
        after = texts.split_off(place);
        after.remove(0);
    }
    Ok((texts, after))
}

/// Where the program's own words begin, of a command that takes a program and is given it without `--`.
fn program_place(words: &[String]) -> Option<usize> {
    let mut row: Option<&Row> = None;
    let mut words = words.iter().enumerate();
    while let Some((place, word)) = words.next() {
        let own = row.map_or(&[][..], |row| row.options);
        let mut options = own.iter().chain(GLOBAL);
        if word == "--" {
            return None;
        } else if is_option(word) {
            let names = |option: &&Choice| option.long == word || option.short == word;
            if options.find(names).is_some_and(Choice::takes_value) {
                words.next();
            }
        } else if row.is_some() {
            return Some(place);
        } else {
            row = Some(table::find(word).filter(|row| row.count == Count::Program)?);
        }
    }
    None
}

/// Every option that takes a value with its value in one word: `-1h` behind `--since` asks for no help.
fn join_values(words: Vec<String>) -> Vec<String> {
    let mut row: Option<&Row> = None;
    let mut joined = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if !is_option(&word) {
            row = row.or_else(|| table::find(&word));
            joined.push(word);
            continue;
        }
        let own = row.map_or(&[][..], |row| row.options);
        let mut options = own.iter().chain(GLOBAL);
        let option = options.find(|option| option.long == word || option.short == word);
        match option.filter(|option| option.takes_value()) {
            Some(option) => match words.next() {
                Some(value) if value.is_empty() => joined.extend([word, value]),
                Some(value) => joined.push(format!("{}={value}", option.long)),
                None => joined.push(word),
            },
            None => joined.push(word),
        }
    }
    joined
}

fn without_command(
    words: &[String],
    help: bool,
    version: bool,
    color: ColorChoice,
) -> Result<Wish, Failure> {
    match words.first() {
        Some(_) if help => Ok(Wish::Help(None, color)),
        Some(stranger) => Err(Failure::usage(format!(
            "unknown option {}, and no command",
            clean(stranger)
        ))
        .hint("`diakonos help` lists the commands")),
        None if version => Ok(Wish::Version),
        None => Ok(Wish::Help(None, color)),
    }
}

/// Hands the words to the parser, bundles of short options taken apart: `-fn20` becomes `-f -n 20`.
fn pico(words: &mut Vec<String>, options: &[Choice]) -> Arguments {
    let mut apart = Vec::with_capacity(words.len());
    for word in words.drain(..) {
        match bundle(&word, options) {
            Some(parts) => apart.extend(parts.into_iter().map(OsString::from)),
            None => apart.push(OsString::from(word)),
        }
    }
    Arguments::from_vec(apart)
}

/// The parts of a bundle, if every letter is a known short option.
fn bundle(word: &str, options: &[Choice]) -> Option<Vec<String>> {
    let letters = word.strip_prefix('-')?;
    if letters.len() < 2 || letters.starts_with('-') {
        return None;
    }
    let mut parts = Vec::new();
    for (place, letter) in letters.char_indices() {
        let short = format!("-{letter}");
        let option = options.iter().find(|option| option.short == short)?;
        parts.push(short);
        if option.takes_value() {
            let value = &letters[place + letter.len_utf8()..];
            if !value.is_empty() {
                parts.push(value.strip_prefix('=').unwrap_or(value).to_owned());
            }
            return Some(parts);
        }
    }
    Some(parts)
}

fn values(arguments: &mut Arguments, option: &Choice) -> Result<Vec<String>, Failure> {
    // The parser takes a key that is not there for one that never matches only as a pair.
    let found = if option.short.is_empty() {
        arguments.values_from_str(option.long)
    } else {
        arguments.values_from_str([option.short, option.long])
    };
    found.map_err(|_| Failure::usage(format!("{} needs a value: {}", option.long, option.value)))
}

/// Whether the flag is there, once or more often.
fn flag(arguments: &mut Arguments, option: &Choice) -> bool {
    let mut found = false;
    loop {
        let again = if option.short.is_empty() {
            arguments.contains(option.long)
        } else {
            arguments.contains([option.short, option.long])
        };
        if !again {
            return found;
        }
        found = true;
    }
}

fn rest(arguments: Arguments) -> Vec<String> {
    let rest = arguments.finish().into_iter();
    // All of them were text when they came in.
    rest.filter_map(|word| word.into_string().ok()).collect()
}

fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

fn unknown_option(row: &Row, word: &str) -> Failure {
    let known = || row.options.iter().chain(GLOBAL);
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let shown = clean(name);
    if !value.is_empty() && known().any(|option| option.long == name) {
        return Failure::usage(format!("{shown} takes no value"));
    }
    let visible = known().filter(|option| !option.help.is_empty());
    let near = crate::unit::nearest(name, visible.map(|option| option.long));
    let signal = crate::unit::Signal::parse(name.trim_start_matches('-'));
    Failure::usage(format!("`diakonos {}` has no option {shown}", row.name)).hint(match near {
        // As kill(1) takes it.
        _ if row.name == "signal" && signal.is_some() => {
            format!(
                "a signal stands without a dash: {}",
                name.trim_start_matches('-')
            )
        }
        Some(near) => format!("did you mean {near}?"),
        None => format!("`diakonos help {}` lists its options", row.name),
    })
}

fn color(given: Vec<String>) -> Result<ColorChoice, Failure> {
    match given.last().map(String::as_str) {
        None | Some("auto") => Ok(ColorChoice::Auto),
        Some("always") => Ok(ColorChoice::Always),
        Some("never") => Ok(ColorChoice::Never),
        Some(other) => Err(Failure::usage(format!(
            "--color takes always, never or auto, not `{}`",
            clean(other)
        ))),
    }
}

fn check_count(given: &Given) -> Result<(), Failure> {
    let row = given.row;
    let number = given.arguments.len();
    let (least, most) = match row.count {
        Count::None => (0, 0),
        Count::Any => (0, usize::MAX),
        Count::AtLeast(least) => (least, usize::MAX),
        // It stands for the last of them.
        Count::AtLeastOr(least, flag) if given.flag(flag) => (least - 1, least - 1),
        Count::AtLeastOr(least, _) => (least, usize::MAX),
        Count::AtMost(most) => (0, most),
        Count::Program => (1, usize::MAX),
    };
    let usage = format!("usage: diakonos {} {}", row.name, row.arguments);
    if number < least {
        let message = format!("`diakonos {}` needs {}", row.name, row.arguments);
        return Err(Failure::usage(message).hint(usage));
    }
    if number > most && matches!(row.count, Count::AtLeastOr(..)) {
        let message = format!("`diakonos {}` takes names or --all, not both", row.name);
        return Err(Failure::usage(message).hint(usage));
    }
    if number > most {
        let stranger = given.arguments.get(most).map(String::as_str);
        let message = format!(
            "`diakonos {}` has no use for `{}`",
            row.name,
            clean(stranger.unwrap_or_default())
        );
        return Err(Failure::usage(message).hint(usage.trim_end()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cli::exit::Exit;

    fn given(line: &str) -> Given {
        match parse(line.split_whitespace().map(OsString::from).collect()) {
            Ok(Wish::Run(given)) => given,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refused(line: &str) -> String {
        match parse(line.split_whitespace().map(OsString::from).collect()) {
            Err(failure) => {
                assert_eq!(failure.exit, Exit::Usage);
                format!("{} | {}", failure.message, failure.hint.unwrap_or_default())
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in [
            "--service-dir /a --color=never list --service-dir=/b --json",
            "list --json --service-dir /a --service-dir /b --color never",
        ] {
            let given = given(line);
            assert_eq!(given.row.name, "list");
            assert_eq!(given.service_dirs, ["/a", "/b"]);
            assert_eq!(given.color, ColorChoice::Never);
            assert!(given.flag("--json") && !given.flag("--all"));
        }
    }

    /// A value may look like an option, or like several: `-1h` is a time, and `-hello` a pattern.
    #[test]
    fn the_word_behind_an_option_is_its_value() {
        for line in [
            "logs --since -1h web",
            "logs web -S -1h",
            "logs web --since=-1h",
        ] {
            let logs = given(line);
            assert_eq!(logs.value("--since"), Some("-1h"), "{line}");
            assert_eq!(logs.arguments, ["web"]);
        }
        assert_eq!(given("logs -g -hello").value("--grep"), Some("-hello"));
        assert_eq!(given("logs -g --help").value("--grep"), Some("--help"));
        assert!(refused("logs web --since").contains("--since"));
    }

    #[test]
    fn options_stand_after_names_and_in_bundles() {
        let logs = given("logs web db -fn20");
        assert_eq!(logs.arguments, ["web", "db"]);
        assert!(logs.flag("--follow"));
        assert_eq!(logs.number("--lines", 100).unwrap(), Some(20));
        assert_eq!(given("logs -n 5 web").value("--lines"), Some("5"));
        assert_eq!(given("logs --lines=5 web").value("--lines"), Some("5"));
        assert_eq!(given("ls").row.name, "list");
        assert_eq!(given("start -- -odd").arguments, ["-odd"]);
        assert_eq!(given("stop --all").arguments, Vec::<String>::new());
    }

    #[test]
    fn from_the_program_on_nothing_is_an_option() {
        let words =
            given("--color never run --name a -p A=1 --property=B=2 sh -c x --name -h -- y");
        assert_eq!(
            words.arguments,
            ["sh", "-c", "x", "--name", "-h", "--", "y"]
        );
        assert_eq!(words.value("--name"), Some("a"));
        assert_eq!(words.all("--property"), ["A=1", "B=2"]);
        let words = given("run --wait -- -odd -- y");
        assert_eq!(words.arguments, ["-odd", "--", "y"]);
        assert!(words.flag("--wait"));
        assert!(refused("run --wiat x").contains("did you mean --wait?"));
        assert!(refused("run --name a").contains("needs"));
    }

    #[test]
    fn a_wrong_line_says_what_was_meant() {
        assert!(refused("strat web").contains("`diakonos start`"));
        assert!(refused("list --jsno").contains("did you mean --json?"));
        assert!(refused("list --json=yes").contains("takes no value"));
        assert!(refused("start").contains("needs NAME…"));
        assert!(refused("start --all web").contains("names or --all, not both"));
        assert!(refused("logs -n").contains("--lines needs a value"));
        assert!(refused("logs -n 1 -n 2").contains("given twice"));
        assert!(refused("list --color pink").contains("always, never or auto"));
        assert!(refused("--frobnicate").contains("no command"));
        assert!(refused("signal -9 web").contains("without a dash: 9"));
        assert!(refused("daemon --ready-fdd 3").contains("`diakonos help daemon`"));
    }

    #[test]
    fn help_and_version_are_understood_everywhere() {
        let wish = |line: &str| parse(line.split_whitespace().map(OsString::from).collect());
        assert!(matches!(wish(""), Ok(Wish::Help(None, _))));
        assert!(matches!(wish("-h"), Ok(Wish::Help(None, _))));
        assert!(
            matches!(wish("start --help"), Ok(Wish::Help(Some(row), _)) if row.name == "start")
        );
        assert!(matches!(wish("--version"), Ok(Wish::Version)));
        assert!(matches!(wish("-V"), Ok(Wish::Version)));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        let words = vec![OsString::from("start"), OsString::from_vec(vec![0xff])];
        assert!(parse(words).is_err());
    }
}
