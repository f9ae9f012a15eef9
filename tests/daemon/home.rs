//! The daemon's folder when it cannot be used: what is said of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command as Program, Output};

use crate::harness::Bench;

/// Runs a command with this folder.
fn run(bench: &Bench, home: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut program = Program::new(env!("CARGO_BIN_EXE_diakonos"));
    let program = program.env("DIAKONOS_HOME", home).args(words);
    let Output { status, stderr, .. } = program.current_dir(bench.units()).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_link_a_file_and_a_relative_path_are_refused_in_plain_words() {
    let bench = Bench::new();
    let (real, link, file) = (bench.path("real"), bench.path("link"), bench.path("file"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    fs::write(&file, "").unwrap();
    let cases = [
        (link.as_path(), 5, "it is a symbolic link", real.as_path()),
        (&file, 5, "is no folder", Path::new("can name another")),
        (
            Path::new("home"),
            1,
            "it is no absolute path",
            Path::new("from the root"),
        ),
    ];
    for (home, code, reason, hint) in cases {
        let (exit, said) = run(&bench, home, &["start", "web"]);
        assert_eq!(exit, Some(code), "{said}");
        let (error, rest) = said.split_once("hint: ").unwrap();
        assert!(error.contains(reason), "{said}");
        assert!(rest.contains(hint.to_str().unwrap()), "{said}");
        let (exit, said) = run(&bench, home, &["daemon"]);
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains(reason) && said.contains("hint: "), "{said}");
    }
    assert!(fs::read_dir(&real).unwrap().next().is_none());
}
