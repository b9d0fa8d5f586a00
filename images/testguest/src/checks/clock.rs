//! kvmclock handed from CPU to CPU: never does the next one read less.
//!
//! Spec: Linux Documentation/virt/kvm/x86/msr.rst "MSR_KVM_SYSTEM_TIME_NEW", cpuid.rst.

use crate::arena;
use crate::cpu::{cpuid, pause, tsc, write_msr};
use crate::crew::{Crew, Ring};
use crate::failure::{Outcome, ensure};
use crate::local::Local;
use crate::physical::word;
use crate::serial::say;
use crate::time::spin;
use core::sync::atomic::Ordering;

const SIGNATURE: u32 = 0x4000_0000;
const FEATURES: u32 = 0x4000_0001;
/// kvmclock at the new MSRs.
const CLOCKSOURCE2: u32 = 1 << 3;
const SYSTEM_TIME_NEW: u32 = 0x4b56_4d01;
/// Turns of each CPU.
const TURNS: u64 = 100;

/// What is handed over, as words of a page: whose turn, the last time, how often it went backwards,
/// and by how many nanoseconds at most.
const TURN: u64 = 0;
const LAST: u64 = 8;
const BACKWARDS: u64 = 16;
const WORST: u64 = 24;

pub(super) fn run(crew: &Crew) -> Outcome {
    let leaf = cpuid(SIGNATURE, 0);
    let kvm =
        [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).as_flattened() == b"KVMKVMKVM\0\0\0";
    if !kvm || cpuid(FEATURES, 0).eax & CLOCKSOURCE2 == 0 {
        say!("clock skipped: no kvmclock");
        return Ok(());
    }
    let page = arena::pages(&crew.machine, 0, 1)?;
    let words = |cpu| [page, cpu as u64, crew.len() as u64, 0];
    let results = crew.run_all(Ring::Zero, take_turns, words)?;
    for (cpu, [turns, ..]) in results.iter().enumerate() {
        ensure!(turns == TURNS, "cpu {cpu} had {turns} of {TURNS} turns with the clock");
    }
    let get = |offset| word(page + offset).load(Ordering::Acquire);
    let (backwards, worst, last) = (get(BACKWARDS), get(WORST), get(LAST));
    ensure!(backwards == 0, "the clock went backwards {backwards} times, by up to {worst} ns");
    let turns = TURNS * crew.len() as u64;
    say!("clock: handed over {turns} times, never backwards; {} ms", last / 1_000_000);
    Ok(())
}

/// Words: page, which turn, of how many. Leaves the turns that it had.
extern "sysv64" fn take_turns(me: &'static Local, words: &mut [u64; 4]) {
    let [page, mine, of, _] = *words;
    let clock = me.clock_page.load(Ordering::Relaxed);
    write_msr(SYSTEM_TIME_NEW, clock | 1);
    let at = |offset| word(page + offset);
    for turn in 0..TURNS {
        words[0] = turn;
        if !spin(|| at(TURN).load(Ordering::Acquire) == turn * of + mine) {
            return;
        }
        let (now, last) = (now(clock), at(LAST).load(Ordering::Relaxed));
        if now < last {
            at(BACKWARDS).fetch_add(1, Ordering::Relaxed);
            at(WORST).fetch_max(last - now, Ordering::Relaxed);
        }
        at(LAST).store(now, Ordering::Relaxed);
        at(TURN).fetch_add(1, Ordering::Release);
    }
    words[0] = TURNS;
    // The page goes back to the node's memory.
    write_msr(SYSTEM_TIME_NEW, 0);
}

/// Nanoseconds by `struct pvclock_vcpu_time_info`; read again while KVM changes it.
fn now(page: u64) -> u64 {
    let field = |offset| word(page + offset).load(Ordering::Acquire);
    loop {
        // Version in the first four bytes, odd during a change.
        let version = field(0) as u32;
        let (stamp, base, scale) = (field(8), field(16), field(24));
        let counter = tsc();
        if version.is_multiple_of(2) && version != 0 && field(0) as u32 == version {
            let (factor, shift) = (scale as u32, (scale >> 32) as i8);
            let passed = counter.wrapping_sub(stamp);
            let passed = match shift {
                0.. => passed << shift,
                _ => passed >> shift.unsigned_abs(),
            };
            return base + ((u128::from(passed) * u128::from(factor)) >> 32) as u64;
        }
        pause();
    }
}
