//! Links between nodes: TCP connections that stay up, from the first hello to the last `Stop`.
//!
//! ```text
//!   connect()                                            Control::start()
//!   bind a port -> dial higher nodes, answer lower ones  -> heartbeats, messages in order,
//!   -> hello both ways -> measure -> all linked             a lost peer told once
//!         |                                                      ^
//!         +--> Links { peers: [Peer { page, control, report }], door }
//! ```
//!
//! Each pair of nodes has two **lanes**, a TCP connection each; the node with the lower id dials. The
//! page lane is handed to the pager as it is; the control lane belongs to [`Control`].
//!
//! This room knows nothing of pages, guests or KVM: it compares identities, measures, and moves
//! bytes. Every wait has a deadline, every buffer and every retry a named limit.

mod board;
mod connect;
mod control;
mod dial;
mod door;
mod error;
mod first_word;
mod handshake;
mod identity;
mod loss;
mod measure;
mod peer;
mod port;
mod probe;
mod procfs;
mod progress;
mod report;
mod socket;

pub use connect::connect;
pub use control::{Control, ControlHandler, LaneCounters};
pub use door::Door;
pub use error::{LinkError, SendError};
pub use identity::{Identity, NodeAddress, Options, PORTS, WAIT};
pub use loss::{LossCause, PeerLost};
pub use peer::{Links, Peer};
pub use progress::Progress;
pub use report::{LinkReport, Tier};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
