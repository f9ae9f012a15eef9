//! A root directory of the service's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command as Program;

use diakonos::sys::users;
use diakonos::wire::ResultKind;

use crate::harness::Bench;

/// Puts a shell and what it is linked with below a folder.
fn furnish(root: &Path) {
    let linked = Program::new("ldd").arg("/bin/sh").output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    let words = linked
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    for file in words.chain(["/bin/sh"]) {
        let place = root.join(&file[1..]);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        // Not by this process: see `reread::executable`.
        let copied = Program::new("cp").arg(file).arg(place).status().unwrap();
        assert!(copied.success(), "{file}");
    }
}

#[test]
fn a_service_lives_below_its_root() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let root = bench.path("root");
    furnish(&root);
    fs::create_dir_all(root.join("work")).unwrap();
    fs::write(root.join("work/inside"), "").unwrap();
    let own = bench
        .path("x")
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_owned();
    let own = own.into_string().unwrap();
    let out = bench.path("out");
    fs::write(&out, "").unwrap();
    let text = |further: &str| {
        format!(
            "[service]\nType = \"oneshot\"\nRootDirectory = \"{}\"\nWorkingDirectory = \"/work\"\n\
             StandardOutput = \"append:{}\"\n\
             ExecStart = [\"sh\", \"-c\", '''echo *; cd /; echo *; echo > $STATE_DIRECTORY/kept''']\n\
             StateDirectory = \"{own}\"\n{further}\n",
            root.display(),
            out.display()
        )
    };
    if users::effective_uid() != 0 {
        let root = root.display();
        let text = format!("[service]\nRootDirectory = \"{root}\"\nExecStart = \"sh\"\n");
        bench.file("web", &text);
        let done = bench.start("web");
        let text = &done.is(ResultKind::Failed).result().text;
        assert!(text.contains(": only root may change it"), "{text}");
        return;
    }
    bench.file("web", &text(""));
    let done = bench.start("web");
    let state = Path::new("/var/lib").join(&own);
    let kept = state.join("kept").exists();
    let _ = fs::remove_dir_all(&state);
    done.is(ResultKind::Completed);
    let seen = fs::read_to_string(&out).unwrap();
    let mut seen = seen.lines();
    assert_eq!(seen.next(), Some("inside"));
    let top = seen.next().unwrap();
    assert!(top.contains("work") && !top.contains("proc"), "{top}");
    assert!(kept, "its folder is seen inside and is where it is outside");
    assert!(root.join("var/lib").join(&own).is_dir());
    // Whoever the service runs as gets there.
    for way in ["var", "var/lib"] {
        let mode = fs::metadata(root.join(way)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{way}");
    }
    assert!(!root.join("var/lib").join(&own).join("kept").exists());

    // A stream is opened where it is outside, whoever the service runs as.
    bench.file("web", &text("User = \"nobody\""));
    let done = bench.start("web");
    let _ = fs::remove_dir_all(&state);
    done.is(ResultKind::Completed);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);

    bench.file("web", &text("").replace("/root\"", "/nowhere\""));
    let done = bench.start("web");
    let _ = fs::remove_dir_all(&state);
    let failed = done.is(ResultKind::Failed).result();
    assert!(failed.text.contains("not found in PATH"), "{failed:?}");
    bench.file(
        "web",
        "[service]\nRootDirectory = \"/nowhere\"\nExecStart = \"/bin/sh\"\n",
    );
    let done = bench.start("web");
    let failed = done.is(ResultKind::Failed).result();
    let expected = "RootDirectory=/nowhere: No such file or directory";
    assert!(failed.text.contains(expected), "{failed:?}");
    let hint = failed.hint.as_deref().unwrap();
    assert!(hint.starts_with("RootDirectory= in "), "{hint}");
}

#[test]
fn a_sandbox_is_about_what_lies_below_the_root() {
    if users::effective_uid() != 0 {
        return;
    }
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let root = bench.path("root");
    furnish(&root);
    for folder in ["free", "usr", "secret", "tmp", "var/tmp", "dev"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("secret/file"), "").unwrap();
    // It leads elsewhere once the root is changed.
    std::os::unix::fs::symlink("/etc", root.join("boot")).unwrap();
    let script = "echo > /free/x && echo > /tmp/y && echo > /dev/null || exit 1\n\
                  for path in /x /usr/x /secret/file /dev/x; do (echo > $path) && exit 2; done\n\
                  [ ! -e /secret/file ] && [ -c /dev/zero ] && [ ! -e /dev/kmsg ]";
    let text = format!(
        "[service]\nType = \"oneshot\"\nRootDirectory = \"{}\"\nWorkingDirectory = \"/\"\n\
         ExecStart = [\"sh\", \"-c\", '''{script}''']\nProtectSystem = \"strict\"\n\
         PrivateTmp = true\nPrivateDevices = true\nReadWritePaths = \"+/free\"\n\
         InaccessiblePaths = [\"+/secret\", \"-+/boot\"]\n",
        root.display(),
    );
    bench.file("web", &text);
    bench.start("web").is(ResultKind::Completed);
    assert!(root.join("free/x").exists() && !root.join("tmp/y").exists());

    // What cannot be done is named.
    fs::remove_dir(root.join("var/tmp")).unwrap();
    let done = bench.start("web");
    let text = &done.is(ResultKind::Failed).result().text;
    let place = format!("PrivateTmp, at {}/var/tmp: No such file", root.display());
    assert!(text.contains(&place), "{text}");
}
