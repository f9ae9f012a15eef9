//! The facts of this machine and user that `%` specifiers in unit files stand for. Only gathers them.

use std::fs;
use std::path::PathBuf;

use crate::sys::users;
use crate::unit::Context;

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
    let (runtime, state, logs) = if uid == 0 {
        let system = ["/run", "/var/lib", "/var/log"].map(PathBuf::from);
        system.into()
    } else {
        let runtime = PathBuf::from(format!("/run/user/{uid}"));
        let state = absolute("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state"));
        let logs = state.join("log");
        (absolute("XDG_RUNTIME_DIR").unwrap_or(runtime), state, logs)
    };
    Context {
        user: user.map_or_else(|| uid.to_string(), |user| user.name),
        uid,
        home,
        host: host.trim_end().to_owned(),
        runtime,
        state,
        logs,
    }
}

/// A variable that names a folder; a relative path in it counts as none.
fn absolute(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable)?);
    path.is_absolute().then_some(path)
}
