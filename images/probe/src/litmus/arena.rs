//! Where the threads of a litmus test meet.
//!
//! They work through a batch of cells (a cell: one X and one Y, on cache lines of their own), so
//! that one meeting gives many outcomes while the pages travel between the threads. A batch starts
//! at an agreed time, as late as the threads need to hear of it, so that they really meet.
//!
//! A cell holds the number of the batch that last wrote it: `1` in an outcome means this batch's
//! value, `0` the one before; any other value is stale, which nothing permits.

use super::Op::{self, *};
use super::{Test, X};
use crate::cpu;
use crate::crew::Member;
use crate::memory::{PAGE, Pages};
use std::sync::atomic::{AtomicU64, Ordering::*, compiler_fence};

/// Cells in a batch, 64 bytes apart: X in the first half of a page, Y in the second.
const CELLS: usize = 16;
/// Words between cells: a cache line.
const STRIDE: usize = 8;
/// Where Y lies if it shares the page of X, in words.
const SAME_PAGE: usize = PAGE / 8 / 2;
/// The time from calling a batch to its start, nanoseconds: at first, and at most.
const LEAD_NS: (i64, i64) = (20_000, 20_000_000);
/// In the word that calls a batch: there will be no more.
const STOP: u64 = u64::MAX;

/// What a thread read in one cell: `0` or `1` in order, and NULs where it reads less than twice.
pub(super) type Reads = [u8; 2];

/// The pages of one test: X, Y, and those on which the threads agree to start.
pub(super) struct Arena {
    x: Pages,
    y: Option<Pages>,
    /// Words: the batch that is called, and when it starts.
    call: Pages,
    /// Words, two for each thread: the batch that it finished, and by how much it was late.
    done: Pages,
}

impl Arena {
    pub(super) fn new(x: u32, y: u32, same: bool) -> Result<Arena, String> {
        let y = if same { None } else { Some(Pages::on(y, 1)?) };
        Ok(Arena { x: Pages::on(x, 1)?, y, call: Pages::anywhere(1)?, done: Pages::anywhere(1)? })
    }

    fn cell(&self, variable: usize, cell: usize) -> &AtomicU64 {
        let at = cell * STRIDE;
        match (variable, &self.y) {
            (X, _) => &self.x.words()[at],
            (_, Some(y)) => &y.words()[at],
            (_, None) => &self.x.words()[SAME_PAGE + at],
        }
    }

    /// One thread of a test; gives what it read in each cell of each batch.
    pub(super) fn thread(
        &self,
        me: &Member<'_>,
        test: &Test,
        rounds: u64,
    ) -> Result<Vec<Reads>, String> {
        let program = test.threads[me.index];
        let mut seen = Vec::new();
        let mut lead = LEAD_NS.0;
        for batch in 1..=rounds.div_ceil(CELLS as u64) {
            if !self.meet(me, batch, &mut lead)? {
                break;
            }
            for cell in 0..CELLS {
                seen.push(self.step(program, cell, batch)?);
            }
            self.done.words()[me.index * 2].store(batch, Release);
        }
        Ok(seen)
    }

    /// Runs the program on one cell.
    fn step(&self, program: &[Op], cell: usize, batch: u64) -> Result<Reads, String> {
        let mut read = [0; 2];
        let mut reads = 0;
        for op in program {
            // The compiler keeps the order of the program; what the machine does is the test.
            compiler_fence(SeqCst);
            match *op {
                Write(variable) => self.cell(variable, cell).store(batch, Relaxed),
                Read(variable) => {
                    read[reads & 1] = self.cell(variable, cell).load(Relaxed);
                    reads += 1;
                }
                Fence => cpu::mfence(),
            }
        }
        compiler_fence(SeqCst);
        let mut bits = [0; 2];
        for (bit, value) in bits.iter_mut().zip(&read[..reads]) {
            *bit = match batch.wrapping_sub(*value) {
                0 => b'1',
                1 => b'0',
                _ => return Err(format!("stale: cell {cell} held {value} in batch {batch}")),
            };
        }
        Ok(bits)
    }

    /// Waits for the start of a batch. Thread 0 calls it when all have finished the one before.
    /// False: time is up.
    fn meet(&self, me: &Member<'_>, batch: u64, lead: &mut i64) -> Result<bool, String> {
        let (call, done) = (self.call.words(), self.done.words());
        if me.index == 0 {
            let mut latest = 0;
            for thread in 1..me.crew {
                me.wait(|| (done[thread * 2].load(Acquire) >= batch - 1).then_some(()))?;
                latest = latest.max(done[thread * 2 + 1].load(Relaxed));
            }
            // As early as all can make it: more if one was late, slowly less if none was.
            *lead =
                if latest > 0 { (*lead * 2).min(LEAD_NS.1) } else { (*lead * 15 / 16).max(2_000) };
            me.steps(batch * CELLS as u64);
            call[1].store((cpu::monotonic() + *lead) as u64, Relaxed);
            // Once is the least, or there would be no outcome to judge.
            let enough = me.stopped() || batch > 1 && me.late();
            call[0].store(if enough { STOP } else { batch }, Release);
        }
        let called = me.wait(|| Some(call[0].load(Acquire)).filter(|called| *called >= batch))?;
        if called == STOP {
            return Ok(false);
        }
        let start = call[1].load(Relaxed) as i64;
        let now = cpu::monotonic();
        done[me.index * 2 + 1].store((now - start).max(0) as u64, Relaxed);
        while cpu::monotonic() < start {
            std::hint::spin_loop();
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_of_an_earlier_round_is_stale() {
        let arena = Arena::new(0, 0, true).unwrap();
        arena.cell(X, 3).store(5, Relaxed);
        assert_eq!(arena.step(&[Read(X)], 3, 5), Ok(*b"1\0"));
        assert_eq!(arena.step(&[Read(X)], 3, 6), Ok(*b"0\0"));
        assert!(arena.step(&[Read(X)], 3, 7).is_err());
    }
}
