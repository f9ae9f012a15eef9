//! Where a service's streams lead: places that are not there, and what one would not expect of them.

use std::path::Path;

use super::{Finding, Weight, remark};
use crate::unit::{self, Context, Input, Output, Part, Service, Spot, Unit};

/// Keys that say how the log is kept.
const LOG_KEYS: [&str; 6] = [
    "LogMaxSize",
    "LogMaxFiles",
    "LogCompress",
    "LogPolicy",
    "LogRateLimitIntervalSec",
    "LogRateLimitBurst",
];

/// All that is to be said of one service's streams.
pub(super) fn findings(unit: &Unit, service: &Service, context: &Context) -> Vec<Finding> {
    let is_written = |key| {
        let remarks = [remark(Spot::new("service", key, Part::Key))];
        let mut places = unit::locate(&unit.path, &unit.name, context, &remarks);
        places.pop().flatten().is_some()
    };
    let mut findings = files(service);
    findings.extend(inherited(service));
    if !is_logged(service) {
        let unused = LOG_KEYS.into_iter().filter(|key| is_written(key));
        findings.extend(unused.map(|key| {
            let message = format!("{key} has no effect: nothing of this service goes to its log");
            let spot = Spot::new("service", key, Part::Key);
            let finding = Finding::new(Weight::Warning, message).at(spot);
            finding.hint("`StandardOutput = \"log\"` sends it there")
        }));
    }
    // systemd's default is StandardError=inherit.
    if leads_away(&service.stdout) && service.stderr == Output::Log && !is_written("StandardError")
    {
        let message = "standard error goes to the log all the same: StandardError= is not set";
        let spot = Spot::new("service", "StandardOutput", Part::Value);
        let finding = Finding::new(Weight::Note, message).at(spot);
        findings.push(finding.hint(
            "`StandardError = \"inherit\"` sends it where standard output goes, as systemd does",
        ));
    }
    findings
}

/// Files that must be there at the start, and folders of those that are made then.
fn files(service: &Service) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |weight, key, path: &Path, (what, hint): (&str, &str)| {
        let path = path.display().to_string();
        let finding = Finding::new(weight, format!("{key} = {path}: {what}"));
        findings.push(finding.at(Spot::text(key, &path)).hint(hint));
    };
    if let Input::File(path) = &service.stdin
        && !path.exists()
        && !is_opened_for_both(service)
    {
        let text = ("there is no such file now", "it must be there at the start");
        say(Weight::Warning, "StandardInput", path, text);
    }
    let outputs = [
        ("StandardOutput", &service.stdout),
        ("StandardError", &service.stderr),
    ];
    for (key, output) in outputs {
        let Some(path) = file(output) else { continue };
        if path.is_dir() {
            let text = ("it is a folder, no file", "name a file in it");
            say(Weight::Error, key, path, text);
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            let hint = "the file is made at the start, its folder is not; LogsDirectory= makes one";
            let text = ("there is no such folder now", hint);
            say(Weight::Warning, key, folder, text);
        }
    }
    findings
}

/// What `inherit` comes to.
fn inherited(service: &Service) -> Option<Finding> {
    if service.stdout != Output::Inherit {
        return None;
    }
    let spot = Spot::new("service", "StandardOutput", Part::Value);
    Some(match &service.stdin {
        Input::Null => Finding::new(
            Weight::Note,
            "the daemon's own output is inherited, and the log is used where it has none, as in the background",
        )
        .at(spot),
        Input::File(path) => {
            let message = "standard input is inherited, which is open for reading only";
            let hint = format!(
                "`StandardOutput = \"file:{}\"` opens it for both",
                path.display()
            );
            Finding::new(Weight::Warning, message).at(spot).hint(hint)
        }
    })
}

fn is_opened_for_both(service: &Service) -> bool {
    match (&service.stdin, &service.stdout) {
        (Input::File(input), Output::File(output)) => input == output,
        _ => false,
    }
}

/// Whether anything that the service prints can come to its log.
fn is_logged(service: &Service) -> bool {
    let inherits = service.stdout == Output::Inherit && service.stdin == Input::Null;
    let is_log = |output: &Output| matches!(output, Output::Log | Output::LogErr);
    inherits || is_log(&service.stdout) || is_log(&service.stderr)
}

fn leads_away(output: &Output) -> bool {
    *output == Output::Null || file(output).is_some()
}

fn file(output: &Output) -> Option<&Path> {
    match output {
        Output::File(path) | Output::Append(path) | Output::Truncate(path) => Some(path),
        Output::Log | Output::LogErr | Output::Null | Output::Inherit => None,
    }
}
