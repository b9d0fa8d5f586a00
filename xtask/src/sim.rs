//! `cargo xtask sim`: the coherence protocol under many seeds, or one seed again.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use pangea_sim::{Config, Failure, Report};

use crate::interrupt;

/// Simulates nodes that share pages, one run a seed, and checks what guests see
///
/// Without options: a thousand seeds, each with its own mix of nodes, pages and CPUs. A seed that
/// fails ends with the command that repeats it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The first seed [default: 1]
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds [default: 1000, or 1 with --seed]
    #[arg(long)]
    count: Option<u64>,
    /// Nodes, rather than as the seed has it
    #[arg(long)]
    nodes: Option<u8>,
    /// Pages, rather than as the seed has it
    #[arg(long)]
    pages: Option<u64>,
    /// vCPUs of each node, rather than as the seed has it
    #[arg(long)]
    vcpus: Option<u32>,
    /// Pages that each access needs writable all at once, rather than as the seed has it
    #[arg(long)]
    walk: Option<u64>,
    /// Accesses of all vCPUs together
    #[arg(long)]
    steps: Option<u64>,
    /// Whether a node crashes on the way, rather than as the seed has it
    #[arg(long)]
    crash: Option<bool>,
}

impl Args {
    fn config(&self, seed: u64) -> Config {
        let usual = Config::of_seed(seed);
        Config {
            seed,
            nodes: self.nodes.unwrap_or(usual.nodes),
            pages: self.pages.unwrap_or(usual.pages),
            vcpus: self.vcpus.unwrap_or(usual.vcpus),
            walk: self.walk.unwrap_or(usual.walk),
            steps: self.steps.unwrap_or(usual.steps),
            crash: self.crash.unwrap_or(usual.crash),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let count = args.count.unwrap_or(if args.seed.is_some() { 1 } else { 1000 });
    let started = Instant::now();
    let stop = interrupt::flag()?;
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let (send, results) = mpsc::channel();
    let (mut passed, mut accesses, mut failed) = (0_u64, 0_u64, 0_u64);
    let mut only = None;
    std::thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            let (send, next, stop) = (send.clone(), &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || send.send(one(args, number)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        for result in results {
            match result {
                Ok(report) => {
                    passed += 1;
                    accesses += report.accesses;
                    only = Some(report);
                }
                Err(failure) => {
                    failed += 1;
                    println!("{failure}\n");
                }
            }
        }
    });
    if let Some(report) = only.filter(|_| count == 1) {
        println!("{report:#?}");
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{accesses} accesses checked in {seconds:.1} s");
    println!("{passed} passed, {failed} failed");
    Ok(ExitCode::from(u8::from(failed > 0 || passed < count)))
}

fn one(args: &Args, number: u64) -> Result<Report, Box<Failure>> {
    pangea_sim::run(&args.config(args.seed.unwrap_or(1).wrapping_add(number))).map_err(Box::new)
}
