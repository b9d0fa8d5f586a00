//! `cargo xtask run`: a whole cluster on this machine, with the terminal as its console.

use std::process::ExitCode;
use std::time::Duration;

use pangea_boot::cluster::{ClusterRun, NodeOutcome, exit_code};
use pangea_boot::machine::Kvm;
use pangea_boot::prepare;

use crate::cluster::{self, ClusterFile};
use crate::interrupt;
use crate::place::{self, Console, Place};
use crate::setup::{self, Consent};
use crate::terminal::Terminal;

/// The limit of a run in which nobody types.
const UNATTENDED: Duration = Duration::from_secs(1800);
/// The limit of one where somebody does.
const ATTENDED: Duration = Duration::from_secs(24 * 3600);

/// Runs all nodes of a cluster on this machine; the terminal is the guest's console
///
/// Builds the runtime and the bundle first. Nodes run on /dev/kvm where the CPU has VT-x or SVM, else
/// in the lab, an emulated host that has it. Ctrl-A X ends the cluster. The exit code is that of
/// the first node that didn't end well: 1 an error, 3 a lost node, 4 a reset, 130 interrupted.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    file: ClusterFile,
    /// Where the nodes run, rather than where they can
    #[arg(long, value_enum)]
    on: Option<Place>,
    /// After which the nodes are ended [default: 1800, a day if somebody types]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    #[command(flatten)]
    consent: Consent,
    /// Arguments for every `pangea node`, such as --stats
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cluster = args.file.load()?;
    let (place, why) = Place::choose(args.on, &Kvm::look());
    setup::provide(place.needs(), args.consent)?;
    let out = cluster::default_out(&cluster);
    let bundle = cluster::bundle(&args.file, &cluster, &out, false)?.dir;
    let program = prepare::program()?;
    place::announce(&cluster.name, cluster.nodes.len(), &why);

    let stop = interrupt::flag()?;
    let terminal = Terminal::look();
    let limit = args.timeout.map(Duration::from_secs);
    let limit = limit.unwrap_or(if terminal.is_some() { ATTENDED } else { UNATTENDED });
    let run = ClusterRun {
        program: &program,
        bundle: &bundle,
        cluster: &cluster,
        arguments: &args.arguments,
    };
    let console = Console::User(terminal);
    let outcomes = place.run(&run, console, limit, &stop, |line| eprintln!("{line}"))?;
    for node in &outcomes {
        eprintln!("node {}: {}", node.name, meaning(node));
    }
    Ok(ExitCode::from(u8::try_from(exit_code(&outcomes)).unwrap_or(1)))
}

/// What a node's exit code means.
fn meaning(node: &NodeOutcome) -> String {
    let words = match node.exit_code {
        Some(0) => "the guest powered itself off",
        Some(1) => "an error, exit code 1",
        Some(3) => "a node was lost, exit code 3",
        Some(4) => "the guest asked for a reset, exit code 4",
        Some(130) => "stopped, exit code 130",
        Some(code) => return format!("exit code {code}"),
        None => "ended by a signal",
    };
    words.to_owned()
}
