//! What starts the daemon with the machine: which kinds there are, what each consists of, and which of them is to be
//! had here.
//!
//! The texts are `texts`', putting them in place and taking them away `made`'s and, where they are lines of a
//! crontab, `crontab`'s. Does not talk to a daemon.

mod crontab;
mod made;
mod texts;

use std::path::{Path, PathBuf};

use super::exit::{Exit, Failure};
use crate::daemon::Home;
use crate::sys::process::error_text;
use crate::sys::users::{self, User};

pub(super) use made::{Made, Outcome, run};

/// The name of what is installed for the home that a user has by default; another home's is made of its path.
const NAME: &str = "diakonos";
/// Exists while systemd is the machine's init, sd_booted(3).
const SYSTEMD_RUNS: &str = "/run/systemd/system";
/// Exists while OpenRC has booted the machine.
const OPENRC_RUNS: &str = "/run/openrc/softlevel";
/// Where runit looks for services: the first that exists.
const RUNIT_FOLDERS: [&str; 3] = ["/etc/service", "/var/service", "/service"];
/// Users whose services start with the machine although they are not logged in, loginctl(1).
const LINGERING: &str = "/var/lib/systemd/linger";

/// What starts the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Systemd,
    SystemdUser,
    OpenRc,
    Runit,
    Cron,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Systemd,
        Self::SystemdUser,
        Self::OpenRc,
        Self::Runit,
        Self::Cron,
    ];

    /// As `--init` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::SystemdUser => "systemd-user",
            Self::OpenRc => "openrc",
            Self::Runit => "runit",
            Self::Cron => "cron",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let shown = super::text::clean(text);
            Failure::usage(format!("--init takes one of {names}, not `{shown}`"))
        })
    }

    /// What this machine has and this user may use.
    pub(super) fn detect(uid: u32) -> Result<Self, Failure> {
        let exists = |path: &str| Path::new(path).exists();
        let is_root = uid == 0;
        if Self::systemd_runs() {
            return Ok(if is_root {
                Self::Systemd
            } else {
                Self::SystemdUser
            });
        }
        if is_root && exists(OPENRC_RUNS) {
            return Ok(Self::OpenRc);
        }
        let first = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
        if is_root && first.trim_end() == "runit" {
            return Ok(Self::Runit);
        }
        if crontab::is_installed() {
            return Ok(Self::Cron);
        }
        let message = "this machine runs neither systemd nor OpenRC nor runit, and has no crontab";
        let names = Self::ALL.map(Self::name).join(", ");
        Err(Failure::new(Exit::Failed, message)
            .hint(format!("--init names what will be there: {names}")))
    }
}

impl Kind {
    pub(super) fn systemd_runs() -> bool {
        Path::new(SYSTEMD_RUNS).exists()
    }

    /// Those of which there may be something to remove.
    pub(super) fn removable(root: Option<&Path>) -> Vec<Self> {
        let is_here =
            |kind: &Self| *kind != Self::Cron || root.is_none() && crontab::is_installed();
        Self::ALL.into_iter().filter(is_here).collect()
    }

    /// How its systemd is spoken to.
    pub(super) fn manager(self) -> &'static str {
        match self {
            Self::SystemdUser => "systemctl --user",
            Self::Systemd | Self::OpenRc | Self::Runit | Self::Cron => "systemctl",
        }
    }

    /// Whether systemd runs the daemon under this name now.
    pub(super) fn is_active(self, name: &str) -> bool {
        let mut words: Vec<&str> = self.manager().split(' ').collect();
        words.extend(["is-active", "--quiet", name]);
        Self::systemd_runs() && run(&words).is_ok()
    }
}

/// Whose daemon is to be started, and how.
#[derive(Debug)]
pub(super) struct Subject {
    /// Absolute, as everything here; text without control characters.
    program: String,
    home: String,
    /// Those that were named; without them the units' own folders and the home's do.
    service_directories: Vec<String>,
    /// Of the unit, the script or the service.
    name: String,
    user: User,
    /// The user's own configuration, `$XDG_CONFIG_HOME`.
    configuration: PathBuf,
}

impl Subject {
    pub(super) fn find(home: &Home, service_directories: Vec<String>) -> Result<Self, Failure> {
        let failed = |what: &str, error: &std::io::Error| {
            Failure::new(
                Exit::Failed,
                format!("cannot {what}: {}", error_text(error)),
            )
        };
        let user = users::current().map_err(|error| failed("find out who you are", &error))?;
        let program =
            std::env::current_exe().map_err(|error| failed("find this program", &error))?;
        if !program.exists() {
            let message = "this program's file has been replaced or removed since it was started";
            return Err(Failure::new(Exit::Failed, message).hint("run the command again"));
        }
        let named = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let configuration = named.filter(|path| path.is_absolute());
        let configuration = configuration.unwrap_or_else(|| user.home.join(".config"));
        let is_usual = home.root() == user.home.join(".diakonos");
        for directory in &service_directories {
            if plain(Path::new(directory))?.contains(':') {
                let message = format!("{directory}: a `:` parts folders in DIAKONOS_SERVICE_DIR");
                return Err(Failure::new(Exit::Failed, message)
                    .hint("name a folder without one, a symlink for instance"));
            }
        }
        Ok(Self {
            program: plain(&program)?,
            home: plain(home.root())?,
            service_directories,
            name: if is_usual {
                NAME.to_owned()
            } else {
                home.tree_name()
            },
            user,
            configuration,
        })
    }

    pub(super) fn uid(&self) -> u32 {
        self.user.uid
    }

    pub(super) fn home(&self) -> &str {
        &self.home
    }

    pub(super) fn has_service_directories(&self) -> bool {
        !self.service_directories.is_empty()
    }

    /// Whether the user's services start at boot, and not with the first login only.
    pub(super) fn lingers(&self) -> bool {
        Path::new(LINGERING).join(&self.user.name).exists()
    }

    pub(super) fn user(&self) -> &str {
        &self.user.name
    }

    /// The name that the init system knows it by.
    pub(super) fn name(&self, kind: Kind) -> String {
        // All users' system units lie in one folder.
        match kind {
            Kind::Systemd if self.user.uid != 0 && self.name == NAME => {
                format!("{NAME}-{}", self.user.name)
            }
            _ => self.name.clone(),
        }
    }

    /// Everything that starts the daemon in this way, in the order of its making.
    pub(super) fn plan(&self, kind: Kind, root: Option<&Path>) -> Plan {
        let name = self.name(kind);
        let (made, reload): (Vec<Made>, &'static [&'static str]) = match kind {
            Kind::Systemd => {
                let folder = Path::new("/etc/systemd/system");
                let unit = format!("{name}.service");
                let path = folder.join(&unit);
                let text = texts::systemd(self, texts::Manager::System);
                let link = folder.join("multi-user.target.wants").join(&unit);
                (
                    vec![Made::file(&path, text), Made::link(link, path)],
                    &["systemctl", "daemon-reload"],
                )
            }
            Kind::SystemdUser => {
                let folder = self.configuration.join("systemd/user");
                let unit = format!("{name}.service");
                let path = folder.join(&unit);
                let text = texts::systemd(self, texts::Manager::User);
                let link = folder.join("default.target.wants").join(&unit);
                (
                    vec![Made::file(&path, text), Made::link(link, path)],
                    &["systemctl", "--user", "daemon-reload"],
                )
            }
            Kind::OpenRc => {
                let path = Path::new("/etc/init.d").join(&name);
                let link = Path::new("/etc/runlevels/default").join(&name);
                let script = Made::program(&path, texts::openrc(self));
                (vec![script, Made::link(link, path)], &[])
            }
            Kind::Runit => {
                let folder = Path::new("/etc/sv").join(&name);
                let services = runit_folder(root);
                let made = vec![
                    Made::program(&folder.join("run"), texts::runit(self)),
                    Made::program(&folder.join("finish"), texts::runit_finish(self)),
                    Made::program(&folder.join("control/t"), texts::runit_control(self)),
                    Made::link(services.join(&name), folder),
                ];
                (made, &[])
            }
            Kind::Cron => {
                let (begin, end) = (texts::cron_begin(self), texts::cron_end(self));
                let line = texts::cron(self);
                (vec![Made::Lines { begin, line, end }], &[])
            }
        };
        Plan {
            made,
            reload: if root.is_none() { reload } else { &[] },
            root: root.map(Path::to_owned),
            mark: texts::mark(self),
        }
    }
}

/// What there is to make, or to take away.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) made: Vec<Made>,
    /// The command by which the init system hears of it; empty if it looks by itself.
    pub(super) reload: &'static [&'static str],
    /// The folder that stands for `/`.
    pub(super) root: Option<PathBuf>,
    /// The line by which files are known to be ours.
    pub(super) mark: String,
}

fn runit_folder(root: Option<&Path>) -> &'static Path {
    let exists = |folder: &&str| made::below(root, Path::new(folder)).is_dir();
    let found = RUNIT_FOLDERS.into_iter().find(exists);
    Path::new(found.unwrap_or(RUNIT_FOLDERS[0]))
}

/// A path that every kind of file can hold.
fn plain(path: &Path) -> Result<String, Failure> {
    let refused = |reason: &str| {
        let message = format!("{}: this path {reason}", path.display());
        Err(Failure::new(Exit::Failed, message))
    };
    match path.to_str() {
        None => refused("is not UTF-8"),
        Some(text) if text.contains(char::is_control) => refused("has control characters in it"),
        // systemd goes on with the next line.
        Some(text) if text.ends_with('\\') => refused("ends with a backslash"),
        // Some crons read `\\%` as `\%`, others as `\` and the end of the command.
        Some(text) if text.contains("\\%") => refused("has a backslash before a `%`"),
        Some(text) => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_file_cannot_hold_is_refused() {
        for (path, reason) in [
            ("/a\nb", "control characters"),
            ("/ends\\", "ends with a backslash"),
            ("/a\\%b", "backslash before a `%`"),
        ] {
            let failure = plain(Path::new(path)).err();
            let said = failure.map(|failure| failure.message);
            assert!(said.is_some_and(|said| said.contains(reason)), "{path}");
        }
        assert!(plain(Path::new("/a\\b c%d'e\"f")).is_ok());
    }
}
