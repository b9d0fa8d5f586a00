//! What a node has once its links are up.

use crate::LinkReport;
use crate::door::Door;
use pangea_topology::NodeId;
use std::net::TcpStream;

/// All links of this node, up and measured; every other node has all of its own by now as well.
#[derive(Debug)]
pub struct Links {
    /// The other nodes in the cluster file's order; none where a node is alone.
    pub peers: Vec<Peer>,
    /// Keeps this node's port, and refuses by name whoever comes late: a second process of a node
    /// that is linked already, another bundle. Closed when dropped.
    pub door: Door,
}

/// Another node, and the two lanes to it.
#[derive(Debug)]
pub struct Peer {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// The page lane: blocking, TCP_NODELAY set, nothing of a page frame read or written yet.
    pub page: TcpStream,
    /// The control lane, for [`crate::Control::start`].
    pub control: TcpStream,
    /// What the link was measured to be.
    pub report: LinkReport,
}
