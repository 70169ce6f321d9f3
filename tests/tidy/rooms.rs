//! The rooms of the larger crates stand on floors, and know only rooms on floors below.
//!
//! The floors are in `tests/tidy/rooms/`, a file for each crate. A new module takes its place in
//! one of the lines; an arrow that runs up or sideways stands at the file's end until it is mended.

use std::collections::{BTreeMap, BTreeSet};

use crate::files;
use crate::graph::{self, Arrow, Graph};
use crate::product;

/// The crates that are held to it: the folder of their sources, and their file.
const CRATES: [(&str, &str); 5] = [
    ("broker/src/", include_str!("rooms/broker.txt")),
    ("crates/journal/src/", include_str!("rooms/journal.txt")),
    ("ingest/src/", include_str!("rooms/ingest.txt")),
    ("simulator/src/", include_str!("rooms/simulator.txt")),
    ("src/", include_str!("rooms/millrace.txt")),
];

#[test]
fn rooms_know_only_rooms_on_floors_below() {
    let product = product::code(&files::sources());
    let mut found = Vec::new();
    for (folder, text) in CRATES {
        let broken = broken(&graph::read(&product, folder), &Floors::read(text));
        found.extend(broken.into_iter().map(|told| format!("{folder}: {told}")));
    }
    files::assert_none(
        &found,
        "the rooms of a crate stand on floors (tests/tidy/rooms/), and these are not as written there",
    );
}

/// What a file in `rooms/` says.
#[derive(Debug)]
struct Floors {
    /// The floor of each room, the top one is 0.
    rooms: BTreeMap<String, usize>,
    /// Arrows that run up or sideways, and are known to.
    arrows: BTreeSet<(String, String)>,
}

impl Floors {
    fn read(text: &str) -> Floors {
        let (mut rooms, mut arrows) = (BTreeMap::new(), BTreeSet::new());
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or(""));
        for (floor, line) in lines.enumerate() {
            if let Some((from, to)) = line.split_once("->") {
                arrows.insert((from.trim().to_owned(), to.trim().to_owned()));
                continue;
            }
            for room in line.split_whitespace() {
                let twice = rooms.insert(room.to_owned(), floor);
                assert!(twice.is_none(), "`{room}` stands on two floors");
            }
        }
        Floors { rooms, arrows }
    }
}

/// What does not fit, and what to do about it.
fn broken(graph: &Graph, floors: &Floors) -> Vec<String> {
    let mut told = Vec::new();
    for room in &graph.rooms {
        if !floors.rooms.contains_key(room) {
            told.push(format!(
                "`{room}` stands on no floor: write it below the rooms that use it and above those \
                 that it uses"
            ));
        }
    }
    for room in floors.rooms.keys() {
        if !graph.rooms.contains(room) {
            told.push(format!("`{room}` is gone: take it out"));
        }
    }
    let runs_down = |arrow: &Arrow| {
        let floor = |room: &String| floors.rooms.get(room);
        floor(&arrow.from) < floor(&arrow.to)
    };
    let (down, other): (Vec<&Arrow>, Vec<&Arrow>) =
        graph.arrows.iter().partition(|arrow| runs_down(arrow));
    for arrow in other {
        let Arrow { from, to, place } = arrow;
        let is_placed = floors.rooms.contains_key(from) && floors.rooms.contains_key(to);
        if is_placed && !floors.arrows.contains(&(from.clone(), to.clone())) {
            told.push(format!(
                "`{from}` uses `{to}` ({place}), which does not stand below it: move what both need \
                 to a lower room, hand it in from above, or move a room to another floor; as a last \
                 resort write `{from} -> {to}` at the end of the file, with a reason"
            ));
        }
    }
    for (from, to) in &floors.arrows {
        let is = |arrow: &&Arrow| arrow.from == *from && arrow.to == *to;
        if down.iter().copied().any(|arrow| is(&arrow))
            || !graph.arrows.iter().any(|arrow| is(&arrow))
        {
            told.push(format!("`{from} -> {to}` is mended: take it out"));
        }
    }
    told
}

#[test]
fn an_arrow_that_runs_up_is_found_and_one_that_is_mended_too() {
    let arrow = |from: &str, to: &str| Arrow {
        from: from.to_owned(),
        to: to.to_owned(),
        place: "a.rs:1".to_owned(),
    };
    let graph = Graph {
        rooms: ["gate", "log", "session", "tree"].map(str::to_owned).into(),
        arrows: vec![
            arrow("gate", "tree"),
            arrow("log", "tree"),
            arrow("session", "gate"),
            arrow("session", "log"),
            arrow("tree", "gate"),
        ],
    };
    let floors =
        "# From the top.\ngate\nlog session gone\nspare tree\n\ntree -> gate\ngate -> tree\n";
    let told = broken(&graph, &Floors::read(&floors.replace("spare ", "")));
    let starts: Vec<&str> = told
        .iter()
        .map(|told| told.split(['(', ':']).next().unwrap_or("").trim())
        .collect();
    assert_eq!(
        starts,
        [
            "`gone` is gone",
            "`session` uses `gate`",
            "`session` uses `log`",
            "`gate -> tree` is mended",
        ]
    );
    let told = broken(&graph, &Floors::read("gate\nlog\nsession\n"));
    assert!(told[0].starts_with("`tree` stands on no floor"), "{told:?}");
}
