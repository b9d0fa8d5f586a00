//! Locked additions of all CPUs at once, to a word in each node's memory: exact totals.

use super::{everywhere, name};
use crate::arena;
use crate::crew::{Crew, Ring};
use crate::failure::{Outcome, ensure};
use crate::local::Local;
use crate::physical::word;
use crate::serial::say;
use crate::time::spin;
use core::sync::atomic::Ordering;

/// Additions of each CPU: as many as a ring's speed allows.
fn count(ring: Ring) -> u64 {
    match ring {
        Ring::Zero => 2_000,
        Ring::Three => 200_000,
    }
}

pub(super) fn run(crew: &Crew, ring: Ring) -> Outcome {
    let start = arena::pages(&crew.machine, 0, 1)?;
    for (round, (at, node)) in (1..).zip(everywhere(crew, 1)?.iter()) {
        let (cpus, count) = (crew.len() as u64, count(ring));
        round_of(crew, ring, at, [start, round * cpus])?;
        let (total, expected) = (word(at).load(Ordering::Acquire), cpus * count);
        ensure!(total == expected, "{total} on node {node}, not {cpus} x {count} = {expected}");
        say!("xadd in {} on node {node}: {cpus} x {count} = {total}", name(ring));
    }
    Ok(())
}

/// Keeps all CPUs busy with all nodes' memory.
pub(super) fn linger(crew: &Crew) -> Outcome {
    let places = everywhere(crew, 1)?;
    let start = arena::pages(&crew.machine, 0, 1)?;
    say!("lingers");
    let mut arrivals = 0;
    loop {
        for (at, _) in places.iter() {
            arrivals += crew.len() as u64;
            round_of(crew, Ring::Three, at, [start, arrivals])?;
        }
    }
}

/// All CPUs begin together: at `start`, its word's address and the count that says all are there.
fn round_of(crew: &Crew, ring: Ring, at: u64, [start, arrivals]: [u64; 2]) -> Outcome {
    let results = crew.run_all(ring, add, |_| [at, count(ring), start, arrivals])?;
    for (cpu, [done, ..]) in results.iter().enumerate() {
        ensure!(done == count(ring), "cpu {cpu} waited in vain for the others");
    }
    Ok(())
}

/// Words: where, how many, where to wait for the others and for which count. Leaves how many it did.
extern "sysv64" fn add(_: &'static Local, words: &mut [u64; 4]) {
    let [at, count, start, arrivals] = *words;
    let (sum, start) = (word(at), word(start));
    start.fetch_add(1, Ordering::AcqRel);
    words[0] = 0;
    if spin(|| start.load(Ordering::Acquire) >= arrivals) {
        for _ in 0..count {
            sum.fetch_add(1, Ordering::Relaxed);
        }
        words[0] = count;
    }
}
