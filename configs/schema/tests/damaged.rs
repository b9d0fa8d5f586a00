//! A file that someone's editor, disk or malice damaged is read or refused with a place, and never
//! takes the program down.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

/// A file with every kind of value.
const TEXT: &str = "version: 1\nname: trio # é\nguest: { command-line: 'a b' }\nnodes:\n  - &a { name: a, address: ::1, vcpus: 1, memory: 256 MiB }\n  - name: b\n    address: \"10.0.0.1\"\n    vcpus: 1\n    memory: 0\nlinks:\n  pairs:\n    - between: [a, b]\n      latency: 5 us\nfailure:\n  peer-deadline: 1 s\n";

fn edited(edits: &[(prop::sample::Index, Option<char>)]) -> String {
    let mut text: Vec<char> = TEXT.chars().collect();
    for (at, with) in edits {
        let at = at.index(text.len());
        match with {
            Some(c) => text.insert(at, *c),
            None => drop(text.remove(at)),
        }
    }
    text.into_iter().collect()
}

fn damage() -> impl Strategy<Value = Option<char>> {
    let odd: Vec<char> = "\n\t\r :-[]{}#&*!|>'\"%@`?,<0é１\u{7f}\u{feff}\u{2028}".chars().collect();
    prop_oneof![Just(None), prop::sample::select(odd).prop_map(Some), any::<char>().prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_read_or_refused(edits in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..8)) {
        let text = edited(&edits);
        match pangea_schema::parse(&text, "cluster.yaml") {
            Ok(cluster) => {
                let again = pangea_schema::render::expanded(&cluster);
                prop_assert_eq!(pangea_schema::parse(&again, "again").unwrap(), cluster);
            }
            Err(error) => {
                let report = error.to_string();
                prop_assert!(report.contains("--> cluster.yaml:"), "{}", report);
                prop_assert!(report.contains("= help: "), "{}", report);
            }
        }
    }
}
