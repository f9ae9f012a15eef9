//! What is allowed in a unit and seldom meant.
//!
//! Owns warnings about one unit by itself; those that need the graph or the machine are made where these are known.

use super::{Exec, Unit};

/// Something that `check` warns of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub message: String,
    pub hint: String,
}

/// Looks a unit over.
#[must_use]
pub fn lint(unit: &Unit) -> Vec<Warning> {
    let mut warnings = vec![];
    for name in &unit.requires {
        if !unit.after.contains(name) && !unit.before.contains(name) {
            warnings.push(Warning {
                message: format!(
                    "`{}` requires `{name}` and does not wait for it: it may be up before \
                     `{name}` has failed",
                    unit.name
                ),
                hint: format!("add After = [\"{name}\"]"),
            });
        }
    }
    let Some(service) = &unit.service else {
        return warnings;
    };
    let all = [
        &service.start_pre,
        &service.start,
        &service.start_post,
        &service.reload,
        &service.stop,
        &service.stop_post,
    ];
    if unit.name.instance().is_some() && all.into_iter().flatten().any(keeps_instance) {
        warnings.push(Warning {
            message: format!("a command of `{}` is passed `%i` as it is", unit.name),
            hint: "an array of words is not expanded: write the command as one string".to_owned(),
        });
    }
    warnings
}

/// Whether a command that is taken as it is has words which look as if the instance were meant.
fn keeps_instance(exec: &Exec) -> bool {
    !exec.expand
        && exec
            .arguments
            .iter()
            .any(|word| word.contains("%i") || word.contains("%I"))
}
