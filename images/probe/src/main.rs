//! The test program inside the guest: says what the guest sees, and tries what a coherent machine
//! must never do.
//!
//! One fact per line on standard output, `word value…`; the last line is `probe: passed` or
//! `probe: FAILED why`. Without a last line the run failed. Lines that begin with `progress` only
//! show that it lives. Everything has a time limit: a machine whose pages travel over a network is
//! slow, and a loop that is cut short says how far it came.

mod args;
mod clock;
mod cpu;
mod crew;
mod hotplug;
mod kmsg;
mod litmus;
mod machine;
mod memory;
mod mutex;
mod pattern;
mod report;
mod xadd;

use args::Args;
use machine::Machine;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a check found: nothing to add, or why it failed.
type Outcome = Result<(), String>;

const USAGE: &str = "\
usage: probe COMMAND [--quick] [--limit SECONDS] [options]
  report                         what the guest sees: CPUs, nodes, distances, ACPI, clocks
  litmus   [--cpus A,B,..] [--rounds N]   outcomes that x86-TSO forbids
  xadd     [--count N]           exact totals of locked additions, N by each CPU
  mutex    [--count N]           mutex, condition variable and futex between nodes
  clock    [--handoffs N]        clocks handed from CPU to CPU never go backwards
  pattern  [--mib N]             memory written on one node and read on the others
  hotplug  [--cpu N]             a CPU of another node taken offline and brought back, twice
  all                            all of the above";

/// A check: its word, the seconds it may take (half with --quick), and what it does.
struct Check {
    word: &'static str,
    seconds: u64,
    run: fn(&Args, &Machine) -> Outcome,
}

/// In the order of `all`: what is cheap and explains the rest comes first.
const CHECKS: [Check; 7] = [
    Check { word: "report", seconds: 20, run: report::run },
    Check { word: "clock", seconds: 12, run: clock::run },
    Check { word: "litmus", seconds: 40, run: litmus::run },
    Check { word: "xadd", seconds: 12, run: xadd::run },
    Check { word: "mutex", seconds: 20, run: mutex::run },
    Check { word: "pattern", seconds: 30, run: pattern::run },
    Check { word: "hotplug", seconds: 30, run: hotplug::run },
];

/// A check that takes this many times its limit hangs: it is given up, and the run with it.
const HANGS_AFTER: u32 = 6;

fn main() -> ExitCode {
    let result = Args::parse(std::env::args().skip(1)).and_then(|args| command(&args));
    match result {
        Ok(()) => {
            println!("probe: passed");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("probe: FAILED {}", why.replace('\n', " | "));
            ExitCode::FAILURE
        }
    }
}

fn command(args: &Args) -> Outcome {
    let machine = Machine::read()?;
    // Printing goes through the boot CPU: a serial port that is on another node is slow.
    machine.first_cpu().and_then(cpu::pin)?;
    if args.command == "all" {
        return all(args, &machine);
    }
    match CHECKS.iter().find(|check| check.word == args.command) {
        Some(check) => timed(check, args, &machine).1,
        None => Err(format!("no command `{}`\n{USAGE}", args.command)),
    }
}

fn all(args: &Args, machine: &Machine) -> Outcome {
    let results: Vec<_> =
        CHECKS.iter().map(|check| (check.word, timed(check, args, machine))).collect();
    kmsg::complaints(&kmsg::read());
    let mut failed = Vec::new();
    for (word, (seconds, outcome)) in &results {
        let verdict = outcome.as_ref().err().map_or("passed", |_| "FAILED");
        println!("summary {word:8} {verdict} {seconds:7.2} s");
        if let Err(why) = outcome {
            failed.push(format!("{word}: {why}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// Runs a check with its limit and a watchdog behind it; returns the seconds that it took.
fn timed(check: &Check, args: &Args, machine: &Machine) -> (f64, Outcome) {
    let usual = check.seconds / if args.quick { 2 } else { 1 };
    let limit = Duration::from_secs(args.limit.unwrap_or(usual).max(1));
    println!("check {} limit {} s", check.word, limit.as_secs());
    let word = check.word;
    let (done, watch) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        use std::sync::mpsc::RecvTimeoutError::Timeout;
        if watch.recv_timeout(limit * HANGS_AFTER) == Err(Timeout) {
            println!(
                "probe: FAILED {word}: it hangs, {} s after its start",
                (limit * HANGS_AFTER).as_secs()
            );
            std::process::exit(1);
        }
    });
    let start = Instant::now();
    let outcome = (check.run)(&Args { deadline: start + limit, ..args.clone() }, machine);
    drop(done);
    if let Err(why) = &outcome {
        println!("failed {word} {}", why.replace('\n', " | "));
    }
    (start.elapsed().as_secs_f64(), outcome)
}
