//! Locks between CPUs of different nodes: a mutex, a condition variable, a bare futex. Each counts,
//! and the counts are exact.

use crate::Outcome;
use crate::args::Args;
use crate::cpu;
use crate::crew::{self, Member};
use crate::machine::Machine;
use crate::memory::Pages;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Turns of each test, and of each CPU for the mutex.
const COUNT: u64 = 300;
/// The most CPUs that take part.
const CPUS: usize = 8;
/// A futex that is woken later than this was not woken at all.
const LOST: Duration = Duration::from_secs(10);
/// How long a condition variable is waited for between looks at the others.
const LOOK: Duration = Duration::from_secs(1);
/// In a futex word: no more turns. Far from any count.
const END: u32 = u32::MAX;

pub(crate) fn run(args: &Args, machine: &Machine) -> Outcome {
    let cpus = machine.spread(CPUS);
    let count = args.or(args.count, COUNT);
    let nodes = machine.memory();
    let parts = nodes.len() + 2;
    lock(args, &cpus, count, parts)?;
    turns(args, &cpus, count, parts - 1)?;
    for (i, node) in nodes.iter().enumerate() {
        futex(args, &cpus, count, *node, nodes.len() - i)?;
    }
    Ok(())
}

fn lock(args: &Args, cpus: &[u32], count: u64, left: usize) -> Outcome {
    let total = Mutex::new(0_u64);
    let got = crew::run("mutex lock", cpus, args.share(left), |me| {
        let mut mine = 0;
        while mine < count && !me.late() {
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            // Read and written apart: only the mutex makes it exact.
            let before = std::hint::black_box(*total);
            *total = before + 1;
            mine += 1;
        }
        Ok(mine)
    })?;
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    exact("mutex lock", cpus, &got, total)
}

fn turns(args: &Args, cpus: &[u32], count: u64, left: usize) -> Outcome {
    // Whose turn it is: the number of turns so far, modulo the crew. None: no more.
    let turn = (Mutex::new(Some(0_u64)), Condvar::new());
    let got = crew::run("mutex condvar", cpus, args.share(left), |me| {
        let mut mine = 0;
        let mut now = turn.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *now {
                None => return Ok(mine),
                Some(turns) if turns % me.crew as u64 == me.index as u64 => {
                    let go_on = turns < count && !me.late();
                    *now = go_on.then_some(turns + 1);
                    mine += u64::from(go_on);
                    turn.1.notify_all();
                }
                Some(_) if me.stopped() => return Err("another CPU failed".into()),
                Some(_) => {
                    let waited = turn.1.wait_timeout(now, LOOK);
                    now = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    })?;
    let most = got.iter().max().unwrap_or(&0);
    let least = got.iter().min().unwrap_or(&0);
    if most - least > 1 {
        return Err(format!("mutex condvar: turns weren't taken in turn: {got:?}"));
    }
    exact("mutex condvar", cpus, &got, got.iter().sum())
}

fn futex(args: &Args, cpus: &[u32], count: u64, node: u32, left: usize) -> Outcome {
    let page = Pages::on(node, 1)?;
    let word = &page.halves()[0];
    let pair = [cpus[0], cpus[1 % cpus.len()]];
    let what = format!("mutex futex node {node}");
    let got = crew::run(&what, &pair, args.share(left), |me| ping_pong(me, word, count))?;
    exact(&what, &pair, &got, got.iter().sum())?;
    if got[0].abs_diff(got[1]) > 1 {
        return Err(format!("{what}: not in turn: {got:?}"));
    }
    Ok(())
}

/// The word counts turns: even ones are member 0's, odd ones member 1's.
fn ping_pong(me: &Member<'_>, word: &AtomicU32, count: u64) -> Result<u64, String> {
    let mut mine = 0;
    loop {
        let now = word.load(SeqCst);
        if now == END {
            return Ok(mine);
        }
        if now as usize % 2 == me.index {
            let go_on = u64::from(now) < count && !me.late();
            mine += u64::from(go_on);
            word.store(if go_on { now + 1 } else { END }, SeqCst);
            cpu::futex_wake(word);
        } else if !cpu::futex_wait(word, now, LOST) {
            if me.stopped() {
                return Err("the other CPU failed".into());
            }
            if word.load(SeqCst) != now {
                return Err(format!("slept {} s past its wake-up", LOST.as_secs()));
            }
        }
    }
}

fn exact(what: &str, cpus: &[u32], got: &[u64], total: u64) -> Outcome {
    let expected: u64 = got.iter().sum();
    println!("{what} cpus {cpus:?} turns {got:?} total {total} expected {expected}");
    if total != expected || expected == 0 {
        return Err(format!("{what}: {total} instead of {expected}"));
    }
    Ok(())
}
