//! One try to connect, and to get a good answer from a web server.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::Token;

use crate::engine::RunId;
use crate::sys::connect::{self, Address, Connected};
use crate::sys::files;
use crate::sys::process::error_text;
use crate::unit::Page;

use super::super::sources::{Source, Sources};
use super::Tried;

/// Bytes of an answer in which its first line has to end.
const STATUS_LINE_MAX: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(in crate::daemon) struct Connection {
    /// Still to be tried, the next one last.
    addresses: Vec<Address>,
    link: Option<Link>,
    /// What is to be asked for; a connection is enough where there is none.
    page: Option<Page>,
    /// Why the first address did not do.
    reason: String,
}

#[derive(Debug)]
struct Link {
    socket: OwnedFd,
    token: Token,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    /// The question was sent; what has come so far.
    Asked(Vec<u8>),
}

impl Connection {
    /// To the first of these that takes it.
    pub(super) fn new(mut addresses: Vec<Address>, page: Option<Page>) -> Self {
        addresses.reverse();
        Self {
            addresses,
            link: None,
            page,
            reason: String::new(),
        }
    }

    pub(super) fn go_on(&mut self, run: RunId, sources: &mut Sources) -> Tried {
        loop {
            let result = match &mut self.link {
                Some(link) => link.go_on(self.page.as_ref()),
                None => {
                    let Some(address) = self.addresses.pop() else {
                        return Tried::Bad(std::mem::take(&mut self.reason));
                    };
                    match Link::open(&address, run, sources) {
                        Ok(link) => self.link = Some(link),
                        Err(error) => self.note(error_text(&error)),
                    }
                    continue;
                }
            };
            match result {
                // Somebody is there: nobody else is to be asked.
                Tried::Bad(reason) if self.has_asked() => return Tried::Bad(reason),
                Tried::Bad(reason) => {
                    self.note(reason);
                    self.close(sources);
                }
                other => return other,
            }
        }
    }

    fn has_asked(&self) -> bool {
        let stage = self.link.as_ref().map(|link| &link.stage);
        matches!(stage, Some(Stage::Asked(_)))
    }

    /// The best address comes first, and its reason counts.
    fn note(&mut self, reason: String) {
        if self.reason.is_empty() {
            self.reason = reason;
        }
    }

    pub(super) fn close(&mut self, sources: &mut Sources) {
        if let Some(link) = self.link.take() {
            sources.remove(link.token, link.socket.as_fd());
        }
    }
}

impl Link {
    fn open(address: &Address, run: RunId, sources: &mut Sources) -> io::Result<Self> {
        let socket = connect::begin(address)?;
        let token = sources.add_read_write(socket.as_fd(), Source::Probe(run))?;
        Ok(Self {
            socket,
            token,
            stage: Stage::Connecting,
        })
    }

    fn go_on(&mut self, page: Option<&Page>) -> Tried {
        if let Stage::Connecting = self.stage {
            match connect::outcome(self.socket.as_fd()) {
                Ok(Connected::Pending) => return Tried::Pending,
                Err(error) => return Tried::Bad(error_text(&error)),
                Ok(Connected::Yes) => {}
            }
            let Some(page) = page else {
                return Tried::Well;
            };
            if let Err(error) = connect::send_all(self.socket.as_fd(), &question(page)) {
                return Tried::Bad(error_text(&error));
            }
            self.stage = Stage::Asked(Vec::new());
        }
        match &mut self.stage {
            Stage::Connecting => Tried::Pending,
            Stage::Asked(answer) => read(self.socket.as_fd(), answer),
        }
    }
}

fn question(page: &Page) -> Vec<u8> {
    let Page { endpoint, path } = page;
    format!(
        "GET {path} HTTP/1.1\r\nHost: {endpoint}\r\nUser-Agent: diakonos\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}

/// Reads until the first line is there; the rest is nobody's business.
fn read(socket: BorrowedFd<'_>, answer: &mut Vec<u8>) -> Tried {
    let mut chunk = [0; 512];
    loop {
        if let Some(end) = answer.iter().position(|byte| *byte == b'\n') {
            return judge(&answer[..end]);
        }
        if answer.len() > STATUS_LINE_MAX {
            return Tried::Bad("what answers is no web server".to_owned());
        }
        match files::read_into(socket, &mut chunk) {
            Ok(0) => return Tried::Bad("it hung up without an answer".to_owned()),
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Tried::Pending,
            Err(error) => return Tried::Bad(error_text(&error)),
        }
    }
}

/// `HTTP/1.1 200 OK`.
fn judge(line: &[u8]) -> Tried {
    let line = std::str::from_utf8(line).unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    let version = words.next().filter(|word| word.starts_with("HTTP/"));
    let status = version.and_then(|_| words.next()?.parse::<u16>().ok());
    match status {
        Some(200..=399) => Tried::Well,
        Some(status) => Tried::Bad(format!("the answer is HTTP status {status}")),
        None => Tried::Bad("what answers is no web server".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status() {
        for line in ["HTTP/1.1 200 OK\r", "HTTP/1.0 204", "HTTP/1.1 399 x"] {
            assert_eq!(judge(line.as_bytes()), Tried::Well, "{line}");
        }
        for line in [
            "HTTP/1.1 503 Busy",
            "HTTP/1.1 199",
            "220 mail",
            "",
            "HTTP/1.1 x",
        ] {
            assert!(matches!(judge(line.as_bytes()), Tried::Bad(_)), "{line}");
        }
        assert!(matches!(judge(b"HTTP/1.1 \xff"), Tried::Bad(_)));
    }
}
