//! The checkers see: a protocol that lacks any one of its guards is caught, by the explorer and by the simulator.

use pangea_dsm::Guard;
use pangea_sim::{Config, Small, explore, run};

/// What is explored to find a guard missing, smallest first.
const SMALL: [Small; 3] = [
    Small { nodes: 2, pages: 1, cpus: 1, accesses: 3, crash: false },
    Small { nodes: 3, pages: 1, cpus: 1, accesses: 2, crash: false },
    Small { nodes: 2, pages: 2, cpus: 1, accesses: 2, crash: false },
];

/// Steps of the shortest way that was seen to lead to a violation, and the violation's words.
fn explored() -> Option<(usize, String)> {
    let found = SMALL.iter().find_map(|&small| explore(small, 1_000_000).err())?;
    Some((found.path.len(), found.violation.to_string()))
}

/// The seed of the first run that fails, and the violation's words.
fn simulated() -> Option<(u64, String)> {
    (0..50).find_map(|seed| Some((seed, run(&Config::of_seed(seed)).err()?.violation.to_string())))
}

#[test]
fn every_guard_is_missed_by_both() {
    let mut unseen = Vec::new();
    for guard in Guard::ALL {
        Guard::take_away(Some(guard));
        let (explored, simulated) = (explored(), simulated());
        Guard::take_away(None);
        println!("without {guard:?}:\n  explorer:  {explored:?}\n  simulator: {simulated:?}");
        if explored.is_none() || simulated.is_none() {
            unseen.push(guard);
        }
    }
    assert!(unseen.is_empty(), "not missed by both: {unseen:?}");
}

#[test]
fn with_all_of_them_nothing_is_found() {
    assert_eq!(explored(), None);
    assert_eq!(simulated(), None);
}
