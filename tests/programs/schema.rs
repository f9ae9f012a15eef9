//! What `schema` prints, judged by a program that knows JSON Schema: it takes every unit file that is right, and
//! refuses what is wrong in a way that a schema can say.

use std::fs;
use std::path::Path;
use std::process::Command;

use diakonos::daemon::unit_context;
use diakonos::unit::{self, UnitName};

use crate::house::House;

/// Reads the schema, then documents parted by NUL bytes; prints `ok` or the first complaint for each.
const JUDGE: &str = r#"
import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for text in open(sys.argv[2]).read().split("\0"):
    error = next(validator.iter_errors(tomllib.loads(text)), None)
    print("ok" if error is None else "no: " + error.message.replace("\n", " "))
"#;

/// A value of each kind that a key may have.
const VALUES: [&str; 62] = [
    "true",
    "0",
    "1",
    "7",
    "41",
    "100",
    "4096",
    "70000",
    "-1",
    "-5",
    "1.5",
    "[]",
    "\"\"",
    "\"x\"",
    "\"a b\"",
    "\"a@1\"",
    "\"a@%i\"",
    "\"database.service\"",
    "[\"a\", \"b-c\"]",
    "[1, \"2-3\"]",
    "[\"sh\", \"-c\", \"true\"]",
    "[[\"a\"], [\"b\", \"c\"]]",
    "\"/bin/true -x; rm\"",
    "\"-@+/bin/true true\"",
    "\"5min 20s\"",
    "\"1.5h\"",
    "\"250ms\"",
    "\"infinity\"",
    "[\"5s\", 7]",
    "\"512M\"",
    "\"1.5G\"",
    "\"10%\"",
    "\"150%\"",
    "\"idle\"",
    "\"1024:4096\"",
    "\"1M:infinity\"",
    "\"+5\"",
    "\"-5\"",
    "\"0750\"",
    "\"022\"",
    "\"SIGTERM\"",
    "\"sigrtmin+3\"",
    "[0, \"SIGUSR1\", \"TEMPFAIL\", \"3\"]",
    "\"https://example.org\"",
    "[\"man:redis(1)\", \"file:%h/x\"]",
    "\"/srv/data\"",
    "\"%h/data\"",
    "[\"-/a\", \"+/b\", \"-+/c\"]",
    "\"-%Y/app.env\"",
    "\"data/x\"",
    "\"~\"",
    "\"A=1\"",
    "[\"A=1\", \"B=2 3\"]",
    "{ A = \"1\", B = 2 }",
    "\"null\"",
    "\"append:/tmp/x\"",
    "\"log:err\"",
    "\"tcp:localhost:80\"",
    "\"exec:/bin/true -x\"",
    "\"fd:3\"",
    "[\"~@clock\", \"AF_UNIX\", \"CAP_KILL\", \"cpu\"]",
    "[\"/dev/sda 5M\"]",
];

/// The one that Debian's packages are for: another may come first in `PATH`.
const PYTHON: &str = "/usr/bin/python3";

/// What the judge says of each document.
fn judge(documents: &[String]) -> Vec<String> {
    let house = House::new();
    let (schema, list) = (house.path("schema.json"), house.path("documents"));
    fs::write(&schema, house.ok(&["schema"])).unwrap();
    fs::write(&list, documents.join("\0")).unwrap();
    let mut python = Command::new(PYTHON);
    let judged = python.args(["-c", JUDGE]).args([schema, list]).output();
    let judged = judged.unwrap();
    let errors = String::from_utf8_lossy(&judged.stderr);
    assert!(
        judged.status.success(),
        "Debian's package python3-jsonschema has to be installed: {errors}"
    );
    let words = String::from_utf8(judged.stdout).unwrap();
    let words: Vec<String> = words.lines().map(str::to_owned).collect();
    assert_eq!(words.len(), documents.len());
    words
}

fn all_taken(documents: &[String]) {
    let verdicts = judge(documents);
    let judged = verdicts.iter().zip(documents);
    let refused: Vec<_> = judged.filter(|(verdict, _)| *verdict != "ok").collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn unit_files_that_are_right_are_taken() {
    let mut documents = vec![read("src/unit/tests/full.service")];
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/services")).unwrap() {
        documents.push(fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    all_taken(&documents);
}

#[test]
fn what_is_wrong_is_refused() {
    let service = |key: &str| format!("[service]\nExecStart = \"/bin/true\"\n{key}\n");
    let documents = [
        "Loose = 1\n".to_owned(),
        "[servcie]\n".to_owned(),
        "[unit]\nExecStart = \"x\"\n".to_owned(),
        "[unit]\nRequires = [\"worker@\"]\n".to_owned(),
        "[unit]\nRequires = \"a b\"\n".to_owned(),
        "[unit]\nDocumentation = \"somewhere\"\n".to_owned(),
        service("ExecStrat = \"/bin/true\""),
        service("Type = \"simpel\""),
        service("Restart = true"),
        service("RestartSec = \"5 lightyears\""),
        service("RestartSec = -1"),
        service("RestartJitter = 101"),
        service("RemainAfterExit = \"yes\""),
        service("Nice = 20"),
        service("UMask = 18"),
        service("UMask = \"999\""),
        service("MemoryMax = \"lots\""),
        service("StandardInput = \"tty\""),
        service("StandardOutput = \"journal\""),
        service("StandardOutput = \"log:err\""),
        service("EnvironmentFile = \"relative\""),
        service("Environment = [\"PATH\"]"),
        service("ReadyWhen = \"soon\""),
        service("IgnoreUnsupported = [\"Nothing\"]"),
    ];
    for (verdict, text) in judge(&documents).iter().zip(&documents) {
        assert!(verdict.starts_with("no: "), "{text}");
    }
}

/// The schema is never stricter than the parser: every key with every value that the parser takes.
#[test]
fn what_the_parser_takes_is_taken() {
    let context = unit_context();
    let name = UnitName::parse("web").unwrap();
    let mut documents = Vec::new();
    for key in unit::keys() {
        for value in VALUES {
            let text = format!("[{}]\n{} = {value}\n", key.section, key.name);
            let parsed = unit::parse(&text, Path::new("/srv/web.service"), &name, &context);
            // What else is wrong with such a unit is not the value's fault.
            let is_right = match parsed {
                Ok(_) => true,
                Err(report) => report
                    .problems()
                    .iter()
                    .all(|problem| problem.line == 1 || problem.column == 1),
            };
            if is_right {
                documents.push(text);
            }
        }
    }
    assert!(documents.len() > 2 * unit::keys().len());
    all_taken(&documents);
}
