//! What is found in units, with the place where it stands.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::daemon::unit_context;

/// A folder with unit files, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, units: &[(&str, &str)]) -> Self {
        let name = format!("diakonos-lint-{}-{name}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        for (unit, text) in units {
            fs::write(folder.0.join(format!("{unit}.service")), text).unwrap();
        }
        folder
    }

    fn path(&self) -> SearchPath {
        SearchPath {
            directories: vec![self.0.clone()],
        }
    }

    /// All units of the folder, and what is to be said of them.
    fn look<T>(&self, enabled: &[&str], say: impl FnOnce(&Graph) -> T) -> T {
        let context = unit_context();
        let listing = self.path().list();
        let units = listing
            .units
            .into_iter()
            .map(|listed| unit::load_file(&listed.found.path, &listed.name, &context).unwrap());
        let enabled = enabled.iter().map(|name| (*name).to_owned()).collect();
        say(&Graph::new(
            units.collect(),
            &self.path(),
            &context,
            enabled,
        ))
    }

    fn findings(&self, name: &str) -> Vec<Finding> {
        self.look(&[], |graph| {
            let unit = &graph.units[&UnitName::parse(name).unwrap()];
            graph.findings(unit, &mut Machine::default())
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `LINE:COLUMN: message | hint`.
fn shown(finding: &Finding) -> String {
    let place = finding.place.as_ref();
    let place = place.map(|place| format!("{}:{}: ", place.line, place.column));
    let hint = finding.hint.as_ref().map(|hint| format!(" | {hint}"));
    format!(
        "{}{}{}",
        place.unwrap_or_default(),
        finding.message,
        hint.unwrap_or_default()
    )
}

#[test]
fn a_circle_is_shown_edge_by_edge() {
    let sound = Folder::new(
        "sound",
        &[("a", "[unit]\nAfter = [\"b\"]\n"), ("b", "[unit]\n")],
    );
    assert_eq!(sound.look(&[], |graph| graph.cycles()), []);
    let cyclic = Folder::new(
        "cyclic",
        &[
            ("a", "[unit]\nAfter = [\"b\"]\n"),
            ("b", "[unit]\nAfter = [\"c\"]\n"),
            ("c", "[unit]\nDescription = \"c\"\nAfter = [\"x\"]\n"),
            ("a2", "[unit]\nBefore = [\"b2\"]\nAfter = [\"b2\"]\n"),
            ("b2", "[unit]\n"),
            ("x", "[unit]\nBefore = [\"c\"]\n"),
            ("y", "[unit]\nBefore = [\"c\"]\nAfter = [\"a\"]\n"),
        ],
    );
    let cycles = cyclic.look(&[], |graph| graph.cycles());
    let messages: Vec<&str> = cycles.iter().map(|cycle| &*cycle.message).collect();
    assert_eq!(
        messages,
        [
            "the order goes in a circle: a after b after c after y after a",
            "the order goes in a circle: a2 after b2 after a2",
        ]
    );
    let steps = cycles[0].steps.iter().map(|step| {
        let line = step.place.as_ref().unwrap().line;
        format!("{} {} {}:{line}", step.unit, step.after, step.key)
    });
    let steps: Vec<String> = steps.collect();
    assert_eq!(
        steps,
        ["a b After:2", "b c After:2", "c y Before:2", "y a After:3"]
    );
}

#[test]
fn what_only_one_instance_lacks_is_no_fault_of_its_template() {
    let worker = |rest: &str| {
        format!(
            "[unit]\nWants = \"db-%i\"\n[service]\nExecStart = [\"/nowhere/all\", \"-v\"]\nExecStartPre = \"/nowhere/%i\"\n{rest}"
        )
    };
    let (some, any) = (worker("Instances = 1\n"), worker(""));
    let folder = Folder::new("template", &[("some@", &some), ("any@", &any)]);
    for (name, weight) in [("some@", Weight::Error), ("any@", Weight::Note)] {
        let found = folder.findings(name);
        let found: Vec<(Weight, &str)> = found
            .iter()
            .map(|finding| (finding.weight, finding.message.split(": ").next().unwrap()))
            .collect();
        let of_first = format!("as {name}1");
        assert!(found.contains(&(weight, &of_first)), "{found:?}");
        let of_first = found.iter().filter(|(_, words)| *words == of_first);
        assert_eq!(of_first.count(), 2, "{found:?}");
        assert!(
            found.contains(&(Weight::Error, "ExecStart = /nowhere/all")),
            "{found:?}"
        );
    }
}

#[test]
fn what_is_not_there_is_said_with_its_place() {
    let folder = Folder::new(
        "missing",
        &[
            ("database", "[unit]\n"),
            (
                "web",
                "[unit]\nRequires = [\"databse\", \"database\"]\nAfter = [\n  \"nothing-like-it\",\n]\n\
                 [service]\nExecStart = \"no-such-program-anywhere -v\"\n\
                 ExecStartPre = [\"/nowhere/sh\", \"-c\", \"true\"]\n\
                 User = \"no-such-user-anywhere\"\nWorkingDirectory = \"/nowhere\"\n",
            ),
        ],
    );
    let found: Vec<String> = folder.findings("web").iter().map(shown).collect();
    let expected = [
        "2:13: Requires = databse: there is no such unit | did you mean `database`?",
        "2:24: `web` requires `database` and does not wait for it: it may be up before that one has failed | \
         add \"database\" to After=",
        "4:3: After = nothing-like-it: there is no such unit, so this has no effect",
        "7:14: ExecStart = no-such-program-anywhere: no such program in the service's PATH (",
        "8:18: ExecStartPre = /nowhere/sh: there is no such program | there is /",
        "9:8: User = no-such-user-anywhere: there is no such user | `useradd --system",
        "10:21: WorkingDirectory = /nowhere: there is no such folder now | make it",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn second_names_that_are_taken_and_paths_that_are_missing_are_said() {
    let folder = Folder::new(
        "taken",
        &[
            ("a", "[service]\nExecStart = '/bin/true'\n"),
            (
                "b",
                "[service]\nExecStart = '/bin/true'\n\
                 ReadWritePaths = ['/tmp', '/nowhere2', '-/nowhere3']\n\
                 [install]\nAlias = ['a', 'www']\n",
            ),
        ],
    );
    let found: Vec<String> = folder.findings("b").iter().map(shown).collect();
    let has = |text: &str| found.iter().any(|line| line.contains(text));
    assert!(
        has("ReadWritePaths = /nowhere2: there is no such file"),
        "{found:?}"
    );
    assert!(has("Alias = a: there is a unit of that name"), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn closer_ties_are_looked_at_too() {
    let folder = Folder::new(
        "ties",
        &[
            ("database", "[unit]\n"),
            ("mean", "[unit]\nConflicts = [\"web\"]\n"),
            (
                "web",
                "[unit]\nUpholds = \"mean\"\nBindsTo = [\"database\"]\nRequisite = [\"nix\"]\nOnFailure = [\"nax\"]\n\
                 Conflicts = [\"database\", \"nux\"]\n",
            ),
        ],
    );
    let found = folder.findings("web");
    let found: Vec<String> = found.iter().map(shown).collect();
    let found = found.join("\n");
    for expected in [
        "2:11: Upholds = mean: mean conflicts with it",
        "3:12: `web` is bound to `database` and does not wait for it: it may be up before",
        "4:14: Requisite = nix: there is no such unit",
        "5:14: OnFailure = nax: there is no such unit",
        "6:14: Conflicts = database: the unit also needs or wants it | the two cannot",
        "6:26: Conflicts = nux: there is no such unit, so this has no effect",
    ] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

#[test]
fn handlers_that_lead_back_are_said() {
    let folder = Folder::new(
        "handlers",
        &[
            ("web", "[unit]\nOnFailure = [\"repair\", \"alert\"]\n"),
            ("repair", "[unit]\nRequires = [\"tools\"]\n"),
            ("tools", "[unit]\nOnSuccess = [\"web\"]\n"),
            ("alert", "[unit]\nWants = [\"web\"]\n"),
        ],
    );
    let findings = folder.findings("web");
    let found: Vec<String> = findings.iter().map(shown).collect();
    let rings: Vec<&String> = found
        .iter()
        .filter(|text| text.contains("leads back"))
        .collect();
    assert_eq!(rings.len(), 1, "{found:#?}");
    let expected = "OnFailure = repair: that leads back to web, which is not started";
    assert!(rings[0].contains(expected), "{}", rings[0]);
}

#[test]
fn who_is_started_by_nobody_is_said() {
    let folder = Folder::new(
        "unstarted",
        &[
            (
                "api",
                "[unit]\nWants = [\"cache\"]\n[install]\nWantedBy = [\"shop\"]\n",
            ),
            ("cache", "[unit]\n"),
            ("web", "[unit]\n"),
            ("shop", "[unit]\n"),
            ("refuses", "[unit]\nRefuseManualStart = true\n"),
            ("worker@", "[service]\nExecStart = \"/bin/true\"\n"),
        ],
    );
    let note = |enabled: &[&str]| {
        let enabled: Vec<String> = enabled.iter().map(|name| (*name).to_owned()).collect();
        folder.look(&[], |graph| unstarted(graph.units.values(), &enabled))
    };
    let messages = |enabled: &[&str]| {
        let findings = note(enabled);
        findings.iter().map(shown).collect::<Vec<_>>().join("\n")
    };
    let message = messages(&["web"]);
    assert!(message.contains("nothing starts refuses: "), "{message}");
    assert!(message.contains("starts api, shop: no unit"), "{message}");
    assert_eq!(messages(&["web", "api", "shop", "refuses"]), "");
    let found: Vec<String> = folder.findings("api").iter().map(shown).collect();
    assert_eq!(
        found,
        [
            "4:13: WantedBy = shop has no effect as long as api is not enabled | `diakonos enable api`"
        ]
    );
}

#[test]
fn drop_ins_that_nobody_reads_are_said() {
    let folder = Folder::new("drop-ins", &[("web", "[unit]\n"), ("worker@", "[unit]\n")]);
    for file in [
        "web.service.d/limits.conf",
        "web.service.d/limits.toml",
        "web.service.d/.limits.toml.swp",
        "wbe.service.d/a.toml",
        "worker@1.service.d/a.toml",
        "other.d/a.toml",
    ] {
        let file = folder.0.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    let unread = unread(&folder.path());
    let unread: Vec<String> = unread
        .iter()
        .map(|(path, reason)| {
            format!(
                "{}: {reason}",
                path.strip_prefix(&folder.0).unwrap().display()
            )
        })
        .collect();
    assert_eq!(
        unread,
        [
            "wbe.service.d: its drop-ins are not read: there is no unit `wbe`",
            "web.service.d/limits.conf: it is not read: a drop-in is named NAME.toml",
        ]
    );
}

#[test]
fn delays_are_printed_in_numbers() {
    let context = unit_context();
    let delays = |keys: &str| {
        let text = format!("[service]\nExecStart = \"/bin/true\"\n{keys}");
        let name = UnitName::parse("a").unwrap();
        let unit = unit::parse(&text, "/srv/a.service".as_ref(), &name, &context).unwrap();
        let delays = Delays::of(&unit, unit.service.as_deref().unwrap());
        delays.map_or_else(String::new, |delays| delays.to_string())
    };
    assert_eq!(delays("Restart = \"no\"\n"), "");
    assert_eq!(
        delays("Restart = \"always\"\n"),
        "restarts always, after 0.1 s, 0.2 s, 0.4 s, 0.8 s, 1.6 s, 3.2 s, … 60 s, ±10 %; never gives up"
    );
    assert_eq!(
        delays("Restart = \"on-failure\"\nRestartSec = 1\n"),
        "restarts after failure, after 1 s; gives up after 5 starts in 10 s"
    );
    assert_eq!(
        delays("Restart = \"on-failure\"\nRestartSec = \"2.5s\"\n"),
        "restarts after failure, after 2.5 s; never gives up: these delays do not come to 5 starts in 10 s"
    );
    assert_eq!(
        delays(
            "Restart = \"always\"\nRestartSec = 1\nRestartSteps = 4\nRestartMaxDelaySec = \"16s\"\n"
        ),
        "restarts always, after 1 s, 2 s, 4 s, 8 s, 16 s; never gives up: these delays do not come to \
         5 starts in 10 s"
    );
    assert!(
        delays(
            "Restart = \"always\"\nRestartSec = 1\nRestartSteps = 100\nRestartMaxDelaySec = \"1h\"\n"
        )
        .contains(" s, … 1h; gives up after 5 starts")
    );
}

#[test]
fn where_streams_lead_is_looked_at() {
    let text = |keys: &str| format!("[service]\nExecStart = \"/bin/true\"\n{keys}\n");
    let none = text("StandardOutput = 'null'\nStandardError = 'null'\nLogMaxFiles = 2");
    let away = text("StandardOutput = 'truncate:/nowhere/out'");
    let said = text("StandardOutput = 'append:/tmp/out'\nStandardError = 'log'");
    let folder = text("StandardOutput = 'file:/tmp'\nStandardError = 'inherit'");
    let input = text("StandardInput = 'file:/dev/null'\nStandardOutput = 'inherit'");
    let cases = [
        ("none", &none),
        ("away", &away),
        ("said", &said),
        ("folder", &folder),
        ("input", &input),
    ];
    let units: Vec<(&str, &str)> = cases.iter().map(|(name, text)| (*name, &***text)).collect();
    let units = Folder::new("streams", &units);
    let found = |name: &str| {
        let findings = units.findings(name);
        findings.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(
        found("none"),
        [
            "5:1: LogMaxFiles has no effect: nothing of this service goes to its log | `StandardOutput = \"log\"` \
             sends it there"
        ]
    );
    let away = found("away");
    assert_eq!(away.len(), 2, "{away:#?}");
    assert!(away[0].contains("/nowhere: there is no such folder now"));
    assert!(away[1].contains("standard error goes to the log all the same"));
    assert_eq!(found("said"), [""; 0]);
    let folder = found("folder");
    assert_eq!(folder.len(), 1, "{folder:#?}");
    assert!(folder[0].contains("/tmp: it is a folder, no file"));
    let input = found("input");
    assert!(input[0].contains("open for reading only"), "{input:#?}");
}
