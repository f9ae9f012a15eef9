//! `startup` and `unstartup`, in a folder that stands for the machine, and what the real tools make of their texts.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Output, Stdio};

use diakonos::sys::users::effective_uid;

use crate::harness::Bench;
use crate::reread::executable;

const NOBODY: u32 = 65_534;
const KINDS: [&str; 4] = ["systemd", "systemd-user", "openrc", "runit"];

fn program(bench: &Bench, words: &[&str]) -> Program {
    let mut program = Program::new(env!("CARGO_BIN_EXE_diakonos"));
    program
        .args(words)
        .env("DIAKONOS_HOME", bench.home())
        .env("XDG_CONFIG_HOME", "/conf")
        .env_remove("SUDO_USER")
        .current_dir(bench.path(""))
        .stdin(Stdio::null());
    program
}

/// Exit code, standard output, standard error.
fn outcome(program: &mut Program) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = program.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

/// A folder that stands for the machine, and a run of the program on it.
fn on(bench: &Bench, verb: &str, kind: &str) -> (Option<i32>, String, String) {
    let root = bench.path("machine");
    fs::create_dir_all(&root).unwrap();
    let root = root.to_str().unwrap();
    let mut words = vec![verb, "--root", root];
    if !kind.is_empty() {
        words.extend(["--init", kind]);
    }
    outcome(&mut program(bench, &words))
}

/// Every file and link below a folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(entries(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The one whose name ends so.
fn the(found: &[PathBuf], ending: &str) -> PathBuf {
    let mut matching = found.iter().filter(|path| {
        path.to_str().unwrap().ends_with(ending) && path.is_file() && !path.is_symlink()
    });
    matching.next().unwrap().clone()
}

fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

#[test]
fn what_was_made_is_kept_and_removed() {
    for kind in KINDS {
        let bench = Bench::new();
        let (code, made, _) = on(&bench, "startup", kind);
        assert_eq!(code, Some(0), "{kind}: {made}");
        let found = entries(&bench.path("machine"));
        // Each is named, and so is nothing else.
        for path in &found {
            assert!(made.contains(path.to_str().unwrap()), "{kind}: {made}");
        }
        let lines = made.lines().filter(|line| line.contains("/machine/"));
        assert_eq!(lines.count(), found.len(), "{kind}: {made}");
        let (code, again, _) = on(&bench, "startup", kind);
        assert_eq!(code, Some(0));
        assert!(
            !again.contains("wrote") && again.contains("unchanged"),
            "{again}"
        );

        // Edited, it is still ours, and set right.
        let path = found.iter().find(|path| !path.is_symlink()).unwrap();
        let before = fs::read_to_string(path).unwrap();
        fs::write(path, format!("{before}# more\n")).unwrap();
        let (_, set_right, _) = on(&bench, "startup", kind);
        assert!(set_right.contains("wrote") && set_right.contains("unchanged"));
        assert_eq!(fs::read_to_string(path).unwrap(), before);

        let (code, removed, _) = on(&bench, "unstartup", "");
        assert_eq!(code, Some(0));
        assert_eq!(
            removed.matches("removed ").count(),
            found.len(),
            "{removed}"
        );
        assert_eq!(entries(&bench.path("machine")), [] as [PathBuf; 0]);
        let (code, nothing, _) = on(&bench, "unstartup", kind);
        assert_eq!(code, Some(0));
        assert!(nothing.starts_with("nothing to remove"), "{nothing}");
    }
}

#[test]
fn two_homes_do_not_meet() {
    let (one, other) = (Bench::new(), Bench::new());
    symlink(one.path("machine"), other.path("machine")).unwrap();
    fs::create_dir(one.path("machine")).unwrap();
    assert_eq!(on(&one, "startup", "systemd").0, Some(0));
    assert_eq!(on(&other, "startup", "systemd").0, Some(0));
    assert_eq!(entries(&one.path("machine")).len(), 4);
    assert_eq!(on(&one, "unstartup", "").0, Some(0));
    let left = entries(&one.path("machine"));
    assert_eq!(left.len(), 2);
    let home = other.home().display().to_string();
    let text = fs::read_to_string(the(&left, ".service")).unwrap();
    assert!(
        text.contains(&format!("\"DIAKONOS_HOME={home}\"")),
        "{text}"
    );
}

#[test]
fn what_is_not_ours_is_left_as_it_is() {
    let bench = Bench::new();
    let machine = bench.path("machine");
    for kind in KINDS {
        on(&bench, "startup", kind);
        let found = entries(&machine);
        on(&bench, "unstartup", "");
        for path in &found {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            for put in [
                |path: &Path| fs::write(path, "[Service]\n").unwrap(),
                |path: &Path| symlink("/dev/null", path).unwrap(),
                |path: &Path| fs::create_dir(path).unwrap(),
            ] {
                put(path);
                let (code, said, error) = on(&bench, "startup", kind);
                assert_eq!((code, said.as_str()), (Some(1), ""), "{kind}: {error}");
                let named = format!("error: {} is left as it is: ", path.display());
                assert!(
                    error.starts_with(&named) && error.contains("hint: "),
                    "{error}"
                );
                // Nothing else was written either.
                let others = entries(&machine);
                assert!(others.iter().all(|other| other == path), "{others:?}");
                let (code, nothing, _) = on(&bench, "unstartup", "");
                assert_eq!(code, Some(0));
                assert!(nothing.starts_with("nothing to remove"), "{nothing}");
                assert!(path.symlink_metadata().is_ok(), "{kind}: it is gone");
                let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
            }
        }
    }
}

/// Somebody else has made a service of that name, and enabled it.
#[test]
fn a_link_to_what_is_not_ours_stays() {
    for kind in KINDS {
        let bench = Bench::new();
        let machine = bench.path("machine");
        on(&bench, "startup", kind);
        let found = entries(&machine);
        for path in found.iter().filter(|path| !path.is_symlink()) {
            fs::write(path, "[Service]\n").unwrap();
        }
        let (code, nothing, _) = on(&bench, "unstartup", "");
        assert_eq!(code, Some(0));
        assert!(nothing.starts_with("nothing to remove"), "{nothing}");
        assert_eq!(entries(&machine), found, "{kind}");
    }
}

#[test]
fn print_shows_all_and_does_nothing() {
    let bench = Bench::new();
    for kind in KINDS.into_iter().chain(["cron"]) {
        let words = ["startup", "--init", kind, "--print"];
        let (code, text, error) = outcome(&mut program(&bench, &words));
        assert_eq!((code, error.as_str()), (Some(0), ""));
        let home = bench.home().display().to_string();
        assert!(text.contains(&format!("# Made by `diakonos startup` for {home};")));
        assert!(text.contains(env!("CARGO_BIN_EXE_diakonos")), "{text}");
    }
    assert!(!bench.home().exists());
}

#[test]
fn named_folders_stand_in_the_unit() {
    let bench = Bench::new();
    let units = bench.units().display().to_string();
    let words = [
        "startup",
        "--print",
        "--init",
        "systemd",
        "--service-dir",
        "units",
    ];
    let (_, text, _) = outcome(&mut program(&bench, &words));
    let line = format!("Environment=\"DIAKONOS_SERVICE_DIR={units}\"\n");
    assert!(text.contains(&line), "{text}");
}

#[test]
fn a_wrong_line_is_refused() {
    let bench = Bench::new();
    let root = bench.path("").display().to_string();
    for (words, says) in [
        (
            &["startup", "--init", "upstart"][..],
            "--init takes one of systemd, ",
        ),
        (&["startup", "--root", &root], "--root needs --init"),
        (
            &["startup", "--init", "cron", "--root", &root],
            "on the running machine only",
        ),
        (
            &["startup", "--init", "runit", "--root", "/nonexistent"],
            "cannot use --root",
        ),
        (
            &["unstartup", "--root", "/dev/null"],
            "/dev/null is no folder",
        ),
    ] {
        let (code, _, error) = outcome(&mut program(&bench, words));
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn who_may_not_write_hears_so_and_what_else_there_is() {
    let bench = Bench::new();
    let machine = bench.path("machine");
    fs::create_dir(&machine).unwrap();
    fs::set_permissions(&machine, Permissions::from_mode(0o555)).unwrap();
    for (kind, hint) in [
        ("systemd", "`--init systemd-user` needs no root"),
        ("runit", "`--init cron` needs no root"),
    ] {
        let root = machine.to_str().unwrap();
        let mut program = program(&bench, &["startup", "--init", kind, "--root", root]);
        if effective_uid() == 0 {
            // Somebody to whom the program's folder is closed cannot try.
            let folder = Path::new(env!("CARGO_BIN_EXE_diakonos"));
            let open = |path: &Path| path.metadata().is_ok_and(|it| it.mode() & 0o001 != 0);
            if !folder.ancestors().all(open) {
                return;
            }
            program.uid(NOBODY).gid(NOBODY);
        }
        let (code, _, error) = outcome(&mut program);
        assert_eq!(code, Some(6), "{error}");
        assert!(
            error.contains("ermission denied") && error.contains(hint),
            "{error}"
        );
    }
}

#[test]
fn the_real_tools_understand_it() {
    let bench = Bench::new();
    let machine = bench.path("machine");
    for kind in KINDS {
        on(&bench, "startup", kind);
    }
    let found = entries(&machine);
    for script in ["/run", "/finish", "/control/t"] {
        let path = the(&found, script);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o755);
        let (code, _, error) = outcome(Program::new("sh").arg("-n").arg(&path));
        assert_eq!(code, Some(0), "{error}");
    }
    let scripts = found
        .iter()
        .filter(|path| path.starts_with(machine.join("etc/init.d")));
    for path in scripts {
        let (code, _, error) = outcome(Program::new("sh").arg("-n").arg(path));
        assert_eq!(code, Some(0), "{error}");
    }
    let units: Vec<&PathBuf> = found
        .iter()
        .filter(|path| path.extension().is_some_and(|it| it == "service") && !path.is_symlink())
        .collect();
    assert_eq!(units.len(), 2);
    for unit in units {
        let manager = if unit.starts_with(machine.join("etc")) {
            "--system"
        } else {
            "--user"
        };
        if has("systemd-analyze") {
            let mut verify = Program::new("systemd-analyze");
            let verify = verify.args(["verify", manager]).arg(unit);
            let (code, _, error) = outcome(verify.env("XDG_RUNTIME_DIR", bench.path("")));
            assert_eq!((code, error.as_str()), (Some(0), ""));
        }
        if has("systemctl") && manager == "--system" {
            let mut asked = Program::new("systemctl");
            let root = format!("--root={}", machine.display());
            let asked = asked
                .arg(root)
                .arg("is-enabled")
                .arg(unit.file_name().unwrap());
            let (_, word, error) = outcome(asked);
            assert_eq!(word, "enabled\n", "{error}");
        }
    }
}

/// A crontab(1) that keeps its table in a file of the bench, and refuses while `refuse` is there.
fn crontab(bench: &Bench) -> String {
    let folder = bench.path("bin");
    fs::create_dir_all(&folder).unwrap();
    let (table, refuse) = (bench.path("table"), bench.path("refuse"));
    let (table, refuse) = (table.display(), refuse.display());
    let script = format!(
        "#!/bin/sh\n\
         test -e {refuse} && {{ echo 'you may not' >&2; exit 1; }}\n\
         case $1 in\n\
         -l) test -e {table} || {{ echo 'no crontab for you' >&2; exit 1; }}; cat {table};;\n\
         -r) rm {table};;\n\
         -) cat > {table};;\n\
         esac\n"
    );
    let path = folder.join("crontab");
    executable(&path, &script);
    let rest = std::env::var("PATH").unwrap_or_default();
    format!("{}:{rest}", folder.display())
}

#[test]
fn a_crontab_keeps_what_others_wrote() {
    let bench = Bench::new();
    let path = crontab(&bench);
    let table = bench.path("table");
    let cron = |verb: &str| {
        let words = [verb, "--init", "cron"];
        outcome(program(&bench, &words).env("PATH", &path))
    };
    // A table of our lines alone goes as it came.
    assert!(cron("unstartup").1.starts_with("nothing to remove"));
    assert_eq!(cron("startup").0, Some(0));
    let line = fs::read_to_string(&table).unwrap();
    assert!(line.contains("\n@reboot DIAKONOS_HOME='/"), "{line}");
    assert_eq!(cron("unstartup").0, Some(0));
    assert!(!table.exists());

    // Its last line has no end.
    fs::write(&table, "MAILTO=me\n5 5 * * * true").unwrap();
    assert!(cron("startup").1.starts_with("wrote your crontab: @reboot"));
    let both = fs::read_to_string(&table).unwrap();
    assert_eq!(both, format!("MAILTO=me\n5 5 * * * true\n{line}"));
    assert!(cron("startup").1.starts_with("unchanged"));
    fs::write(&table, format!("{both}6 6 * * * true\n")).unwrap();
    assert_eq!(cron("unstartup").0, Some(0));
    let left = fs::read_to_string(&table).unwrap();
    assert_eq!(left, "MAILTO=me\n5 5 * * * true\n6 6 * * * true\n");

    // What cannot be read is not written.
    fs::write(bench.path("refuse"), "").unwrap();
    for verb in ["startup", "unstartup"] {
        let (code, _, error) = cron(verb);
        assert_eq!(code, Some(1));
        assert!(
            error.contains("cannot read your crontab: you may not"),
            "{error}"
        );
    }
    assert_eq!(fs::read_to_string(&table).unwrap(), left);
    let mut without = program(&bench, &["startup", "--init", "cron"]);
    let (code, _, error) = outcome(without.env("PATH", bench.path("nowhere")));
    assert_eq!(code, Some(1));
    assert!(error.contains("there is no program `crontab`"), "{error}");
}

/// What cron and OpenRC run at boot.
#[test]
fn a_daemon_in_the_background_is_ready_when_its_command_ends() {
    let bench = Bench::new();
    for _ in 0..2 {
        let output = bench.run(&["daemon", "--background"]);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        bench.client();
    }
    // A second one in the foreground says why it ends, to a supervisor by its code.
    let second = bench.run(&["daemon"]);
    assert_eq!(second.status.code(), Some(6), "{second:?}");
    assert!(bench.run(&["kill"]).status.success());
}
