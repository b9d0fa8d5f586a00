//! The checked description: what `cluster.yaml` says with every default filled in.
//!
//! Units stand in the names or types: memory in bytes, times in the suffix. The serde form of these
//! types is what a bundle carries as `cluster.json`; it is a claim until [`Cluster::check`] passed.

use crate::Links;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// All that one cluster file describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Its name: `[a-z0-9-]`, at most 32.
    pub name: String,
    /// What it boots.
    pub guest: Guest,
    /// Its hosts; the first is the root node.
    pub nodes: Vec<Node>,
    /// How far the nodes are from each other.
    pub links: Links,
    /// When a peer counts as lost.
    pub failure: Failure,
}

/// One host taking part: in the guest, one proximity domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name: `[a-z0-9-]`, at most 32, unique in the cluster.
    pub name: String,
    /// IPv4 or IPv6 address or host name by which its peers reach it. Several nodes may share one.
    pub address: String,
    /// vCPUs that run here; 0 for a memory-only node, which no node with vCPUs may follow.
    pub vcpus: u32,
    /// Bytes of guest memory whose home is here; 0 for a CPU-only node.
    pub memory: u64,
}

/// What the machine boots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// The operating system.
    pub os: Os,
    /// How it is started.
    pub boot: Boot,
    /// The kernel as the file says it, relative to the file; `None`: the distribution's.
    pub kernel: Option<PathBuf>,
    /// The initramfs as the file says it, relative to the file; `None`: the distribution's.
    pub initrd: Option<PathBuf>,
    /// Appended to the default kernel command line.
    pub command_line: String,
}

/// The guest's operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    /// Stock Linux.
    #[default]
    Linux,
}

/// How the guest is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// The kernel is placed in memory and entered, without firmware.
    #[default]
    Direct,
}

/// When a peer counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Silence after which a peer is lost, in milliseconds.
    pub peer_deadline_ms: u64,
}

impl Os {
    /// The word of the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Os::Linux => "linux",
        }
    }
}

impl Boot {
    /// The word of the cluster file.
    pub const fn name(self) -> &'static str {
        match self {
            Boot::Direct => "direct",
        }
    }
}

impl Default for Failure {
    /// 800 ms: with detection and teardown a guest stops within a second of losing a node.
    fn default() -> Failure {
        Failure { peer_deadline_ms: 800 }
    }
}
