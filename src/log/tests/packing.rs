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
fn a_packed_file_that_is_damaged_is_named_and_left_out() {
    let folder = Folder::new();
    let (_writer, lines) = filled(&folder);
    while pack_next(&folder, Packing::Gzip) {}
    let oldest = names(&folder).len() - 1;
    // One in the midst, of which each reader has read what comes before it.
    let damaged = folder.path(&format!("web.log.{}.gz", oldest - 1));
    let whole = fs::read(&damaged).unwrap();
    write(&damaged, &whole[..whole.len() / 2]);
    let first = texts(&folder.entries());
    let at = first
        .iter()
        .position(|text| text.contains(".gz: "))
        .unwrap();
    let missing = lines.len() + 1 - first.len();
    assert!(missing > 0 && at > 0, "{first:?}");
    assert_eq!(first[..at], lines[..at]);
    assert_eq!(first[at + 1..], lines[at + missing..]);
    for (start, mode) in [
        (Start::Oldest, Mode::Once),
        (Start::Oldest, Mode::Follow),
        (Start::Last(1000), Mode::Once),
        (Start::Last(1000), Mode::Follow),
    ] {
        let mut reader = folder.reader(start, mode, Filter::default());
        assert_eq!(texts(&drain(&mut reader)), first);
        let [damage] = reader.left_out() else {
            panic!("{:?}", reader.left_out())
        };
        let file = format!("web.log.{}.gz: ", oldest - 1);
        assert!(damage.contains(&file) && !damage.contains('\n'), "{damage}");
    }
    // What is asked for begins in it, or lies around it.
    let in_it = 1000 + 100 * u64::try_from(at).unwrap();
    for (since_ms, until_ms) in [(in_it + 100, in_it + 100), (1000, 9000)] {
        let filter = Filter {
            since_ms: Some(since_ms),
            until_ms: Some(until_ms),
            ..Filter::default()
        };
        for start in [Start::Oldest, Start::Last(1000)] {
            let mut reader = folder.reader(start, Mode::Once, filter);
            let told = texts(&drain(&mut reader));
            assert_eq!(told.iter().filter(|text| text.contains(".gz: ")).count(), 1);
            assert_eq!(reader.left_out().len(), 1);
        }
    }
    // Who does not ask for it does not care.
    let mut reader = folder.reader(Start::Last(5), Mode::Once, Filter::default());
    assert_eq!(drain(&mut reader).len(), 5);
    assert!(reader.left_out().is_empty());
    // Of two both are named.
    write(
        &folder.path(&format!("web.log.{oldest}.gz")),
        b"none of gzip's\n",
    );
    let mut reader = folder.reader(Start::Oldest, Mode::Once, Filter::default());
    drain(&mut reader);
    let numbers = [oldest, oldest - 1];
    assert_eq!(reader.left_out().len(), numbers.len());
    for (damage, number) in reader.left_out().iter().zip(numbers) {
        let file = format!("web.log.{number}.gz: ");
        assert!(damage.contains(&file), "{damage}");
    }
}

#[test]
fn a_file_that_is_missing_among_others_is_told_of() {
    let folder = Folder::new();
    let (writer, lines) = filled(&folder);
    assert!(pack_next(&folder, Packing::Gzip));
    let whole = texts(&folder.entries());
    assert_eq!(whole, lines);
    fs::remove_file(folder.path("web.log.3")).unwrap();
    let told = format!("{}: it is missing", folder.path("web.log.3").display());
    let at = lines
        .iter()
        .position(|line| !texts(&folder.entries()).contains(line))
        .unwrap();
    for (start, mode) in [
        (Start::Oldest, Mode::Once),
        (Start::Oldest, Mode::Follow),
        (Start::Last(1000), Mode::Once),
    ] {
        let mut reader = folder.reader(start, mode, Filter::default());
        let shown = texts(&drain(&mut reader));
        assert_eq!(shown[at], told);
        assert_eq!(shown[..at], lines[..at]);
        let missing = lines.len() + 1 - shown.len();
        assert_eq!(shown[at + 1..], lines[at + missing..]);
        assert_eq!(reader.left_out(), [told.as_str()]);
    }
    // Who does not ask for it does not care.
    let mut reader = folder.reader(Start::Last(5), Mode::Once, Filter::default());
    assert_eq!(drain(&mut reader).len(), 5);
    assert!(reader.left_out().is_empty());
    // A rotation that was cut off between a log and its index is no such gap.
    drop(writer);
    fs::rename(folder.path("web.log.2"), folder.path("web.log.3")).unwrap();
    fs::remove_file(folder.path("web.idx.3")).unwrap();
    let mut reader = folder.reader(Start::Oldest, Mode::Once, Filter::default());
    drain(&mut reader);
    assert!(reader.left_out().is_empty(), "{:?}", reader.left_out());
}

/// Nothing comes after it yet, so that a follower stays with it: it is told of once.
#[test]
fn a_follower_is_told_once_that_the_youngest_file_is_damaged() {
    let folder = Folder::new();
    let (writer, _) = filled(&folder);
    while pack_next(&folder, Packing::Gzip) {}
    drop(writer);
    for name in ["web.log", "web.idx", "web.log.1", "web.idx.1"] {
        fs::remove_file(folder.path(name)).unwrap();
    }
    let damaged = folder.path("web.log.2.gz");
    let whole = fs::read(&damaged).unwrap();
    write(&damaged, &whole[..whole.len() / 2]);
    let mut follower = folder.reader(Start::Oldest, Mode::Follow, Filter::default());
    let told = texts(&drain(&mut follower));
    let notices = told.iter().filter(|text| text.contains(".gz: ")).count();
    assert_eq!(notices, 1, "{told:?}");
    for _ in 0..3 {
        follower.changed();
        assert_eq!(texts(&drain(&mut follower)), [""; 0]);
    }
    // It goes on from there all the same.
    let mut writer = folder.writer(1000, 9);
    writer.append(9_000_000, Stream::Out, 1, b"after it\n");
    follower.changed();
    assert_eq!(texts(&drain(&mut follower)), ["after it"]);
}

/// A run that began in what is packed by now: who wants what lies near reads of the plain files alone.
#[test]
fn what_lies_near_is_told_without_unpacking() {
    let folder = Folder::new();
    let (_writer, lines) = filled(&folder);
    while pack_next(&folder, Packing::Gzip) {}
    let (plain, packed): (Vec<_>, Vec<_>) = names(&folder)
        .into_iter()
        .partition(|name| !name.ends_with(".gz"));
    // Whoever unpacked one would fail.
    for name in packed {
        write(&folder.path(&name), b"no gzip");
    }
    let held: usize = plain
        .iter()
        .map(|name| {
            fs::read_to_string(folder.path(name))
                .unwrap()
                .lines()
                .count()
        })
        .sum();
    let near = |filter| {
        let start = Start::Near {
            lines: 1000,
            bytes: 1 << 20,
        };
        let mut reader = folder.reader(start, Mode::Once, filter);
        let told = texts(&drain(&mut reader));
        assert!(reader.left_out().is_empty());
        (told, reader.leaves_packed())
    };
    let run = |run| Filter {
        run: Some(run),
        ..Filter::default()
    };
    let since = Filter {
        since_ms: Some(1500),
        ..Filter::default()
    };
    let expected = lines[lines.len() - held..].to_vec();
    assert_eq!(near(run(1)), (expected.clone(), true));
    assert_eq!(near(since), (expected, true));
    assert_eq!(crate::log::last_runs(&folder.0, "web", 5).unwrap(), [1]);
    // Where it lies there wholly, nothing is near.
    let early = Filter {
        until_ms: Some(1500),
        ..Filter::default()
    };
    assert_eq!(near(early), (vec![], true));
    for name in plain {
        fs::remove_file(folder.path(&name)).unwrap();
    }
    assert_eq!(near(run(1)), (vec![], true));
}

/// Somebody has removed what was not packed: whoever follows has the last lines all the same, and not all of them.
#[test]
fn a_follower_of_packed_files_alone_begins_with_the_last_lines() {
    let folder = Folder::new();
    let (writer, lines) = filled(&folder);
    drop(writer);
    while pack_next(&folder, Packing::Gzip) {}
    let mut held = 0;
    for name in names(&folder) {
        if !name.ends_with(".gz") {
            let text = fs::read_to_string(folder.path(&name)).unwrap();
            held += text.lines().count();
            fs::remove_file(folder.path(&name)).unwrap();
        }
    }
    let start = Start::Near {
        lines: 3,
        bytes: 1 << 20,
    };
    let last = lines.len() - held;
    let mut follower = folder.reader(start, Mode::Follow, Filter::default());
    assert_eq!(texts(&drain(&mut follower)), lines[last - 3..last]);
    append(&mut folder.writer(100, 50), 90_000, "more\n");
    follower.changed();
    let missing = format!("{}: it is missing", folder.path("web.log.1").display());
    assert_eq!(texts(&drain(&mut follower)), [missing.as_str(), "more"]);
    let mut once = folder.reader(start, Mode::Once, Filter::default());
    assert_eq!(texts(&drain(&mut once)), ["more"]);
}

/// `gzip -k web.log` by its user is no file of the log.
#[test]
fn a_packed_copy_of_the_current_file_is_left_alone() {
    let folder = Folder::new();
    let mut writer = folder.writer(20, 5);
    append(&mut writer, 1, "the first line of it\n");
    let copy = folder.path("web.log.gz");
    write(&copy, b"a copy");
    append(&mut writer, 2, "the next\n");
    assert!(folder.path("web.log.1").exists());
    drop(writer);
    let mut writer = folder.writer(20, 5);
    assert_eq!(
        texts(&folder.entries()),
        ["the first line of it", "the next"]
    );
    writer.clear(5000, 1).unwrap();
    assert_eq!(fs::read(&copy).unwrap(), b"a copy");
    assert!(!folder.path("web.log.1.gz").exists());
}
