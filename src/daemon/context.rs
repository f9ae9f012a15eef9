//! The facts of this machine and user that `%` specifiers in unit files stand for. Only gathers them.

use std::fs;
use std::path::PathBuf;

use crate::sys::users;
use crate::unit::Context;

use super::home::Home;

/// What specifiers mean in the units of this user: systemd.unit(5), for root as in its system manager, for others as in
/// a user manager.
#[must_use]
pub fn unit_context() -> Context {
    let uid = users::effective_uid();
    let user = users::current().ok();
    let home = user
        .as_ref()
        .map_or_else(|| PathBuf::from("/"), |user| user.home.clone());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let [runtime, state, logs, cache, configuration] = if uid == 0 {
        ["/run", "/var/lib", "/var/log", "/var/cache", "/etc"].map(PathBuf::from)
    } else {
        let own = |variable, name| absolute(variable).unwrap_or_else(|| home.join(name));
        let state = own("XDG_STATE_HOME", ".local/state");
        let logs = state.join("log");
        let cache = own("XDG_CACHE_HOME", ".cache");
        let configuration = own("XDG_CONFIG_HOME", ".config");
        [runtime_folder(uid), state, logs, cache, configuration]
    };
    Context {
        user: user.map_or_else(|| uid.to_string(), |user| user.name),
        uid,
        home,
        host: host.trim_end().to_owned(),
        runtime,
        state,
        logs,
        cache,
        configuration,
    }
}

/// The session's folder, if there is a session: who logs in gets one from the system. Else one that the daemon makes in
/// its home, so that `%t` names a private folder everywhere.
fn runtime_folder(uid: u32) -> PathBuf {
    let system = PathBuf::from(format!("/run/user/{uid}"));
    let session = absolute("XDG_RUNTIME_DIR").into_iter().chain([system]);
    let mut session = session.filter(|folder| folder.is_dir());
    let own = || Home::find().map(|home| home.runtime());
    let found = session.next().or_else(|| own().ok());
    found.unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// A variable that names a folder; a relative path in it counts as none.
fn absolute(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable)?);
    path.is_absolute().then_some(path)
}
