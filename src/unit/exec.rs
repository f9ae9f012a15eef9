//! Command lines of the `Exec*=` keys, COMMAND LINES in systemd.service(5).
//!
//! Owns prefixes, the program and its arguments. Quoting and variables are `words.rs`.

use toml::Spanned;

use super::Exec;
use super::file::{MAX_ITEMS, Node};
use super::report::Fault;
use super::specifier::Scope;
use super::value::{Value, expand, fault, shorten, text, wrong_type};
use super::words::split_commands;

const FORMS: &str = "a command: a string, an array of words, or an array of such arrays";

/// What whoever puts a whole command into one word of an array should know.
const SEVERAL: &str = "write the command as one string to have it split; an array is ONE command's \
                       words, and several commands are [[\"…\", …], [\"…\", …]]";

/// Whether a program's name looks like a whole command that was put into one word of an array.
#[must_use]
pub fn swallowed_hint(exec: &Exec) -> Option<&'static str> {
    let is_swallowed = !exec.expand && exec.program.contains(char::is_whitespace);
    is_swallowed.then_some(SEVERAL)
}

/// Reads one or several commands: a string is split into words, an array is one command's words as they are, an
/// array of arrays several commands.
pub(super) fn commands(value: &Value, scope: &Scope, faults: &mut Vec<Fault>) -> Vec<Exec> {
    let mut commands = vec![];
    let mut take = |command: Result<Exec, Fault>| match command {
        Ok(command) => commands.push(command),
        Err(fault) => faults.push(fault),
    };
    match value.get_ref() {
        Node::Text(text) => match split_commands(text) {
            Err(error) => take(Err(fault(value, error.to_string()))),
            Ok(split) if split.is_empty() => take(Err(no_command(value))),
            Ok(split) => {
                for words in split {
                    take(command(value, words, Words::Split, scope));
                }
            }
        },
        Node::List(items) if items.iter().any(is_list) => {
            for item in items {
                take(verbatim(item, scope));
            }
        }
        // Nothing at all takes back what an earlier file said.
        Node::List(items) if items.is_empty() => {}
        _ => take(verbatim(value, scope)),
    }
    // Kept for as long as the unit is: no room for more.
    commands.shrink_to_fit();
    commands
}

/// Reads a text that is exactly one command, (part of) a value.
pub(super) fn one_command(value: &Value, text: &str, scope: &Scope) -> Result<Exec, Fault> {
    let mut split = split_commands(text).map_err(|error| fault(value, error.to_string()))?;
    match (split.pop(), split.is_empty()) {
        (Some(words), true) => command(value, words, Words::Split, scope),
        (Some(_), false) => Err(fault(value, "expected one command, found several")),
        (None, _) => Err(no_command(value)),
    }
}

fn is_list(value: &Spanned<Node>) -> bool {
    matches!(value.get_ref(), Node::List(_))
}

fn no_command(value: &Value) -> Fault {
    fault(value, "a command cannot be empty").hint("leave the key out")
}

/// Where a command's words come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// From a string: specifiers and variables are expanded.
    Split,
    /// From an array: taken as they are, but for the prefixes of the first.
    Verbatim,
}

fn verbatim(value: &Value, scope: &Scope) -> Result<Exec, Fault> {
    let Node::List(items) = value.get_ref() else {
        return Err(wrong_type(value, FORMS));
    };
    let words: Result<Vec<String>, Fault> = items
        .iter()
        .map(|item| text(item).map(str::to_owned))
        .collect();
    command(value, words?, Words::Verbatim, scope)
}

fn command(value: &Value, words: Vec<String>, from: Words, scope: &Scope) -> Result<Exec, Fault> {
    if words.len() > MAX_ITEMS {
        return Err(fault(
            value,
            format!("a command has at most {MAX_ITEMS} words"),
        ));
    }
    let mut words = words.into_iter();
    let first = words.next().ok_or_else(|| no_command(value))?;
    let prefixes = Prefixes::read(value, &first)?;
    let expanded = |word: &str| match from {
        Words::Split => expand(value, word, scope),
        Words::Verbatim => Ok(word.to_owned()),
    };
    let program = expanded(prefixes.rest)?;
    check_program(value, &program)?;
    let argv0 = match prefixes.argv0 {
        false => None,
        true => match words.next() {
            Some(word) => Some(expanded(&word)?.into()),
            None => {
                let message =
                    "prefix `@` needs a second word: what the program is told its name is";
                return Err(fault(value, message));
            }
        },
    };
    let arguments: Result<Vec<String>, Fault> = words.map(|word| expanded(&word)).collect();
    let mut arguments = arguments?;
    // Kept for as long as the unit is: no room for more.
    arguments.shrink_to_fit();
    Ok(Exec {
        program,
        arguments,
        argv0,
        ignore_failure: prefixes.ignore_failure,
        expand: from == Words::Split && !prefixes.no_variables,
        privileged: prefixes.privileged,
    })
}

#[derive(Default)]
struct Prefixes<'w> {
    rest: &'w str,
    ignore_failure: bool,
    argv0: bool,
    no_variables: bool,
    privileged: bool,
}

impl<'w> Prefixes<'w> {
    /// Takes `-`, `@`, `:` and `+` off the first word, in any order, each at most once.
    fn read(value: &Value, word: &'w str) -> Result<Self, Fault> {
        let mut prefixes = Self::default();
        let mut chars = word.chars();
        loop {
            prefixes.rest = chars.as_str();
            let Some(c) = chars.next() else {
                return Ok(prefixes);
            };
            let prefix = match c {
                '-' => &mut prefixes.ignore_failure,
                '@' => &mut prefixes.argv0,
                ':' => &mut prefixes.no_variables,
                '+' => &mut prefixes.privileged,
                '!' | '|' => {
                    return Err(fault(value, format!("prefix `{c}` is not supported")));
                }
                _ => return Ok(prefixes),
            };
            if *prefix {
                return Err(fault(value, format!("prefix `{c}` is given twice")));
            }
            *prefix = true;
        }
    }
}

fn check_program(value: &Value, program: &str) -> Result<(), Fault> {
    let shown = shorten(program);
    if program.is_empty() {
        return Err(fault(value, "the command names no program"));
    }
    if matches!(program, "." | "..") || program.ends_with('/') {
        return Err(fault(
            value,
            format!("`{shown}` is a directory, not a program"),
        ));
    }
    if program.starts_with('/') {
        return Ok(());
    }
    if program.contains(char::is_whitespace) {
        let message = format!("`{shown}` is one word and cannot be a program's name");
        return Err(fault(value, message).hint(SEVERAL));
    }
    if program.contains('/') {
        let message = format!("program `{shown}` is neither an absolute path nor a bare name");
        let folder = "`%Y/` stands for the folder of the unit file (in a string, not in an array)";
        return Err(fault(value, message).hint(folder));
    }
    if program.starts_with('$') {
        let message = "the program itself cannot be a variable";
        return Err(
            fault(value, message).hint("/bin/sh -c can: [\"sh\", \"-c\", \"exec $PROGRAM\"]")
        );
    }
    Ok(())
}
