//! The watch: a heartbeat to every peer, and a look at which of them has fallen silent.
//!
//! A peer isn't silent while bytes of it lie unread here, nor for the time in which this process
//! itself didn't run: both would blame the peer for our own delay.

use super::lateness::{Change, Lateness};
use super::{Shared, lock};
use crate::LossCause;
use pangea_wire::{ControlMessage, encode_control};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Heartbeats in one deadline: a few may be late, and still none is missed.
const HEARTBEATS: u32 = 8;
/// How long a peer may take until its first message: its process may still be setting up.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// A peer is late when it was silent for a half of what it is allowed.
const LATE: u32 = 2;

/// What the watch remembers of one lane.
#[derive(Default)]
struct Seen {
    heard_ns: u64,
    /// How much of the silence since then was our own delay.
    excused: Duration,
    lateness: Lateness,
}

/// Runs until the lanes close.
pub(super) fn run(shared: &Shared) {
    let interval = (shared.deadline / HEARTBEATS).max(Duration::from_millis(1));
    let mut seen: Vec<_> = shared.lanes.iter().map(|_| Seen::default()).collect();
    let mut own = Lateness::default();
    let mut seq = 0;
    let mut last = Instant::now();
    loop {
        seq += 1;
        if let Ok(frame) = encode_control(&ControlMessage::Heartbeat { seq }) {
            for lane in shared.lanes.iter().filter(|lane| lane.is_open()) {
                // A lane that can't be written has told its reader.
                let _ = lane.send(&frame);
            }
        }
        if !pause(shared, interval) {
            return;
        }
        let late = last.elapsed().saturating_sub(interval);
        last = Instant::now();
        let stalled = Some(late).filter(|late| *late > interval);
        if let Some(change) = own.look(last, stalled) {
            tell_own(change);
        }
        for (lane, seen) in shared.lanes.iter().zip(&mut seen) {
            if lane.heard_ns() != seen.heard_ns {
                (seen.heard_ns, seen.excused) = (lane.heard_ns(), Duration::ZERO);
            }
            seen.excused += stalled.unwrap_or_default();
            let allowed =
                if lane.was_heard() { shared.deadline } else { shared.deadline.max(FIRST_WORD) };
            let silent = lane.silent_for().saturating_sub(seen.excused);
            if !lane.is_open() || lane.is_stopping() {
                continue;
            }
            let late = Some(silent).filter(|late| *late > allowed / LATE && !lane.has_unread());
            if let Some(change) = seen.lateness.look(last, late) {
                tell_peer(lane.name(), allowed, change);
            }
            if late.is_some_and(|late| late > allowed) {
                lane.fail(LossCause::Silent);
            }
        }
    }
}

fn tell_own(change: Change) {
    match change {
        Change::Late { by } => {
            let ms = by.as_millis();
            tracing::warn!("this host is busy: heartbeats to the other nodes leave {ms} ms late");
        }
        Change::InTime { lasted, worst } => {
            let (lasted, worst) = (lasted.as_millis(), worst.as_millis());
            tracing::info!(
                "heartbeats leave in time again after {lasted} ms; one left {worst} ms late"
            );
        }
    }
}

fn tell_peer(name: &str, allowed: Duration, change: Change) {
    match change {
        Change::Late { by } => {
            let (by, allowed) = (by.as_millis(), allowed.as_millis());
            tracing::warn!(
                "node {name} is late: silent for {by} ms, it is lost after {allowed} ms"
            );
        }
        Change::InTime { lasted, worst } => {
            let (lasted, worst) = (lasted.as_millis(), worst.as_millis());
            tracing::info!(
                "node {name} is in time again after {lasted} ms; its longest silence was {worst} ms"
            );
        }
    }
}

/// Waits for the next heartbeat; false when the lanes are closing.
fn pause(shared: &Shared, interval: Duration) -> bool {
    let until = Instant::now() + interval;
    let mut guard = lock(&shared.ended_lock);
    loop {
        if shared.closing.load(Ordering::SeqCst) {
            return false;
        }
        let Some(left) = until.checked_duration_since(Instant::now()) else { return true };
        guard = shared
            .ended
            .wait_timeout(guard, left)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
    }
}
