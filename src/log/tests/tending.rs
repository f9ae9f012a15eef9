//! Logs that are begun anew because somebody wishes it.

use super::*;
use crate::log::{Mark, Turned};

#[test]
fn a_log_is_rotated_at_the_next_line_end_and_not_for_nothing() {
    let folder = Folder::new();
    let mut writer = folder.writer(1000, 5);
    let mut follower = folder.reader(Start::Oldest, Mode::Follow, Filter::default());
    assert_eq!(writer.turn().unwrap(), Turned::Empty);
    append(&mut writer, 1, "one\n");
    assert_eq!(writer.turn().unwrap(), Turned::Rotated);
    assert_eq!(writer.turn().unwrap(), Turned::Empty);
    append(&mut writer, 2, "two\nhal");
    assert_eq!(writer.turn().unwrap(), Turned::WithLineEnd);
    assert_eq!(fs::read(folder.path("web.log")).unwrap(), b"two\nhal");
    append(&mut writer, 3, "f\nthree\n");
    assert_eq!(fs::read(folder.path("web.log.2")).unwrap(), b"one\n");
    assert_eq!(fs::read(folder.path("web.log.1")).unwrap(), b"two\nhalf\n");
    assert_eq!(fs::read(folder.path("web.log")).unwrap(), b"three\n");
    assert_eq!(writer.take_rotations(), 2);
    assert_eq!(writer.take_rotations(), 0);
    let lines = ["one", "two", "half", "three"];
    follower.changed();
    assert_eq!(texts(&drain(&mut follower)), lines);
    assert_eq!(texts(&folder.entries()), lines);
}

#[test]
fn a_cleared_log_tells_of_that_and_goes_on() {
    let folder = Folder::new();
    let mut writer = folder.writer(8, 5);
    let mut follower = folder.reader(Start::Oldest, Mode::Follow, Filter::default());
    for line in ["one\n", "two\n", "three\n", "four\nfi"] {
        append(&mut writer, 1, line);
    }
    follower.changed();
    assert_eq!(
        texts(&drain(&mut follower)),
        ["one", "two", "three", "four"]
    );
    writer.clear(7, 3).unwrap();
    append(&mut writer, 8, "ve\nsix\n");
    assert!(!folder.path("web.log.1").exists() && !folder.path("web.idx.1").exists());
    let entries = folder.entries();
    assert_eq!(texts(&entries), ["ve", "six"]);
    assert_eq!((entries[0].time_ms, entries[0].run), (7, 3));
    assert_eq!(entries[0].content, Content::Mark(Mark::Cleared));
    follower.changed();
    let followed = drain(&mut follower);
    assert!(
        followed
            .iter()
            .any(|entry| entry.content == Content::Mark(Mark::Cleared))
    );
    assert_eq!(texts(&followed)[1..], ["ve", "six"]);
    // A successor goes on with it.
    drop(writer);
    append(&mut folder.writer(1000, 5), 9, "seven\n");
    assert_eq!(texts(&folder.entries()), ["ve", "six", "seven"]);
}

/// Killed between any two steps: what is left is the younger part of what there was, and whoever is next goes on.
#[test]
fn a_clearing_that_was_cut_off_leaves_the_younger_part() {
    for removed in 0..=4 {
        let folder = Folder::new();
        let mut writer = folder.writer(8, 9);
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n"] {
            append(&mut writer, 1, line);
        }
        drop(writer);
        let count = (1..9).take_while(|number| folder.path(&format!("web.log.{number}")).exists());
        let count = count.count();
        for number in (1..=count).rev().take(removed) {
            fs::remove_file(folder.path(&format!("web.idx.{number}"))).unwrap();
            fs::remove_file(folder.path(&format!("web.log.{number}"))).unwrap();
        }
        let left = texts(&folder.entries());
        append(&mut folder.writer(1000, 9), 2, "last\n");
        let lines = texts(&folder.entries());
        assert_eq!(lines[..left.len()], left);
        assert_eq!(lines[left.len()..], ["last"]);
        folder.writer(8, 9).clear(3, 1).unwrap();
        assert_eq!(texts(&folder.entries()), [] as [&str; 0]);
    }
}

/// The new index has no room for as much as its header; the old pair goes on.
#[test]
fn a_rotation_that_fails_leaves_nothing_behind() {
    let folder = Folder::new();
    let mut writer = folder.writer(1 << 20, 3);
    append(&mut writer, 1, "one\n");
    std::os::unix::fs::symlink("/dev/full", folder.path("web.idx.new")).unwrap();
    let failed = writer.turn();
    assert_eq!(failed.unwrap_err().raw_os_error(), Some(28));
    let names = fs::read_dir(&folder.0).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["web.idx", "web.log"]);
    append(&mut writer, 2, "two\n");
    assert_eq!(texts(&folder.entries()), ["one", "two"]);
    assert_eq!(writer.turn().unwrap(), crate::log::Turned::Rotated);
}
