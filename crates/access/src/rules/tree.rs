//! Filters of many rules as one tree by level, with the numbers of the rules where their filters
//! end.
//!
//! Owns: finding the first rule whose filter matches a topic, covers a filter or overlaps one.
//! Never: walks a branch whose rules all come after one that was found already. Invariant: a node
//! is visited at most once in a search.

use foldhash::HashMap;

use super::principal::{Placeholder, Principal};
use super::rule::{Level, Rule, Template};

/// After the last rule: nothing was found.
pub(super) const NO_RULE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Node {
    /// The first rule here or below.
    first: u32,
    literals: Literals,
    /// `+`
    single: Option<Box<Node>>,
    /// Few, because credentials define few variables.
    placeholders: Vec<(Placeholder, Node)>,
    /// Of filters that end here.
    end: Vec<Entry>,
    /// Of filters that end here with `#`.
    multi: Vec<Entry>,
}

/// The nodes below a node by their level.
#[derive(Debug)]
enum Literals {
    /// To compare a few takes less time than to hash one.
    Few(Vec<(Box<str>, Node)>),
    Many(HashMap<Box<str>, Node>),
}

/// Levels beyond which they are looked up by their hash.
const FEW_MAX: usize = 4;

/// A rule whose filter ends at a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) rule: u32,
    /// Not everybody for whom the tree is searched is meant: the rule must be asked.
    pub(super) conditional: bool,
}

/// A search for the first rule, through as many trees as there are for a client.
pub(super) struct Search<'a> {
    pub(super) principal: &'a Principal<'a>,
    pub(super) rules: &'a [Rule],
    /// The first rule found so far.
    pub(super) first: u32,
}

impl Default for Node {
    fn default() -> Node {
        Node {
            first: NO_RULE,
            literals: Literals::default(),
            single: None,
            placeholders: Vec::new(),
            end: Vec::new(),
            multi: Vec::new(),
        }
    }
}

impl Default for Literals {
    fn default() -> Literals {
        Literals::Few(Vec::new())
    }
}

impl Literals {
    fn get(&self, level: &str) -> Option<&Node> {
        match self {
            Literals::Few(few) => {
                let found = few.iter().find(|(literal, _)| **literal == *level);
                found.map(|(_, node)| node)
            }
            Literals::Many(many) => many.get(level),
        }
    }

    fn entry(&mut self, level: &str) -> &mut Node {
        if let Literals::Few(few) = self
            && few.len() == FEW_MAX
            && few.iter().all(|(literal, _)| **literal != *level)
        {
            *self = Literals::Many(few.drain(..).collect());
        }
        match self {
            Literals::Few(few) => {
                let known = few.iter().position(|(literal, _)| **literal == *level);
                let at = known.unwrap_or_else(|| {
                    few.push((level.into(), Node::default()));
                    few.len() - 1
                });
                &mut few[at].1
            }
            Literals::Many(many) => many.entry(level.into()).or_default(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        let (few, many) = match self {
            Literals::Few(few) => (few.as_slice(), None),
            Literals::Many(many) => (&[][..], Some(many)),
        };
        let few = few.iter().map(|(literal, node)| (&**literal, node));
        let many = many.into_iter().flatten();
        few.chain(many.map(|(literal, node)| (&**literal, node)))
    }
}

impl Node {
    /// Enters a rule's filter; rules come in their order.
    pub(super) fn insert(&mut self, template: &Template, entry: Entry) {
        let mut node = self;
        node.first = node.first.min(entry.rule);
        // A topic has at least one level, so `+/#` is `#`; see `relation::covers`.
        let levels = match &*template.levels {
            [Level::Single, Level::Multi] => &template.levels[1..],
            levels => levels,
        };
        for level in levels {
            node = match level {
                Level::Multi => return push(&mut node.multi, entry),
                Level::Single => node.single.get_or_insert_default(),
                Level::Literal(literal) => node.literals.entry(literal),
                Level::Placeholder(placeholder) => node.placeholder(placeholder),
            };
            node.first = node.first.min(entry.rule);
        }
        push(&mut node.end, entry);
    }

    fn placeholder(&mut self, placeholder: &Placeholder) -> &mut Node {
        let known = self
            .placeholders
            .iter()
            .position(|(it, _)| it == placeholder);
        let at = known.unwrap_or_else(|| {
            self.placeholders
                .push((placeholder.clone(), Node::default()));
            self.placeholders.len() - 1
        });
        &mut self.placeholders[at].1
    }

    /// The first rule with a filter that matches the topic.
    pub(super) fn find_matching(&self, topic: &str, search: &mut Search<'_>) {
        self.matching(Some(topic), topic.starts_with('$'), search);
    }

    /// The first rule with a filter that covers the given one.
    pub(super) fn find_covering(&self, filter: &str, search: &mut Search<'_>) {
        self.covering(Some(filter), filter.starts_with('$'), search);
    }

    /// The first rule with a filter that shares a topic with the given one.
    pub(super) fn find_overlapping(&self, filter: &str, search: &mut Search<'_>) {
        self.overlapping(Some(filter), true, search);
    }

    /// `rest`: the levels that are left; none is different from an empty one. `system`: this is the
    /// first level and begins with `$`, which no wildcard and no placeholder reaches.
    fn matching(&self, rest: Option<&str>, system: bool, search: &mut Search<'_>) {
        if self.first >= search.first {
            return;
        }
        if !system {
            search.take(&self.multi);
        }
        let Some(rest) = rest else {
            return search.take(&self.end);
        };
        let (level, rest) = split(rest);
        self.along(level, system, search, |node, search| {
            node.matching(rest, false, search);
        });
    }

    fn covering(&self, rest: Option<&str>, system: bool, search: &mut Search<'_>) {
        if self.first >= search.first {
            return;
        }
        if !system {
            search.take(&self.multi);
        }
        let Some(rest) = rest else {
            return search.take(&self.end);
        };
        let (level, rest) = split(rest);
        match level {
            "#" => {}
            "+" => {
                if let Some(node) = &self.single {
                    node.covering(rest, false, search);
                }
            }
            literal => self.along(literal, system, search, |node, search| {
                node.covering(rest, false, search);
            }),
        }
    }

    /// `root`: this is the first level, where a wildcard does not reach what begins with `$`.
    fn overlapping(&self, rest: Option<&str>, root: bool, search: &mut Search<'_>) {
        if self.first >= search.first {
            return;
        }
        let Some(rest) = rest else {
            search.take(&self.multi);
            return search.take(&self.end);
        };
        let (level, rest) = split(rest);
        let system = root && level.starts_with('$');
        if !system {
            search.take(&self.multi);
        }
        match level {
            "#" => self.everything(root, search),
            "+" => self.each_child(root, search, |node, search| {
                node.overlapping(rest, false, search);
            }),
            literal => self.along(literal, system, search, |node, search| {
                node.overlapping(rest, false, search);
            }),
        }
    }

    fn everything(&self, root: bool, search: &mut Search<'_>) {
        if self.first >= search.first {
            return;
        }
        search.take(&self.multi);
        search.take(&self.end);
        self.each_child(root, search, |node, search| node.everything(false, search));
    }

    /// Goes on below whatever stands for this literal level.
    fn along(
        &self,
        level: &str,
        system: bool,
        search: &mut Search<'_>,
        mut go_on: impl FnMut(&Node, &mut Search<'_>),
    ) {
        if let Some(node) = self.literals.get(level) {
            go_on(node, search);
        }
        if system {
            return;
        }
        if let Some(node) = &self.single {
            go_on(node, search);
        }
        for (placeholder, node) in &self.placeholders {
            if search.principal.expands_to(placeholder, level) {
                go_on(node, search);
            }
        }
    }

    /// Goes on below every child that a `+` shares a level with.
    fn each_child(
        &self,
        root: bool,
        search: &mut Search<'_>,
        mut go_on: impl FnMut(&Node, &mut Search<'_>),
    ) {
        for (literal, node) in self.literals.iter() {
            if !(root && literal.starts_with('$')) {
                go_on(node, search);
            }
        }
        if let Some(node) = &self.single {
            go_on(node, search);
        }
        for (placeholder, node) in &self.placeholders {
            if search.principal.expand(placeholder, root).is_some() {
                go_on(node, search);
            }
        }
    }
}

impl Search<'_> {
    /// Takes the first of the rules that comes before what was found and is about the client.
    fn take(&mut self, entries: &[Entry]) {
        for entry in entries {
            if entry.rule >= self.first {
                return;
            }
            if !entry.conditional || self.rules[entry.rule as usize].who.fits(self.principal) {
                self.first = entry.rule;
                return;
            }
        }
    }
}

/// Behind a rule that holds for everybody, none with the same filter is ever reached.
fn push(entries: &mut Vec<Entry>, entry: Entry) {
    if entries.last().is_none_or(|last| last.conditional) {
        entries.push(entry);
    }
}

fn split(levels: &str) -> (&str, Option<&str>) {
    match levels.bytes().position(|byte| byte == b'/') {
        Some(at) => (&levels[..at], Some(&levels[at + 1..])),
        None => (levels, None),
    }
}
