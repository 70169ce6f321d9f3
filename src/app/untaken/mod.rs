//! The log line about publishes that no template matches and nobody subscribes to.
//!
//! Owns: which of them may be telemetry, and how often that is said. Never: changes what becomes of
//! a publish. Invariant: each shape of topic is told of once, at most [`SHAPES_MAX`] in all, in few
//! lines a minute; memory is bounded.
//!
//! The shape of a topic is the template that would take it (`telemetry::topic::suggest`):
//! `sensors/a` and `sensors/b` are one. When shapes differ in one level only, and there are
//! several, that level becomes a part as well.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use broker::{LineBudget, Untaken as Publish};
use telemetry::decode::Decoder;
use telemetry::topic::{Hints, TopicTemplate, suggest};
use tracing::info;

/// Shapes that are remembered, and so lines in all: more is no list that somebody reads.
const SHAPES_MAX: usize = 200;
/// Topics of which is known that there is nothing to tell, by their hash: 64 KB.
const SETTLED_MAX: usize = 4_096;
/// Payloads of a shape that are looked at before it is given up.
const LOOKS: u8 = 3;
/// What is no reading by its size alone.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;
/// A text without a name is a state such as `ON` or `OPEN`: one word, and no page.
const TEXT_BYTES_MAX: usize = 32;
/// Shapes that differ in one level before the level is taken for a name.
const SIBLINGS: usize = 2;

/// Millrace publishes there; what others send there are commands.
const ALERTS: &str = "alerts/";

/// Remembers what the log was told.
#[derive(Default)]
pub(super) struct Untaken {
    state: Mutex<State>,
    hasher: RandomState,
}

#[derive(Default)]
struct State {
    /// Hashes of topics.
    settled: HashSet<u64>,
    shapes: Vec<Shape>,
    decoder: Decoder,
    lines: LineBudget,
}

struct Shape {
    template: TopicTemplate,
    /// Payloads that are still looked at.
    looks: u8,
    is_told: bool,
}

/// What the log is to be told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    template: String,
    /// It was the last one.
    is_last: bool,
}

impl Untaken {
    /// One of them; most were seen before.
    pub(super) fn look(&self, publish: &Publish<'_>) {
        let topic = publish.topic;
        if topic.starts_with('$') || topic.starts_with(ALERTS) {
            return;
        }
        let hash = self.hasher.hash_one(topic);
        let told = self.lock().look(publish, hash, Instant::now());
        if let Some(told) = told {
            tell(publish, &told);
        }
    }

    /// Nothing in between panics half-way through a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(publish: &Publish<'_>, told: &Told) {
    let fate = if publish.is_retained {
        "it is kept as retained"
    } else {
        "it is gone"
    };
    let last = if told.is_last {
        "; further kinds of topics are not told"
    } else {
        ""
    };
    info!(
        topic = publish.topic,
        client = publish.client_id,
        "no template matches this topic, so nothing is stored, and nobody subscribes: {fate}. If it \
         is telemetry, write topics = [..., \"{}\"] in [ingest]; `millrace topics explain TOPIC` \
         says more{last}",
        told.template
    );
}

impl State {
    fn look(&mut self, publish: &Publish<'_>, hash: u64, now: Instant) -> Option<Told> {
        if self.settled.contains(&hash) {
            return None;
        }
        let topic = publish.topic;
        let known = self
            .shapes
            .iter()
            .position(|shape| shape.template.matches(topic).is_some());
        match known {
            Some(at) if self.shapes[at].is_settled() => {
                self.settle(hash);
                return None;
            }
            None if self.shapes.len() >= SHAPES_MAX => {
                self.settle(hash);
                return None;
            }
            // Not now: it comes again.
            _ if !self.lines.may_tell(now) => return None,
            _ => {}
        }
        let bare = is_bare(publish.payload);
        let hints = Hints {
            client_id: publish.client_id,
            user: publish.user,
            bare,
        };
        let Some(template) = suggest(topic, &hints) else {
            self.settle(hash);
            return None;
        };
        let is_reading = self.is_reading(publish, &template, bare);
        let at = known.unwrap_or_else(|| {
            self.shapes.push(Shape {
                template: template.clone(),
                looks: LOOKS,
                is_told: false,
            });
            self.shapes.len() - 1
        });
        if !is_reading {
            self.shapes[at].looks -= 1;
            return None;
        }
        self.lines.spend();
        self.shapes[at] = Shape {
            template,
            looks: 0,
            is_told: true,
        };
        let at = self.widen(at);
        Some(Told {
            template: self.shapes[at].template.to_string(),
            is_last: self.shapes.len() == SHAPES_MAX,
        })
    }

    fn settle(&mut self, hash: u64) {
        if self.settled.len() >= SETTLED_MAX {
            self.settled.clear();
        }
        self.settled.insert(hash);
    }

    /// Whether its payload would become samples.
    fn is_reading(&mut self, publish: &Publish<'_>, template: &TopicTemplate, bare: bool) -> bool {
        let payload = publish.payload;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return false;
        }
        let metric = template
            .matches(publish.topic)
            .and_then(|found| found.metric);
        let is_number =
            || str::from_utf8(payload).is_ok_and(|text| text.trim().parse::<f64>().is_ok());
        let is_word = || payload.len() <= TEXT_BYTES_MAX && !payload.contains(&b' ');
        if bare && !is_number() && (publish.is_retained || !is_word()) {
            return false;
        }
        let entries = self.decoder.decode(payload, metric);
        entries.is_ok_and(|entries| entries.len() > 0)
    }

    /// When there are others that differ in one level only, they and the shape become one; where it
    /// is then.
    fn widen(&mut self, at: usize) -> usize {
        let text = self.shapes[at].template.to_string();
        let levels: Vec<&str> = text.split('/').collect();
        for level in 0..levels.len() {
            let is_sibling = |shape: &Shape| {
                difference(shape.template.as_str(), &text) == Some(level) && shape.is_told
            };
            if self.shapes.iter().filter(|shape| is_sibling(shape)).count() < SIBLINGS {
                continue;
            }
            let part = format!("{{level{}}}", level + 1);
            let mut wide: Vec<&str> = levels.clone();
            wide[level] = &part;
            let Ok(template) = TopicTemplate::parse(&wide.join("/")) else {
                continue;
            };
            self.shapes[at].template = template;
            let mut index = 0;
            let mut place = at;
            self.shapes.retain(|shape| {
                let stays = index == at || !is_sibling(shape);
                place -= usize::from(!stays && index < at);
                index += 1;
                stays
            });
            return place;
        }
        at
    }
}

impl Shape {
    /// It was told, or has shown no reading.
    fn is_settled(&self) -> bool {
        self.is_told || self.looks == 0
    }
}

/// The one level in which two templates differ, when both have text there.
fn difference(a: &str, b: &str) -> Option<usize> {
    if a.split('/').count() != b.split('/').count() {
        return None;
    }
    let pairs = a.split('/').zip(b.split('/')).enumerate();
    let mut differing = pairs.filter(|(_, (a, b))| a != b);
    let (level, (a, b)) = differing.next()?;
    let is_only = differing.next().is_none();
    (is_only && !a.starts_with('{') && !b.starts_with('{')).then_some(level)
}

/// Whether it is one value: no object and no list.
fn is_bare(payload: &[u8]) -> bool {
    let first = payload.iter().find(|byte| !byte.is_ascii_whitespace());
    !matches!(first, Some(b'{' | b'['))
}
