//! The unit that `startup` writes, under systemd itself: as the first process of namespaces of its own, so that it does
//! nothing to this machine.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};

use diakonos::sys::cgroup::Tree;
use diakonos::sys::process::{Pid, PidFd};
use diakonos::sys::socket;

use crate::harness::{Bench, Deadline, Lines};

const SYSTEMD: &str = "/lib/systemd/systemd";

/// What makes a machine of these namespaces: `$0` is the bench's folder, `$1` a cgroup.
const BOOT: &str = r#"
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmpfs /run && mkdir /run/systemd
mount --bind "$0/machine" /etc/systemd/system
exec env -i container=docker PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=test.target --log-target=null --show-status=no
"#;

/// A machine of its own; it is gone when this is dropped.
struct Machine {
    first: Child,
    tree: Tree,
}

impl Machine {
    fn boot(bench: &Bench) -> Self {
        let tree = Tree::open(&format!("diakonos-machine-{}", std::process::id())).unwrap();
        let procs = tree.path().join("cgroup.procs");
        let inside = "unshare -C -m -p -f -u -i -n --kill-child sh -ec \"$BOOT\" \"$0\"";
        let script = format!("echo $$ > {} && exec {inside}", procs.display());
        let first = Program::new("sh")
            .args(["-c", &script])
            .arg(bench.path(""))
            .env("BOOT", BOOT)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { first, tree }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.first.kill();
        let _ = self.first.wait();
        // What was in it dies with its first process, whose own parent was killed.
        if let Ok(group) = diakonos::sys::cgroup::Cgroup::open(self.tree.path().to_owned()) {
            for pid in group.procs().unwrap_or_default() {
                if let Ok(process) = PidFd::open(pid) {
                    let _ = process.signal(9);
                    Deadline::new().wait(process.as_fd(), &|| format!("the end of PID {pid}"));
                }
            }
        }
        let _ = self.tree.remove();
    }
}

/// The unit as it is written, but started by a target of ours alone, and heard when it is ready.
fn prepare(bench: &Bench) {
    let machine = bench.path("machine");
    fs::create_dir(&machine).unwrap();
    let output = bench.run(&["startup", "--init", "systemd", "--print"]);
    let unit = String::from_utf8(output.stdout).unwrap();
    let lines = unit.lines().filter(|line| {
        let is_of_network = line.starts_with("Wants=") || line.starts_with("After=");
        !is_of_network
    });
    let unit: Vec<&str> = lines.collect();
    fs::write(machine.join("diakonos.service"), unit.join("\n") + "\n").unwrap();
    let drop_in = machine.join("diakonos.service.d");
    fs::create_dir(&drop_in).unwrap();
    let ear = bench.path("ear");
    let text = format!(
        "[Unit]\nDefaultDependencies=no\n\
         [Service]\nStandardError=append:{}\nExecStartPost=/bin/sh -c 'echo ready > {}'\n",
        bench.path("daemon.log").display(),
        ear.display()
    );
    fs::write(drop_in.join("test.conf"), text).unwrap();
    let target = "[Unit]\nDefaultDependencies=no\nWants=diakonos.service\n";
    fs::write(machine.join("test.target"), target).unwrap();
}

/// The daemon, by its number here and not there.
fn daemon(bench: &Bench) -> PidFd {
    let peer = socket::peer(bench.connect().as_fd()).unwrap();
    PidFd::open(peer.pid.unwrap()).unwrap()
}

fn numbered(bench: &Bench) -> usize {
    let log = fs::read_to_string(bench.home().join("logs/web.log")).unwrap();
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for (place, line) in whole.lines().enumerate() {
        assert_eq!(line, (place + 1).to_string());
    }
    whole.lines().count()
}

#[test]
#[ignore = "wants root, systemd and namespaces: cargo test --test daemon systemd -- --ignored"]
fn systemd_restarts_a_daemon_and_no_service() {
    assert!(Path::new(SYSTEMD).exists(), "there is no {SYSTEMD}");
    let bench = Bench::new();
    let mut ear: Lines = bench.ear();
    prepare(&bench);
    let script = "i=0; while :; do i=$((i + 1)); echo $i; done";
    bench.service("web", "", script, "LogMaxSize = \"1G\"");
    let machine = Machine::boot(&bench);
    assert_eq!(ear.next().unwrap(), "ready");
    let service_dir = bench.units().display().to_string();
    let done = bench.run(&["start", "web", "--service-dir", &service_dir]);
    assert!(done.status.success(), "{done:?}");
    let web = |bench: &Bench| {
        let processes = bench.processes();
        assert_eq!(processes.len(), 1, "{processes:?}");
        processes[0]
    };
    let pid: Pid = web(&bench);
    let mut lines = 0;
    for _ in 0..10 {
        let process = daemon(&bench);
        process.signal(9).unwrap();
        Deadline::new().wait(process.as_fd(), &|| "the daemon's end".to_owned());
        // A command that comes before systemd's successor leaves its place to that one.
        let status = bench.run(&["is-active", "web"]);
        assert_eq!(status.stdout, b"active\n", "{status:?}");
        assert_eq!(ear.next().unwrap(), "ready");
        assert_eq!(web(&bench), pid);
        let now = numbered(&bench);
        assert!(now > lines, "nothing was written");
        lines = now;
    }
    // Told to end, it is not started again.
    let kill = bench.run(&["kill"]);
    assert!(kill.status.success(), "{kill:?}");
    assert_eq!(bench.processes(), []);
    assert!(!bench.home().join("supervised").exists());
    numbered(&bench);
    drop(machine);
}
