//! Clocks handed from CPU to CPU: each CPU reads them after the one before has, and must not see
//! an earlier time. The time-stamp counter is only reported: the kernel may well correct it.

use crate::Outcome;
use crate::args::Args;
use crate::cpu;
use crate::crew::{self, Member};
use crate::machine::Machine;
use crate::memory::Pages;
use std::sync::atomic::{AtomicU64, Ordering::*};

/// Times that the clocks are handed on.
const HANDOFFS: u64 = 400;
/// The most CPUs in the ring.
const CPUS: usize = 16;
const NAMES: [&str; 3] = ["monotonic", "realtime", "tsc"];
/// The clocks that a guest must never see going backwards.
const JUDGED: usize = 2;
/// In the word that counts handoffs: the last was made. Above any count.
const END: u64 = 1 << 63;

/// The least differences that a CPU saw, by clock, in nanoseconds (tsc: in cycles).
type Least = [i64; 3];

pub(crate) fn run(args: &Args, machine: &Machine) -> Outcome {
    let cpus = machine.spread(CPUS);
    if cpus.len() < 2 {
        println!("clock skipped: one CPU has nobody to hand its clock to");
        return Ok(());
    }
    let handoffs = args.or(args.handoffs, HANDOFFS);
    let nodes = machine.memory();
    let mut failures = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        let page = Pages::on(*node, 1)?;
        let what = format!("clock page-of-node {node}");
        let deadline = args.share(nodes.len() - i);
        let work = |me: &Member<'_>| member(me, page.words(), handoffs);
        let seen = crew::run(&what, &cpus, deadline, work)?;
        let made = page.words()[0].load(SeqCst) & !END;
        for (clock, name) in NAMES.iter().enumerate() {
            let (least, cpu) = least(&seen, &cpus, clock);
            println!("{what} {name} handoffs {made} of {handoffs} least {least} at-cpu {cpu}");
            if clock < JUDGED && least < 0 {
                failures.push(format!("{what}: {name} went {} ns backwards at CPU {cpu}", -least));
            }
        }
        if made < cpus.len() as u64 {
            failures.push(format!("{what}: only {made} handoffs in the time"));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

/// The least difference of a clock, and the CPU that saw it.
fn least(seen: &[Least], cpus: &[u32], clock: usize) -> (i64, u32) {
    let each = seen.iter().zip(cpus).map(|(least, cpu)| (least[clock], *cpu));
    each.min().unwrap_or((i64::MAX, 0))
}

/// Words: handoffs so far (and END), then the clocks as the last CPU read them.
fn member(me: &Member<'_>, words: &[AtomicU64], handoffs: u64) -> Result<Least, String> {
    let mut least = [i64::MAX; 3];
    let turn = |count: u64| count & END != 0 || count % me.crew as u64 == me.index as u64;
    loop {
        let count = me.wait(|| Some(words[0].load(Acquire)).filter(|count| turn(*count)))?;
        if count & END != 0 {
            return Ok(least);
        }
        let now = [cpu::monotonic(), cpu::clock(libc::CLOCK_REALTIME), cpu::tsc()];
        for clock in 0..NAMES.len() {
            let before = words[1 + clock].swap(now[clock] as u64, Relaxed) as i64;
            // The first handoff has no time before it.
            if count > 0 {
                least[clock] = least[clock].min(now[clock] - before);
            }
        }
        let last = count + 1 >= handoffs || me.late();
        words[0].store((count + 1) | if last { END } else { 0 }, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::least;

    #[test]
    fn the_worst_cpu_is_named() {
        assert_eq!(least(&[[5, 9, 9], [-3, 9, 9], [7, 9, 9]], &[0, 2, 4], 0), (-3, 2));
    }
}
