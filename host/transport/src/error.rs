//! Why links don't come up, and why a message can't be sent.
//!
//! `Display` says what happened, with names and numbers; [`LinkError::help`] says what to do.

use crate::report::Micros;
use pangea_topology::NodeId;
use pangea_wire::{MAX_NODES, WireError};
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;
use thiserror::Error;

/// Why this node has no links.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// What the caller says of the cluster contradicts itself.
    #[error("the cluster's description can't be used: {0}")]
    Identity(String),
    /// This node's address has no IP address.
    #[error("address `{address}` of node {name} can't be resolved")]
    Resolve {
        /// The node.
        name: String,
        /// Its address.
        address: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// This node's address belongs to another machine.
    #[error(
        "address `{address}` of node {name} isn't an address of this machine, which has {}",
        list(local)
    )]
    NotLocal {
        /// The node.
        name: String,
        /// Its address.
        address: String,
        /// The addresses of this machine.
        local: Vec<IpAddr>,
    },
    /// All ports are taken.
    #[error(
        "no free port among {}-{} on {address} for node {name}: {}",
        ports.start(), ports.end(), held_by(holders)
    )]
    PortsOccupied {
        /// The node.
        name: String,
        /// Its address.
        address: IpAddr,
        /// The ports that were tried.
        ports: RangeInclusive<u16>,
        /// Who has them, as far as /proc tells: `pid 123 (nginx): 50051, 50052`.
        holders: Vec<String>,
    },
    /// A port can't be listened on, for another reason than being taken.
    #[error("can't listen on {address} for node {name}")]
    Listen {
        /// The node.
        name: String,
        /// Where.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// A node of the same cluster runs another bundle.
    #[error(
        "node {peer} ({address}) runs another bundle of this cluster: it has {}, this node has {}",
        short(theirs),
        short(ours)
    )]
    OtherBundle {
        /// The other node's name.
        peer: String,
        /// Its address.
        address: SocketAddr,
        /// SHA-256 of this node's manifest.
        ours: [u8; 32],
        /// SHA-256 of the other's.
        theirs: [u8; 32],
    },
    /// A node of the same cluster speaks another protocol version.
    #[error("node {peer} ({address}) speaks protocol version {theirs}, this node {ours}")]
    OtherProtocol {
        /// The other node's name.
        peer: String,
        /// Its address.
        address: SocketAddr,
        /// This node's version.
        ours: u16,
        /// The other's.
        theirs: u16,
    },
    /// Another process is this node already.
    #[error(
        "node {name} runs already: node {witness} ({address}) knows another process as node {name}"
    )]
    DuplicateNode {
        /// This node's name.
        name: String,
        /// Who says so: another node, or the other process itself.
        witness: String,
        /// Its address.
        address: SocketAddr,
    },
    /// Some nodes couldn't be reached, or didn't come, in time.
    #[error("{} of the cluster's other nodes aren't there after {} s:{}", missing.len(), waited.as_secs(), lines(missing))]
    NoAnswer {
        /// A line for each node: where it was looked for, and what was found there.
        missing: Vec<String>,
        /// How long was waited.
        waited: Duration,
    },
    /// A peer went away when all links were up, or gave up itself.
    #[error("node {peer} gave up during start-up: {reason}")]
    PeerLeft {
        /// The other node's name.
        peer: String,
        /// What it said, or how it ended.
        reason: String,
    },
    /// The hosts' clocks differ so much that guest time could be seen to run backwards.
    #[error("the clocks of this host and node {peer}'s differ by {}{}, more than the {} that the link's round trip allows",
        if *skew_ns < 0 { "-" } else { "+" }, Micros(skew_ns.unsigned_abs()), Micros(*limit_ns))]
    ClockSkew {
        /// The other node's name.
        peer: String,
        /// Its clock minus ours.
        skew_ns: i64,
        /// Half of the round trip that it was measured with, and a little for reading the clock.
        limit_ns: u64,
    },
    /// The caller's stop flag was set.
    #[error("stopped while waiting for the other nodes")]
    Stopped,
    /// The operating system refuses something else that is needed.
    #[error("can't {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it says.
        source: io::Error,
    },
}

impl LinkError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            LinkError::Identity(_) => {
                format!("a cluster has at most {MAX_NODES} nodes; rebuild the bundle from its cluster file")
            }
            LinkError::Resolve { address, .. } => format!(
                "`getent ahosts {address}` should print its addresses; or give an IP address in the cluster file"
            ),
            LinkError::NotLocal { name, .. } => format!(
                "start node {name} on its own machine, or give this machine's address in the cluster file"
            ),
            LinkError::PortsOccupied { ports, .. } => format!(
                "end one of them; `ss -ltnp 'sport >= {} and sport <= {}'` (as root) lists them all",
                ports.start(),
                ports.end()
            ),
            LinkError::Listen { address, .. } => {
                format!("`ip address` and `ss -ltn 'sport = {}'` show what is in the way", address.port())
            }
            LinkError::OtherBundle { .. } => {
                "copy one bundle directory to all nodes; `sha256sum BUNDLE/manifest.json` tells them apart".into()
            }
            LinkError::OtherProtocol { .. } => {
                "install the same version of pangea on all nodes; `pangea --version` tells it".into()
            }
            LinkError::DuplicateNode { .. } => {
                "end the other process (`pgrep -af pangea`), or start another --node".into()
            }
            LinkError::NoAnswer { .. } => {
                "start the missing nodes, and let the ports through their firewalls".into()
            }
            LinkError::PeerLeft { peer, .. } => format!("see the log of node {peer}"),
            LinkError::ClockSkew { .. } => {
                "synchronise the clocks: chrony with one common server (`chronyc tracking` shows the offset), \
                 or PTP where the NICs have it (`pmc -u -b 0 'GET CURRENT_DATA_SET'`)"
                    .into()
            }
            LinkError::Stopped => "start the node again when the others are there".into(),
            LinkError::System { .. } => "`ulimit -a` shows this process's limits".into(),
        }
    }
}

/// Why a message wasn't sent.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SendError {
    /// There is no lane to that node.
    #[error("{0} is no peer of this node")]
    NoSuchPeer(NodeId),
    /// The peer is lost.
    #[error("node {name} ({node}) is lost")]
    Lost {
        /// The node.
        node: NodeId,
        /// Its name.
        name: String,
    },
    /// [`crate::Control::close`] was called.
    #[error("the control lanes are closed")]
    Closed,
    /// The message breaks its own limits.
    #[error(transparent)]
    Message(#[from] WireError),
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    if texts.is_empty() { "none that /proc tells".into() } else { texts.join(", ") }
}

fn held_by(holders: &[String]) -> String {
    if holders.is_empty() { "/proc doesn't tell who has them".into() } else { holders.join("; ") }
}

fn lines(missing: &[String]) -> String {
    missing.iter().fold(String::new(), |mut text, line| {
        let _ = write!(text, "\n  {line}");
        text
    })
}

/// The first 6 bytes of a bundle's id: enough to tell two apart.
fn short(id: &[u8; 32]) -> String {
    id.iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
