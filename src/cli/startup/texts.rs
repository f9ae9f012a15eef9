//! The texts that start the daemon: units, scripts and a line for cron. Pure.
//!
//! What they have in common: the program and the home stand in them with their whole paths, a daemon that crashed is
//! started again, and one that was told to end is not. Where a supervisor does that, the daemon has no guardian.

use super::Subject;

/// Which of systemd's managers runs the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manager {
    System,
    User,
}

/// The line by which a file is known to be ours, and this home's.
pub(super) fn mark(subject: &Subject) -> String {
    format!(
        "# Made by `diakonos startup` for {}; `diakonos unstartup` removes it.",
        subject.home
    )
}

/// A unit, systemd.service(5). `KillMode=process`: else systemd ends the services with a daemon that crashed. There is
/// no `ExecStop=`, since systemd runs it after a crash, too.
pub(super) fn systemd(subject: &Subject, manager: Manager) -> String {
    let (mark, name) = (mark(subject), subject.name(super::Kind::Systemd));
    let (home, program) = (&subject.home, quoted(&subject.program));
    let described = home.replace('%', "%%");
    let (scope, order, target) = match manager {
        Manager::System => (
            "",
            "Wants=network-online.target\n\
             After=network-online.target nss-user-lookup.target remote-fs.target\n",
            "multi-user.target",
        ),
        Manager::User => (" --user", "", "default.target"),
    };
    let name = match manager {
        Manager::System => name,
        Manager::User => subject.name(super::Kind::SystemdUser),
    };
    let user = match manager {
        Manager::System if subject.user.uid != 0 => format!("User={}\n", subject.user.name),
        _ => String::new(),
    };
    let mounts = quoted(home);
    let mut environment = format!("Environment={}\n", quoted(&format!("DIAKONOS_HOME={home}")));
    if let Some(folders) = folders(subject) {
        let entry = quoted(&format!("DIAKONOS_SERVICE_DIR={folders}"));
        environment.push_str(&format!("Environment={entry}\n"));
    }
    format!(
        "{mark}\n\
         # Each `diakonos startup` writes it anew; what is yours goes into a drop-in: systemctl{scope} edit {name}\n\
         \n\
         [Unit]\n\
         Description=Diakonos, the service manager of {described}\n\
         {order}\
         RequiresMountsFor={mounts}\n\
         # However often it crashes, somebody has to look after its services.\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         # What a service wrote just before it and the daemon died is kept for the successor, who reads it.\n\
         FileDescriptorStoreMax=16384\n\
         {user}\
         {environment}\
         ExecStart={program} daemon --no-guardian\n\
         # The program on disk takes over, and no service notices.\n\
         ExecReload={program} upgrade\n\
         # SIGTERM goes to the daemon alone, which stops its services in order. When it crashes they run on, and its\n\
         # successor takes them back. There is no ExecStop=, since that is run after a crash, too.\n\
         KillMode=process\n\
         TimeoutStopSec=5min\n\
         Restart=on-failure\n\
         RestartSec=100ms\n\
         # Another daemon serves this home: two would be one too many.\n\
         RestartPreventExitStatus=6\n\
         # A cgroup for each service, limits of their own, and a service that runs out of memory is not the end of all.\n\
         Delegate=yes\n\
         TasksMax=infinity\n\
         OOMPolicy=continue\n\
         \n\
         [Install]\n\
         WantedBy={target}\n"
    )
}

/// A service script, openrc-run(8). The daemon's own guardian restarts it, so that nothing here has to.
pub(super) fn openrc(subject: &Subject) -> String {
    let (mark, export) = (mark(subject), export(subject));
    let program = shell(&subject.program);
    let description = shell(&format!(
        "Diakonos, the service manager of {}",
        subject.home
    ));
    format!(
        "#!/sbin/openrc-run\n\
         {mark}\n\
         \n\
         description={description}\n\
         program={program}\n\
         {export}\
         \n\
         depend() {{\n\
         \tneed localmount\n\
         \tuse net dns logger netmount\n\
         }}\n\
         \n\
         # Returns when the daemon is ready, be it this one or one that runs already.\n\
         start() {{\n\
         \tebegin \"Starting $RC_SVCNAME\"\n\
         \t\"$program\" daemon --background\n\
         \teend $?\n\
         }}\n\
         \n\
         # Returns when no service is left.\n\
         stop() {{\n\
         \tebegin \"Stopping $RC_SVCNAME and its services\"\n\
         \t\"$program\" kill >/dev/null\n\
         \teend $?\n\
         }}\n\
         \n\
         status() {{\n\
         \tif \"$program\" daemon-status >/dev/null 2>&1; then\n\
         \t\teinfo \"status: started\"\n\
         \t\treturn 0\n\
         \tfi\n\
         \teinfo \"status: stopped\"\n\
         \treturn 3\n\
         }}\n"
    )
}

/// The `run` program of a service of runsv(8).
pub(super) fn runit(subject: &Subject) -> String {
    let (mark, mut exports) = (mark(subject), export(subject));
    if let Some(folders) = folders(subject) {
        let line = format!("export DIAKONOS_SERVICE_DIR={}\n", shell(&folders));
        exports.push_str(&line);
    }
    let program = shell(&subject.program);
    format!(
        "#!/bin/sh\n\
         {mark}\n\
         \n\
         {exports}\
         [ -d \"$DIAKONOS_HOME\" ] || mkdir -p -m 0700 \"$DIAKONOS_HOME\"\n\
         exec >>\"$DIAKONOS_HOME/daemon.log\" 2>&1\n\
         # Commands that find no daemon then wait for the one that is made here.\n\
         cat /proc/sys/kernel/random/boot_id >\"$DIAKONOS_HOME/supervised\"\n\
         exec {program} daemon --no-guardian\n"
    )
}

/// Its `finish` program: what becomes of the service when `run` has ended with the code `$1`.
pub(super) fn runit_finish(subject: &Subject) -> String {
    let mark = mark(subject);
    format!(
        "#!/bin/sh\n\
         {mark}\n\
         \n\
         # 0: it was told to end (`diakonos kill`). 6: another daemon serves this home. Both stand until `sv up`.\n\
         rm supervise/restart 2>/dev/null && exit\n\
         case $1 in\n\
         0 | 6) exec sv down \"$PWD\" ;;\n\
         esac\n"
    )
}

/// Its `control/t` program, run before SIGTERM is sent: the end that follows is of runit's own making.
pub(super) fn runit_control(subject: &Subject) -> String {
    let mark = mark(subject);
    format!(
        "#!/bin/sh\n\
         {mark}\n\
         \n\
         # For `finish`: it ends because of `sv restart`, and is to come back. The signal is still sent.\n\
         : >supervise/restart\n\
         exit 1\n"
    )
}

pub(super) fn cron_begin(subject: &Subject) -> String {
    mark(subject)
}

pub(super) fn cron_end(subject: &Subject) -> String {
    format!(
        "# End of what `diakonos startup` made for {}.",
        subject.home
    )
}

/// A line of crontab(5), in which a bare `%` would end the command.
pub(super) fn cron(subject: &Subject) -> String {
    let home = shell(&subject.home);
    let program = shell(&subject.program);
    let command = format!("DIAKONOS_HOME={home} {program} daemon --background");
    format!("@reboot {}", command.replace('%', "\\%"))
}

/// As the variable has them.
fn folders(subject: &Subject) -> Option<String> {
    let folders = &subject.service_directories;
    (!folders.is_empty()).then(|| folders.join(":"))
}

fn export(subject: &Subject) -> String {
    format!("export DIAKONOS_HOME={}\n", shell(&subject.home))
}

/// A word as systemd reads it, whatever is in it.
fn quoted(text: &str) -> String {
    let mut word = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                word.push('\\');
                word.push(character);
            }
            // Else it begins a specifier.
            '%' => word.push_str("%%"),
            _ => word.push(character),
        }
    }
    word.push('"');
    word
}

/// A word as a shell reads it, whatever is in it.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Kind, NAME};
    use super::*;
    use crate::cli::golden;
    use crate::sys::users::User;

    fn subject(name: &str, uid: u32, program: &str, folders: &[&str]) -> Subject {
        let home = if uid == 0 { "/root" } else { "/home/ann" };
        Subject {
            program: program.to_owned(),
            home: format!("{home}/.diakonos"),
            service_directories: folders.iter().map(|&folder| folder.to_owned()).collect(),
            name: NAME.to_owned(),
            user: User {
                name: name.to_owned(),
                uid,
                gid: uid,
                home: PathBuf::from(home),
                shell: PathBuf::from("/bin/sh"),
            },
            configuration: PathBuf::from(home).join(".config"),
        }
    }

    fn shown(subject: &Subject, kind: Kind) -> String {
        let made = subject.plan(kind, Some(std::path::Path::new("/nowhere")));
        made.made.iter().map(super::super::Made::shown).collect()
    }

    #[test]
    fn what_starts_the_daemon_is_as_in_the_golden_files() {
        let root = subject("root", 0, "/usr/local/bin/diakonos", &[]);
        let ann = subject("ann", 1000, "/home/ann/bin/diakonos", &["/srv/units"]);
        golden::check("startup-systemd", &shown(&root, Kind::Systemd));
        golden::check("startup-systemd-of-user", &shown(&ann, Kind::Systemd));
        golden::check("startup-systemd-user", &shown(&ann, Kind::SystemdUser));
        golden::check("startup-openrc", &shown(&root, Kind::OpenRc));
        golden::check("startup-runit", &shown(&root, Kind::Runit));
        golden::check("startup-cron", &shown(&ann, Kind::Cron));
    }

    /// A path may hold all that systemd, a shell and cron take for their own.
    #[test]
    fn odd_paths_are_quoted() {
        let odd = subject("root", 0, "/opt/a b'c\"d%e$f\\g/diakonos", &["/x y", "/z%"]);
        for (kind, words) in [
            (
                Kind::Systemd,
                [
                    r#"ExecStart="/opt/a b'c\"d%%e$f\\g/diakonos" daemon"#,
                    r#""DIAKONOS_SERVICE_DIR=/x y:/z%%""#,
                ],
            ),
            (
                Kind::OpenRc,
                [
                    r#"program='/opt/a b'\''c"d%e$f\g/diakonos'"#,
                    "daemon --background",
                ],
            ),
            (
                Kind::Runit,
                [
                    r#"exec '/opt/a b'\''c"d%e$f\g/diakonos' daemon"#,
                    "DIAKONOS_SERVICE_DIR='/x y:/z%'",
                ],
            ),
            (
                Kind::Cron,
                [r#" '/opt/a b'\''c"d\%e$f\g/diakonos' "#, "@reboot "],
            ),
        ] {
            let text = shown(&odd, kind);
            for word in words {
                assert!(text.contains(word), "no {word} in\n{text}");
            }
        }
    }
}
