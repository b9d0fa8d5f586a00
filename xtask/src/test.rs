//! `cargo xtask test`: the tiers that this machine can run, and by name those that it can't.

mod tally;

use std::process::{Command, ExitCode};

use anyhow::Context;
use pangea_boot::machine::Kvm;

use crate::cargo;
use crate::report::advice;
use crate::setup::{self, Consent, Need};
use crate::tier::Tier;
use tally::{Runner, Tally};

/// The test program for Linux guests; has tests of its own.
const PROBE: &str = "images/probe";
/// The test guest for bare machines, which has no place to run tests.
const TESTGUEST: &str = "images/testguest";

/// Runs the tests: all tiers that this machine can run, or those named
///
/// Missing packages are asked for once. A tier that can't run here is skipped by name, unless it is
/// named on the command line or in PANGEA_REQUIRE (comma-separated): then that is a failure. The
/// last line counts tests, checks and tiers: "N passed, N failed, N skipped".
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which tiers; none means all
    tiers: Vec<Tier>,
    #[command(flatten)]
    consent: Consent,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let wanted =
        Tier::ALL.into_iter().filter(|tier| args.tiers.is_empty() || args.tiers.contains(tier));
    let kvm = Kvm::look();
    let mut tally = Tally::default();
    let mut outcomes = Vec::new();
    let mut runnable = Vec::new();
    for tier in wanted {
        match tier.obstacle(&kvm) {
            None => runnable.push(tier),
            Some(reason) if args.tiers.contains(&tier) || tier.required() => {
                tally.failed += 1;
                outcomes.push((tier, format!("FAILED: it must run, but {reason}")));
            }
            Some(reason) => {
                tally.skipped += 1;
                outcomes.push((tier, format!("skipped: {reason}")));
            }
        }
    }
    let needs: Vec<Need> = Need::ALL
        .into_iter()
        .filter(|need| runnable.iter().any(|tier| tier.needs().contains(need)))
        .collect();
    setup::provide(&needs, args.consent)?;

    for tier in runnable {
        let ran = run_tier(tier)?;
        let word = if ran.failed == 0 { "passed" } else { "FAILED" };
        outcomes.push((tier, format!("{word}: {ran}")));
        tally += ran;
    }
    println!();
    for (tier, outcome) in &outcomes {
        println!("tier {:5} {outcome}", tier.name());
    }
    println!("{tally}");
    Ok(ExitCode::from(u8::from(tally.failed > 0)))
}

fn run_tier(tier: Tier) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let names = cargo::integration_tests()?;
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| tier.has(name)).collect();
    if tier == Tier::Unit {
        for (what, command) in checks() {
            tally += check(&what, command)?;
        }
    } else if names.is_empty() {
        let help = format!("add tests/{}_NAME.rs to a crate", tier.name());
        return Err(advice(format!("tier {} has no tests", tier.name()), help));
    }
    tally += tests(tier, &names)?;
    Ok(tally)
}

/// What must hold for the code before it is run: name, command.
fn checks() -> Vec<(String, Command)> {
    let cargo = |directory: &str, arguments: &[&str]| {
        let mut command = cargo::command();
        command.current_dir(cargo::root().join(directory)).args(arguments);
        command
    };
    let deny = ["--", "-D", "warnings"];
    let mut docs = cargo("", &["doc", "--workspace", "--no-deps", "--quiet"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    let lints = ["clippy", "--workspace", "--all-targets", "--quiet"];
    let mut checks = vec![
        ("format".to_owned(), cargo("", &["fmt", "--all", "--check"])),
        ("lints".to_owned(), cargo("", &[&lints[..], &deny].concat())),
        ("docs".to_owned(), docs),
    ];
    // What runs inside a guest has workspaces of its own.
    for guest in [PROBE, TESTGUEST] {
        checks.push((format!("format of {guest}"), cargo(guest, &["fmt", "--check"])));
        let mut lints = cargo(guest, &[&["clippy", "--quiet", "--locked"][..], &deny].concat());
        lints.env("CARGO_TARGET_DIR", cargo::guest_target());
        checks.push((format!("lints of {guest}"), lints));
    }
    checks
}

fn check(what: &str, mut command: Command) -> anyhow::Result<Tally> {
    println!("check: {what}");
    let status = command.status().context("can't start cargo")?;
    if status.success() {
        return Ok(Tally { passed: 1, ..Tally::default() });
    }
    println!("check: {what} FAILED");
    Ok(Tally { failed: 1, ..Tally::default() })
}

/// The tests of a tier, by nextest if it is there (a process for each test), else by cargo test.
fn tests(tier: Tier, names: &[&str]) -> anyhow::Result<Tally> {
    println!("tests: {}", tier.name());
    let nextest = cargo::has_nextest();
    let mut command = cargo::command();
    command.args(if nextest { &["nextest", "run"][..] } else { &["test", "--no-fail-fast"] });
    command.arg("--workspace");
    if tier == Tier::Unit {
        command.args(["--lib", "--bins"]);
    }
    command.args(names.iter().flat_map(|name| ["--test", name]));
    // The lab takes the whole machine.
    match (tier, nextest) {
        (Tier::Lab, true) => drop(command.args(["--test-threads", "1", "--no-capture"])),
        (Tier::Lab, false) => drop(command.args(["--", "--test-threads", "1", "--nocapture"])),
        _ => {}
    }
    let runner = if nextest { Runner::Nextest } else { Runner::CargoTest };
    let mut tally = tally::of(&mut command, runner)?;
    if tier == Tier::Unit && nextest {
        // nextest leaves out the examples in docs.
        let mut docs = cargo::command();
        docs.args(["test", "--doc", "--workspace", "--quiet"]);
        tally += tally::of(&mut docs, Runner::CargoTest)?;
    }
    if tier == Tier::Unit {
        // Apart from all others: its feature would be everybody's.
        let mut broken = cargo::command();
        broken.args(["test", "--quiet", "--package", "pangea-sim", "--features", "broken"]);
        tally += tally::of(broken.args(["--test", "broken"]), Runner::CargoTest)?;
        let mut probe = cargo::command();
        probe.current_dir(cargo::root().join(PROBE)).args(["test", "--quiet", "--locked"]);
        probe.env("CARGO_TARGET_DIR", cargo::guest_target());
        tally += tally::of(&mut probe, Runner::CargoTest)?;
    }
    Ok(tally)
}
