//! The names of socket address families, address_families(7), and `RestrictAddressFamilies=`.

use super::nearest;
use super::report::{Fault, did_you_mean};
use super::value::{Value, fault, items, shorten, text};

/// With the kernel's numbers, which are the same on every architecture.
const FAMILIES: [(&str, u16); 44] = [
    ("AF_UNIX", 1),
    ("AF_LOCAL", 1),
    ("AF_INET", 2),
    ("AF_AX25", 3),
    ("AF_IPX", 4),
    ("AF_APPLETALK", 5),
    ("AF_NETROM", 6),
    ("AF_BRIDGE", 7),
    ("AF_ATMPVC", 8),
    ("AF_X25", 9),
    ("AF_INET6", 10),
    ("AF_ROSE", 11),
    ("AF_KEY", 15),
    ("AF_NETLINK", 16),
    ("AF_PACKET", 17),
    ("AF_ATMSVC", 20),
    ("AF_RDS", 21),
    ("AF_IRDA", 23),
    ("AF_PPPOX", 24),
    ("AF_LLC", 26),
    ("AF_IB", 27),
    ("AF_MPLS", 28),
    ("AF_CAN", 29),
    ("AF_TIPC", 30),
    ("AF_BLUETOOTH", 31),
    ("AF_IUCV", 32),
    ("AF_RXRPC", 33),
    ("AF_ISDN", 34),
    ("AF_PHONET", 35),
    ("AF_IEEE802154", 36),
    ("AF_CAIF", 37),
    ("AF_ALG", 38),
    ("AF_NFC", 39),
    ("AF_VSOCK", 40),
    ("AF_KCM", 41),
    ("AF_QIPCRTR", 42),
    ("AF_SMC", 43),
    ("AF_XDP", 44),
    ("AF_MCTP", 45),
    ("AF_DECnet", 12),
    ("AF_ECONET", 19),
    ("AF_SNA", 22),
    ("AF_WANPIPE", 25),
    ("AF_ASH", 18),
];

/// `RestrictAddressFamilies=`: of which families a service may make sockets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Families {
    /// Of these only; of none where the list is empty. Numbers of the kernel, each once.
    Only(Vec<u16>),
    AllBut(Vec<u16>),
}

impl Families {
    /// The list as a unit file has it, for [`read`].
    pub(super) fn words(&self) -> Vec<String> {
        let (sign, numbers) = match self {
            Self::Only(numbers) if numbers.is_empty() => return vec!["none".to_owned()],
            Self::Only(numbers) => ("", numbers),
            Self::AllBut(numbers) => ("~", numbers),
        };
        let named = numbers.iter().filter_map(|number| {
            let mut known = FAMILIES.iter();
            known.find(|(_, known)| known == number)
        });
        named.map(|(name, _)| format!("{sign}{name}")).collect()
    }
}

/// Reads a list: the first text says whether the list names what is allowed or, after `~`, what is not; a later
/// text of the other kind takes away from it. An empty list restricts nothing.
pub(super) fn read(value: &Value, faults: &mut Vec<Fault>) -> Option<Families> {
    let mut inverted = None;
    let mut listed: Vec<u16> = vec![];
    for item in items(value) {
        match one(item) {
            Ok((minus, numbers)) => {
                let adds = *inverted.get_or_insert(minus) == minus;
                listed.retain(|number| !numbers.contains(number));
                if adds {
                    listed.extend(numbers);
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    match inverted? {
        true if listed.is_empty() => None,
        true => Some(Families::AllBut(listed)),
        false => Some(Families::Only(listed)),
    }
}

fn one(value: &Value) -> Result<(bool, Vec<u16>), Fault> {
    let written = text(value)?;
    if written == "none" {
        return Ok((false, vec![]));
    }
    let bare = written.strip_prefix('~');
    let mut numbers = vec![];
    for name in bare.unwrap_or(written).split_ascii_whitespace() {
        let Some((_, number)) = FAMILIES.iter().find(|(known, _)| *known == name) else {
            let message = format!("`{}` is not an address family", shorten(name));
            let names = FAMILIES.iter().map(|(name, _)| *name);
            let near = nearest(name, names).map(did_you_mean);
            let hint = near.unwrap_or_else(|| "such as \"AF_UNIX\", or \"none\"".to_owned());
            return Err(fault(value, message).hint(hint));
        };
        if !numbers.contains(number) {
            numbers.push(*number);
        }
    }
    Ok((bare.is_some(), numbers))
}
