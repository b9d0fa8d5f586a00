//! The links: one default, and pairs of nodes by name that differ from it.

use crate::nearest::{list, nearest};
use crate::raw::{RawLink, RawLinks, RawPair};
use crate::report::Problem;
use crate::valid::Reading;
use pangea_topology::{Link, Links, Node, NodeId};
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

/// The links of the file. Their places are kept under the index that [`Links::pairs`] gives them.
pub(crate) fn links(reading: &mut Reading<'_>, raw: RawLinks, nodes: &[Node]) -> Links {
    let default = raw.default.map_or(Link::REMOTE, |raw| {
        reading.spans.put("links.default", &raw);
        reading.link("links.default", raw.value, Link::REMOTE)
    });
    let mut pairs: BTreeMap<[NodeId; 2], Spanned<RawPair>> = BTreeMap::new();
    for pair in raw.pairs {
        let Some(between) = between(reading, &pair, nodes) else { continue };
        if let Some(first) = pairs.get(&between) {
            let title = "a pair is listed once, in either order";
            let (here, there) = (reading.spans.of(&pair), reading.spans.of(first));
            let problem = Problem::new(title, here, "the same two nodes", "remove one of the two");
            reading.problems.push(problem.also(there, "listed here first"));
        } else {
            pairs.insert(between, pair);
        }
    }
    let mut links = Links::uniform(default);
    for (i, (between, pair)) in pairs.into_iter().enumerate() {
        let path = format!("links.pairs[{i}]");
        reading.spans.put(&path, &pair);
        let RawPair { distance, latency, bandwidth, .. } = pair.value;
        let link = reading.link(&path, RawLink { distance, latency, bandwidth }, default);
        links.set(between[0], between[1], link);
    }
    links
}

/// The two nodes of a pair, the lower first.
fn between(
    reading: &mut Reading<'_>,
    pair: &Spanned<RawPair>,
    nodes: &[Node],
) -> Option<[NodeId; 2]> {
    let help = "name two nodes: `between: [a, b]`".to_owned();
    let Some(names) = &pair.value.between else {
        let why = ("`between` is missing or empty".into(), help);
        reading.refuse(pair, "it belongs here".into(), why);
        return None;
    };
    let [a, b] = names.value.as_slice() else {
        let why = ("a pair is two nodes".into(), help);
        reading.refuse(names, format!("not two, but {}", names.value.len()), why);
        return None;
    };
    let ids = [a, b].map(|name| node(reading, name, nodes));
    let [Some(low), Some(high)] = ids else { return None };
    if low == high {
        let why = ("a pair is two different nodes".into(), help);
        reading.refuse(b, "the same node".into(), why);
        return None;
    }
    Some([low.min(high), low.max(high)])
}

/// The node of this name.
fn node(reading: &mut Reading<'_>, name: &Spanned<String>, nodes: &[Node]) -> Option<NodeId> {
    let at = nodes.iter().position(|n| n.name == name.value);
    let id = at.and_then(|i| u8::try_from(i).ok()).map(NodeId);
    if id.is_none() {
        let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).collect();
        let help = match nearest(&name.value, &names) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.len() <= 8 => format!("the nodes are {}", list(&names)),
            None => format!("use one of the {} names under `nodes`", names.len()),
        };
        let why = ("no node of this name".into(), help);
        reading.refuse(name, format!("`{}`", name.value), why);
    }
    id
}
