//! Each restriction from inside: the service tries what is forbidden and fails, and what is allowed and succeeds.
//!
//! As root by namespaces, as an ordinary user by Landlock; what the latter cannot have is refused by name.

use std::fs;

use diakonos::sys::users::effective_uid;
use diakonos::wire::ResultKind;

use crate::harness::{Bench, Done};

/// What every script can say: that a command has to fail, or to work.
const WORDS: &str = "no() { if \"$@\" 2>/dev/null; then echo \"worked: $*\"; exit 1; fi; }\n\
                     yes() { \"$@\" || { echo \"failed: $*\"; exit 1; }; }\n\
                     put() { echo new > \"$1\"; }\n\
                     empty() { [ -z \"$(ls -A \"$1\" 2>/dev/null)\" ]; }\n";

fn is_root() -> bool {
    effective_uid() == 0
}

fn run(bench: &Bench, keys: &str, script: &str) -> Done {
    let script = format!("{WORDS}{script}");
    let service = format!("Type = \"oneshot\"\n{keys}");
    bench.service("jail", "", &script, &service);
    bench.start("jail")
}

/// Runs a script to its good end.
fn holds(bench: &Bench, keys: &str, script: &str) {
    let done = run(bench, keys, script);
    let said = fs::read_to_string(bench.home().join("logs/jail.log")).unwrap_or_default();
    assert_eq!(
        done.result().kind,
        ResultKind::Completed,
        "{keys}\n{said}\n{done:?}"
    );
}

/// The start fails with a reason that has this in it.
fn refuses(bench: &Bench, keys: &str, reason: &str) {
    let done = run(bench, keys, "exit 0");
    let text = format!("{done:?}");
    assert_ne!(done.result().kind, ResultKind::Completed, "{keys}");
    assert!(text.contains(reason), "{keys}: {text}");
}

#[test]
fn no_privileges_are_gained() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    holds(&bench, "", "yes grep -q 'NoNewPrivs:.0' /proc/self/status");
    let keys = "NoNewPrivileges = true";
    holds(
        &bench,
        keys,
        "yes grep -q 'NoNewPrivs:.1' /proc/self/status",
    );
}

#[test]
fn capabilities_are_cut_and_kept() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let cut = "CapabilityBoundingSet = [\"CAP_CHOWN\", \"CAP_KILL\"]";
    if !is_root() {
        refuses(
            &bench,
            cut,
            "CapabilityBoundingSet: only root (CAP_SETPCAP)",
        );
        let ambient = "AmbientCapabilities = [\"CAP_NET_RAW\"]";
        refuses(
            &bench,
            ambient,
            "AmbientCapabilities: this daemon has not got CAP_NET_RAW",
        );
        let ignoring = format!("{ambient}\nIgnoreUnsupported = [\"AmbientCapabilities\"]");
        holds(&bench, &ignoring, "exit 0");
        return;
    }
    let owned = bench.path("owned");
    fs::write(&owned, "").unwrap();
    let owned = owned.display();
    let script = format!("yes chown 1 {owned}; yes chmod 600 {owned}");
    holds(&bench, "", &script);
    let script = format!(
        "yes chown 1 {owned}; no chmod 644 {owned}\n\
         yes grep -q 'CapBnd:.0*21$' /proc/self/status"
    );
    holds(&bench, cut, &script);
    let script = format!("no chown 2 {owned}; yes chmod 640 {owned}");
    holds(
        &bench,
        "CapabilityBoundingSet = \"~CAP_CHOWN CAP_SETUID\"",
        &script,
    );
    holds(
        &bench,
        "CapabilityBoundingSet = []",
        "yes grep -q 'CapEff:.0*$' /proc/self/status",
    );
    // Another user keeps what it is given, and nothing else.
    let keys = "User = \"nobody\"\nAmbientCapabilities = [\"CAP_CHOWN\"]";
    let script = format!(
        "yes [ $(id -u) != 0 ]; yes chown 3 {owned}; no chmod 600 {owned}\n\
         yes grep -q 'CapEff:.0*1$' /proc/self/status"
    );
    holds(&bench, keys, &script);
    let script = format!("no chown 4 {owned}; yes grep -q 'CapEff:.0*$' /proc/self/status");
    holds(&bench, "User = \"nobody\"", &script);
    // A command with all rights is not bound.
    let plus = format!("{cut}\nExecStartPre = \"+/bin/chmod 600 {owned}\"");
    holds(&bench, &plus, "exit 0");
}

#[test]
fn paths_are_read_only_writable_and_inaccessible() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    for folder in ["data/cache", "data/secret", "other"] {
        fs::create_dir_all(bench.path(folder)).unwrap();
        fs::write(bench.path(folder).join("file"), "old\n").unwrap();
    }
    fs::write(bench.path("key"), "old\n").unwrap();
    std::os::unix::fs::symlink(bench.path("data"), bench.path("link")).unwrap();
    let root = bench.path("");
    let root = root.display();
    let keys = format!(
        "ReadOnlyPaths = [\"{root}/data\", \"-{root}/missing\"]\n\
         ReadWritePaths = [\"{root}/data/cache\"]\n\
         InaccessiblePaths = [\"{root}/data/secret\", \"{root}/key\"]"
    );
    let script = format!(
        "cd {root}\n\
         yes cat data/cache/file; yes put data/cache/file; yes put data/cache/new\n\
         yes rm data/cache/new; yes put other/file; yes put other/new\n\
         no put data/file; no mkdir data/folder; no rmdir data/cache; no mv data/cache data/c\n\
         no put link/file; no ln other/file data/hard\n\
         yes empty data/secret; no cat data/secret/file; no put data/secret/file; no cat key\n\
         no put key; no rm data/secret/file; yes cat data/cache/file"
    );
    holds(&bench, &keys, &script);
    let text = fs::read_to_string(bench.path("data/cache/file")).unwrap();
    assert_eq!(text, "new\n");
    assert_eq!(fs::read_to_string(bench.path("key")).unwrap(), "old\n");
    let missing = format!("ReadOnlyPaths = [\"{root}/missing\"]");
    let reason = format!("ReadOnlyPaths={root}/missing: No such file or directory");
    refuses(&bench, &missing, &reason);
    // Nobody else sees any of it.
    fs::write(bench.path("data/file"), "free\n").unwrap();
}

#[test]
fn the_system_is_protected() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let free = bench.path("free");
    fs::create_dir(&free).unwrap();
    let free = free.display();
    // As root the file systems say so themselves; an ordinary user could not write there anyway.
    let write = "put /usr/diakonos-test";
    let keys = "ProtectSystem = true";
    holds(
        &bench,
        keys,
        &format!("no {write}; yes ls /usr/bin; yes put {free}/x"),
    );
    let keys = "ProtectSystem = \"full\"";
    holds(
        &bench,
        keys,
        &format!("no put /etc/diakonos-test; no {write}; yes put {free}/x"),
    );
    let keys = "ProtectSystem = \"strict\"";
    holds(
        &bench,
        keys,
        &format!("no put {free}/x; no put /tmp/diakonos-test; yes put /dev/null; yes ls /tmp"),
    );
    let keys = format!("{keys}\nReadWritePaths = [\"{free}\"]");
    let script = format!(
        "yes put {free}/x; no put {free}/../x; echo said > /dev/stdout\n\
         yes put $RUNTIME_DIRECTORY/x; no put $RUNTIME_DIRECTORY/../x"
    );
    let keys = format!(
        "{keys}\nRuntimeDirectory = \"diakonos-{}\"",
        std::process::id()
    );
    holds(&bench, &keys, &script);
}

#[test]
fn homes_are_protected() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let Some(home) = fs::canonicalize("/home").ok() else {
        return;
    };
    let home = home.display();
    let home_of_root = if is_root() { "/root" } else { "/home" };
    let keys = "ProtectHome = true";
    holds(
        &bench,
        keys,
        &format!("yes empty {home}; yes empty {home_of_root}; yes ls /usr"),
    );
    let keys = "ProtectHome = \"read-only\"";
    holds(
        &bench,
        keys,
        &format!("yes ls {home}; no put {home_of_root}/diakonos-test"),
    );
    let keys = "ProtectHome = \"tmpfs\"";
    if is_root() {
        let script = "yes [ -z \"$(ls -A /home /root | grep -v :)\" ]; no put /root/diakonos-test";
        holds(&bench, keys, script);
    } else {
        refuses(&bench, keys, "ProtectHome: only root (CAP_SYS_ADMIN)");
    }
}

#[test]
fn the_kernels_switches_are_protected() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let same = "put_same() { cat $1 > /dev/null && cat $1 > $1; }\n";
    let switch = "put_same /proc/sys/kernel/panic_on_oops";
    let keys = "ProtectKernelTunables = true";
    let script = format!("{same}no {switch}; yes cat /proc/sys/kernel/panic_on_oops");
    holds(&bench, keys, &script);
    if is_root() {
        let script = format!("{same}no cat /proc/kallsyms; no {switch}; yes put /dev/null");
        holds(&bench, keys, &script);
    }
}

#[test]
fn a_service_has_its_own_tmp_as_long_as_it_lives() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let keys = "PrivateTmp = true";
    if !is_root() {
        refuses(&bench, keys, "PrivateTmp: only root (CAP_SYS_ADMIN)");
        return;
    }
    let ours = format!("/tmp/diakonos-ours-{}", std::process::id());
    fs::write(&ours, "").unwrap();
    let pre =
        "ExecStartPre = [\"/bin/sh\", \"-c\", \"echo pre > /tmp/pre; echo pre > /var/tmp/v\"]";
    let script = format!(
        "no ls {ours}; yes cat /tmp/pre; yes cat /var/tmp/v; no ls /tmp/main; yes put /tmp/main\n\
         yes [ \"$(stat -c %a /tmp)\" = 1777 ]"
    );
    let keys = format!("{keys}\n{pre}");
    holds(&bench, &keys, &script);
    fs::remove_file(&ours).unwrap();
    assert!(!fs::exists("/tmp/pre").unwrap());
    // The next life finds nothing of the one before.
    holds(&bench, &keys, &script);
    assert!(!bench.home().join("tmp/jail").exists());
}

#[test]
fn its_own_tmp_is_new_although_a_life_begins_with_a_privileged_command() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    // What lies below /tmp is out of the service's sight.
    let second = format!("/dev/shm/diakonos-second-{}", std::process::id());
    let script = format!(
        "if [ -e {second} ]; then [ ! -e /tmp/old ]; exit; fi\n\
         echo > /tmp/old; echo > {second}; exit 1"
    );
    let keys = "PrivateTmp = true\nExecStartPre = [\"+/bin/true\"]\n\
                ExecStopPost = [\"+/bin/sh\", \"-c\", \"echo $EXIT_STATUS > $EAR\"]\n\
                Restart = \"on-failure\"\nRestartSec = 0";
    bench.service("web", "", &script, keys);
    bench.start("web");
    let ends = ear.take(2);
    fs::remove_file(&second).unwrap();
    assert_eq!(ends, ["1", "0"]);
}

#[test]
fn a_service_has_its_own_network() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let keys = "PrivateNetwork = true";
    if !is_root() {
        refuses(&bench, keys, "PrivateNetwork: only root (CAP_SYS_ADMIN)");
        return;
    }
    let script = "yes [ \"$(grep -c : /proc/net/dev)\" = 1 ]; yes grep -q lo: /proc/net/dev\n\
                  yes grep -q 127.0.0.1 /proc/net/fib_trie";
    holds(&bench, keys, script);
    // Our socket is neither there nor below this root.
    let notify = format!("{keys}\nNotifyAccess = \"all\"\nRootDirectory = \"/usr\"");
    refuses(
        &bench,
        &notify,
        "PrivateNetwork: the service is to notify us",
    );
    // All commands of one life share it.
    let mut ear = bench.ear();
    let say = "[\"/bin/sh\", \"-c\", \"readlink /proc/self/ns/net > $EAR\"]";
    let keys = format!("{keys}\nExecStartPost = {say}\nExecStop = {say}");
    bench.service(
        "web",
        "",
        "readlink /proc/self/ns/net > $EAR; exec sleep 1000",
        &keys,
    );
    bench.start("web").is(ResultKind::Started);
    let two = ear.take(2);
    bench.stop("web").is(ResultKind::Stopped);
    let third = ear.next().unwrap();
    assert_eq!(two, [third.clone(), third.clone()]);
    let outside = fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(outside.display().to_string(), third);
    daemon.until("web", "stopped");
}

#[test]
fn hardware_is_out_of_sight() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let keys = "PrivateDevices = true";
    if !is_root() {
        refuses(&bench, keys, "PrivateDevices: only root (CAP_SYS_ADMIN)");
        return;
    }
    let script = "no ls /dev/kmsg; no ls /dev/mem; yes put /dev/null; yes head -c 1 /dev/urandom\n\
                  no put /dev/new; yes ls /dev/fd/0; yes put /dev/shm/x; yes rm /dev/shm/x\n\
                  no mknod /var/tmp/diakonos-test c 1 3; yes [ -c /dev/zero ]; yes put /dev/stdout";
    holds(&bench, keys, script);
}

#[test]
fn a_sandbox_outlives_the_daemon_that_read_it() {
    let bench = Bench::new();
    let mut daemon = bench.daemon();
    let kept = bench.path("kept");
    fs::create_dir(&kept).unwrap();
    let kept = kept.display();
    let mut ear = bench.ear();
    let script = format!(
        "if echo > {kept}/x; then echo written > $EAR; else echo refused > $EAR; fi; exec sleep 1000"
    );
    let keys = format!(
        "ReadOnlyPaths = [\"{kept}\"]\nInaccessiblePaths = [\"-/none\"]\nProtectSystem = true\n\
         Restart = \"always\"\nRestartSec = 0"
    );
    bench.service("web", "", &script, &keys);
    bench.start("web").is(ResultKind::Started);
    assert_eq!(ear.next().unwrap(), "refused");
    let pid = bench.status("web").pid.unwrap();
    let old = daemon.pid();
    diakonos::sys::process::PidFd::open(old)
        .unwrap()
        .signal(9)
        .unwrap();
    daemon.log.until("ready, PID");
    fs::remove_file(bench.units().join("web.service")).unwrap();
    let main = diakonos::sys::process::Pid::from_raw(pid).unwrap();
    diakonos::sys::process::PidFd::open(main)
        .unwrap()
        .signal(9)
        .unwrap();
    assert_eq!(ear.next().unwrap(), "refused");
}

/// The numbers of calls that perl makes.
const MMAP: u32 = if cfg!(target_arch = "x86_64") { 9 } else { 222 };
const SOCKET: u32 = if cfg!(target_arch = "x86_64") {
    41
} else {
    198
};

#[test]
fn sockets_are_of_some_families_only() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let made = |family| format!("perl -e 'exit(syscall({SOCKET}, {family}, 1, 0) == -1)'");
    let (unix, inet) = (made(1), made(2));
    holds(&bench, "", &format!("yes {inet}; yes {unix}"));
    let keys = "RestrictAddressFamilies = [\"AF_UNIX\", \"AF_NETLINK\"]";
    holds(&bench, keys, &format!("no {inet}; yes {unix}"));
    let keys = "RestrictAddressFamilies = \"~AF_UNIX AF_PACKET\"";
    holds(&bench, keys, &format!("yes {inet}; no {unix}"));
    let keys = "RestrictAddressFamilies = \"none\"";
    holds(&bench, keys, &format!("no {inet}; no {unix}"));
}

#[test]
fn memory_files_and_personality_are_locked() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let map =
        |bits: u32| format!("perl -e 'exit(syscall({MMAP}, 0, 4096, {bits}, 34, -1, 0) == -1)'");
    let (both, write) = (map(7), map(3));
    holds(
        &bench,
        "",
        &format!("yes {both}; yes {write}; yes setarch -R true"),
    );
    let keys = "MemoryDenyWriteExecute = true";
    holds(&bench, keys, &format!("no {both}; yes {write}"));
    let keys = "LockPersonality = true";
    holds(&bench, keys, "no setarch -R true; yes true");
    let file = bench.path("file");
    let file = file.display();
    let touch = format!("yes touch {file}; yes chmod 4755 {file}; yes chmod 755 {file}");
    holds(&bench, "", &touch);
    let keys = "RestrictSUIDSGID = true";
    let script = format!(
        "no chmod 4755 {file}; no chmod 2755 {file}; yes chmod 755 {file}; yes cp {file} {file}2\n\
         no install -m 4755 {file} {file}3; yes [ ! -u {file}3 ]"
    );
    holds(&bench, keys, &script);
}

#[test]
fn system_calls_are_filtered() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let file = bench.path("file");
    fs::write(&file, "").unwrap();
    let file = file.display();
    let killed = "killed() { ( \"$@\" ) 2>/dev/null; [ $? = 159 ]; }\n";
    let fails = "fails() { text=$1; shift; \"$@\" 2>&1 | grep -q \"$text\"; }\n";
    let script = |ends: &str| format!("{killed}{fails}{ends}");
    let work = format!("yes ls / > /dev/null; yes chmod 600 {file}");
    // Of one file that is empty: of everything it may take as long as everybody else writes.
    let sync = format!("killed sync -d {file}");
    holds(&bench, "", &script(&format!("{work}; no {sync}")));
    // What is allowed, with groups taken out of groups.
    let keys = "SystemCallFilter = [\"@system-service\", \"~@sync\", \"fsync\"]";
    holds(
        &bench,
        keys,
        &script(&format!(
            "{work}; yes {sync}; yes killed /usr/sbin/chroot / true"
        )),
    );
    // What is forbidden, each in its own way.
    let modes = "chmod:EROFS fchmod:EROFS fchmodat:EROFS fchmodat2:EROFS";
    let keys = format!("SystemCallFilter = \"~fdatasync {modes}\"");
    let ends = format!("yes {sync}; yes fails Read-only chmod 600 {file}; yes ls /");
    holds(&bench, &keys, &script(&ends));
    let keys = "SystemCallFilter = [\"@known\", \"~fdatasync:30\"]";
    let script_of_one = format!("{work}; no {sync}; yes grep -q 'Seccomp:.2' /proc/self/status");
    holds(&bench, keys, &script(&script_of_one));
    if is_root() {
        let keys = format!("User = \"nobody\"\n{keys}");
        holds(
            &bench,
            &keys,
            "yes grep -q 'NoNewPrivs:.1' /proc/self/status",
        );
    }
    // A service that is killed so says by what.
    bench.service(
        "jail",
        "",
        "sync",
        "SystemCallFilter = \"~sync\"\nType = \"oneshot\"",
    );
    let text = format!("{:?}", bench.start("jail"));
    assert!(text.contains("159") || text.contains("SIGSYS"), "{text}");
    // What cannot be executed under its own filter says so still.
    let keys = "SystemCallFilter = \"@system-service\"\nExecStartPre = \"/nonexistent\"";
    refuses(&bench, keys, "/nonexistent: No such file or directory");
}
