//! What is saved and what of it is read, where a daemon is killed in between and where the disk is in the way.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::daemon::unit_context;
use crate::engine::{FactGoal, FactPhase, Facts, Moment};
use crate::sys::files;
use crate::unit::{self, Unit};
use crate::wire::{encode_saved, slot};

use super::predecessor::ASIDE;
use super::*;

fn saved(name: &str, boot_id: &str, restarts: u32) -> Saved {
    let facts = Facts {
        unit: UnitName::parse(name).unwrap(),
        goal: FactGoal::Down,
        phase: FactPhase::Stopped,
        main: None,
        control: None,
        deadline: None,
        since: Moment(1),
        reason: None,
        again: None,
        origin: None,
        voice: None,
        frozen: None,
        ready_at: None,
        restarts,
        attempt: 0,
        starts: vec![],
        last_run: RunId(7),
        begun: Moment(3),
        failure: None,
        main_ending: None,
        watchdog_ms: None,
        runtime_due: None,
        monitor: None,
    };
    Saved {
        facts,
        file: "/units/web.service".to_owned(),
        hash: 1,
        definition: None,
        next: None,
        text: None,
        boot_id: boot_id.to_owned(),
        inodes: vec![],
        cgroup: None,
        invocation: None,
        last_end: None,
        life: None,
        life_before: None,
        log_lost: 0,
        log_owed: Vec::new(),
        log_dropped: 0,
        log_limited: 0,
        stored: Vec::new(),
        oom_kills: None,
        said: None,
        access: None,
        forgone: None,
    }
}

fn folder(name: &str) -> PathBuf {
    let name = format!("diakonos-state-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    // Somebody who had our number may have been killed.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn definition(program: &str) -> Unit {
    let text = format!("[service]\nExecStart = \"{program}\"");
    let name = UnitName::parse("web").unwrap();
    unit::parse(
        &text,
        Path::new("/units/web.service"),
        &name,
        &unit_context(),
    )
    .unwrap()
}

fn save(states: &mut States, saved: &Saved) {
    states.save(UnitId(1), saved, Vec::new);
}

#[test]
fn a_successor_reads_the_last_save_and_nothing_of_another_boot() {
    let folder = folder("last");
    let mut states = States::new(folder.clone());
    let boot = states.boot_id().to_owned();
    for restarts in 0..5 {
        save(&mut states, &saved("web", &boot, restarts));
    }
    states.save(UnitId(2), &saved("old", "another boot", 0), Vec::new);
    fs::write(folder.join("of-nobody.unit"), "").unwrap();

    let mut successor = States::new(folder.clone());
    let left = successor.predecessor();
    assert_eq!((left.units.len(), left.last_run), (1, RunId(7)));
    assert!(left.unreadable.is_empty());
    let (last, slot) = &left.units[0];
    assert_eq!(last, &saved("web", &boot, 4));
    assert!(!folder.join("old.state").exists() && !folder.join("of-nobody.unit").exists());
    let definitions = Definitions::instead(definition("/bin/web"));
    successor.resume(UnitId(9), *slot, &definitions);
    successor.save(UnitId(9), &saved("web", &boot, 5), Vec::new);
    assert_eq!(successor.predecessor().units[0].0.facts.restarts, 5);
    successor.remove(UnitId(9), &UnitName::parse("web").unwrap());
    successor.keep_last_run(RunId(12));
    let left = successor.predecessor();
    assert_eq!((left.units, left.last_run), (vec![], RunId(12)));
    fs::remove_dir_all(&folder).unwrap();
}

/// Whichever of the two writes was the last one before the kill.
#[test]
fn definitions_that_the_facts_name_are_found_between_the_two_writes() {
    let folder = folder("definitions");
    let mut states = States::new(folder.clone());
    let context = unit_context();
    let units: Vec<Unit> = (0..4)
        .map(|count| definition(&format!("/bin/{count}")))
        .collect();
    let boot = states.boot_id().to_owned();
    let facts = |in_force: &Unit, next: Option<&Unit>| Saved {
        definition: Some(in_force.fingerprint()),
        next: next.map(Unit::fingerprint),
        ..saved("web", &boot, 0)
    };
    let steps = [
        (0, None),
        (0, Some(1)),
        (1, None),
        (2, None),
        (2, Some(3)),
        (2, Some(0)),
    ];
    let mut before: Option<Saved> = None;
    for (in_force, next) in steps {
        let in_force: &Unit = &units[in_force];
        let next: Option<&Unit> = next.map(|next| &units[next]);
        let now = facts(in_force, next);
        states.save(UnitId(1), &now, || {
            let both = [Some(in_force), next].into_iter().flatten();
            both.map(SavedDefinition::of).collect()
        });
        let found = states.definitions(&now, &context).unwrap();
        assert_eq!((&*found.in_force, found.next.as_deref()), (in_force, next));
        if let Some(before) = &before {
            let found = states.definitions(before, &context).unwrap();
            assert_eq!(Some(found.in_force.fingerprint()), before.definition);
            assert_eq!(found.next.map(|next| next.fingerprint()), before.next);
        }
        before = Some(now);
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// It stands there alone, goes to a file of its own beside a newer one, and comes back.
#[test]
fn a_definition_that_stands_with_the_facts_is_found_there() {
    let folder = folder("together");
    let mut states = States::new(folder.clone());
    let units = [definition("/bin/0"), definition("/bin/1")];
    let boot = states.boot_id().to_owned();
    let own_file = folder.join("web.unit");
    let saved_of = |of: &Unit, next: Option<&Unit>| Saved {
        hash: of.hash,
        definition: Some(of.fingerprint()),
        next: next.map(Unit::fingerprint),
        text: next.is_none().then(|| unit::to_toml(of)),
        ..saved("web", &boot, 0)
    };
    for (of, next, has_own) in [(0, None, false), (0, Some(1), true), (1, None, true)] {
        let (of, next): (&Unit, _) = (&units[of], next.map(|next: usize| &units[next]));
        let now = saved_of(of, next);
        states.save(UnitId(1), &now, || {
            let both = [Some(of), next].into_iter().flatten();
            both.map(SavedDefinition::of).collect()
        });
        assert_eq!(own_file.exists(), has_own);
        let left = &states.predecessor().units;
        assert_eq!(left[0].0, now);
        let found = states.definitions(&now, &unit_context()).unwrap();
        assert_eq!((&*found.in_force, found.next.as_deref()), (of, next));
    }
    states.remove(UnitId(1), &UnitName::parse("web").unwrap());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::remove_dir_all(&folder).unwrap();
}

/// A folder in a file's place fails a write as a full disk does.
#[test]
fn a_save_that_failed_is_not_good_until_it_is_written_itself() {
    let folder = folder("stale");
    let mut states = States::new(folder.clone());
    let boot = states.boot_id().to_owned();
    fs::create_dir_all(folder.join("web.unit")).unwrap();
    let unit = definition("/bin/web");
    let web = Saved {
        definition: Some(unit.fingerprint()),
        ..saved("web", &boot, 0)
    };
    let define = || vec![SavedDefinition::of(&unit)];
    states.save(UnitId(1), &web, define);
    assert!(!states.is_good());
    states.save(UnitId(2), &saved("other", &boot, 0), Vec::new);
    assert!(!states.is_good(), "another unit's save says nothing of it");
    fs::remove_dir(folder.join("web.unit")).unwrap();
    // The same facts: what failed was the definition.
    states.save(UnitId(1), &web, define);
    assert!(states.is_good());
    let found = states.definitions(&web, &unit_context()).unwrap();
    assert_eq!(*found.in_force, unit);

    fs::create_dir_all(folder.join("third.state")).unwrap();
    states.save(UnitId(3), &saved("third", &boot, 0), Vec::new);
    assert!(!states.is_good());
    states.remove(UnitId(3), &UnitName::parse("third").unwrap());
    assert!(states.is_good());
    fs::remove_dir_all(&folder).unwrap();
}

/// What a log is owed may be what does not fit; nobody is to be replaced on purpose meanwhile.
#[test]
fn facts_without_what_a_log_is_owed_are_kept_but_not_good() {
    let folder = folder("bare");
    let mut states = States::new(folder.clone());
    let boot = states.boot_id().to_owned();
    let mut web = saved("web", &boot, 1);
    web.log_owed = vec![1; slot::PAYLOAD_MAX];
    save(&mut states, &web);
    assert!(!states.is_good());
    web.log_owed.clear();
    let left = states.predecessor().units;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].0, web);
    save(&mut states, &web);
    assert!(states.is_good());
    fs::remove_dir_all(&folder).unwrap();
}

/// Writing all of them would come to nothing, each time that one is to be saved.
#[test]
fn where_the_folder_cannot_be_made_again_the_others_are_written_once_it_can() {
    let folder = folder("unmade");
    let mut states = States::new(folder.clone());
    let boot = states.boot_id().to_owned();
    save(&mut states, &saved("web", &boot, 0));
    states.save(UnitId(2), &saved("other", &boot, 0), Vec::new);
    fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/nowhere", &folder).unwrap();
    for restarts in 1..4 {
        save(&mut states, &saved("web", &boot, restarts));
        assert!(!states.is_good() && states.take_lost().is_empty());
        states.lost_are_written();
    }
    fs::remove_file(&folder).unwrap();
    save(&mut states, &saved("web", &boot, 4));
    assert_eq!(
        states.take_lost(),
        [UnitId(1), UnitId(2)].into_iter().sorted_set()
    );
    states.save(UnitId(2), &saved("other", &boot, 0), Vec::new);
    states.lost_are_written();
    assert!(states.is_good() && states.take_lost().is_empty());
    assert_eq!(states.predecessor().units.len(), 2);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_read_is_kept_aside_and_told_by_name() {
    let folder = folder("aside");
    let mut states = States::new(folder.clone());
    let boot = states.boot_id().to_owned();
    save(&mut states, &saved("sound", &boot, 0));
    let copy = fs::read(folder.join("sound.state")).unwrap();
    fs::write(folder.join("open.state"), &copy).unwrap();
    let wide = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(folder.join("open.state"), wide).unwrap();
    fs::write(folder.join("copied.state"), &copy).unwrap();
    fs::write(folder.join("rubbish.state"), "rubbish").unwrap();
    fs::write(folder.join("rubbish.unit"), "rubbish").unwrap();
    fs::write(folder.join("empty.state"), "").unwrap();
    fs::write(folder.join("torn.state"), &copy[..100]).unwrap();
    let newer = String::from_utf8(encode_saved(&saved("newer", &boot, 0))).unwrap();
    let newer = newer.replacen("\"version\":2", "\"version\":99", 1);
    let slot = Slot::first(newer.as_bytes()).unwrap();
    fs::write(folder.join("newer.state"), slot.encode(newer.as_bytes())).unwrap();
    let huge = fs::File::create(folder.join("huge.state")).unwrap();
    huge.set_len(1 << 40).unwrap();
    fs::create_dir_all(folder.join("folder.state/below")).unwrap();
    files::make_fifo(&folder.join("pipe.state"), 0o600, None).unwrap();
    std::os::unix::fs::symlink(folder.join("sound.state"), folder.join("link.state")).unwrap();
    fs::write(folder.join("no name.state"), "").unwrap();

    let left = states.predecessor();
    assert_eq!(left.units, [(saved("sound", &boot, 0), left.units[0].1)]);
    let told: Vec<&str> = left
        .unreadable
        .iter()
        .map(|one| one.text.as_str())
        .collect();
    for (name, reason) in [
        ("copied", "it is the state of sound"),
        ("empty", "nothing whole in it"),
        ("folder", "it is not a regular file"),
        ("huge", "File too large"),
        ("link", "it is a symbolic link"),
        (
            "newer",
            "it is of version 99, and this program knows none beyond 2",
        ),
        ("no name", "nothing whole in it"),
        ("open", "others may write to it"),
        ("pipe", "it is not a regular file"),
        ("rubbish", "nothing whole in it"),
        ("torn", "nothing whole in it"),
    ] {
        let path = folder.join(format!("{name}.state"));
        let aside = folder.join(ASIDE).join(format!("{name}.state"));
        let (path, aside) = (path.display(), aside.display());
        let line = format!("{path}: {reason}; kept as {aside}");
        assert!(told.contains(&line.as_str()), "{line}\n{told:#?}");
    }
    let named = left.unreadable.iter().filter(|one| one.unit.is_some());
    assert_eq!((named.count(), told.len()), (10, 11));
    assert!(folder.join(ASIDE).join("rubbish.unit").exists());
    assert!(states.predecessor().unreadable.is_empty());
    fs::remove_dir_all(&folder).unwrap();
}
