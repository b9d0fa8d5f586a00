//! What the cluster is: its checked description and the guest-physical map that follows from it.
//!
//! ```text
//! cluster.yaml --schema--> Cluster (checked) --Topology::of--> map --> ACPI, e820, pager, KVM
//! ```
//!
//! Everything here is a pure function of the cluster file: no clock, no host, no environment. Two
//! hosts that hold the same [`Cluster`] compute the same [`Topology`], and that is what lets a
//! bundle carry the description instead of the map.

mod check;
mod cluster;
mod e820;
mod id;
pub mod layout;
pub mod limits;
mod links;
mod map;
mod names;
mod text;
pub mod units;
mod violation;

pub use cluster::{Boot, Cluster, Failure, Guest, Node, Os};
pub use e820::{E820Entry, E820Kind};
pub use id::{ApicId, Gpa, NodeId, NodeSet, PAGE_SIZE, Pfn};
pub use links::{Link, Links, Pair};
pub use map::{NodeMap, RamRange, Topology};
pub use violation::Violation;
