//! Files on disk: the search path, templates, drop-ins, hashes.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A folder of its own that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = format!("diakonos-unit-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(own);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn path(&self) -> SearchPath {
        SearchPath {
            directories: vec![self.0.clone()],
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SIMPLE: &str = "[service]\nExecStart = 'a %i'\n";

#[test]
fn an_instance_comes_from_its_template() {
    let folder = Folder::new();
    let template = folder.write("worker@.service", SIMPLE);
    let own = folder.write("worker@2.service", SIMPLE);
    assert_eq!(
        folder.path().find(&name("worker@1")).unwrap().path,
        template
    );
    assert_eq!(folder.path().find(&name("worker@2")).unwrap().path, own);
    let unit = load(&name("worker@1"), &folder.path(), &context()).unwrap();
    assert_eq!(unit.name, name("worker@1"));
    assert_eq!(unit.path, template);
    assert_eq!(unit.service.unwrap().start[0].arguments, ["1"]);
}

#[test]
fn instances_are_the_templates() {
    let folder = Folder::new();
    folder.write(
        "worker@.service",
        "[unit]\nRequires = 'db@%i'\n[service]\nExecStart = 'a'\nInstances = 4\n",
    );
    let read = |text: &str| load(&name(text), &folder.path(), &context());
    let template = read("worker@").unwrap();
    assert_eq!(template.service.as_ref().unwrap().instances, Some(4));
    assert_eq!(template.requires, [name("db@1")]);
    let again = to_toml(&template);
    let again = parse(&again, &template.path, &template.name, &context()).unwrap();
    assert!(same_meaning(&template, &again), "{}", to_toml(&again));
    let instance = read("worker@3").unwrap();
    assert_eq!(instance.service.unwrap().instances, None);
    assert_eq!(instance.requires, [name("db@3")]);

    // A drop-in of the template may say how many; what is one service cannot.
    folder.write(
        "worker@.service.d/number.toml",
        "[service]\nInstances = 2\n",
    );
    let template = read("worker@").unwrap();
    assert_eq!(template.service.unwrap().instances, Some(2));
    assert!(read("worker@3").is_ok());
    folder.write(
        "worker@3.service.d/number.toml",
        "[service]\nInstances = 2\n",
    );
    for (file, unit) in [
        ("", "worker@3"),
        ("other@4.service", "other@4"),
        ("web.service", "web"),
    ] {
        if !file.is_empty() {
            folder.write(file, "[service]\nExecStart = 'a'\nInstances = 2\n");
        }
        let error = read(unit).unwrap_err().to_string();
        assert!(error.contains("only a template has instances"), "{error}");
    }
    for wrong in ["-1", "1001", "'4'"] {
        folder.write(
            "w@.service",
            format!("[service]\nExecStart = 'a'\nInstances = {wrong}\n"),
        );
        assert!(read("w@").is_err() && read("w@1").is_err(), "{wrong}");
    }
}

#[test]
fn the_first_folder_wins_and_the_other_is_named() {
    let (one, two) = (Folder::new(), Folder::new());
    let first = one.write("a.service", SIMPLE);
    let second = two.write("a.service", SIMPLE);
    two.write("b.service", SIMPLE);
    two.write("bad name.service", SIMPLE);
    two.write(".hidden.service", SIMPLE);
    two.write("notes.txt", SIMPLE);
    fs::create_dir(two.0.join("folder.service")).unwrap();
    let missing = one.0.join("missing");
    let path = SearchPath {
        directories: vec![missing, one.0.clone(), two.0.clone()],
    };
    let found = path.find(&name("a")).unwrap();
    assert_eq!(
        found,
        Found {
            path: first,
            hidden: vec![second]
        }
    );
    let listing = path.list();
    let names: Vec<_> = listing
        .units
        .iter()
        .map(|unit| unit.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(listing.units[0].found, found);
    let skipped: Vec<_> = listing.skipped.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(skipped.len(), 2);
    assert!(skipped[0].contains("not a file"));
    assert!(skipped[1].contains("is not a unit name"));
}

#[test]
fn a_missing_unit_names_what_was_searched() {
    let folder = Folder::new();
    folder.write("website.service", SIMPLE);
    let error = load(&name("wesbite"), &folder.path(), &context()).unwrap_err();
    let folder = folder.0.display();
    assert_eq!(
        error.to_string(),
        format!("there is no unit `wesbite` in {folder}")
    );
}

#[test]
fn drop_ins_replace_key_by_key() {
    let folder = Folder::new();
    let file = folder.write(
        "w@.service",
        "[unit]\nWants = ['a', 'b']\n\
         [service]\nExecStart = 'a'\nTimeoutStopSec = 1\nUser = 'one'\n",
    );
    let unit = |name: &UnitName| load(name, &folder.path(), &context());
    let w = name("w@1");
    let before = unit(&w).unwrap();
    assert_eq!(hash_on_disk(&file, &w).unwrap(), before.hash);

    folder.write(
        "w@.service.d/20.toml",
        "[unit]\nWants = ['c']\n[service]\nUser = 'three'",
    );
    folder.write(
        "w@.service.d/10.toml",
        "[service]\nUser = 'two'\nTimeoutSec = 5\n",
    );
    folder.write("w@.service.d/notes.txt", "[[[");
    let after = unit(&w).unwrap();
    assert_ne!(after.hash, before.hash);
    assert_eq!(hash_on_disk(&file, &w).unwrap(), after.hash);
    assert_eq!(after.wants, [name("c")]);
    let service = after.service.unwrap();
    assert_eq!(service.user.as_deref(), Some("three"));
    assert_eq!(service.timeout_stop, Span::from_secs(5));

    folder.write("w@1.service.d/00.toml", "[service]\nUser = 'own'");
    assert_eq!(
        unit(&w).unwrap().service.unwrap().user.as_deref(),
        Some("own")
    );
    assert_eq!(
        unit(&name("w@2")).unwrap().service.unwrap().user.as_deref(),
        Some("three")
    );

    let bad = folder.write("w@1.service.d/99.toml", "[service]\nUsr = 'x'");
    let error = unit(&w).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}:2:1: unknown key `Usr`", bad.display())),
        "{error}"
    );
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = Folder::new();
    let w = name("w");
    let load = |path: &Path| load_file(path, &w, &context()).unwrap_err().to_string();

    let error = load(&folder.write("a", b"[unit]\nDescription = '\xff'"));
    assert!(error.contains(":2:16: the file is not UTF-8"), "{error}");
    let error = load(&folder.write("b", "#".repeat((1 << 20) + 1)));
    assert!(error.contains("longer than 1048576 bytes"), "{error}");
    assert!(load_file(&folder.write("c", "#".repeat(1 << 20)), &w, &context()).is_ok());
    let missing = folder.0.join("missing");
    assert_eq!(
        load(&missing),
        format!(
            "cannot read {}: No such file or directory",
            missing.display()
        )
    );
    let error = load(&folder.0);
    assert!(error.ends_with("it is not a regular file"), "{error}");
}

#[test]
fn a_changed_text_is_read_among_the_drop_ins() {
    let folder = Folder::new();
    let file = folder.write("web.service", SIMPLE);
    let last = folder.write("web.service.d/20.toml", "[service]\nUMask = '027'\n");
    let first = folder.0.join("web.service.d/10.toml");
    let web = name("web");
    let umask = |changed: &std::path::Path, text: &str| {
        let unit = load_changed(&file, (changed, text), &web, &context()).unwrap();
        (
            unit.service.unwrap().umask,
            fs::read_to_string(&last).unwrap().len(),
        )
    };
    // One that is not there yet comes where its name stands in the order.
    assert_eq!(umask(&first, "[service]\nUMask = '077'\n").0, 0o027);
    assert_eq!(umask(&last, "[service]\nUMask = '077'\n").0, 0o077);
    assert_eq!(
        umask(&file, "[service]\nExecStart = 'b'\nUMask = '077'\n").0,
        0o027
    );
    let broken = load_changed(&file, (&last, "[service]\nUmask = 1\n"), &web, &context());
    assert!(broken.unwrap_err().to_string().contains("20.toml:2:"));
}

#[test]
fn the_place_of_a_key_is_where_it_was_written_last() {
    let folder = Folder::new();
    let text = "[service]\nExecStart = 'a'\n\nUMask = '077'\n";
    let file = folder.write("worker@.service", text);
    let all = folder.write(
        "worker@.service.d/a.toml",
        "[service]\nUMask = '027'\nNice = 1\n",
    );
    let one = folder.write("worker@1.service.d/a.toml", "[service]\nNice = 2\n");
    let place = |unit: &str, key: &'static str| {
        let places = origins(&file, &name(unit), &context()).unwrap();
        let found = places.get(&("service", key)).cloned();
        found.map(|origin| (origin.path, origin.line))
    };
    assert_eq!(place("worker@1", "ExecStart"), Some((file.clone(), 2)));
    assert_eq!(place("worker@1", "UMask"), Some((all.clone(), 2)));
    assert_eq!(place("worker@1", "Nice"), Some((one, 2)));
    assert_eq!(place("worker@2", "Nice"), Some((all, 3)));
    assert_eq!(place("worker@2", "Restart"), None);
}
