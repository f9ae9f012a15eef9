//! Builds a virtual machine around a script, boots it, and reads what it reports.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use diakonos::sys::clock::monotonic_ms;
use diakonos::sys::poll::wait_readable;

const PROGRAM: &str = env!("CARGO_BIN_EXE_diakonos");
/// Where `tests/vm/kernel` is asked to put what it fetches.
const KERNEL: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/vm-kernel");
/// The scripts that run inside.
const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vm/guest");
/// How long a machine may run, in milliseconds, when others are busy here. One that panics or ends is not waited for.
const PATIENCE_MS: u64 = 900_000;

/// A machine that is not running.
pub(crate) struct Machine {
    folder: PathBuf,
    disk: Option<PathBuf>,
}

impl Machine {
    /// A machine that can run every script.
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("diakonos-vm-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let machine = Self { folder, disk: None };
        machine.build();
        machine
    }

    /// The same with an empty disk, `/dev/vda`, which outlives a boot.
    pub(crate) fn with_disk(mut self) -> Self {
        const DISK_BYTES: u64 = 32 * 1024 * 1024;
        let path = self.folder.join("disk");
        File::create(&path).unwrap().set_len(DISK_BYTES).unwrap();
        finish(
            Command::new(tool("mke2fs", "e2fsprogs"))
                .args(["-q", "-t", "ext4"])
                .arg(&path),
        );
        self.disk = Some(path);
        self
    }

    /// Everything that the machine has in its memory from the start.
    fn build(&self) {
        let root = self.folder.join("root");
        for folder in ["bin", "etc", "guest", "modules"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let busybox = tool("busybox", "busybox-static");
        fs::copy(&busybox, root.join("bin/busybox")).unwrap();
        fs::copy(PROGRAM, root.join("bin/diakonos")).unwrap();
        for library in libraries(&[&busybox, Path::new(PROGRAM)]) {
            let copy = root.join(library.strip_prefix("/").unwrap());
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(library, copy).unwrap();
        }
        for file in fs::read_dir(kernel("")).unwrap().flatten() {
            let path = file.path();
            if path.extension().is_some_and(|extension| extension == "ko") {
                fs::copy(&path, root.join("modules").join(file.file_name())).unwrap();
            }
        }
        let users = "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n";
        fs::write(root.join("etc/passwd"), users).unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
        for script in fs::read_dir(GUEST).unwrap().flatten() {
            fs::copy(script.path(), root.join("guest").join(script.file_name())).unwrap();
        }
        let init = root.join("init");
        fs::rename(root.join("guest/init.sh"), &init).unwrap();
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();

        let files = Command::new("find").arg(".").current_dir(&root).output();
        let mut packer = Command::new(tool("cpio", "cpio"))
            .args(["--create", "--format=newc", "--owner=0:0", "--quiet"])
            .current_dir(&root)
            .stdin(Stdio::piped())
            .stdout(File::create(self.folder.join("memory")).unwrap())
            .spawn()
            .unwrap();
        let mut names = packer.stdin.take().unwrap();
        names.write_all(&files.unwrap().stdout).unwrap();
        drop(names);
        assert!(packer.wait().unwrap().success());
    }

    /// Runs the machine with this script until it ends. Every check that the script makes has to be made, and good.
    pub(crate) fn boot(&self, script: &str) {
        let text = fs::read_to_string(format!("{GUEST}/{script}.sh")).unwrap();
        let mut command = Command::new(tool("qemu-system-x86_64", "qemu-system-x86"));
        command
            .args(["-M", "q35,sata=off,smbus=off", "-accel", "tcg", "-m", "384"])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-serial", "stdio", "-no-reboot"])
            .arg("-kernel")
            .arg(kernel("vmlinuz"))
            .arg("-initrd")
            .arg(self.folder.join("memory"))
            .arg("-append")
            .arg(format!(
                "console=ttyS0 quiet panic=-1 no_timer_check nokaslr mitigations=off script={script}"
            ));
        if let Some(disk) = &self.disk {
            let drive = format!("file={},format=raw,if=none,id=disk", disk.display());
            command.args(["-drive", &drive, "-device", "virtio-blk-pci,drive=disk"]);
        }
        let console = Console::of(command).read();
        let checks: Vec<&str> = console
            .lines()
            .filter_map(|line| line.strip_prefix("CHECK "))
            .collect();
        let wanted: Vec<String> = text.lines().filter_map(expected).collect();
        assert!(
            checks == wanted,
            "the machine said:\n{console}\nexpected: {wanted:#?}"
        );
        assert!(!console.contains("Kernel panic"), "{console}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A machine that runs, and what it says. It is switched off when this is dropped.
struct Console {
    machine: Child,
    pipe: File,
}

impl Console {
    fn of(mut command: Command) -> Self {
        let mut machine = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pipe = File::from(OwnedFd::from(machine.stdout.take().unwrap()));
        Self { machine, pipe }
    }

    /// All that the machine says until its end.
    fn read(mut self) -> String {
        let deadline_ms = monotonic_ms() + PATIENCE_MS;
        let mut bytes = Vec::new();
        loop {
            let left_ms = deadline_ms.saturating_sub(monotonic_ms());
            let is_ready = wait_readable(&[self.pipe.as_fd()], Some(left_ms)).unwrap()[0];
            let mut chunk = [0; 4096];
            let length = if is_ready {
                self.pipe.read(&mut chunk).unwrap()
            } else {
                0
            };
            bytes.extend_from_slice(&chunk[..length]);
            if length == 0 {
                let said = String::from_utf8_lossy(&bytes).replace('\r', "");
                assert!(is_ready, "the machine does not end; it said:\n{said}");
                return said;
            }
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}

fn finish(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// What a line of a script lets the machine say if all is well.
fn expected(line: &str) -> Option<String> {
    let mut words = line.trim_start().split(' ');
    let is_check = matches!(words.next(), Some("holds" | "comes"));
    words
        .next()
        .filter(|_| is_check)
        .map(|name| format!("{name} ok"))
}

/// The shared libraries that these programs need, and the loader, as ldd(1) lists them.
fn libraries(programs: &[&Path]) -> Vec<PathBuf> {
    let output = Command::new("ldd").args(programs).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_whitespace();
    let paths = words.filter(|word| word.starts_with('/') && !word.ends_with(':'));
    paths.map(PathBuf::from).collect()
}

/// A program's path; without it the test fails and says what to install.
fn tool(name: &str, package: &str) -> PathBuf {
    let folders = ["/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let mut paths = folders.iter().map(|folder| Path::new(folder).join(name));
    let found = paths.find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}"))
}

/// A file of the kernel's.
fn kernel(name: &str) -> PathBuf {
    let path = Path::new(KERNEL).join(name);
    assert!(
        path.exists(),
        "{} is missing: run tests/vm/kernel {KERNEL}",
        path.display()
    );
    path
}
