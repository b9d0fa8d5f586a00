//! Message passing: data on one node's page, the flag that tells of it on another's. Who sees the
//! flag must see the data, or a later one.
//!
//! In ring 0, where every access is slow, each message is answered before the next. In ring 3 the
//! writer goes on until the reader has seen enough, so that pages move while they are written.

use super::{everywhere, name};
use crate::crew::{Crew, Ring};
use crate::failure::{Outcome, ensure};
use crate::local::Local;
use crate::physical::word;
use crate::serial::say;
use crate::time::spin;
use core::sync::atomic::{AtomicU64, Ordering};

/// Where the answer lies, and where both CPUs say that they are there, from the flag: other cache
/// lines of the same page.
const ANSWER: u64 = 128;
const READY: u64 = 256;
/// Messages that the reader is to see.
const ENOUGH: u64 = 20;
/// The answer that says: that was enough.
const STOP: u64 = u64::MAX;
/// In ring 3, the writer looks for the answer after so many messages.
const UNANSWERED: u64 = 256;
/// The writer gives up after so many.
const MOST: u64 = 1 << 40;

pub(super) fn run(crew: &Crew, ring: Ring) -> Outcome {
    for (writer, reader) in crew.pairs() {
        let (data, flags) = (everywhere(crew, 1)?, everywhere(crew, 1)?);
        for (data, on) in data.iter() {
            let mut seen = 0;
            for (flag, _) in flags.iter() {
                // Both start from zero, whatever was there.
                for at in [data, flag, flag + ANSWER, flag + READY] {
                    word(at).store(0, Ordering::Release);
                }
                let pace = if ring == Ring::Zero { 1 } else { UNANSWERED };
                let tasks = [(writer, [data, flag, pace, 1]), (reader, [data, flag, pace, 0])];
                let results = crew.run(ring, pass, &tasks)?;
                let [[stopped, ..], [read, stale, told, _]] =
                    [0, 1].map(|i| results.get(i).unwrap_or_default());
                ensure!(
                    stale == 0,
                    "stale: cpu {reader} saw message {told} of cpu {writer} {stale} times without \
                     its data (node {on})"
                );
                ensure!(
                    read == ENOUGH && stopped == 1,
                    "cpu {reader} saw {read} of {ENOUGH} messages of cpu {writer}"
                );
                seen += read;
            }
            say!(
                "messages in {} cpu {writer} to cpu {reader}, data on node {on}: {seen} seen, \
                 none stale",
                name(ring)
            );
        }
    }
    Ok(())
}

/// Words: data, flag, messages between two looks at the answer, 1 for the writer. The writer leaves
/// 1 if it was told to stop; the reader how many different messages it saw, how many were stale, and
/// one of these.
extern "sysv64" fn pass(_: &'static Local, words: &mut [u64; 4]) {
    let [data, flag, pace, writes] = *words;
    let (answer, ready) = (word(flag + ANSWER), word(flag + READY));
    *words = [0; 4];
    ready.fetch_add(1, Ordering::AcqRel);
    if !spin(|| ready.load(Ordering::Acquire) == 2) {
        return;
    }
    match writes {
        1 => words[0] = write(word(data), word(flag), answer, pace).into(),
        _ => *words = read(word(data), word(flag), answer),
    }
}

/// Writes messages until the answer is [`STOP`]; false if it never is.
fn write(data: &AtomicU64, flag: &AtomicU64, answer: &AtomicU64, pace: u64) -> bool {
    let (mut message, mut answered) = (0, 0);
    // The reader ends it, or stops answering.
    while answered != STOP {
        for _ in 0..pace {
            message += 1;
            data.store(message, Ordering::Relaxed);
            flag.store(message, Ordering::Release);
        }
        let next = || {
            let before = core::mem::replace(&mut answered, answer.load(Ordering::Acquire));
            pace > 1 || answered != before
        };
        if !spin(next) || message > MOST {
            return false;
        }
    }
    true
}

fn read(data: &AtomicU64, flag: &AtomicU64, answer: &AtomicU64) -> [u64; 4] {
    let (mut last, mut seen, mut stale, mut example) = (0, 0, 0, 0);
    while seen < ENOUGH {
        let mut told = last;
        let newer = || {
            told = flag.load(Ordering::Acquire);
            told != last
        };
        if !spin(newer) {
            break;
        }
        if told < last || data.load(Ordering::Relaxed) < told {
            (stale, example) = (stale + 1, told);
        }
        (last, seen) = (told, seen + 1);
        answer.store(told, Ordering::Release);
    }
    answer.store(STOP, Ordering::Release);
    [seen, stale, example, 0]
}
