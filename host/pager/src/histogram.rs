//! How long something took, as counts in log-linear buckets: recorded without allocation or lock.
//!
//! ```text
//!   ns   0..32 exact | 32..64 in steps of 1 | 64..128 in steps of 2 | ... | up to 2^36 (69 s)
//! ```
//!
//! 32 buckets per power of two: a reported value is at most 1/32 (3 %) above the true one. One
//! thread records, any thread reads. Units: nanoseconds.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SUB_BITS: u32 = 5;
const SUBS: u64 = 1 << SUB_BITS;
const MAX_BITS: u32 = 36;
const BUCKETS: usize = ((MAX_BITS - SUB_BITS + 1) as usize) << SUB_BITS;
const MAX_NS: u64 = (1 << MAX_BITS) - 1;

/// Counts by duration. Longer than [`MAX_NS`] counts as that.
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
}

/// What a histogram says in four numbers, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Latency {
    /// How many were recorded.
    pub count: u64,
    /// Half of them took at most so long.
    pub p50_ns: u64,
    /// 99 of 100 took at most so long.
    pub p99_ns: u64,
    /// None took longer.
    pub max_ns: u64,
}

impl Histogram {
    pub(crate) fn new() -> Histogram {
        Histogram { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Counts one. Only ever called by one thread, hence no atomic addition.
    pub(crate) fn record(&self, ns: u64) {
        if let Some(bucket) = self.buckets.get(index(ns)) {
            bucket.store(bucket.load(Relaxed) + 1, Relaxed);
        }
    }

    pub(crate) fn latency(&self) -> Latency {
        let count: u64 = self.buckets.iter().map(|b| b.load(Relaxed)).sum();
        // The rank counts from 1: the p-th of `count` is the first value that so many don't exceed.
        let at = |percent: u64| {
            let rank = (count * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let found = self.buckets.iter().position(|b| {
                seen += b.load(Relaxed);
                seen >= rank
            });
            found.map_or(0, ceiling)
        };
        Latency { count, p50_ns: at(50), p99_ns: at(99), max_ns: at(100) }
    }
}

fn index(ns: u64) -> usize {
    let ns = ns.min(MAX_NS);
    if ns < SUBS {
        return ns as usize;
    }
    let shift = ns.ilog2() - SUB_BITS;
    (u64::from(shift) * SUBS + (ns >> shift)) as usize
}

/// The largest value that falls into a bucket.
fn ceiling(index: usize) -> u64 {
    let index = index as u64;
    if index < SUBS {
        return index;
    }
    let shift = index / SUBS - 1;
    ((index % SUBS + SUBS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_tile_the_range_and_report_at_most_a_32nd_too_much() {
        for bucket in 1..BUCKETS {
            let (below, top) = (ceiling(bucket - 1), ceiling(bucket));
            assert_eq!((index(below + 1), index(top)), (bucket, bucket));
            assert!(top - (below + 1) <= (below + 1) / SUBS, "bucket {bucket}");
        }
        assert_eq!(ceiling(BUCKETS - 1), MAX_NS);
        assert_eq!(index(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_a_known_set() {
        let histogram = Histogram::new();
        assert_eq!(histogram.latency(), Latency::default());
        (1..=100).for_each(|us| histogram.record(us * 1000));
        let l = histogram.latency();
        assert_eq!(l.count, 100);
        for (found, exact) in [(l.p50_ns, 50_000), (l.p99_ns, 99_000), (l.max_ns, 100_000)] {
            assert!((exact..=exact + exact / SUBS).contains(&found), "{found} for {exact}");
        }
    }
}
