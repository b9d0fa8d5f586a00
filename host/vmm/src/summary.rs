//! How a session ended, and what it counted: for the user at exit, and as JSON.

use crate::SessionError;
use crate::machine::Counters;
use pangea_pager::Stats;
use pangea_transport::{LinkReport, PeerLost};
use pangea_wire::StopKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Why the cluster ended.
#[derive(Debug)]
pub enum Ending {
    /// The guest powered itself off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
    /// Somebody stopped it, here or at another node; who and how.
    Interrupted(String),
    /// This node lost a peer.
    Lost(PeerLost),
    /// Another node lost a peer: its words.
    LostElsewhere(String),
    /// This node can't go on.
    Failed(SessionError),
    /// Another node can't go on: its words.
    FailedElsewhere(String),
}

/// What a session leaves behind.
#[derive(Debug)]
pub struct Summary {
    /// Why it ended.
    pub ending: Ending,
    /// How long the guest ran; none if it never started.
    pub ran: Option<Duration>,
    /// The links as they were measured.
    pub links: Vec<LinkReport>,
    /// The pager's counters.
    pub pages: Option<Stats>,
    /// What else crossed between the nodes.
    pub traffic: Traffic,
}

/// What crossed between the nodes besides pages.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Traffic {
    /// Interrupts that arrived at ghosts here and were sent on.
    pub interrupts_out: u64,
    /// Interrupts that other nodes sent for vCPUs here.
    pub interrupts_in: u64,
    /// Device accesses that the root node served for vCPUs here.
    pub accesses: u64,
    /// Messages of peers that this node's role has no use for.
    pub refused: u64,
}

impl Ending {
    /// What a process that ran this node exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Ending::PowerOff => 0,
            Ending::Failed(_) | Ending::FailedElsewhere(_) => 1,
            Ending::Lost(_) | Ending::LostElsewhere(_) => 3,
            Ending::Reset => 4,
            Ending::Interrupted(_) => 130,
        }
    }

    /// As another node told it.
    pub(crate) fn told(by: &str, kind: StopKind, text: String) -> Ending {
        let said = || format!("node {by}: {text}");
        match kind {
            StopKind::PowerOff => Ending::PowerOff,
            StopKind::Reset => Ending::Reset,
            StopKind::User => Ending::Interrupted(said()),
            StopKind::PeerLost { .. } => Ending::LostElsewhere(said()),
            StopKind::Fault => Ending::FailedElsewhere(said()),
        }
    }

    /// As it is told to the other nodes.
    pub(crate) fn announcement(&self) -> (StopKind, String) {
        let kind = match self {
            Ending::PowerOff => StopKind::PowerOff,
            Ending::Reset => StopKind::Reset,
            Ending::Interrupted(_) => StopKind::User,
            Ending::Lost(loss) => StopKind::PeerLost {
                node: loss.node,
                silent_ms: loss.silent_for.as_millis() as u64,
            },
            Ending::LostElsewhere(_) | Ending::Failed(_) | Ending::FailedElsewhere(_) => {
                StopKind::Fault
            }
        };
        let mut text = self.to_string();
        let end = (0..=pangea_wire::MAX_TEXT).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        (kind, text)
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::PowerOff => f.write_str("the guest powered itself off"),
            Ending::Reset => f.write_str("the guest asked for a reset"),
            Ending::Interrupted(how) => write!(f, "stopped: {how}"),
            Ending::Lost(loss) => write!(f, "{loss}; the guest was stopped"),
            Ending::LostElsewhere(said) | Ending::FailedElsewhere(said) => f.write_str(said),
            Ending::Failed(error) => error.fmt(f),
        }
    }
}

impl Summary {
    /// A session that ended before it had anything to count.
    pub(crate) fn before_start(ending: Ending) -> Summary {
        let traffic = Traffic::default();
        Summary { ending, ran: None, links: Vec::new(), pages: None, traffic }
    }
}

impl Traffic {
    pub(crate) fn of(counters: &Counters) -> Traffic {
        Traffic {
            interrupts_out: counters.interrupts_out.load(Ordering::Relaxed),
            interrupts_in: counters.interrupts_in.load(Ordering::Relaxed),
            accesses: counters.accesses.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
        }
    }
}
