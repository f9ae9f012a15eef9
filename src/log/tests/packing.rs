//! Old files that are packed: read as before, whatever is under way, and whatever was cut off.

use std::process::Command;

use super::*;
use crate::log::{Pack, Packing};

/// The packings whose programs this machine has; gzip is everywhere.
fn packings() -> Vec<Packing> {
    let has = |packing: &Packing| Command::new(packing.program()).arg("-V").output().is_ok();
    let all = [Packing::Gzip, Packing::Zstd];
    let found: Vec<Packing> = all.into_iter().filter(has).collect();
    assert!(!found.is_empty());
    found
}

/// A log of seven files and 70 lines.
fn filled(folder: &Folder) -> (Writer, Vec<String>) {
    let mut writer = folder.writer(100, 50);
    let lines: Vec<String> = (100..170)
        .map(|number| format!("number {number}"))
        .collect();
    for (now_ms, line) in (1000..).step_by(100).zip(&lines) {
        append(&mut writer, now_ms, &format!("{line}\n"));
    }
    (writer, lines)
}

fn run(pack: &Pack, packing: Packing) {
    let mut command = Command::new(packing.program());
    let command = command.args(packing.arguments());
    let command = command.stdin(pack.input().try_clone_to_owned().unwrap());
    let command = command.stdout(pack.output().try_clone_to_owned().unwrap());
    assert!(command.status().unwrap().success());
}

fn pack_next(folder: &Folder, packing: Packing) -> bool {
    let Some(pack) = Pack::begin(&folder.0, "web", packing).unwrap() else {
        return false;
    };
    run(&pack, packing);
    pack.finish().unwrap();
    true
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(&folder.0).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.contains(".log")).collect();
    names.sort();
    names
}

#[test]
fn packed_files_are_read_as_before_while_they_are_packed_and_moved() {
    for packing in packings() {
        let folder = Folder::new();
        let (mut writer, mut lines) = filled(&folder);
        let follow = || folder.reader(Start::Oldest, Mode::Follow, Filter::default());
        let (mut slow, mut quick) = (follow(), follow());
        let mut told = texts(&drain(&mut quick));
        // One that stands in the midst of a file that is about to be packed.
        let mut once = folder.reader(Start::Oldest, Mode::Once, Filter::default());
        let mut read: Vec<String> = (0..13)
            .filter_map(|_| text(&once.next_entry().unwrap().unwrap()))
            .collect();
        while pack_next(&folder, packing) {
            assert_eq!(texts(&folder.entries()), lines);
            let next = format!("more {} {}", lines.len(), "y".repeat(90));
            append(&mut writer, 90_000, &format!("{next}\n"));
            lines.push(next);
            assert_eq!(texts(&folder.entries()), lines);
            quick.changed();
            told.extend(texts(&drain(&mut quick)));
            if lines.len() > 90 {
                break;
            }
        }
        while pack_next(&folder, packing) {}
        assert!(names(&folder).len() > 20, "{:?}", names(&folder));
        assert!(!names(&folder).contains(&"web.log.3".to_owned()));
        assert!(names(&folder).contains(&"web.log.1".to_owned()));
        assert_eq!(told, lines);
        read.extend(std::iter::from_fn(|| once.next_entry().unwrap()).filter_map(|one| text(&one)));
        assert_eq!(read[..70], lines[..70]);
        slow.changed();
        assert_eq!(texts(&drain(&mut slow)), lines);
        for last in [1, 5, 30, 1000] {
            let mut reader = folder.reader(Start::Last(last), Mode::Once, Filter::default());
            let from = lines.len().saturating_sub(usize::try_from(last).unwrap());
            assert_eq!(texts(&drain(&mut reader)), lines[from..]);
        }
        let filter = Filter {
            since_ms: Some(3000),
            until_ms: Some(3500),
            ..Filter::default()
        };
        let mut reader = folder.reader(Start::Oldest, Mode::Once, filter);
        assert_eq!(texts(&drain(&mut reader)), lines[20..26]);
        // Who wants only what lies near is not kept waiting.
        let near = Start::Near {
            lines: 1000,
            bytes: 1 << 20,
        };
        let mut reader = folder.reader(near, Mode::Once, Filter::default());
        let told = texts(&drain(&mut reader));
        assert!(told.len() < lines.len() && lines.ends_with(&told));
    }
}

/// Killed after each step of packing, the successor finds each line once, and goes on.
#[test]
fn packing_that_was_cut_off_loses_and_doubles_nothing() {
    let packing = Packing::Gzip;
    for step in 0..4 {
        let folder = Folder::new();
        let (writer, mut lines) = filled(&folder);
        drop(writer);
        let mut follower = folder.reader(Start::Oldest, Mode::Follow, Filter::default());
        let mut told = texts(&drain(&mut follower));
        let oldest = names(&folder).len() - 1;
        let plain = folder.path(&format!("web.log.{oldest}"));
        let packed = folder.path(&format!("web.log.{oldest}.gz"));
        let pack = Pack::begin(&folder.0, "web", packing).unwrap().unwrap();
        if step >= 1 {
            run(&pack, packing);
        }
        if step >= 2 {
            fs::rename(folder.path("web.log.pack"), &packed).unwrap();
        }
        if step >= 3 {
            fs::remove_file(&plain).unwrap();
        }
        drop(pack);
        assert_eq!(texts(&folder.entries()), lines, "step {step}");
        let mut writer = folder.writer(100, 50);
        assert_eq!(plain.exists(), step < 3);
        assert_eq!(packed.exists(), step == 3);
        append(&mut writer, 90_000, &format!("last {}\n", "z".repeat(90)));
        lines.push(format!("last {}", "z".repeat(90)));
        while pack_next(&folder, packing) {}
        assert!(!folder.path("web.log.pack").exists());
        assert_eq!(texts(&folder.entries()), lines, "step {step}");
        follower.changed();
        told.extend(texts(&drain(&mut follower)));
        assert_eq!(told, lines, "step {step}");
    }
}

/// A rotation is cut off where packed files are moved.
#[test]
fn a_rotation_of_packed_files_that_was_cut_off_is_finished() {
    for step in 0..6 {
        let folder = Folder::new();
        let (writer, mut lines) = filled(&folder);
        drop(writer);
        let mut follower = folder.reader(Start::Oldest, Mode::Follow, Filter::default());
        let mut told = texts(&drain(&mut follower));
        while pack_next(&folder, Packing::Gzip) {}
        let oldest = names(&folder).len() - 1;
        let moves: Vec<(String, String)> = (oldest - 2..=oldest)
            .rev()
            .flat_map(|number| {
                let log = |number| format!("web.log.{number}.gz");
                let index = |number| format!("web.idx.{number}");
                [
                    (log(number), log(number + 1)),
                    (index(number), index(number + 1)),
                ]
            })
            .collect();
        for (from, to) in &moves[..=step] {
            fs::rename(folder.path(from), folder.path(to)).unwrap();
        }
        follower.changed();
        told.extend(texts(&drain(&mut follower)));
        assert_eq!(texts(&folder.entries()), lines, "step {step}");
        append(&mut folder.writer(100, 50), 90_000, "and one more\n");
        lines.push("and one more".to_owned());
        assert_eq!(texts(&folder.entries()), lines, "step {step}");
        follower.changed();
        told.extend(texts(&drain(&mut follower)));
        assert_eq!(told, lines, "step {step}");
    }
}

#[test]
fn a_file_that_goes_meanwhile_is_not_brought_back() {
    let folder = Folder::new();
    let (mut writer, _) = filled(&folder);
    let pack = Pack::begin(&folder.0, "web", Packing::Gzip)
        .unwrap()
        .unwrap();
    run(&pack, Packing::Gzip);
    writer.clear(5000, 1).unwrap();
    pack.finish().unwrap();
    assert_eq!(names(&folder), ["web.log"]);
    // A packed file is removed like any other one.
    let (mut writer, _) = filled(&folder);
    while pack_next(&folder, Packing::Gzip) {}
    writer.clear(6000, 1).unwrap();
    assert_eq!(names(&folder), ["web.log"]);
}

/// Only by its index could a reader tell that both are the same.
#[test]
fn a_file_without_an_index_stays_plain() {
    let folder = Folder::new();
    let (_writer, lines) = filled(&folder);
    fs::remove_file(folder.path("web.idx.3")).unwrap();
    let mut follower = folder.reader(Start::Oldest, Mode::Follow, Filter::default());
    let told = texts(&drain(&mut follower));
    while pack_next(&folder, Packing::Gzip) {}
    assert!(folder.path("web.log.3").exists() && folder.path("web.log.4.gz").exists());
    follower.changed();
    assert_eq!(drain(&mut follower), []);
    assert_eq!(told, lines);
}

#[test]
fn a_packed_file_that_is_damaged_is_named() {
    let folder = Folder::new();
    let (_writer, _) = filled(&folder);
    while pack_next(&folder, Packing::Gzip) {}
    let oldest = names(&folder).len() - 1;
    write(&folder.path(&format!("web.log.{oldest}.gz")), b"no gzip");
    let mut reader = folder.reader(Start::Oldest, Mode::Once, Filter::default());
    let error = reader.next_entry().unwrap_err().to_string();
    assert!(error.contains(&format!("web.log.{oldest}.gz: ")), "{error}");
    // Who does not ask for it does not care.
    let mut reader = folder.reader(Start::Last(5), Mode::Once, Filter::default());
    assert_eq!(drain(&mut reader).len(), 5);
}
