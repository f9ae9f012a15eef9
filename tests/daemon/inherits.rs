//! What a command of a unit is born with: nothing but what its unit says.

use std::fs;
use std::process::Command as Program;

use diakonos::wire::ResultKind;

use crate::harness::Bench;

/// A daemon that has itself been started carelessly: signals ignored, descriptors left open, variables set.
const CARELESS: &str = "trap '' HUP INT QUIT USR1 USR2 PIPE TSTP; exec 7</dev/null 9>/dev/null; \
    export CARELESS=1; umask 0; exec \"$0\" daemon";

/// Tells all, into the file that it is given. A shell that waits blocks signals for a moment, its children do not.
const SCRIPT: &str = "{ ls /proc/$$/fd; grep -E '^(Sig(Blk|Ign|Cgt)|Umask|Threads):' /proc/self/status; \
    cut -d ')' -f 2 /proc/self/stat; } > $OUT; env -u OUT -u EAR > $OUT.env";

#[test]
fn a_command_inherits_nothing_but_what_its_unit_says() {
    let bench = Bench::new();
    let program = env!("CARGO_BIN_EXE_diakonos");
    let _daemon = bench.daemon_by(Program::new("/bin/sh").args(["-c", CARELESS, program]));
    let out = bench.path("out");
    let keys = format!(
        "Environment = [\"OUT={}\", \"A=1\", \"B=2\"]\nUnsetEnvironment = [\"LANG\", \"A=2\", \"B=2\"]\nType = \"oneshot\"\nUMask = \"027\"\nEnvironmentFile = \"-%Y/none\"",
        out.display()
    );
    let text = format!("[service]\n{keys}\nExecStart = [\"/bin/sh\", \"-c\", '''{SCRIPT}''']\n");
    bench.file("web", &text);
    bench.start("web").is(ResultKind::Completed);

    let told = fs::read_to_string(&out).unwrap();
    let mut lines = told.lines();
    // The list is made by another process, and the shell's own descriptor for its output is 1 by then.
    let descriptors: Vec<&str> = lines
        .by_ref()
        .take_while(|line| !line.contains(':'))
        .collect();
    let status: Vec<&str> = told.lines().filter(|line| line.contains(':')).collect();
    let known = ["0", "1", "2"];
    assert!(
        descriptors
            .iter()
            .all(|number| known.contains(number) || *number == "10"),
        "{descriptors:?}"
    );
    let zero = "0000000000000000";
    let expected = [
        "Umask:\t0027".to_owned(),
        "Threads:\t1".to_owned(),
        format!("SigBlk:\t{zero}"),
        format!("SigIgn:\t{zero}"),
    ];
    for line in expected {
        assert!(status.contains(&&*line), "{line}: {told}");
    }
    // After the state: parent, process group, session, terminal.
    let stat: Vec<&str> = told.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(stat[2], stat[3], "it leads its session: {stat:?}");
    assert_eq!(stat[4], "0", "it has no terminal: {stat:?}");

    let all = fs::read_to_string(bench.path("out.env")).unwrap();
    let names = all.lines().filter_map(|line| line.split_once('='));
    let mut names: Vec<&str> = names.map(|(name, _)| name).collect();
    names.sort_unstable();
    // The last two are the shell's own.
    names.retain(|name| !["PWD", "_", "OLDPWD", "SHLVL"].contains(name));
    let expected = [
        "A",
        "DIAKONOS_UNIT",
        "HOME",
        "INVOCATION_ID",
        "LOGNAME",
        "PATH",
        "SHELL",
        "USER",
    ];
    assert_eq!(names, expected);
}
