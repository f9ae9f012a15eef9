//! What the keys of a file become.

use super::*;

/// Compares with a golden file beside this one; `DIAKONOS_BLESS=1` writes it anew.
fn golden(file: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/unit/tests")
        .join(file);
    if std::env::var_os("DIAKONOS_BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap());
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = include_str!("errors.service");
    golden("errors.txt", &try_read("errors", text).unwrap_err());
}

#[test]
fn syntax_errors_come_together_with_the_rest() {
    let text = "[unit]\nDescription = open\nWants = ['a' 'b']\n[service]\nExecStrat = 1\n\
         User = \"u\"\nUser = \"v\"\n";
    let report = try_read("web", text).unwrap_err();
    for place in [
        "service:2:15: ",
        "service:3:14: ",
        "service:5:1: unknown key",
        "service:7:1: `User` stands in line 6 already",
        "a text stands in quotes, Description = ",
    ] {
        assert!(report.contains(place), "{report}");
    }
    assert_eq!(report.matches("web.service:").count(), 4, "{report}");
}

#[test]
fn defaults_are_those_of_the_contract() {
    let unit = read("[service]\nExecStart = '/bin/true'");
    assert_eq!(unit.path, Path::new("/srv/units/web.service"));
    assert_eq!(
        (unit.description.as_str(), unit.start_limit),
        ("", StartLimit::default())
    );
    assert!(unit.unhonoured.is_empty());
    let service = unit.service.unwrap();
    assert_eq!(service.kind, Kind::Simple);
    assert_eq!(service.timeout_start, Span::from_secs(90));
    assert_eq!(service.timeout_stop, Span::from_secs(10));
    assert_eq!(service.umask, 0o022);
    assert_eq!(service.working_directory, WorkingDirectory::Home);
    assert_eq!(
        (service.stdin, service.stdout, service.stderr),
        (Input::Null, Output::Log, Output::Log)
    );
    assert_eq!((service.log.max_size, service.log.max_files), (10 << 20, 5));
    let kill = Kill {
        mode: KillMode::ControlGroup,
        signal: Signal::TERM,
        restart_signal: None,
        send_sighup: false,
        send_sigkill: true,
        final_signal: Signal::KILL,
    };
    assert_eq!(service.kill, kill);
    let restart = service.restart;
    assert_eq!(
        (restart.policy, restart.delay, restart.jitter),
        (Policy::No, None, None)
    );
    assert_eq!((restart.steps, restart.max_delay), (0, None));
    assert_eq!(restart.reset, Span::from_secs(60));
}

#[test]
fn a_group_is_a_file_without_a_service() {
    let unit =
        read("[unit]\nRequires = ['a', 'b.service', 'a']\nWants = 'c'\n[install]\nAlias = ['x']");
    assert!(unit.service.is_none());
    assert_eq!(unit.requires, [name("a"), name("b")]);
    assert_eq!(
        (unit.wants, unit.install.alias),
        (vec![name("c")], vec![name("x")].into())
    );
    assert!(read("").service.is_none());
    let report = try_read("web", "[timer]\nOnBootSec = 5\n").unwrap_err();
    assert!(
        report.contains(":1:2: [timer] needs a [service]"),
        "{report}"
    );
}

#[test]
fn a_unit_cannot_name_itself() {
    for relation in Relation::ALL {
        let key = relation.key();
        let report = try_read("web", &format!("[unit]\n{key} = ['%p.service']")).unwrap_err();
        assert!(
            report.contains(&format!(":2:1: {key}= names the unit itself")),
            "{report}"
        );
    }
}

#[test]
fn what_is_not_acted_on_is_noted() {
    let unit = read(
        "[unit]\nDescription = 'a'\nConditionPathExists = '!/x'\n[service]\nType = 'exec'\n\
         ExecStart = 'a'\nRestartOnCalendar = 'daily'\nStandardInput = 'socket'\n\
         [timer]\nOnCalendar = 'daily'\n",
    );
    let noted: Vec<_> = unit
        .unhonoured
        .iter()
        .map(|key| (key.section, key.to_string(), key.line))
        .collect();
    let expected = [
        ("service", "RestartOnCalendar", 7),
        ("timer", "OnCalendar", 10),
        ("service", "StandardInput=\"socket\"", 8),
    ];
    let expected = expected.map(|(section, key, line)| (section, key.to_owned(), line));
    assert_eq!(noted, expected);
    assert_eq!(unit.service.unwrap().kind, Kind::Exec);
}

#[test]
fn the_table_and_the_reader_agree() {
    for (index, key) in keys().iter().enumerate() {
        let same = |other: &&Key| (other.section, other.name) == (key.section, key.name);
        assert_eq!(
            keys().iter().position(|other| same(&other)),
            Some(index),
            "{} twice",
            key.name
        );
        assert!(!key.form.describe().is_empty());
        // No key takes a date: whoever says nothing about it has not read it.
        let start = if key.name == "ExecStart" {
            ""
        } else {
            "[service]\nExecStart = 'a'\n"
        };
        let header = if key.section == "service" && !start.is_empty() {
            ""
        } else {
            key.section
        };
        let header = if header.is_empty() {
            String::new()
        } else {
            format!("[{header}]\n")
        };
        let text = format!("{start}{header}{} = 1979-05-27\n", key.name);
        let report = try_read("web", &text).expect_err(key.name);
        assert!(
            report.contains("expected") && report.contains("found a date"),
            "{}: {report}",
            key.name
        );
    }
}

#[test]
fn forms_of_keys_not_acted_on() {
    let right = [
        "CPUQuota = '150%'",
        "CPUWeight = 'idle'",
        "CPUWeight = 100",
        "TasksMax = '10%'",
        "TasksMax = 'infinity'",
        "MemoryHigh = 1024",
        "MemoryLow = '1G'",
        "LimitNOFILE = '1024:infinity'",
        "LimitNOFILE = 5",
        "LimitCPU = '5min'",
        "LimitNICE = '+5'",
        "LimitNICE = -5",
        "IOReadBandwidthMax = ['/dev/sda 5M']",
        "CPUAffinity = ['0-3,8', 9]",
        "CapabilityBoundingSet = ['~CAP_SYS_ADMIN']",
        "ProtectSystem = 'strict'",
        "ProtectHome = true",
        "Delegate = ['cpu', 'io']",
        "Delegate = true",
        "ReadyWhen = 'fd:3'",
        "ReadyWhen = 'tcp:[::1]:80'",
        "ReadyWhen = 'http://x/y'",
        "RuntimeDirectory = ['a/b']",
        "ReadOnlyPaths = ['-/x', '/y']",
        "IgnoreUnsupported = ['MemoryMax']",
        "ExecCondition = 'test -e x'",
        "UnsetEnvironment = 'A'",
    ];
    for line in right {
        service(&format!("ExecStart = 'a'\n{line}"));
    }
    let wrong = [
        "CPUQuota = '0%'",
        "CPUQuota = 5",
        "CPUWeight = 0",
        "TasksMax = '101%'",
        "MemoryHigh = -1",
        "LimitCPU = 'x'",
        "LimitNOFILE = '1:2:3'",
        "IOReadBandwidthMax = 'sda 5M'",
        "CPUAffinity = '3-0'",
        "CapabilityBoundingSet = 'X'",
        "ProtectSystem = 'fulll'",
        "ReadyWhen = 'fd:2'",
        "ReadyWhen = 'tcp:x'",
        "RuntimeDirectory = '../a'",
        "RuntimeDirectory = '/a'",
        "Nice = 20",
        "Nice = 1.5",
        "WatchdogSec = 'x'",
        "ExecCondition = ''",
    ];
    for line in wrong {
        refusal(&format!("ExecStart = 'a'\n{line}"));
    }
    for address in [
        "80",
        "'80'",
        "'127.0.0.1:80'",
        "'[::]:80'",
        "'/run/x'",
        "'@x'",
    ] {
        read(&format!(
            "[service]\nExecStart = 'a'\n[socket]\nListenStream = {address}"
        ));
    }
}

/// What `ReadyWhen=` can say.
const READY: [&str; 12] = [
    "notify",
    "fd:3",
    "log:100%% up: \"x\" ",
    "tcp:localhost:80",
    "tcp:[::1]:1",
    "unix:/run/%N.sock",
    "unix:@name",
    "http://web/a?b=%%20",
    "http:http://[::1]:8080",
    "exec:-/bin/sh -c \"a %%  $B\" ; ",
    "exec:@curl x -f \"http://x\"",
    "file:/a%%b",
];

#[test]
fn ways_to_be_ready() {
    let readiness = |line: &str| {
        let service = service(&format!("ExecStart = 'a'\n{line}"));
        service.readiness.to_string()
    };
    assert_eq!(
        readiness("ReadyWhen = 'unix:/run/%N.sock'"),
        "unix:/run/web.sock"
    );
    assert_eq!(
        readiness("ReadyWhen = 'http:http://[::1]?x'"),
        "http://[::1]:80/?x"
    );
    assert_eq!(readiness("ReadyWhen = 'exec:a  \"b c\"'"), "exec:a \"b c\"");
    let wrong = [
        "ReadyWhen = ''",
        "ReadyWhen = 'log:'",
        "ReadyWhen = 'tcp:localhost'",
        "ReadyWhen = 'tcp:localhost:0'",
        "ReadyWhen = 'tcp:::1:80'",
        "ReadyWhen = 'tcp:a b:80'",
        "ReadyWhen = 'unix:run/x'",
        "ReadyWhen = 'unix:@'",
        "ReadyWhen = 'https://x/'",
        "ReadyWhen = 'http://u@x/'",
        "ReadyWhen = 'http://x/a b'",
        "ReadyWhen = 'http:x'",
        "ReadyWhen = 'exec:'",
        "ReadyWhen = 'exec:a ; b'",
        "ReadyWhen = 'file:a'",
        "ReadyWhen = 'fd:1024'",
        "ReadyWhen = 'notify:x'",
        "ReadyWhen = ['fd:3']",
        "ReadyWhen = 'fd:3'\nType = 'oneshot'",
        "ReadyWhen = 'fd:3'\nType = 'forking'",
        "ReadyWhen = 'log:x'\nStandardOutput = 'null'\nStandardError = 'null'",
    ];
    for line in wrong {
        refusal(&format!("ExecStart = 'a'\n{line}"));
    }
}

#[test]
fn a_hint_is_of_the_form_that_was_meant() {
    for (wrong, right) in [("http://", "http://localhost"), ("tcp:x", "tcp:localhost")] {
        let said = refusal(&format!("ExecStart = 'a'\nReadyWhen = '{wrong}'"));
        assert!(said.contains(&format!("such as \"{right}")), "{said}");
    }
}

/// The daemon looks from where it is.
#[test]
fn what_is_hidden_cannot_be_waited_for() {
    for (key, ready) in [
        ("PrivateTmp = true", "file:/tmp/a"),
        ("PrivateTmp = true", "unix:/var/tmp/a"),
        ("PrivateNetwork = true", "tcp:localhost:80"),
        ("PrivateNetwork = true", "http://localhost/"),
        ("PrivateNetwork = true", "unix:@a"),
        ("RootDirectory = '/srv'", "file:/run/other/a"),
        ("RootDirectory = '/srv'", "unix:/run/a"),
    ] {
        let text = format!("ExecStart = 'a'\nReadyWhen = '{ready}'\n{key}");
        let name = key.split(' ').next().unwrap();
        let said = refusal(&text);
        assert!(said.contains(&format!("that {name}= hides")), "{said}");
        assert!(said.contains("exec:COMMAND"), "{said}");
        // Where it may come to nothing, so may the hiding.
        service(&format!("{text}\nIgnoreUnsupported = '{name}'"));
    }
    for seen in [
        "PrivateTmp = true\nReadyWhen = 'file:/run/a'",
        "PrivateTmp = true\nReadyWhen = 'exec:test -e /tmp/a'",
        "PrivateNetwork = true\nReadyWhen = 'unix:/run/a'",
        "PrivateTmp = true\nReadyWhen = 'tcp:localhost:80'",
        "RootDirectory = '/srv'\nReadyWhen = 'tcp:localhost:80'",
        "RootDirectory = '/srv'\nRuntimeDirectory = 'a'\nReadyWhen = 'unix:%t/a/b'",
    ] {
        service(&format!("ExecStart = 'a'\n{seen}"));
    }
}

#[test]
fn what_is_printed_reads_back() {
    let full = include_str!("full.service");
    let simple = "[service]\nExecStart = 'a'\nStandardError = 'log:err'";
    let ready = READY.map(|form| format!("[service]\nExecStart = 'a'\nReadyWhen = '{form}'"));
    let ready = ready.iter().map(String::as_str);
    for text in ready.chain(["", "[unit]\nWants = 'a'", simple, full]) {
        let unit = read(text);
        let printed = to_toml(&unit);
        let again = try_read("web", &printed);
        let again = again.unwrap_or_else(|report| panic!("{printed}\n{report}"));
        assert!(
            same_meaning(&unit, &again),
            "{printed}\n{unit:#?}\n{again:#?}"
        );
        assert_eq!(unit.service.is_some(), printed.contains("[service]\n"));
    }
    assert!(to_toml(&read(full)).contains("# not acted on: RestartOnCalendar in [service]\n"));
}

#[test]
fn every_key_acted_on_is_printed() {
    let full = include_str!("full.service");
    // These go with other kinds of services than most of the others.
    let rest = "[service]\nExecStart = 'a'\nReadyWhen = 'fd:3'";
    let mut printed = [full, rest].map(|text| to_toml(&read(text))).concat();
    let template = "[service]\nExecStart = 'a'\nInstances = 2";
    printed.push_str(&to_toml(&try_read("w@", template).unwrap()));
    let honoured = keys().iter().filter(|key| key.honoured);
    for key in honoured.filter(|key| key.name != "TimeoutSec") {
        let line = format!("\n{} = ", key.name);
        assert!(printed.contains(&line), "{} in\n{printed}", key.name);
    }
}

#[test]
fn rubbish_is_refused_and_nothing_worse() {
    let seed = include_str!("errors.service");
    // Cut at many places, and with a character in place of another.
    for at in (0..seed.len()).step_by(23) {
        let _ = try_read("web", &seed[..at]);
        for with in ["\"", "[", "=", "\n", "%", "\\", "\0"] {
            let _ = try_read("web", &format!("{}{with}{}", &seed[..at], &seed[at + 1..]));
        }
    }
    let unknown: String = (0..4_000).map(|n| format!("k{n} = 1\n")).collect();
    let _ = try_read("web", &format!("[service]\n{unknown}"));
    let _ = try_read(
        "web",
        &format!("service = {{{}}}", unknown.replace('\n', ",")),
    );
    let _ = try_read("web", &"x = 1\n".repeat(5_000));
}

#[test]
fn what_is_seldom_meant_is_warned_of() {
    let warnings = lint(&read("[unit]\nRequires = ['a', 'b']\nAfter = 'b'"));
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].hint, "add \"a\" to After=");
    let text = "[service]\nExecStart = ['a', 'x-%i']";
    assert_eq!(lint(&try_read("w@1", text).unwrap()).len(), 1);
    assert!(lint(&read(text)).is_empty());
}

#[test]
fn other_editors_files_are_read() {
    let unit = read("\u{feff}[unit]\r\nDescription = 'x'\r\n");
    assert_eq!(unit.description, "x");
    let report = try_read("web", "\u{feff}[unit]\r\nDescripton = 'x'\r\n").unwrap_err();
    assert!(report.contains(":2:1: unknown key `Descripton` in [unit]\n    Descripton = 'x'\n"));
}

#[test]
fn a_unit_that_chance_wrote_reads_back() {
    const ROUNDS: u32 = 400;
    let seed = include_str!("full.service");
    let words = [
        "%%", "%i", "\\", "\"", "'", ";", " ", "$", "-", "@", ":", "+", "~", "/", "0", "9", ".",
        "é", "\t", "=", "a", "\u{7f}", "\u{a0}", "[", "]", ",", "\\n", "#",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut chance = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    let mut right = 0;
    for _ in 0..ROUNDS {
        let mut text = seed.to_owned();
        for _ in 0..=chance(2) {
            let at = (0..=chance(text.len()))
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap();
            text.insert_str(at, words[chance(words.len())]);
        }
        let Ok(unit) = try_read("web@1", &text) else {
            continue;
        };
        right += 1;
        let printed = to_toml(&unit);
        let again = try_read("web@1", &printed);
        let again = again.unwrap_or_else(|report| panic!("{text}\n{printed}\n{report}"));
        assert!(same_meaning(&unit, &again), "{text}\n{printed}");
    }
    assert!(right > ROUNDS / 40, "{right} of {ROUNDS}");
}
