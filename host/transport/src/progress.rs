//! What a node tells while its links come up.

use crate::LinkReport;
use pangea_topology::NodeId;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// One step, or one wait, on the way to all links being up. `Display` is one line for the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// We have a port.
    Listening {
        /// Where.
        address: SocketAddr,
    },
    /// A node isn't linked yet; said again now and then.
    Waiting {
        /// The node.
        node: NodeId,
        /// Its name.
        name: String,
        /// Where it is looked for.
        address: String,
        /// On which ports.
        ports: RangeInclusive<u16>,
        /// For how long by now.
        waited: Duration,
        /// What answered there instead, or why nothing did.
        seen: Option<String>,
    },
    /// A lower node hasn't dialed us yet; said again now and then.
    Expecting {
        /// The node.
        node: NodeId,
        /// Its name.
        name: String,
        /// Where it should be.
        address: String,
        /// Where it will find us.
        at: SocketAddr,
        /// For how long by now.
        waited: Duration,
        /// What came of it when it tried.
        seen: Option<String>,
    },
    /// A link is up and measured.
    Linked(LinkReport),
    /// A node went away before all links were up; it is waited for again.
    Left {
        /// The node.
        node: NodeId,
        /// Its name.
        name: String,
    },
    /// Our links are all up; another node still waits for links of its own.
    WaitingForLinks {
        /// The node.
        node: NodeId,
        /// Its name.
        name: String,
        /// For how long by now.
        waited: Duration,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Listening { address } => write!(f, "listening on {address}"),
            Progress::Waiting { name, address, ports, waited, seen, .. } => {
                let (first, last) = (ports.start(), ports.end());
                write!(f, "waiting for node {name} at {address}, ports {first}-{last}")?;
                write_wait(f, *waited, seen.as_ref())
            }
            Progress::Expecting { name, address, at, waited, seen, .. } => {
                write!(f, "waiting for node {name} at {address} to connect to {at}")?;
                write_wait(f, *waited, seen.as_ref())
            }
            Progress::Linked(report) => write!(f, "linked to {report}"),
            Progress::Left { name, .. } => write!(f, "node {name} left; waiting for it again"),
            Progress::WaitingForLinks { name, waited, .. } => {
                let seconds = waited.as_secs();
                write!(f, "waiting for node {name} to link to the others ({seconds} s)")
            }
        }
    }
}

fn write_wait(f: &mut fmt::Formatter<'_>, waited: Duration, seen: Option<&String>) -> fmt::Result {
    if waited.as_secs() > 0 {
        write!(f, " ({} s)", waited.as_secs())?;
    }
    seen.map_or(Ok(()), |seen| write!(f, ": {seen}"))
}
