//! Folders that a service is given: made, owned, told of, removed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use diakonos::sys::process::{Pid, PidFd};
use diakonos::sys::users;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Daemon};

const NOBODY: u32 = 65_534;

/// Where folders of each kind lie: root's are the machine's, others' are where the variables say.
struct Places {
    name: String,
    bases: [PathBuf; 5],
}

impl Places {
    fn new(bench: &Bench) -> Self {
        let bases = if users::effective_uid() == 0 {
            ["/run", "/var/lib", "/var/cache", "/var/log", "/etc"].map(PathBuf::from)
        } else {
            ["r", "s", "c", "s/log", "e"].map(|name| bench.path(name))
        };
        let folder = bench
            .path("x")
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_owned();
        Self {
            name: folder.into_string().unwrap(),
            bases,
        }
    }

    fn path(&self, kind: usize) -> PathBuf {
        self.bases[kind].join(&self.name)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for base in &self.bases {
            let _ = fs::remove_dir_all(base.join(&self.name));
        }
    }
}

fn daemon(bench: &Bench) -> Daemon<'_> {
    fs::create_dir(bench.path("r")).unwrap();
    let mut program = Program::new(env!("CARGO_BIN_EXE_diakonos"));
    let program = program.arg("daemon");
    let program = program.env("XDG_RUNTIME_DIR", bench.path("r"));
    let program = program.env("XDG_STATE_HOME", bench.path("s"));
    let program = program.env("XDG_CACHE_HOME", bench.path("c"));
    bench.daemon_by(program.env("XDG_CONFIG_HOME", bench.path("e")))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn folders_are_made_owned_told_of_and_the_runtime_ones_removed() {
    let bench = Bench::new();
    let places = Places::new(&bench);
    let _daemon = daemon(&bench);
    let (name, root) = (&places.name, users::effective_uid() == 0);
    let user = if root { "User = \"nobody\"" } else { "" };
    let keys = format!(
        "Type = \"oneshot\"\nRemainAfterExit = true\n\
         RuntimeDirectory = [\"{name}/a\", \"{name}/b/c\"]\nRuntimeDirectoryMode = \"0750\"\n\
         StateDirectory = \"{name}\"\nStateDirectoryMode = \"0700\"\nCacheDirectory = \"{name}\"\n\
         LogsDirectory = \"{name}\"\nConfigurationDirectory = \"{name}\"\n\
         UnsetEnvironment = [\"LANG\", \"A=2\", \"B=2\"]\n{user}"
    );
    let script = "A=1 B=2 env > $STATE_DIRECTORY/all";
    bench.service("web", "", script, &keys);
    bench.start("web").is(ResultKind::Started);
    let owner = |path: PathBuf| fs::metadata(path).unwrap().uid();
    let runtime = places.path(0);
    let own = users::effective_uid();
    let theirs = if root { NOBODY } else { own };
    for (path, uid, bits) in [
        (runtime.join("a"), theirs, 0o750),
        (runtime.join("b"), own, 0o755),
        (runtime.join("b/c"), theirs, 0o750),
        (places.path(1), theirs, 0o700),
        (places.path(2), theirs, 0o755),
        (places.path(3), theirs, 0o755),
        (places.path(4), own, 0o755),
    ] {
        assert_eq!(mode(&path), bits, "{}", path.display());
        assert_eq!(owner(path), uid);
    }
    let all = fs::read_to_string(places.path(1).join("all")).unwrap();
    let is_set = |line: &str| all.lines().any(|known| known == line);
    let [a, c] = ["a", "b/c"].map(|name| runtime.join(name).display().to_string());
    assert!(is_set(&format!("RUNTIME_DIRECTORY={a}:{c}")), "{all}");
    for (kind, variable) in ["STATE", "CACHE", "LOGS", "CONFIGURATION"]
        .iter()
        .enumerate()
    {
        let path = places.path(kind + 1);
        assert!(
            is_set(&format!("{variable}_DIRECTORY={}", path.display())),
            "{all}"
        );
    }

    bench.stop("web").is(ResultKind::Stopped);
    assert!(!runtime.join("a").exists() && !runtime.join("b/c").exists());
    assert!(runtime.join("b").exists());
    assert!(places.path(1).join("all").exists());
}

#[test]
fn runtime_folders_last_as_long_as_they_should() {
    let bench = Bench::new();
    let places = Places::new(&bench);
    let mut daemon = daemon(&bench);
    let mut ear = bench.ear();
    let name = &places.name;
    let kept = places.path(0);
    let script = "word=new; [ -e $RUNTIME_DIRECTORY/old ] && word=old; \
        touch $RUNTIME_DIRECTORY/old; echo $word > $EAR; exec sleep 1000";
    let kill = |daemon: &mut Daemon<'_>| {
        let pid = Pid::from_raw(bench.status("web").pid.unwrap()).unwrap();
        PidFd::open(pid).unwrap().signal(9).unwrap();
        daemon.until("web", "starting");
    };
    for (preserve, on_restart) in [("no", "new"), ("restart", "old"), ("yes", "old")] {
        let keys = format!(
            "RuntimeDirectory = \"{name}\"\nRuntimeDirectoryPreserve = \"{preserve}\"\n\
             Restart = \"on-failure\"\nRestartSec = 0"
        );
        bench.service("web", "", script, &keys);
        bench.start("web").is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), "new");
        kill(&mut daemon);
        assert_eq!(ear.next().unwrap(), on_restart, "{preserve}");
        bench.restart("web").is(ResultKind::Started);
        assert_eq!(ear.next().unwrap(), on_restart, "{preserve}");
        bench.stop("web").is(ResultKind::Stopped);
        assert_eq!(kept.exists(), preserve == "yes");
    }
}

#[test]
fn a_successor_removes_what_its_predecessor_has_made() {
    let bench = Bench::new();
    let places = Places::new(&bench);
    let mut daemon = daemon(&bench);
    let keys = format!("RuntimeDirectory = \"{}\"", places.name);
    bench.service("web", "", "exec sleep 1000", &keys);
    bench.start("web").is(ResultKind::Started);
    let first = daemon.pid();
    PidFd::open(first).unwrap().signal(9).unwrap();
    daemon.log.until("ready, PID");
    assert!(places.path(0).exists());
    bench.stop("web").is(ResultKind::Stopped);
    assert!(!places.path(0).exists());
}

#[test]
fn a_folder_that_cannot_be_made_fails_the_start_by_its_key() {
    let bench = Bench::new();
    let places = Places::new(&bench);
    let _daemon = daemon(&bench);
    let path = places.path(0);
    fs::write(&path, "").unwrap();
    let keys = format!("RuntimeDirectory = \"{}/x\"", places.name);
    bench.service("web", "", "exec sleep 1000", &keys);
    let done = bench.start("web");
    let text = &done.is(ResultKind::Failed).result().text;
    let expected = format!("making {}/x: Not a directory", path.display());
    assert!(
        text.contains("RuntimeDirectory=") && text.contains(&expected),
        "{text}"
    );
    let keys = format!("{keys}\nIgnoreUnsupported = [\"RuntimeDirectory\"]");
    bench.service("web", "", "exec sleep 1000", &keys);
    bench.start("web").is(ResultKind::Started);
    assert!(bench.status("web").forgone[0].contains(&expected));
    bench.stop("web").is(ResultKind::Stopped);
    fs::remove_file(&path).unwrap();
}
