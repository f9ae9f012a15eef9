//! Style as a test: the rules of the house that can be seen in the text of its sources.
//!
//! Each rule is a function from one file to what is wrong with it, and stands in a table with texts that break it and
//! texts that keep it: a rule that cannot fail is no rule. What concerns the whole tree (packages, fuzz targets, golden
//! files) has a test of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "tidy/checks.rs"]
mod checks;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use checks::{OWNERS, root_names};
use rules::RULES;
use source::{Source, words};

#[test]
fn every_file_keeps_every_rule() {
    let sources = sources();
    assert!(sources.len() > 20, "the tree was not found");
    let mut faults = Vec::new();
    for source in &sources {
        for rule in RULES {
            for (line, text) in (rule.check)(source) {
                faults.push(format!("{}:{line}: {}: {text}", source.path, rule.name));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_rule_can_fail_and_can_be_kept() {
    for rule in RULES {
        for (path, text) in rule.broken {
            let faults = (rule.check)(&Source::new(path, text));
            assert!(
                !faults.is_empty(),
                "{} lets pass in {path}: {text}",
                rule.name
            );
        }
        for (path, text) in rule.kept {
            let faults = (rule.check)(&Source::new(path, text));
            assert!(faults.is_empty(), "{} in {path}: {faults:?}", rule.name);
        }
    }
}

#[test]
fn every_package_has_an_owner() {
    let manifest = fs::read_to_string(top().join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap();
    let mut count = 0;
    for line in dependencies.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, _)) = line.split_once('=') else {
            continue;
        };
        let name = name.trim().replace('-', "_");
        let owned = OWNERS.iter().any(|(package, _)| *package == name);
        assert!(
            owned,
            "{name} of Cargo.toml has no owner in tests/tidy/checks.rs"
        );
        count += 1;
    }
    assert!(count >= 9, "only {count} packages were found");
}

#[test]
fn every_fuzz_target_is_declared_and_has_seeds() {
    let fuzz = top().join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let mut targets = files(&fuzz.join("fuzz_targets"));
    targets.retain(|path| path.parent().unwrap().ends_with("fuzz_targets"));
    assert!(targets.len() >= 4, "targets: {targets:?}");
    for target in targets {
        let name = target.file_stem().unwrap().to_str().unwrap();
        let entry = format!("name = \"{name}\"");
        assert!(
            manifest.contains(&entry),
            "{name} is not in fuzz/Cargo.toml"
        );
        let seeds = files(&fuzz.join("corpus").join(name));
        assert!(!seeds.is_empty(), "fuzz/corpus/{name} has no seeds");
    }
}

#[test]
fn every_file_is_compiled() {
    let sources = sources();
    for source in sources.iter().filter(|source| !is_root(&source.path)) {
        let (folder, module, home) = module_of(&source.path);
        let parents = [
            format!("{home}/mod.rs"),
            format!("{home}/lib.rs"),
            format!("{home}/main.rs"),
            format!("{home}.rs"),
        ];
        let declaration = format!("mod {module};");
        let by_path = format!("#[path = \"{folder}");
        let declares = |parent: &Source| {
            let named = parents.contains(&parent.path)
                && parent
                    .lines
                    .iter()
                    .any(|line| line.code.ends_with(&declaration));
            named
                || parent
                    .lines
                    .iter()
                    .any(|line| line.raw.starts_with(&by_path))
        };
        assert!(
            sources.iter().any(declares),
            "nobody declares {}",
            source.path
        );
    }
}

/// What the fuzz target takes from the simulation by path must find there what it uses: only CI compiles the target.
#[test]
fn the_simulation_that_is_fuzzed_is_whole() {
    let sources = sources();
    let find = |path: &str| sources.iter().find(|source| source.path == path).unwrap();
    let target = find("fuzz/fuzz_targets/simulation.rs").code();
    let declared: Vec<&str> = words(&target, "mod")
        .filter_map(|(_, after)| after.trim_start().split_once(';'))
        .map(|(name, _)| name)
        .collect();
    assert!(declared.len() > 5, "declared: {declared:?}");
    for module in &declared {
        for name in root_names(find(&format!("tests/simulation/{module}.rs"))) {
            let known = declared.contains(&name.as_str());
            assert!(known, "{module} uses {name}, which the fuzz target lacks");
        }
    }
}

/// Whether cargo compiles the file by itself.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["src", "lib.rs" | "main.rs"]
            | ["tests", _]
            | ["tests", _, "main.rs"]
            | ["fuzz", "fuzz_targets", _]
    )
}

/// How a file is named below its crate's root, its module's name, and the folder whose module declares it.
fn module_of(path: &str) -> (&str, &str, &str) {
    let named = path.split_once('/').map_or(path, |(_, rest)| rest);
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let (home, module) = module.rsplit_once('/').unwrap_or(("", module));
    (named, module, home)
}

#[test]
fn the_readme_names_every_command_and_option() {
    let readme = fs::read_to_string(top().join("README.md")).unwrap();
    let rows: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with('|'))
        .collect();
    let mut commands = 0;
    for help in files(&top().join("tests/golden/cli")) {
        let name = help.file_stem().unwrap().to_str().unwrap();
        let Some(command) = name.strip_prefix("help-") else {
            continue;
        };
        commands += 1;
        let is_its = |cell: &str| names(cell).any(|word| word == command);
        let row = rows
            .iter()
            .find(|row| row.split('|').nth(1).is_some_and(is_its));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for the command {command}"));
        for option in options(&fs::read_to_string(&help).unwrap()) {
            assert!(
                names(row).any(|word| word == option),
                "README.md does not say {option} of {command}"
            );
        }
    }
    assert!(commands > 20, "only {commands} help texts were found");
    for option in options(&fs::read_to_string(top().join("tests/golden/cli/help.txt")).unwrap()) {
        assert!(
            readme.contains(&format!("`{option}")),
            "README.md does not say {option}"
        );
    }
}

#[test]
fn the_readme_shows_every_honoured_key_and_no_other() {
    let readme = fs::read_to_string(top().join("README.md")).unwrap();
    let mut shown = Vec::new();
    let mut section = None;
    for line in readme.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(keys), Some(example)) = (cells.next(), cells.next()) else {
            section = None;
            continue;
        };
        if let Some(title) = keys.strip_prefix("`[").and_then(|t| t.strip_suffix("]`")) {
            section = Some(title);
        } else if let Some(section) = section.filter(|_| keys.starts_with('`')) {
            assert!(example.starts_with('`'), "README.md: no example of {keys}");
            shown.extend(names(keys).map(|key| format!("[{section}] {key}")));
        }
    }
    let honoured = diakonos::unit::keys().iter().filter(|key| key.honoured);
    let mut honoured: Vec<String> = honoured
        .map(|key| format!("[{}] {}", key.section, key.name))
        .collect();
    shown.sort();
    honoured.sort();
    assert_eq!(shown, honoured, "README.md beside the table of keys");
}

/// The first word of each text between backticks.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|quoted| quoted.split_whitespace().next())
}

/// The long options that a help text explains: `  -n, --lines N   so many`.
fn options(help: &str) -> impl Iterator<Item = &str> {
    help.lines().filter_map(|line| {
        let line = line.strip_prefix("  ")?;
        let short = line.starts_with('-') && line.get(2..4) == Some(", ");
        let long = if short { &line[4..] } else { line.trim_start() };
        let long = long.split_whitespace().next()?;
        long.starts_with("--").then_some(long)
    })
}

#[test]
fn every_golden_file_is_used() {
    let sources = sources();
    for golden in files(&top().join("tests/golden")) {
        let name = golden.file_stem().unwrap().to_str().unwrap();
        // A part of the name may be made up: "help-{command}".
        let dashes = name.match_indices('-').map(|(at, _)| at);
        let made_up: Vec<String> = dashes.map(|at| format!("{}-{{", &name[..at])).collect();
        let names = |raw: &str| raw.contains(name) || made_up.iter().any(|name| raw.contains(name));
        let used = |source: &Source| source.lines.iter().any(|line| names(&line.raw));
        assert!(sources.iter().any(used), "{} is not used", golden.display());
    }
}

/// All of our own Rust, with the files that a parent declares under `#[cfg(test)]` marked as tests.
fn sources() -> Vec<Source> {
    let mut sources: Vec<Source> = ["src", "tests", "fuzz/fuzz_targets"]
        .iter()
        .flat_map(|folder| files(&top().join(folder)))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(top()).unwrap();
            Source::new(path.to_str().unwrap(), &text)
        })
        .collect();
    let tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let below = |module: &String| {
            source.path == format!("{module}.rs") || source.path.starts_with(&format!("{module}/"))
        };
        if tests.iter().any(below) || !source.path.starts_with("src/") {
            source.lines.iter_mut().for_each(|line| line.test = true);
        }
    }
    sources
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder, none if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
