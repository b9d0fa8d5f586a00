//! `cargo xtask doctor`: what this machine can do, what is missing, and the command for it.

mod facts;

use std::process::ExitCode;

use pangea_boot::machine::Kvm;

use crate::setup::Need;
use crate::tier::Tier;
use facts::Fact;

/// Tells what this machine can do, what is missing, and the command for it
///
/// Exits 0 if a stock guest runs here, on /dev/kvm or in the lab.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// What something found means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// All is well.
    Good,
    /// Worth knowing.
    Note,
    /// Something can't be done.
    Missing,
}

/// Runs the command.
pub(crate) fn run(Args {}: Args) -> anyhow::Result<ExitCode> {
    let kvm = Kvm::look();
    let userfaultfd = facts::userfaultfd();
    let mut facts = vec![facts::kernel(), facts::kvm(&kvm), userfaultfd.clone()];
    let needs = Need::ALL.map(|need| (need, need.found()));
    facts.extend(needs.iter().map(|(need, found)| facts::need(*need, found.as_deref())));
    facts.extend([
        facts::cores(),
        facts::memory(),
        facts::ports(),
        facts::clock(),
        facts::io_uring(),
        facts::hugepages(),
    ]);
    println!("This machine");
    for fact in &facts {
        println!("  {} {:12} {}", fact.verdict.mark(), fact.name, fact.found);
    }

    let has = |need| needs.iter().any(|(known, found)| *known == need && found.is_some());
    let traps = userfaultfd.verdict != Verdict::Missing;
    println!("\nTiers of tests (cargo xtask test)");
    for tier in Tier::ALL {
        let ready = tier.needs().iter().all(|need| has(*need));
        let runs = ready && tier.obstacle(&kvm).is_none();
        let word = if runs { "runs" } else { "can't run" };
        println!("  {:5} {word:10} {}", tier.name(), tier.content());
    }

    let build = has(Need::Cc);
    let lab = build && has(Need::Qemu);
    let native = build && traps && kvm.runs_stock_guests();
    let fixes: Vec<&Fact> = facts.iter().filter(|fact| fact.fix.is_some()).collect();
    if !fixes.is_empty() {
        println!("\nWhat would help");
        for fact in fixes {
            println!("  {:12} {}", fact.name, fact.fix.as_deref().unwrap_or_default());
        }
    }
    println!("\n{}", conclusion(native, lab, &kvm));
    Ok(ExitCode::from(u8::from(!(native || lab))))
}

fn conclusion(native: bool, lab: bool, kvm: &Kvm) -> String {
    if native {
        return format!("Guests run natively: {kvm}.");
    }
    if lab {
        return format!("Guests run in the lab, not natively: {kvm}.");
    }
    "No guest runs here yet: see above.".to_owned()
}

impl Verdict {
    fn mark(self) -> &'static str {
        match self {
            Self::Good => "ok  ",
            Self::Note => "note",
            Self::Missing => "MISS",
        }
    }
}
