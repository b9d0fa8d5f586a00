//! Memory written on one node and read on another, in every direction, to the byte.
//!
//! First whole pages: a CPU of node X writes memory of node Y, a CPU of every other node verifies
//! it. Then pages with two writers at once: one writes the even bytes, the other the odd ones, and
//! both nodes must find every byte.

use crate::Outcome;
use crate::args::Args;
use crate::crew;
use crate::machine::Machine;
use crate::memory::{PAGE, Pages};
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::Instant;

/// Memory of each direction, MiB.
const MIB: u64 = 1;
/// Pages with two writers, and how often they are written.
const SHARED_PAGES: usize = 2;
const PASSES: u64 = 3;
/// At most this many wrong bytes are shown.
const SHOWN: usize = 4;
/// Words of a page.
const WORDS: usize = PAGE / 8;

pub(crate) fn run(args: &Args, machine: &Machine) -> Outcome {
    let cpus = machine.one_cpu_each();
    // A quarter of a MiB does with --quick.
    let pages = match args.mib {
        Some(mib) => (mib << 20) as usize / PAGE,
        None => (MIB << 20) as usize / PAGE / if args.quick { 4 } else { 1 },
    };
    let mut left = machine.memory().len() * (cpus.len() + 1);
    let mut salt = 1;
    for memory in machine.memory() {
        let region = Pages::on(*memory, pages)?;
        for &(node, cpu) in &cpus {
            let deadline = args.share(left);
            left -= 1;
            let what = format!("pattern writer-node {node} memory-node {memory}");
            let written = write(&what, cpu, &region, salt, deadline)?;
            for &(reader, cpu) in cpus.iter().filter(|(other, _)| *other != node || cpus.len() == 1)
            {
                let what = format!("{what} verifier-node {reader}");
                let wrong = verify(&what, cpu, &region, written, salt)?;
                println!("{what} pages {written} of {pages} wrong-bytes {wrong}");
                if wrong > 0 || written == 0 {
                    return Err(format!("{what}: {wrong} wrong bytes in {written} pages"));
                }
            }
            salt += 1;
        }
        interleaved(args, machine, *memory, left)?;
        left -= 1;
    }
    Ok(())
}

/// The word at this place in the pattern: different for each word, page and salt.
fn word(salt: u64, index: usize) -> u64 {
    // Finalizer of SplitMix64: no two words alike, no word a neighbour's shift.
    let mut z = salt.rotate_left(40) ^ index as u64;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn write(what: &str, cpu: u32, region: &Pages, salt: u64, end: Instant) -> Result<usize, String> {
    let written = crew::run(what, &[cpu], end, |me| {
        for (page, words) in region.words().chunks_exact(WORDS).enumerate() {
            if page > 0 && me.late() {
                return Ok(page);
            }
            me.steps(page as u64);
            for (i, place) in words.iter().enumerate() {
                place.store(word(salt, page * WORDS + i), Relaxed);
            }
        }
        Ok(region.words().len() / WORDS)
    })?;
    Ok(written[0])
}

/// Counts wrong bytes in the first pages, and shows the first ones.
fn verify(what: &str, cpu: u32, region: &Pages, pages: usize, salt: u64) -> Result<usize, String> {
    let found = crew::run(what, &[cpu], Instant::now(), |me| {
        let mut wrong = Vec::new();
        for (i, place) in region.words()[..pages * WORDS].iter().enumerate() {
            if i % WORDS == 0 {
                me.steps((i / WORDS) as u64);
            }
            wrong.extend(differences(i * 8, place, word(salt, i)));
        }
        Ok(wrong)
    })?;
    for (at, expected, found) in found[0].iter().take(SHOWN) {
        println!(
            "{what} page {} byte {} is {found:#x} expected {expected:#x}",
            at / PAGE,
            at % PAGE
        );
    }
    Ok(found[0].len())
}

/// The bytes of a word that aren't as expected: (place, expected, found).
fn differences(at: usize, place: &AtomicU64, expected: u64) -> Vec<(usize, u8, u8)> {
    let found = place.load(Relaxed);
    if found == expected {
        return Vec::new();
    }
    let bytes = expected.to_le_bytes().into_iter().zip(found.to_le_bytes()).enumerate();
    bytes.filter(|(_, (e, f))| e != f).map(|(i, (e, f))| (at + i, e, f)).collect()
}

/// Two writers on the same pages, byte by byte, then both verify all.
fn interleaved(args: &Args, machine: &Machine, memory: u32, left: usize) -> Outcome {
    let cpus = machine.spread(2);
    let cpus = [cpus[0], cpus[cpus.len() - 1]];
    let region = Pages::on(memory, SHARED_PAGES)?;
    let meeting = Pages::anywhere(1)?;
    let what = format!("pattern interleaved memory-node {memory}");
    // Words: how often one of the two arrived, and whether it is time to end.
    let (arrivals, end) = (&meeting.words()[0], &meeting.words()[1]);
    let got = crew::run(&what, &cpus, args.share(left), |me| {
        let arrive = |count: u64| {
            arrivals.fetch_add(1, AcqRel);
            me.wait(|| (arrivals.load(Acquire) >= count).then_some(()))
        };
        let mut wrong = 0;
        for pass in 1..=PASSES {
            let byte = |i: usize| word(pass, i) as u8;
            for (i, place) in region.bytes().iter().enumerate().skip(me.index).step_by(2) {
                place.store(byte(i), Relaxed);
            }
            arrive(pass * 4 - 2)?;
            let bytes = region.bytes().iter().enumerate();
            wrong += bytes.filter(|(i, place)| place.load(Relaxed) != byte(*i)).count();
            me.steps(pass);
            if me.index == 0 && me.late() {
                end.store(1, Relaxed);
            }
            // Nobody writes the next pass while the other still reads this one.
            arrive(pass * 4)?;
            if end.load(Relaxed) != 0 {
                return Ok((pass, wrong));
            }
        }
        Ok((PASSES, wrong))
    })?;
    let (passes, wrong) = (got[0].0, got.iter().map(|(_, wrong)| wrong).sum::<usize>());
    println!(
        "{what} cpus {cpus:?} pages {SHARED_PAGES} passes {passes} of {PASSES} wrong-bytes {wrong}"
    );
    if wrong > 0 {
        return Err(format!("{what}: {wrong} wrong bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_wrong_byte_is_found_where_it_is() {
        let place = AtomicU64::new(word(7, 3) ^ 0xff00);
        let found = differences(24, &place, word(7, 3));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 25);
        assert_eq!(differences(24, &AtomicU64::new(word(7, 3)), word(7, 3)), []);
    }

    #[test]
    fn neighbours_pages_and_salts_differ() {
        assert_ne!(word(1, 0), word(1, 1));
        assert_ne!(word(1, 0), word(1, WORDS));
        assert_ne!(word(1, 5), word(2, 5));
    }
}
