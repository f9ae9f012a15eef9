//! Unit files: the parser never panics, its report can be shown, and a unit that it reads means the same when it is
//! printed and read again.

#![no_main]

use std::path::{Path, PathBuf};

use diakonos::unit::{Context, Exec, Unit, UnitName, lint, parse, same_meaning, to_toml};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (Ok(text), Ok(name)) = (std::str::from_utf8(bytes), UnitName::parse("worker@1")) else {
        return;
    };
    let path = Path::new("/srv/services/worker@.service");
    let unit = match parse(text, path, &name, &context()) {
        Ok(unit) => unit,
        Err(report) => {
            assert!(!report.problems().is_empty());
            assert!(!report.to_string().is_empty());
            return;
        }
    };
    check_commands(&unit);
    let _ = lint(&unit);
    let printed = to_toml(&unit);
    match parse(&printed, path, &name, &context()) {
        Ok(again) => assert!(
            same_meaning(&unit, &again),
            "{unit:?}\n{printed}\n{again:?}"
        ),
        Err(report) => panic!("{printed}\n{report}"),
    }
});

fn context() -> Context {
    Context {
        user: "nobody".to_owned(),
        uid: 65_534,
        home: PathBuf::from("/home/nobody"),
        host: "host".to_owned(),
        runtime: PathBuf::from("/run"),
        state: PathBuf::from("/var/lib"),
        logs: PathBuf::from("/var/log"),
        cache: PathBuf::from("/var/cache"),
        configuration: PathBuf::from("/etc"),
    }
}

/// What `execve` is given holds no NUL and names a program.
fn check_commands(unit: &Unit) {
    let Some(service) = &unit.service else {
        return;
    };
    let keys: [&[Exec]; 6] = [
        &service.start_pre,
        &service.start,
        &service.start_post,
        &service.reload,
        &service.stop,
        &service.stop_post,
    ];
    for Exec {
        program,
        arguments,
        argv0,
        ..
    } in keys.into_iter().flatten()
    {
        assert!(!program.is_empty());
        let words = arguments.iter().chain([program]).map(String::as_str);
        assert!(
            !words
                .chain(argv0.as_deref())
                .any(|word| word.contains('\0'))
        );
    }
    for (name, value) in &service.environment {
        assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
    }
}
