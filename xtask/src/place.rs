//! Where nodes run: on this machine's `/dev/kvm`, or in the lab.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pangea_boot::cluster::{ClusterRun, NodeOutcome};
use pangea_boot::lab::{LabOptions, doubled_interrupt};
use pangea_boot::machine::Kvm;
use pangea_boot::native;

use crate::lab;
use crate::setup::{Need, count};
use crate::terminal::{self, Terminal};

/// Where nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Place {
    /// On this machine's /dev/kvm
    Native,
    /// On the emulated host's
    Lab,
}

/// Where the guest's console goes.
pub(crate) enum Console {
    /// To the user: the terminal, or standard input and output.
    User(Option<Terminal>),
    /// To the caller.
    To(Box<dyn Write + Send>),
}

impl Place {
    /// The place that was asked for, else the better one that this machine has; and why.
    pub(crate) fn choose(asked: Option<Self>, kvm: &Kvm) -> (Self, String) {
        match (asked, kvm.runs_stock_guests()) {
            (Some(Self::Native), _) | (None, true) => {
                (Self::Native, format!("on this machine: {kvm}"))
            }
            (Some(Self::Lab), _) => (Self::Lab, "in the lab".to_owned()),
            (None, false) => (Self::Lab, format!("in the lab, because {kvm}")),
        }
    }

    /// Its word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Lab => "lab",
        }
    }

    /// The packages that it takes.
    pub(crate) fn needs(self) -> &'static [Need] {
        match self {
            Self::Native => &[Need::Cc],
            Self::Lab => &[Need::Cc, Need::Qemu],
        }
    }

    /// Runs all nodes of a cluster until they have ended.
    pub(crate) fn run(
        self,
        run: &ClusterRun<'_>,
        console: Console,
        limit: Duration,
        stop: &Arc<AtomicBool>,
        log: impl Fn(&str) + Send + 'static,
    ) -> anyhow::Result<Vec<NodeOutcome>> {
        if self == Self::Native {
            // The terminal's guard is given up: the root node has the terminal, and gives it back.
            let console = match console {
                Console::User(_) => native::Console::Ours,
                Console::To(to) => native::Console::To(to),
            };
            return Ok(native::run(run, console, Some(limit), stop, log)?);
        }
        let options = LabOptions { timeout: limit, ..LabOptions::default() };
        let (lab, script) = run.lab(options)?;
        let lab = lab.stop_on(stop.clone()).on_log(move |line| {
            if lab::tells(line) {
                log(line);
            }
        });
        // The guard lives until the run is over.
        let (io, _terminal) = match console {
            Console::User(terminal) => {
                (terminal::console(terminal.as_ref(), stop.clone()), terminal)
            }
            Console::To(to) => (terminal::output(to), None),
        };
        let (nodes, outcome) = run.run_in((lab, script), io)?;
        if doubled_interrupt(&String::from_utf8_lossy(&outcome.console)) {
            eprintln!(
                "lab: the guest's kernel panicked because QEMU delivered an interrupt twice, a \
                 defect of its emulation of SVM: run it again"
            );
        }
        Ok(nodes)
    }
}

/// "duo: 2 nodes in the lab, because …"
pub(crate) fn announce(name: &str, nodes: usize, place: &str) {
    eprintln!("{name}: {} {place}", count(nodes, "node"));
}
