//! `SystemCallFilter=`, systemd.exec(5): which system calls a service may make.
//!
//! Owns the reading of the list and what it comes to for each call; the names are `call_names.rs`.

use std::collections::BTreeMap;

use super::call_names::{members, names};
use super::nearest;
use super::report::{Fault, did_you_mean};
use super::value::{Value, fault, items, shorten, text};

/// By number from 1; `-` is none. On the architectures that have filters the numbers are the same.
const ERRNOS: &str = "EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT \
    ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG \
    ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY \
    ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR \
    EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE \
    ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG \
    ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK \
    EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP \
    EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET \
    ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT \
    ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL \
    EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED \
    EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON";
/// The greatest that a call can return.
const ERRNO_MAX: u16 = 4_095;
/// What a list of allowed calls has besides: nothing would run without.
const ALWAYS: &str = "@default";

/// The list as it was written, each word by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SystemCalls {
    /// Not empty; the first tells whether the list is of what is allowed.
    words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Word {
    /// `~` stood before it.
    is_forbidden: bool,
    /// A call or a group that is known.
    name: Box<str>,
    fate: Option<Fate>,
}

/// What becomes of who makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    Allowed,
    /// Killed, by SIGSYS.
    Killed,
    /// The call fails with this errno.
    Fails(u16),
}

impl SystemCalls {
    /// What becomes of a call that is not among [`Self::fates`].
    #[must_use]
    pub fn default_fate(&self) -> Fate {
        match self.words.first() {
            Some(word) if !word.is_forbidden => Fate::Killed,
            _ => Fate::Allowed,
        }
    }

    /// What becomes of each call that the list says something about; a later word counts more than an earlier one.
    #[must_use]
    pub fn fates(&self) -> BTreeMap<&'static str, Fate> {
        let mut fates = BTreeMap::new();
        let mut set = |name: &str, fate| {
            for call in members(name).unwrap_or_default() {
                fates.insert(call, fate);
            }
        };
        if self.default_fate() == Fate::Killed {
            set(ALWAYS, Fate::Allowed);
        }
        for word in &self.words {
            let plain = if word.is_forbidden {
                Fate::Killed
            } else {
                Fate::Allowed
            };
            set(&word.name, word.fate.unwrap_or(plain));
        }
        fates
    }

    /// The list as a unit file has it, for [`read`].
    pub(super) fn words(&self) -> Vec<String> {
        let word = |word: &Word| {
            let sign = if word.is_forbidden { "~" } else { "" };
            let fate = match word.fate {
                None | Some(Fate::Allowed) => String::new(),
                Some(Fate::Killed) => ":kill".to_owned(),
                Some(Fate::Fails(errno)) => format!(":{errno}"),
            };
            format!("{sign}{}{fate}", word.name)
        };
        self.words.iter().map(word).collect()
    }
}

/// Reads a list; an empty one filters nothing.
pub(super) fn read(value: &Value, faults: &mut Vec<Fault>) -> Option<SystemCalls> {
    let mut words = vec![];
    for item in items(value) {
        if let Err(fault) = read_text(item, &mut words) {
            faults.push(fault);
        }
    }
    (!words.is_empty()).then_some(SystemCalls { words })
}

/// `~` before a text is meant for all its words.
fn read_text(value: &Value, words: &mut Vec<Word>) -> Result<(), Fault> {
    let written = text(value)?;
    let bare = written.strip_prefix('~');
    for word in bare.unwrap_or(written).split_ascii_whitespace() {
        let (name, fate) = match word.split_once(':') {
            None => (word, None),
            Some((name, fate)) => (name, Some(read_fate(value, fate)?)),
        };
        if members(name).is_none() {
            let kind = if name.starts_with('@') {
                "group of system calls"
            } else {
                "system call"
            };
            let message = format!("`{}` is no {kind} that is known", shorten(name));
            let near = nearest(name, names()).map(did_you_mean);
            let hint = near.unwrap_or_else(|| "such as \"@system-service\"".to_owned());
            return Err(fault(value, message).hint(hint));
        }
        words.push(Word {
            is_forbidden: bare.is_some(),
            name: name.into(),
            fate,
        });
    }
    Ok(())
}

/// What is written behind the colon.
fn read_fate(value: &Value, text: &str) -> Result<Fate, Fault> {
    if text == "kill" {
        return Ok(Fate::Killed);
    }
    let mut known = ERRNOS.split_ascii_whitespace().zip(1..);
    let named = known.find(|(name, _)| *name == text);
    let number = named.map(|(_, number)| number).or(text.parse().ok());
    let number = number.filter(|number| *number <= ERRNO_MAX);
    number.map(Fate::Fails).ok_or_else(|| {
        let message = format!("`{}` is no error", shorten(text));
        fault(value, message).hint("such as EPERM, a number to 4095, or `kill`")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::super::tests::{refusal, service};
    use super::*;

    fn calls(list: &str) -> SystemCalls {
        let text = format!("SystemCallFilter = {list}\nExecStart = \"a\"");
        let calls = service(&text).sandbox.unwrap().system_calls.unwrap();
        let again = format!("SystemCallFilter = {:?}\nExecStart = \"a\"", calls.words());
        assert_eq!(
            service(&again).sandbox.unwrap().system_calls.unwrap(),
            calls
        );
        calls
    }

    #[test]
    fn the_first_word_tells_what_the_list_is_of() {
        let allowed = calls("[\"@system-service mount:EPERM\", \"~@chown ptrace:13\"]");
        assert_eq!(allowed.default_fate(), Fate::Killed);
        let fates = allowed.fates();
        assert_eq!(fates["read"], Fate::Allowed);
        assert_eq!(fates["execve"], Fate::Allowed);
        assert_eq!(fates["mount"], Fate::Fails(1));
        assert_eq!(fates["chown"], Fate::Killed);
        assert_eq!(fates["ptrace"], Fate::Fails(13));
        assert_eq!(fates.get("reboot"), None);
        let forbidden = calls("[\"~@mount:EPERM\", \"~swapon:kill\", \"umount\"]");
        assert_eq!(forbidden.default_fate(), Fate::Allowed);
        let fates = forbidden.fates();
        assert_eq!(fates["mount"], Fate::Fails(1));
        assert_eq!(fates["swapon"], Fate::Killed);
        assert_eq!(fates["umount"], Fate::Allowed);
        assert_eq!(fates.get("read"), None);
        assert!(
            service("SystemCallFilter = []\nExecStart = 'a'")
                .sandbox
                .is_none()
        );
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let wrong = |list| refusal(&format!("SystemCallFilter = {list}\nExecStart = 'a'"));
        assert!(wrong("'@system-servic'").contains("did you mean `@system-service`?"));
        assert!(wrong("'~moutn'").contains("`moutn` is no system call that is known"));
        assert!(wrong("'mount:EWHAT'").contains("`EWHAT` is no error"));
        assert!(wrong("'mount:4096'").contains("is no error"));
    }
}
