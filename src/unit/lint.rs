//! What is allowed in a unit and seldom meant.
//!
//! Owns warnings about one unit by itself; those that need the graph or the machine are made where these are known.

use super::exec::swallowed_hint;
use super::value::shorten;
use super::{Exec, Part, Relation, Spot, Unit};

/// Something that `check` warns of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub spot: Spot,
    pub message: String,
    pub hint: String,
}

/// Looks a unit over.
#[must_use]
pub fn lint(unit: &Unit) -> Vec<Warning> {
    let mut warnings = unordered(unit);
    let Some(service) = &unit.service else {
        return warnings;
    };
    let all: [(&str, &[Exec]); 7] = [
        ("ExecCondition", &service.condition),
        ("ExecStartPre", &service.start_pre),
        ("ExecStart", &service.start),
        ("ExecStartPost", &service.start_post),
        ("ExecReload", &service.reload),
        ("ExecStop", &service.stop),
        ("ExecStopPost", &service.stop_post),
    ];
    for (key, exec) in all
        .iter()
        .flat_map(|(key, execs)| execs.iter().map(move |exec| (key, exec)))
    {
        if let Some(hint) = swallowed_hint(exec) {
            warnings.push(Warning {
                spot: Spot::text(key, &exec.program),
                message: format!(
                    "{key}: the program is `{}`, blanks and all",
                    shorten(&exec.program)
                ),
                hint: hint.to_owned(),
            });
        }
        if let Some(word) = shell_word(exec) {
            warnings.push(Warning {
                spot: Spot::text(key, word),
                message: format!(
                    "{key}: `{}` gets the word `{}`, which only a shell would understand",
                    shorten(&exec.program),
                    shorten(word)
                ),
                hint: format!("a shell it is with: {key} = \"/bin/sh -c '…'\""),
            });
        }
    }
    let keeps = |(_, execs): &&(&str, &[Exec])| execs.iter().any(keeps_instance);
    if let Some((key, _)) = all.iter().find(keeps)
        && (unit.name.is_template() || unit.name.instance().is_some())
    {
        warnings.push(Warning {
            spot: Spot::new("service", key, Part::Value),
            message: format!("a command of `{}` is passed `%i` as it is", unit.name),
            hint: "an array of words is not expanded: write the command as one string".to_owned(),
        });
    }
    warnings
}

/// What a unit needs to be up, and does not wait for.
fn unordered(unit: &Unit) -> Vec<Warning> {
    let mut warnings = vec![];
    let (after, before) = (&unit.after, &unit.before);
    let named = unit.neighbours();
    for (relation, name) in
        named.filter(|(_, name)| !after.contains(name) && !before.contains(name))
    {
        let verb = match relation {
            Relation::Requires => "requires",
            Relation::BindsTo => "is bound to",
            Relation::Requisite => "has as requisite",
            _ => continue,
        };
        warnings.push(Warning {
            spot: Spot::name(relation.key(), name),
            message: format!(
                "`{}` {verb} `{name}` and does not wait for it: it may be up before that one \
                 has failed",
                unit.name
            ),
            hint: match after.is_empty() {
                true => format!("add After = [\"{name}\"]"),
                false => format!("add \"{name}\" to After="),
            },
        });
    }
    warnings
}

/// A word that a shell would act on. Here it is an argument like any other, which hardly anybody means; where it is
/// an array's, somebody wrote it down as a word of its own.
fn shell_word(exec: &Exec) -> Option<&str> {
    const OPERATORS: [&str; 12] = [
        "&&", "||", "|", "&", "|&", ">", ">>", "<", "<<", "2>", "2>&1", "&>",
    ];
    let words = exec.arguments.iter().map(String::as_str);
    let mut words = words.filter(|_| exec.expand);
    words.find(|word| {
        OPERATORS.contains(word) || word.strip_suffix(';').is_some_and(|rest| !rest.is_empty())
    })
}

/// Whether a command that is taken as it is has words which look as if the instance were meant.
fn keeps_instance(exec: &Exec) -> bool {
    !exec.expand
        && exec
            .arguments
            .iter()
            .any(|word| word.contains("%i") || word.contains("%I"))
}
