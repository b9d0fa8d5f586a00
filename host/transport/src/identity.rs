//! Who we are among whom, and how long to try.

use crate::{LinkError, Progress};
use pangea_topology::NodeId;
use pangea_wire::{MAX_NAME, MAX_NODES};
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The ports that nodes listen on, tried in turn.
pub const PORTS: RangeInclusive<u16> = 50051..=50100;
/// How long a node waits for the others by default: time to start them by hand.
pub const WAIT: Duration = Duration::from_secs(60);

/// A node's name and where it can be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeAddress {
    /// The node's name in the cluster file.
    pub name: String,
    /// An IP address or a host name; several nodes may have the same.
    pub address: String,
}

/// What a node says of itself in its hello, and whom it expects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// SHA-256 of the bundle's manifest: the same on all nodes.
    pub bundle: [u8; 32],
    /// This node.
    pub me: NodeId,
    /// All nodes of the cluster in the cluster file's order; `me` is an index into it.
    pub nodes: Vec<NodeAddress>,
}

/// How to connect.
#[derive(Clone)]
pub struct Options<'a> {
    /// How long to wait until all links are up; see [`WAIT`].
    pub wait: Duration,
    /// The ports to listen on and to dial; see [`PORTS`].
    pub ports: RangeInclusive<u16>,
    /// Told what is going on, on the thread that called.
    pub progress: &'a dyn Fn(&Progress),
    /// Set to true from anywhere (a signal handler) to give up.
    pub stop: &'a AtomicBool,
}

impl Identity {
    /// This node's own entry.
    pub(crate) fn own(&self) -> Result<&NodeAddress, LinkError> {
        self.check()?;
        self.nodes.get(self.me.index()).ok_or_else(|| {
            LinkError::Identity(format!("{} isn't one of {} nodes", self.me, self.nodes.len()))
        })
    }

    /// The name of a node of this cluster, or its number where it is none.
    pub(crate) fn name(&self, node: NodeId) -> String {
        self.nodes.get(node.index()).map_or_else(|| format!("#{}", node.0), |n| n.name.clone())
    }

    fn check(&self) -> Result<(), LinkError> {
        if self.nodes.len() > usize::from(MAX_NODES) {
            let count = self.nodes.len();
            return Err(LinkError::Identity(format!("{count} nodes, the limit is {MAX_NODES}")));
        }
        for name in self.nodes.iter().map(|n| &n.name).chain([&self.cluster]) {
            if name.len() > MAX_NAME || !name.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(LinkError::Identity(format!(
                    "the name {name:?} isn't at most {MAX_NAME} printable ASCII characters"
                )));
            }
        }
        Ok(())
    }
}
