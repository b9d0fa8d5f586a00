//! Locked additions by all CPUs to one word: the total is exact, and no two CPUs ever got the
//! same number.

use crate::Outcome;
use crate::args::Args;
use crate::crew;
use crate::machine::Machine;
use crate::memory::Pages;
use std::sync::atomic::Ordering::SeqCst;

/// Additions by each CPU to a word of each node.
const COUNT: u64 = 2_000;
/// Looks at the time once in so many additions.
const BATCH: u64 = 50;

pub(crate) fn run(args: &Args, machine: &Machine) -> Outcome {
    let cpus = machine.cpus();
    let count = args.or(args.count, COUNT);
    for (i, node) in machine.memory().iter().enumerate() {
        let page = Pages::on(*node, 1)?;
        let word = &page.words()[0];
        let what = format!("xadd node {node}");
        let deadline = args.share(machine.memory().len() - i);
        let got = crew::run(&what, &cpus, deadline, |me| {
            let mut mine = Vec::with_capacity(count as usize);
            for step in 0..count {
                if step % BATCH == 0 && me.late() {
                    break;
                }
                // The value before the addition, as `lock xadd` gives it.
                mine.push(word.fetch_add(1, SeqCst));
            }
            Ok(mine)
        })?;
        let each: Vec<usize> = got.iter().map(Vec::len).collect();
        let total = word.load(SeqCst);
        let expected = each.iter().sum::<usize>() as u64;
        println!("{what} cpus {cpus:?} additions {each:?} total {total} expected {expected}");
        judge(&got, total).map_err(|why| format!("{what}: {why}"))?;
    }
    Ok(())
}

/// Every number from 0 to the total was given once, to each CPU in rising order.
fn judge(got: &[Vec<u64>], total: u64) -> Outcome {
    for mine in got {
        if let Some(pair) = mine.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!("a CPU got {} after {}", pair[1], pair[0]));
        }
    }
    let mut all: Vec<u64> = got.iter().flatten().copied().collect();
    all.sort_unstable();
    match (0..).zip(&all).find(|(expected, value)| expected != *value) {
        Some((expected, value)) => Err(format!("where {expected} should be, a CPU got {value}")),
        None if all.len() as u64 == total => Ok(()),
        None => Err(format!("{} additions make {total}", all.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn a_lost_or_doubled_addition_is_found() {
        assert_eq!(judge(&[vec![0, 2], vec![1, 3]], 4), Ok(()));
        assert!(judge(&[vec![0, 2], vec![1, 2]], 3).is_err(), "one number twice");
        assert!(judge(&[vec![0, 2], vec![1, 3]], 3).is_err(), "a lost addition");
        assert!(judge(&[vec![2, 0], vec![1, 3]], 4).is_err(), "backwards");
        assert!(judge(&[vec![0], vec![2]], 2).is_err(), "a gap");
    }
}
