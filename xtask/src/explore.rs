//! `cargo xtask explore`: the coherence protocol in every interleaving of small clusters.

use std::process::ExitCode;
use std::time::Instant;

use pangea_sim::{Small, explore};

/// Visits every state of small clusters, in every order of messages, accesses and deadlines
///
/// Without options: clusters of two and three nodes, with and without a crash at every step. States are
/// counted; a violation comes with all steps that lead to it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One cluster of so many nodes
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    nodes: Option<u8>,
    /// Its pages
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4), requires = "nodes")]
    pages: u64,
    /// CPUs of each node
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2), requires = "nodes")]
    cpus: u8,
    /// Accesses of each CPU
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8), requires = "nodes")]
    accesses: u32,
    /// A node may crash, at any step
    #[arg(long, requires = "nodes")]
    crash: bool,
    /// Give up after so many states (some 60 bytes each)
    #[arg(long, default_value_t = 100_000_000)]
    limit: u64,
}

/// What is explored without options: a minute or two.
const USUAL: [Small; 10] = [
    small(2, 1, 1, 5, false),
    small(2, 1, 1, 4, true),
    small(2, 2, 1, 3, false),
    small(2, 2, 1, 2, true),
    small(3, 1, 1, 2, false),
    small(3, 1, 1, 2, true),
    small(3, 2, 1, 1, false),
    small(3, 2, 1, 1, true),
    small(2, 1, 2, 2, false),
    small(2, 2, 2, 1, true),
];

const fn small(nodes: u8, pages: u64, cpus: u8, accesses: u32, crash: bool) -> Small {
    Small { nodes, pages, cpus, accesses, crash }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let &Args { nodes, pages, cpus, accesses, crash, limit } = args;
    let one = nodes.map(|nodes| small(nodes, pages, cpus, accesses, crash));
    let wanted = one.as_ref().map_or(&USUAL[..], std::slice::from_ref);
    let mut whole = true;
    for &small in wanted {
        let started = Instant::now();
        match explore(small, limit) {
            Ok(explored) => {
                whole &= !explored.cut;
                println!("{small}: {explored}, {:.1} s", started.elapsed().as_secs_f64());
            }
            Err(found) => {
                whole = false;
                println!("{found}");
            }
        }
    }
    ExitCode::from(u8::from(!whole))
}
