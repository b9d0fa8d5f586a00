//! A pattern that one CPU writes into each node's memory and another verifies, for every pair.

use super::{everywhere, name};
use crate::crew::{Crew, Ring};
use crate::failure::{Outcome, ensure};
use crate::local::Local;
use crate::physical::{PAGE, word};
use crate::serial::say;
use core::sync::atomic::Ordering;

fn pages(ring: Ring) -> u64 {
    match ring {
        Ring::Zero => 16,
        Ring::Three => 256,
    }
}

/// A different word for each place and seed: a multiplicative hash (Knuth's golden ratio).
fn value(index: u64, seed: u64) -> u64 {
    (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed << 56
}

pub(super) fn run(crew: &Crew, ring: Ring) -> Outcome {
    let places = everywhere(crew, pages(ring))?;
    for (seed, (writer, reader)) in (1..).zip(crew.pairs()) {
        for (at, node) in places.iter() {
            let words = [at, pages(ring) * PAGE / 8, seed, 0];
            crew.run(ring, write, &[(writer, words)])?;
            let found = crew.run(ring, verify, &[(reader, words)])?;
            let [wrong, first, got, _] = found.get(0).unwrap_or([1; 4]);
            let expected = value(first, seed);
            ensure!(
                wrong == 0,
                "pattern of cpu {writer} on node {node}: cpu {reader} finds {wrong} wrong words, \
                 the first at {:#x}: {got:#x}, not {expected:#x}",
                at + 8 * first
            );
            let kib = pages(ring) * PAGE / 1024;
            say!(
                "pattern in {} cpu {writer} to cpu {reader} on node {node}: {kib} KiB right",
                name(ring)
            );
        }
    }
    Ok(())
}

/// Words: where, how many, seed.
extern "sysv64" fn write(_: &'static Local, words: &mut [u64; 4]) {
    let [at, count, seed, _] = *words;
    for index in 0..count {
        word(at + 8 * index).store(value(index, seed), Ordering::Relaxed);
    }
}

/// Words: the same. Leaves how many are wrong, the first one's index, and what it is.
extern "sysv64" fn verify(_: &'static Local, words: &mut [u64; 4]) {
    let [at, count, seed, _] = *words;
    *words = [0; 4];
    for index in 0..count {
        let got = word(at + 8 * index).load(Ordering::Relaxed);
        if got != value(index, seed) {
            if words[0] == 0 {
                (words[1], words[2]) = (index, got);
            }
            words[0] += 1;
        }
    }
}
