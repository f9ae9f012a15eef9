//! Where a host is, without asking a name server: that would make the loop wait.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::sys::connect::Address;
use crate::sys::files;
use crate::sys::process::error_text;
use crate::unit::Endpoint;

const HOSTS: &str = "/etc/hosts";
/// Bytes of that file.
const HOSTS_MAX: usize = 256 * 1024;

/// The addresses of an endpoint, in the order in which they are to be tried.
pub(super) fn addresses(endpoint: &Endpoint) -> Result<Vec<Address>, String> {
    let host = &*endpoint.host;
    let found = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) if host == "localhost" => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Err(_) => in_file(host).map_err(|error| format!("{HOSTS}: {}", error_text(&error)))?,
    };
    if found.is_empty() {
        return Err(format!(
            "{host} is neither an address nor in {HOSTS}, and name servers are not asked"
        ));
    }
    let inet = |address| Address::Inet(SocketAddr::new(address, endpoint.port));
    Ok(found.into_iter().map(inet).collect())
}

fn in_file(host: &str) -> io::Result<Vec<IpAddr>> {
    let content = files::read_regular(Path::new(HOSTS), HOSTS_MAX)?;
    Ok(named(&String::from_utf8_lossy(&content.bytes), host))
}

/// The addresses that the lines of hosts(5) give a name.
fn named(text: &str, host: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let line = line.split('#').next()?;
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words
            .any(|name| name.eq_ignore_ascii_case(host))
            .then_some(address)
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint {
            host: host.into(),
            port: 80,
        }
    }

    #[test]
    fn names_come_from_the_hosts_file() {
        let text = "127.0.0.1 localhost\n# 1.1.1.1 db\n10.0.0.5\tdb db.local # 2.2.2.2 db\n::5 DB\nodd db\n";
        let found: Vec<String> = named(text, "db").iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.5", "::5"]);
        assert_eq!(named(text, "web"), Vec::<IpAddr>::new());
    }

    #[test]
    fn who_is_unknown_is_said() {
        assert_eq!(addresses(&endpoint("localhost")).unwrap().len(), 2);
        assert_eq!(addresses(&endpoint("::1")).unwrap().len(), 1);
        let reason = addresses(&endpoint("no-such-host.invalid")).unwrap_err();
        assert!(
            reason.starts_with("no-such-host.invalid is neither"),
            "{reason}"
        );
    }
}
