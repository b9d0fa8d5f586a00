//! Runs the tables of `src/transitions.md` against the code: each row as it stands, each pair that
//! isn't listed as the page says, and each "next" by how that state answers to every input.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use pangea_dsm::{Dsm, Homes, Input, Nanos, Output, ProtocolError};
use pangea_topology::{NodeId, NodeSet, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb, Txn};

const TEXT: &str = include_str!("../src/transitions.md");
const PAGE: Pfn = Pfn(7);
/// Longer than any hold.
const LONG: u64 = 10_000_000;

/// (state, input) -> (outputs, next)
type Table = BTreeMap<(String, String), (String, String)>;

fn table(heading: &str) -> Table {
    let section = TEXT.split("\n# ").find(|section| section.starts_with(heading)).unwrap();
    let mut rows = Table::new();
    for line in section.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        let [_, state, input, outputs, next, _] = cells.try_into().expect(line);
        assert!(rows.insert((state, input), (outputs, next)).is_none(), "twice: {line}");
    }
    rows
}

fn states(table: &Table) -> Vec<String> {
    let mut states: Vec<_> = table.keys().map(|(state, _)| state.clone()).collect();
    states.dedup();
    states
}

fn access(text: &str) -> Access {
    if text == "read" { Access::Read } else { Access::Write }
}

fn kind(access: Access) -> &'static str {
    if access == Access::Read { "read" } else { "write" }
}

fn plus(invalidations: u8) -> String {
    if invalidations == 0 { String::new() } else { format!(" +{invalidations}") }
}

fn show(output: &Output, with_peer: bool) -> String {
    let Output::Send { to, message } = output else {
        return match output {
            Output::Install { access, .. } => format!("Install {}", kind(*access)),
            Output::Take { .. } => "Take".into(),
            Output::Upgrade { .. } => "Upgrade".into(),
            Output::Downgrade { .. } => "Downgrade".into(),
            Output::Revoke { .. } => "Revoke".into(),
            Output::Wake { .. } => "Wake".into(),
            Output::Send { .. } => unreachable!(),
        };
    };
    let text = match message.verb {
        PageVerb::Get { access } => format!("Get {}", kind(access)),
        PageVerb::Fetch { access, invalidations } => {
            format!("Fetch {}{}", kind(access), plus(invalidations))
        }
        PageVerb::Page { access, invalidations } => {
            format!("Page {}{}", kind(access), plus(invalidations))
        }
        PageVerb::Grant { invalidations } => format!("Grant{}", plus(invalidations)),
        PageVerb::Invalidate => "Invalidate".into(),
        PageVerb::Invalidated => "Invalidated".into(),
        PageVerb::Done => "Done".into(),
    };
    if with_peer { format!("{text} to {}", to.0) } else { text }
}

fn joined(outputs: &[Output], with_peer: bool) -> String {
    outputs.iter().map(|output| show(output, with_peer)).collect::<Vec<_>>().join(", ")
}

/// A node and its clock.
#[derive(Clone)]
struct Node {
    dsm: Dsm,
    now: u64,
}

impl Node {
    fn new(me: u8, nodes: u8) -> Node {
        let homes = Homes::new(vec![(Pfn(0)..Pfn(16), NodeId(0))]);
        Node { dsm: Dsm::new(NodeId(me), nodes, homes), now: LONG }
    }

    fn step(&mut self, input: Input) -> Result<Vec<Output>, ProtocolError> {
        let mut out = Vec::new();
        let before = self.dsm.clone();
        let result = self.dsm.step(Nanos(self.now), input, &mut out);
        if result.is_err() {
            assert!(out.is_empty() && self.dsm == before, "a refused message left a trace");
        }
        result.map(|()| out)
    }

    fn receive(
        &mut self,
        from: u8,
        of: u8,
        txn: Txn,
        verb: PageVerb,
    ) -> Result<Vec<Output>, ProtocolError> {
        let message = PageMessage { pfn: PAGE, txn, requester: NodeId(of), verb };
        self.step(Input::Receive { from: NodeId(from), message })
    }

    fn fault(&mut self, access: Access) -> Vec<Output> {
        self.step(Input::Fault { pfn: PAGE, access }).unwrap()
    }

    /// The user's table: one input in its words. Node 2 supplies or requests, node 3 invalidates.
    fn user_input(&mut self, text: &str) -> Option<String> {
        let own = self.dsm.describe(PAGE).pending.map_or(Txn(1), |(txn, _)| txn);
        let other = Txn(900);
        let (text, invalidations) = match text.strip_suffix(" +1") {
            Some(text) => (text, 1),
            None => (text, 0),
        };
        let words: Vec<_> = text.split(' ').collect();
        let outputs = match words[..] {
            ["tick"] => {
                self.now += LONG;
                self.step(Input::Tick)
            }
            ["fault", kind] => Ok(self.fault(access(kind))),
            ["Page", kind] => {
                self.receive(2, 1, own, PageVerb::Page { access: access(kind), invalidations })
            }
            ["Grant"] => self.receive(0, 1, own, PageVerb::Grant { invalidations }),
            ["Invalidated"] => self.receive(3, 1, own, PageVerb::Invalidated),
            ["Fetch", kind] => {
                let access = access(kind);
                self.receive(0, 2, other, PageVerb::Fetch { access, invalidations })
            }
            ["Invalidate"] => self.receive(0, 2, other, PageVerb::Invalidate),
            _ => panic!("no such input: {text}"),
        };
        outputs.ok().map(|outputs| joined(&outputs, false))
    }
}

const USER_INPUTS: [&str; 12] = [
    "fault read",
    "fault write",
    "Page read",
    "Page write",
    "Page write +1",
    "Grant",
    "Grant +1",
    "Invalidated",
    "Fetch read",
    "Fetch write",
    "Invalidate",
    "tick",
];

/// What the table says to this input: outputs and next, or none where it is refused.
fn expected(table: &Table, state: &str, input: &str) -> Option<(String, String)> {
    let listed = table.get(&(state.to_owned(), input.to_owned())).cloned();
    let silent = input.starts_with("fault") || input == "tick";
    listed.or_else(|| silent.then(|| (String::new(), state.to_owned())))
}

/// Inputs that lead to a state, found by walking the table from the first one.
fn paths(table: &Table, first: &str) -> BTreeMap<String, Vec<String>> {
    let mut paths = BTreeMap::from([(first.to_owned(), Vec::new())]);
    let mut open = vec![first.to_owned()];
    while let Some(state) = open.pop() {
        for ((from, input), (_, next)) in table {
            if *from == state && !paths.contains_key(next) {
                let path = [&paths[&state][..], std::slice::from_ref(input)].concat();
                paths.insert(next.clone(), path);
                open.push(next.clone());
            }
        }
    }
    paths
}

#[test]
fn the_users_table_is_what_the_code_does() {
    let table = table("At a node that isn't the page's home");
    let paths = paths(&table, "none");
    for state in states(&table) {
        let path = paths.get(&state).unwrap_or_else(|| panic!("no way leads to `{state}`"));
        let mut node = Node::new(1, 4);
        for input in path {
            assert!(node.user_input(input).is_some(), "on the way to `{state}`: {input}");
        }
        for input in USER_INPUTS {
            let mut after = node.clone();
            let outputs = after.user_input(input);
            let expected = expected(&table, &state, input);
            assert_eq!(
                outputs,
                expected.clone().map(|(outputs, _)| outputs),
                "`{state}` on `{input}`"
            );
            // The next state is the one that answers to every input as the table says it does.
            let next = expected.map_or(state.clone(), |(_, next)| next);
            for probe in USER_INPUTS {
                let answer = self::expected(&table, &next, probe).map(|(outputs, _)| outputs);
                assert_eq!(
                    after.clone().user_input(probe),
                    answer,
                    "`{state}` on `{input}` should be `{next}`, but isn't on `{probe}`"
                );
            }
        }
    }
    for (_, input) in table.keys() {
        assert!(USER_INPUTS.contains(&input.as_str()), "nobody tries `{input}`");
    }
}

impl Node {
    /// The home's table: a node asks. Gives the home's outputs, and then ends the transaction.
    fn ask(&mut self, node: u8, access: Access) -> Option<Vec<Output>> {
        self.now += LONG;
        let txn = Txn(self.now);
        if node != 0 {
            let outputs = self.receive(node, node, txn, PageVerb::Get { access }).ok()?;
            assert_eq!(self.receive(node, node, txn, PageVerb::Done), Ok(vec![]));
            return Some(outputs);
        }
        let outputs = self.fault(access);
        for output in &outputs {
            let Output::Send { to, message } = output else { continue };
            let verb = match message.verb {
                PageVerb::Fetch { access, invalidations } => {
                    PageVerb::Page { access, invalidations }
                }
                _ => PageVerb::Invalidated,
            };
            self.receive(to.0, 0, message.txn, verb).unwrap();
        }
        Some(outputs)
    }
}

/// The same text with nodes 1 and 2 exchanged.
fn exchange(text: &str) -> String {
    let swap = |c| match c {
        '1' => '2',
        '2' => '1',
        c => c,
    };
    // `+1` counts and stays.
    text.split(' ')
        .map(
            |word| {
                if word.starts_with('+') { word.into() } else { word.chars().map(swap).collect() }
            },
        )
        .collect::<Vec<String>>()
        .join(" ")
}

/// Outputs of one moment go to different nodes: their order among sharers is by index.
fn sorted(outputs: &str) -> Vec<&str> {
    let mut parts: Vec<_> = outputs.split(", ").filter(|part| !part.is_empty()).collect();
    parts.sort_unstable();
    parts
}

/// Every (state, asker) of the home's table and its mirror image.
fn home_table() -> Table {
    let mut full = Table::new();
    for ((state, asks), (outputs, next)) in table("At the page's home") {
        let norm = |state: &str| state.replace("0 2 1 share", "0 1 2 share");
        for mirror in [str::to_owned as fn(&str) -> String, exchange] {
            let key = (norm(&mirror(&state)), mirror(&asks));
            let value = (sorted(&mirror(&outputs)).join(", "), norm(&mirror(&next)));
            let before = full.insert(key.clone(), value.clone());
            assert!(before.is_none_or(|before| before == value), "{key:?} twice");
        }
    }
    full
}

/// A home in the state: who asks, in turn, to get there.
fn home_in(state: &str) -> Node {
    let mut node = Node::new(0, 3);
    let words: Vec<_> = state.split(' ').collect();
    let (kind, nodes) = words.split_last().unwrap();
    let nodes: Vec<u8> = nodes.iter().map(|word| word.parse().unwrap()).collect();
    if nodes[0] != 0 {
        node.ask(nodes[0], Access::Write).unwrap();
    }
    for &other in &nodes[1..] {
        node.ask(other, Access::Read).unwrap();
    }
    let entry = node.dsm.describe(PAGE).directory.unwrap();
    assert_eq!(entry.exclusive, *kind == "alone");
    assert_eq!(
        entry.holders,
        nodes.iter().fold(NodeSet::EMPTY, |set, &node| set.with(NodeId(node)))
    );
    node
}

fn answers(node: &Node) -> BTreeMap<String, Option<Vec<String>>> {
    let mut answers = BTreeMap::new();
    for asker in 0..3 {
        for access in [Access::Read, Access::Write] {
            let outputs = node.clone().ask(asker, access).map(|outputs| joined(&outputs, true));
            let sorted =
                outputs.map(|text| sorted(&text).iter().map(|s| (*s).to_owned()).collect());
            answers.insert(format!("{asker} to {}", kind(access)), sorted);
        }
    }
    answers
}

#[test]
fn the_homes_table_is_what_the_code_does() {
    let table = home_table();
    assert_eq!(states(&table).len(), 8, "alone 3, two share 4, three share 1");
    let expected = |state: &str| {
        let mut expected = BTreeMap::new();
        for asker in 0..3 {
            for kind in ["read", "write"] {
                let asks = format!("{asker} to {kind}");
                let row = table.get(&(state.to_owned(), asks.clone()));
                let outputs = row.map(|(outputs, _)| sorted(outputs));
                let outputs = outputs.or((asker == 0).then(|| vec!["Wake"]));
                let owned = outputs.map(|parts| parts.iter().map(|s| (*s).to_owned()).collect());
                expected.insert(asks, owned);
            }
        }
        expected
    };
    for state in states(&table) {
        assert_eq!(answers(&home_in(&state)), expected(&state), "`{state}`");
    }
    for ((state, asks), (_, next)) in &table {
        let mut node = home_in(state);
        let (asker, kind) = asks.split_once(" to ").unwrap();
        node.ask(asker.parse().unwrap(), access(kind)).unwrap();
        assert_eq!(answers(&node), expected(next), "`{state}`, {asks}: should be `{next}`");
    }
}
