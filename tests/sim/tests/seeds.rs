//! CI's share of seeds. More of them, faster: `cargo xtask sim`.

#![allow(clippy::unwrap_used)]

use pangea_dsm::HOLD_CEILING;
use pangea_sim::{Config, Violation, run};

/// Runs a seed's usual mix; a failure's text has the command that repeats it.
fn seeds(range: std::ops::Range<u64>) {
    for seed in range {
        if let Err(failure) = run(&Config::of_seed(seed)) {
            panic!("{failure}");
        }
    }
}

#[test]
fn two_hundred_seeds_first_half() {
    seeds(0..100);
}

#[test]
fn two_hundred_seeds_second_half() {
    seeds(100..200);
}

#[test]
fn the_same_seed_twice_is_the_same_run() {
    let mut hashes = Vec::new();
    for seed in 0..20 {
        let config = Config::of_seed(seed);
        let (first, second) = (run(&config).unwrap(), run(&config).unwrap());
        assert_eq!(first, second, "seed {seed}");
        hashes.push(first.trace_hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 20, "different seeds are different runs");
}

#[test]
fn the_runs_reach_what_they_are_for() {
    // A simulator that never contends would be green as well.
    let reports: Vec<_> = (0..40).map(|seed| run(&Config::of_seed(seed)).unwrap()).collect();
    let sum = |of: fn(&pangea_sim::Report) -> u64| reports.iter().map(of).sum::<u64>();
    assert!(sum(|report| report.writes) > 5_000);
    assert!(sum(|report| report.accesses - report.writes) > 5_000);
    assert!(sum(|report| report.pages_sent) > 5_000);
    assert!(sum(|report| report.deferred) > 1_000, "holds were hardly ever in the way");
    assert!(reports.iter().any(|report| report.most_in_flight > 4), "invalidations in parallel");
}

/// The hold's purpose: without it, a quarter of these pages leave before their CPU has used them.
#[test]
fn one_page_that_everybody_writes() {
    let (mut installs, mut unused) = (0, 0);
    for seed in 0..10 {
        let config =
            Config { seed, nodes: 4, pages: 1, vcpus: 1, walk: 0, steps: 1_000, crash: false };
        let report = run(&config).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(report.longest_hold < HOLD_CEILING, "holds feed on each other: {report}");
        installs += report.installs;
        unused += report.unused;
    }
    assert!(unused * 50 < installs, "{unused} of {installs} pages pass by unused");
}

#[test]
fn one_node_alone_sends_nothing() {
    let report =
        run(&Config { seed: 1, nodes: 1, pages: 8, vcpus: 2, walk: 0, steps: 500, crash: false })
            .unwrap();
    assert_eq!((report.messages, report.deferred), (0, 0));
    assert!(report.accesses >= 500);
}

#[test]
fn a_shape_out_of_range_is_named() {
    let failure =
        run(&Config { seed: 1, nodes: 17, pages: 1, vcpus: 1, walk: 0, steps: 1, crash: false })
            .unwrap_err();
    assert!(matches!(*failure.violation, Violation::Config { field: "nodes", value: 17, .. }));
    let text = failure.to_string();
    assert!(text.contains("nodes is 17, must be 1 to 16"), "{text}");
    assert!(
        text.ends_with(
            "cargo xtask sim --seed 1 --nodes 17 --pages 1 --vcpus 1 --walk 0 --steps 1 --crash false"
        ),
        "{text}"
    );
}

/// Page tables under nested paging: a CPU gets on only while it has a whole set of pages.
#[test]
fn cpus_that_need_many_pages_at_once_get_on() {
    for (seed, nodes) in (0..12).zip([2, 3, 4].into_iter().cycle()) {
        let config =
            Config { seed, nodes, pages: 24, vcpus: 1, walk: 16, steps: 400, crash: false };
        let report = run(&config).unwrap_or_else(|failure| panic!("{failure}"));
        // Without turns, each access would fetch most of its sixteen pages anew.
        if nodes == 2 {
            assert!(report.pages_sent < 4 * config.steps, "{report}");
        }
    }
}

/// What the others see is right until the end, whoever crashes and whenever.
#[test]
fn a_node_crashes_on_the_way() {
    let mut crashed = 0;
    for seed in 0..60 {
        let report = run(&Config { crash: true, ..Config::of_seed(seed) });
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        crashed += u32::from(report.crashed.is_some() && report.accesses < report.config.steps);
    }
    assert!(crashed > 20, "{crashed} of 60 before the others were through");
}
