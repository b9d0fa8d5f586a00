//! Why a node can't join, or can't go on.

use crate::loader::LoadError;
use pangea_kvm::KvmError;
use pangea_pager::{PagerError, RamError};
use pangea_transport::LinkError;
use std::time::Duration;

/// Why a session failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// KVM, or the hosts' CPUs.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The guest's RAM on this host.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// The pager could not start.
    #[error(transparent)]
    PagerStart(#[from] PagerError),
    /// The pager can't go on; its own words.
    #[error("{0}")]
    Pager(String),
    /// The links could not be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The guest could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The control lanes' threads could not be started.
    #[error("cannot serve the control lanes: {source}")]
    Control {
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start the {name} thread: {source}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A node took too long to get ready.
    #[error("node {node} took longer than {} s ({what})", limit.as_secs())]
    Late {
        /// Its name.
        node: String,
        /// What was awaited.
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// A node said something that doesn't belong there.
    #[error("node {node} spoke out of turn: {what}")]
    OutOfTurn {
        /// Its name.
        node: String,
        /// What it said.
        what: String,
    },
    /// The root node has no vCPU: no checked cluster is so.
    #[error("the root node has no vCPU to boot")]
    RootWithoutCpus,
}

impl SessionError {
    /// What to do next, where that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            SessionError::Kvm(KvmError::Open { .. }) => Some(
                "run as root or as a member of the group kvm; `cargo xtask doctor` tells whether \
                 this machine has KVM at all"
                    .into(),
            ),
            SessionError::Link(error) => Some(error.help()),
            SessionError::Late { node, .. } => {
                Some(format!("look at the log of node {node}: it says what it is waiting for"))
            }
            _ => None,
        }
    }
}
