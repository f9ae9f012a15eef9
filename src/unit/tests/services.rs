//! What the keys of `[service]` become, and what they demand of each other.

use std::path::PathBuf;

use super::*;

#[test]
fn time_limits_follow_systemd() {
    let limits = |lines: &str| {
        let service = service(&format!("ExecStart = '/bin/true'\n{lines}"));
        (service.timeout_start, service.timeout_stop)
    };
    let (five, six) = (Span::from_secs(5), Span::from_secs(6));
    assert_eq!(
        limits("Type = 'oneshot'"),
        (Span::Infinite, Span::from_secs(10))
    );
    assert_eq!(limits("TimeoutSec = 5"), (five, five));
    assert_eq!(limits("TimeoutSec = 5\nTimeoutStopSec = 6"), (five, six));
    assert_eq!(limits("TimeoutStopSec = 6\nTimeoutSec = 5"), (five, six));
    assert_eq!(
        limits("TimeoutStartSec = 0\nTimeoutStopSec = 'infinity'"),
        (Span::Infinite, Span::Infinite)
    );
    assert_eq!(limits("Type = 'oneshot'\nTimeoutStartSec = 5").0, five);
}

#[test]
fn commands_have_three_forms() {
    let start = |value: &str| service(&format!("Type = 'oneshot'\nExecStart = {value}")).start;
    let exec = |program: &str, arguments: &[&str], expand| Exec {
        program: program.into(),
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        argv0: None,
        ignore_failure: false,
        expand,
        privileged: false,
    };
    assert_eq!(
        start(r#""python3 -m 'a b' $X %i%%""#),
        [exec("python3", &["-m", "a b", "$X", "%"], true)]
    );
    assert_eq!(
        start(r#"["sh", "-c", "echo $X %i"]"#),
        [exec("sh", &["-c", "echo $X %i"], false)]
    );
    assert_eq!(
        start(r#"[["a", "b"], ["c"]]"#),
        [exec("a", &["b"], false), exec("c", &[], false)]
    );
    assert_eq!(
        start(r#""a b ; c""#),
        [exec("a", &["b"], true), exec("c", &[], true)]
    );
    assert_eq!(
        start("\"\"\"/bin/a\n  b \\\n  c\"\"\""),
        [exec("/bin/a", &["b", "c"], true)]
    );
    assert_eq!(
        start(r#""%Y/run.sh %h""#),
        [exec("/srv/units/run.sh", &["/home/ada"], true)]
    );
}

#[test]
fn prefixes_come_in_any_order() {
    let start = |value: &str| service(&format!("ExecStart = {value}")).start[0].clone();
    let all = start(r#""+:@-/bin/a zero one""#);
    assert_eq!(all, start(r#""-@:+/bin/a zero one""#));
    assert_eq!(
        (all.program.as_str(), all.argv0.as_deref()),
        ("/bin/a", Some("zero"))
    );
    assert_eq!(all.arguments, ["one"]);
    assert!(all.ignore_failure && all.privileged && !all.expand);
    assert!(start(r#"["-a", "b"]"#).ignore_failure);
    assert!(start(r#"'-"/bin/with space"'"#).program.contains(' '));
}

#[test]
fn bad_commands_are_refused_with_the_reason() {
    for (command, reason) in [
        ("''", "cannot be empty"),
        ("';'", "cannot be empty"),
        ("'-'", "names no program"),
        ("'--/bin/a'", "prefix `-` is given twice"),
        ("'!a'", "prefix `!` is not supported"),
        ("'@a'", "needs a second word"),
        ("'a/b'", "neither an absolute path nor a bare name"),
        ("'/bin/'", "is a directory"),
        ("'$PROGRAM x'", "cannot be a variable"),
        ("'a \\q'", "`\\q` is not an escape"),
        ("'date +%s'", "`%s` is not a specifier"),
        ("['a b']", "as one string to have it split"),
        ("['a', 1]", "expected a string, found an integer"),
        ("[['a'], 'b']", "expected a command"),
        ("[[]]", "cannot be empty"),
        ("7", "expected a command"),
        ("[['a'], ['b']]", "more than one ExecStart="),
        ("[]", "has no ExecStart="),
    ] {
        let report = refusal(&format!("ExecStart = {command}"));
        assert!(report.contains(reason), "{command}: {report}");
    }
}

#[test]
fn a_service_needs_what_its_type_demands() {
    for (lines, reason) in [
        ("User = 'x'", "has no ExecStart=, which only a oneshot"),
        ("Type = 'oneshot'", "neither ExecStart= nor ExecStop="),
        (
            "Type = 'oneshot'\nExecStop = 'a'",
            "needs RemainAfterExit = true",
        ),
        (
            "Type = 'oneshot'\nExecStart = 'a'\nRestart = 'always'",
            ":4:1: a oneshot that ends well",
        ),
        (
            "Type = 'oneshot'\nExecStart = 'a'\nRestart = 'on-success'",
            "a oneshot that ends well",
        ),
        (
            "ExecStart = 'a'\nRestartSteps = 2",
            ":3:1: RestartSteps= needs",
        ),
        (
            "ExecStart = 'a'\nRestartMaxDelaySec = 2",
            "RestartMaxDelaySec= needs",
        ),
        (
            "ExecStart = 'a'\nRestartSteps = 2\nRestartMaxDelaySec = 'infinity'",
            "RestartSteps= needs",
        ),
        (
            "ExecStart = 'a'\nRestartSec = 5\nRestartSteps = 2\nRestartMaxDelaySec = 2",
            "is shorter than",
        ),
    ] {
        let report = refusal(lines);
        assert!(report.contains(reason), "{lines}: {report}");
        assert_eq!(report.matches("web.service:").count(), 1, "{report}");
    }
    service("Type = 'oneshot'\nRemainAfterExit = true\nExecStop = 'a'");
    service("Type = 'oneshot'\nExecStart = 'a'\nRestart = 'on-failure'");
}

#[test]
fn who_and_where() {
    let service = service(
        "ExecStart = 'a'\nUser = 1000\nGroup = '%u'\nSupplementaryGroups = ['a', 5]\n\
         UMask = '0077'\n\
         WorkingDirectory = '-./data'\nPIDFile = 'web.pid'\nEnvironmentFile = ['/etc/a', '-%h/b']\n\
         PassEnvironment = ['HOME', 'LANG']\nStandardInput = 'file:/dev/zero'\n\
         StandardOutput = 'append:%L/out'\nStandardError = 'log:err'",
    );
    assert_eq!(
        (service.user.as_deref(), service.group.as_deref()),
        (Some("1000"), Some("ada"))
    );
    assert_eq!(service.supplementary_groups, ["a", "5"]);
    assert_eq!(service.umask, 0o077);
    let path = PathBuf::from("/srv/units/data");
    assert_eq!(
        service.working_directory,
        WorkingDirectory::Path {
            path,
            optional: true
        }
    );
    assert_eq!(
        service.pid_file.as_deref(),
        Some(std::path::Path::new("/run/user/1000/web.pid"))
    );
    let files = service.environment_files;
    assert_eq!((files[0].optional, files[1].optional), (false, true));
    assert_eq!(files[1].path, Path::new("/home/ada/b"));
    assert_eq!(service.pass_environment, ["HOME", "LANG"]);
    assert_eq!(service.stdin, Input::File("/dev/zero".into()));
    assert_eq!(service.stdout, Output::Append("/home/ada/logs/out".into()));
    assert_eq!(service.stderr, Output::LogErr);
}

#[test]
fn environment_has_two_forms() {
    let environment = |value: &str| {
        let service = service(&format!("ExecStart = 'a'\nEnvironment = {value}"));
        let pairs = service.environment.into_iter();
        pairs
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        environment("['Z=1', 'A=b c=d', 'Z=%%']"),
        ["Z=1", "A=b c=d", "Z=%"]
    );
    assert_eq!(environment("'A=1 2'"), ["A=1 2"]);
    assert_eq!(
        environment("{ Z = 'z', PORT = 8080, HOME = '%h' }"),
        ["Z=z", "PORT=8080", "HOME=/home/ada"]
    );
    let table = service("ExecStart = 'a'\n[service.Environment]\nA = '1'");
    assert_eq!(table.environment, [("A".to_owned(), "1".to_owned())]);
}

#[test]
fn statuses_are_codes_and_signals() {
    let service =
        service("ExecStart = 'a'\nSuccessExitStatus = [3, 'TEMPFAIL', '4', 'SIGUSR1', 'KILL', 3]");
    let set = service.restart.success;
    assert_eq!(set.codes, [3, 75, 4]);
    assert_eq!(
        set.signals
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["SIGUSR1", "SIGKILL"]
    );
}

/// What the linter says of these lines.
fn linted(lines: &str) -> Vec<String> {
    let unit = read(&format!("[service]\n{lines}\n"));
    let warnings = lint(&unit).into_iter();
    warnings
        .map(|warning| format!("{} | {}", warning.message, warning.hint))
        .collect()
}

#[test]
fn a_shells_words_are_warned_of() {
    for word in ["&&", "||", "|", "&", ">", ">>", "<", "2>&1"] {
        let warnings = linted(&format!("ExecStart = 'echo hi {word} sleep 5'"));
        let [warning] = warnings.as_slice() else {
            panic!("{warnings:?}");
        };
        let expected = format!("ExecStart: `echo` gets the word `{word}`");
        assert!(warning.starts_with(&expected), "{warning}");
        assert!(warning.contains("/bin/sh -c"), "{warning}");
    }
    let trailing = linted("ExecStart = 'a'\nExecStop = 'echo hi; sleep 5'");
    assert!(trailing[0].starts_with("ExecStop: `echo` gets the word `hi;`"));
    for fine in [
        "ExecStart = \"/bin/sh -c 'a && b > c'\"",
        "ExecStart = 'grep a>b x&y'",
        "Type = 'oneshot'\nExecStart = 'echo hi ; echo ho'",
        "ExecStart = 'find . -exec echo {} \\;'",
        "ExecStart = ['test', '1', '>', '0']",
    ] {
        assert_eq!(linted(fine), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn a_command_in_one_word_of_an_array_is_warned_of() {
    let warnings = linted("ExecStart = ['/bin/echo hi', '/bin/echo ho']");
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert!(
        warning.starts_with("ExecStart: the program is `/bin/echo hi`, blanks and all"),
        "{warning}"
    );
    assert!(warning.contains("[[\"…\", …], [\"…\", …]]"), "{warning}");
    assert!(refusal("ExecStart = ['echo hi']").contains("ONE command"));
    assert_eq!(
        linted("ExecStart = '\"/opt/my app/run\"'"),
        Vec::<String>::new()
    );
}
