//! How a peer is lost.

use pangea_topology::NodeId;
use std::fmt;
use std::time::Duration;

/// A peer that is gone without a `Stop`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerLost {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// How long ago it was last heard.
    pub silent_for: Duration,
    /// How we know.
    pub cause: LossCause,
}

/// How we know that a peer is lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LossCause {
    /// It closed the connection: its process ended.
    Closed,
    /// Its host reset the connection, or can't be reached.
    Reset,
    /// Nothing came for as long as the deadline.
    Silent,
    /// What came isn't a message of ours.
    Garbled(String),
    /// It doesn't read: so many bytes wait to be sent, past the limit.
    Stuck {
        /// Bytes that wait.
        queued: usize,
    },
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LossCause::Closed => f.write_str("it closed the connection"),
            LossCause::Reset => f.write_str("the connection was reset"),
            LossCause::Silent => f.write_str("it fell silent"),
            LossCause::Garbled(what) => write!(f, "it sent what can't be read: {what}"),
            LossCause::Stuck { queued } => write!(f, "it takes no messages: {queued} bytes wait"),
        }
    }
}

impl fmt::Display for PeerLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PeerLost { name, silent_for, cause, .. } = self;
        write!(f, "lost node {name}: {cause}; last heard {} ms ago", silent_for.as_millis())
    }
}
