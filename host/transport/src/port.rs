//! The port that a node listens on: the first free one of the range, on its own address.

use crate::{LinkError, NodeAddress, procfs};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::ops::RangeInclusive;

/// IP addresses of one host name that are tried, at most.
const MAX_ADDRESSES: usize = 8;

/// Listens on the first free port on the node's address.
pub(crate) fn listen(
    node: &NodeAddress,
    ports: &RangeInclusive<u16>,
) -> Result<TcpListener, LinkError> {
    let name = || node.name.clone();
    let addresses = resolve(&node.address).map_err(|source| LinkError::Resolve {
        name: name(),
        address: node.address.clone(),
        source,
    })?;
    let mut occupied = None;
    'address: for ip in addresses {
        for port in ports.clone() {
            let address = SocketAddr::new(ip, port);
            match TcpListener::bind(address) {
                Ok(listener) => return Ok(listener),
                Err(error) if error.kind() == ErrorKind::AddrInUse => occupied = Some(ip),
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => continue 'address,
                Err(source) => return Err(LinkError::Listen { name: name(), address, source }),
            }
        }
    }
    Err(match occupied {
        Some(address) => LinkError::PortsOccupied {
            name: name(),
            address,
            ports: ports.clone(),
            holders: procfs::holders(ports),
        },
        None => LinkError::NotLocal {
            name: name(),
            address: node.address.clone(),
            local: procfs::local_addresses(),
        },
    })
}

/// The IP addresses of an address or host name, at least one.
pub(crate) fn resolve(address: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for found in (address, 0).to_socket_addrs()? {
        if !addresses.contains(&found.ip()) && addresses.len() < MAX_ADDRESSES {
            addresses.push(found.ip());
        }
    }
    if addresses.is_empty() { Err(ErrorKind::NotFound.into()) } else { Ok(addresses) }
}
