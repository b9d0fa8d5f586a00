//! What /proc tells about this machine's addresses and about who has a port: for error messages,
//! so that a file that can't be read is a shorter message and no error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// Holders that are named, at most.
const MAX_HOLDERS: usize = 8;
/// Ports of one holder that are named, at most.
const MAX_PORTS: usize = 4;
/// `TCP_LISTEN` in the `st` column (Linux `include/net/tcp_states.h`).
const LISTEN: &str = "0A";

/// This machine's addresses, IPv4 first.
pub(crate) fn local_addresses() -> Vec<IpAddr> {
    let trie = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let inet6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let v4 = local_v4(&trie).into_iter().map(IpAddr::V4);
    v4.chain(local_v6(&inet6).into_iter().map(IpAddr::V6)).collect()
}

/// Who has these ports: `pid 123 (nginx): 50051, 50052`.
pub(crate) fn holders(ports: &RangeInclusive<u16>) -> Vec<String> {
    let mut sockets = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(listeners(&fs::read_to_string(table).unwrap_or_default(), ports));
    }
    let mut owners: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (pid, name, inodes) in processes() {
        for inode in inodes {
            if let Some(port) = sockets.get(&inode) {
                found.insert(inode);
                owners.entry(format!("pid {pid} ({name})")).or_default().insert(*port);
            }
        }
    }
    let hidden: BTreeSet<u16> = sockets
        .iter()
        .filter(|(inode, _)| !found.contains(*inode))
        .map(|(_, port)| *port)
        .collect();
    let mut lines: Vec<_> = owners.into_iter().collect();
    let more = lines.len().saturating_sub(MAX_HOLDERS);
    lines.truncate(MAX_HOLDERS);
    let mut lines: Vec<_> =
        lines.into_iter().map(|(owner, ports)| format!("{owner}: {}", few(&ports))).collect();
    if more > 0 {
        lines.push(format!("{more} more processes"));
    }
    if !hidden.is_empty() {
        lines.push(format!("processes that only root can see: {}", few(&hidden)));
    }
    lines
}

fn few(ports: &BTreeSet<u16>) -> String {
    let mut texts: Vec<_> = ports.iter().take(MAX_PORTS).map(u16::to_string).collect();
    if ports.len() > MAX_PORTS {
        texts.push(format!("and {} more", ports.len() - MAX_PORTS));
    }
    texts.join(", ")
}

/// Each process's id, name and socket inodes, as far as we may look.
fn processes() -> impl Iterator<Item = (u32, String, Vec<u64>)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let inodes: Vec<u64> = fs::read_dir(entry.path().join("fd"))
            .ok()?
            .flatten()
            .filter_map(|fd| {
                let target = fs::read_link(fd.path()).ok()?;
                target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
            })
            .collect();
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((pid, name.trim().to_owned(), inodes))
    })
}

/// Inode and port of each listening socket in a table like /proc/net/tcp.
fn listeners(table: &str, ports: &RangeInclusive<u16>) -> BTreeMap<u64, u16> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = columns.get(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let inode = columns.get(9)?.parse().ok()?;
        (*columns.get(3)? == LISTEN && ports.contains(&port)).then_some((inode, port))
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// The addresses that /proc/net/fib_trie lists as `/32 host LOCAL`, each under its own line.
fn local_v4(trie: &str) -> BTreeSet<Ipv4Addr> {
    let mut last: Option<Ipv4Addr> = None;
    let mut local = BTreeSet::new();
    for line in trie.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address.trim().parse().ok();
        } else if line.contains("/32 host LOCAL") {
            local.extend(last);
        }
    }
    local
}

/// The addresses of /proc/net/if_inet6: 32 hexadecimal digits at the start of each line.
fn local_v6(table: &str) -> BTreeSet<Ipv6Addr> {
    let row = |line: &str| {
        let digits = line.split_whitespace().next()?;
        u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from_bits)
    };
    table.lines().filter_map(row).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn local_addresses_are_found_in_the_kernels_own_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     \
                    +-- 10.0.0.0/24 2 0 2\n        |-- 10.0.0.0\n           /24 link UNICAST\n        \
                    |-- 10.0.0.2\n           /32 host LOCAL\n        |-- 10.0.0.255\n           \
                    /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        let v4: Vec<_> = local_v4(trie).into_iter().map(|a| a.to_string()).collect();
        assert_eq!(v4, ["10.0.0.2", "127.0.0.1"]);
        let v6 = local_v6("fe80000000000000aabbccfffe001122 02 40 20 80 eth0\nnonsense\n");
        assert_eq!(
            v6.into_iter().collect::<Vec<_>>(),
            ["fe80::aabb:ccff:fe00:1122".parse::<Ipv6Addr>().unwrap()]
        );
        assert!(local_addresses().contains(&IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn who_holds_a_port_is_told_by_pid_and_name() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = holders(&(port..=port));
        let pid = format!("pid {} (", std::process::id());
        assert!(
            lines.iter().any(|l| l.starts_with(&pid) && l.ends_with(&port.to_string())),
            "{lines:?}"
        );
        drop(listener);
    }

    #[test]
    fn long_lists_of_ports_are_cut() {
        let ports = (50051..=50100).collect();
        assert_eq!(few(&ports), "50051, 50052, 50053, 50054, and 46 more");
        assert!(listeners("  sl  local\n garbage\n 0: 0100007F:ZZZZ\n", &(1..=2)).is_empty());
    }
}
