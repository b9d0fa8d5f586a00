//! Waiting, with a limit: never for ever, and by the time-stamp counter of the CPU that waits.

use crate::acpi::pm_timer;
use crate::cpu::{cli, pause, sti, sti_hlt, tsc};
use crate::failure::{Outcome, failure};
use crate::serial::say;
use core::sync::atomic::{AtomicU64, Ordering};

/// Ticks of the PM timer in a second (ACPI 6.5 4.8.3.3), and bits of the shorter kind.
const PM_TIMER_HZ: u64 = 3_579_545;
const PM_TIMER_MASK: u32 = 0xff_ffff;
/// How long the counter is compared with the PM timer, in its ticks: 10 ms. As often; the lowest
/// rate counts, for a pause between two readings can only make it seem higher.
const CALIBRATION: u32 = PM_TIMER_HZ as u32 / 100;
const CALIBRATIONS: u32 = 3;
/// So often the PM timer is read before it is taken for dead.
const PATIENCE: u32 = 1_000_000;

/// How long anything may take, in seconds: pages that travel are slow, and the host may be busy.
pub(crate) const LIMIT: u64 = 60;

static TSC_HZ: AtomicU64 = AtomicU64::new(0);

/// Measures the time-stamp counter.
pub(crate) fn calibrate() -> Outcome {
    let mut hz = u64::MAX;
    for _ in 0..CALIBRATIONS {
        hz = hz.min(rate()?);
    }
    TSC_HZ.store(hz, Ordering::Relaxed);
    say!("tsc {} MHz by the PM timer", hz / 1_000_000);
    Ok(())
}

fn rate() -> Outcome<u64> {
    let timer = || pm_timer().ok_or_else(|| failure!("no PM timer"));
    let (begun, first) = (tsc(), timer()?);
    for _ in 0..PATIENCE {
        let passed = timer()?.wrapping_sub(first) & PM_TIMER_MASK;
        if passed >= CALIBRATION {
            return Ok((tsc() - begun) * PM_TIMER_HZ / u64::from(passed));
        }
    }
    Err(failure!("the PM timer stands still at {first:#x}"))
}

/// Counts of the time-stamp counter in so many microseconds.
fn counts(microseconds: u64) -> u64 {
    TSC_HZ.load(Ordering::Relaxed) / 1_000_000 * microseconds
}

pub(crate) fn delay(microseconds: u64) {
    let begun = tsc();
    while tsc().wrapping_sub(begun) < counts(microseconds) {
        pause();
    }
}

/// Waits in a loop; in any ring. False: the limit passed.
pub(crate) fn spin(mut done: impl FnMut() -> bool) -> bool {
    let begun = tsc();
    let limit = counts(LIMIT * 1_000_000);
    loop {
        if done() {
            return true;
        }
        if tsc().wrapping_sub(begun) > limit {
            return false;
        }
        pause();
    }
}

/// Waits halted: an interrupt, or the tick, makes it look again. Interrupts are on when it returns.
pub(crate) fn halt(mut done: impl FnMut() -> bool) -> bool {
    let begun = tsc();
    let limit = counts(LIMIT * 1_000_000);
    loop {
        cli();
        if done() {
            sti();
            return true;
        }
        if tsc().wrapping_sub(begun) > limit {
            sti();
            return false;
        }
        sti_hlt();
    }
}

/// Waits halted, however long it takes.
pub(crate) fn halt_for_ever(mut done: impl FnMut() -> bool) {
    while !halt(&mut done) {}
}
