//! Keeps one node's view of the guest's memory coherent with all others: page faults in, pages out.
//!
//! ```text
//!   vCPU, device --fault--> userfaultfd --+                      +-- page lane --> node 1
//!                                         +--> pager's thread ---+-- page lane --> node 2
//!   guest mapping <--- map, protect, drop-+    (pangea_dsm)      +-- ...
//!        |                                |
//!   memfd "pangea-ram"  <------ alias ----+
//! ```
//!
//! [`GuestRam`] is the memory, [`Pager`] the thread. The protocol itself is `pangea_dsm`, which
//! knows neither sockets nor userfaultfd; the frames are `pangea_wire`'s. Memory whose home is this
//! node is not trapped until another node asks for a page of it.
//!
//! Limits: pages move one at a time (no prefetch, no 2 MiB transfers); pages that left for another
//! node keep their place in this node's memfd; memory that was shared once stays trapped.

mod backing;
mod engine;
mod error;
mod features;
mod histogram;
mod lane;
mod pager;
mod poller;
mod ram;
mod stats;
mod traps;
mod uffd;
mod waiting;

// So that unit tests can use the harness of the integration tests.
#[cfg(test)]
extern crate self as pangea_pager;

pub use error::{LaneError, PagerError, PagerEvent, RamError, UffdError};
pub use features::SharedInstall;
pub use histogram::Latency;
pub use pager::{Asleep, Pager};
pub use ram::{GuestRam, PAGE_BYTES, PageBytes};
pub use stats::{PeerStats, Stats};
