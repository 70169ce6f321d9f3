//! What is found in memory, and what does not fit into it.

use super::super::{Full, Limits, Mark, Retained};
use super::*;

#[test]
fn a_filter_gets_what_matches_in_the_order_of_topics() {
    let folder = folder();
    let retained = open(&folder);
    for topic in [
        "a",
        "a/b",
        "a/b/c",
        "a-b/c",
        "a/b-c",
        "ab",
        "b/c",
        "/",
        "$SYS/up",
        "\u{1f321}/x",
    ] {
        retained.put(&message(topic, b"1")).unwrap();
    }
    let cases: [(&str, &[&str]); 10] = [
        (
            "#",
            &[
                "/",
                "a",
                "a-b/c",
                "a/b",
                "a/b-c",
                "a/b/c",
                "ab",
                "b/c",
                "\u{1f321}/x",
            ],
        ),
        ("a/#", &["a", "a/b", "a/b-c", "a/b/c"]),
        ("a/b/#", &["a/b", "a/b/c"]),
        ("a/+", &["a/b", "a/b-c"]),
        ("+/c", &["a-b/c", "b/c"]),
        ("a", &["a"]),
        ("c", &[]),
        ("$SYS/#", &["$SYS/up"]),
        ("+/+", &["/", "a-b/c", "a/b", "a/b-c", "b/c", "\u{1f321}/x"]),
        ("+/up", &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(topics(&retained, filter), expected, "`{filter}`");
    }
}

#[test]
fn scans_go_on_over_many_pages() {
    let folder = folder();
    let retained = open(&folder);
    // Around the boundaries of pages of 512.
    for count in [511, 512, 513, 1024, 1500] {
        for index in topics(&retained, "many/+/x").len()..count {
            retained
                .put(&message(&format!("many/{index:05}/x"), b"1"))
                .unwrap();
            retained
                .put(&message(&format!("many/{index:05}/y"), b"1"))
                .unwrap();
        }
        assert_eq!(topics(&retained, "many/+/x").len(), count);
        assert_eq!(topics(&retained, "many/#").len(), 2 * count);
    }
    retained.close();
    drop(retained);
    assert_eq!(topics(&open(&folder), "#").len(), 3000);
}

/// All pages, one after the other.
fn pages(retained: &Retained, filter: &str, through: u64) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = Some(Mark::default());
    while let Some(mark) = next {
        let page = retained.page(filter, mark, through);
        let topics = page.messages.iter();
        pages.push(topics.map(|found| found.topic.to_string()).collect());
        next = page.next;
    }
    pages
}

#[test]
fn pages_hold_what_a_whole_look_finds_and_no_more_bytes_than_a_page() {
    let folder = folder();
    let retained = open(&folder);
    for index in 0..600 {
        let topic = format!("many/{index:03}");
        retained.put(&message(&topic, &[b'x'; 1_000])).unwrap();
    }
    for topic in ["many", "many-1", "one"] {
        retained.put(&message(topic, b"1")).unwrap();
    }
    for filter in ["#", "many/#", "many/+", "+", "many", "nothing/#"] {
        let pages = pages(&retained, filter, u64::MAX);
        assert_eq!(pages.concat(), topics(&retained, filter), "`{filter}`");
        // 64 KiB, and the message that goes beyond it.
        assert!(pages.iter().all(|page| page.len() <= 66), "`{filter}`");
    }
    // Each goes on behind the last topic of the one before, which may be gone by then.
    let first = retained.page("many/#", Mark::default(), u64::MAX);
    let last = first.messages.last().expect("some");
    retained.put(&message(&last.topic, b"")).unwrap();
    let next = first.next.expect("more");
    let second = retained.page("many/#", next, u64::MAX);
    assert_eq!(&*second.messages[0].topic, "many/055");
    let behind = retained.page("many/#", Mark::behind(&"many".into()), u64::MAX);
    assert_eq!(&*behind.messages[0].topic, "many/000");
}

#[test]
fn a_page_leaves_out_what_came_after_the_look_began() {
    let folder = folder();
    let retained = open(&folder);
    for topic in ["a", "b", "c"] {
        retained.put(&message(topic, b"1")).unwrap();
    }
    let began = retained.changes();
    retained.put(&message("b", b"2")).unwrap();
    retained.put(&message("c", b"")).unwrap();
    retained.put(&message("d", b"1")).unwrap();
    assert_eq!(pages(&retained, "+", began), [["a"]]);
    assert_eq!(pages(&retained, "b", began).concat(), [""; 0]);
    assert_eq!(pages(&retained, "+", retained.changes()), [["a", "b", "d"]]);
    // A start counts anew: all that is there was there.
    drop(retained);
    let retained = open(&folder);
    assert_eq!(retained.changes(), 0);
    assert_eq!(pages(&retained, "+", 0), [["a", "b", "d"]]);
}

#[test]
fn a_visitor_may_change_the_store() {
    let folder = folder();
    let retained = open(&folder);
    retained.put(&message("a", b"1")).unwrap();
    retained.put(&message("b", b"1")).unwrap();
    retained.matching("+", &mut |found| {
        retained.put(&message(&found.topic, b"")).unwrap();
    });
    assert_eq!(topics(&retained, "#"), [""; 0]);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let folder = folder();
    let limits = Limits {
        messages: 3,
        bytes: 2_000,
    };
    let retained = open_with(&folder, limits).unwrap();
    retained.put(&message("a", &[1; 500])).unwrap();
    retained.put(&message("b", &[1; 500])).unwrap();
    assert_eq!(
        retained.put(&message("c", &[1; 600])),
        Err(Full::Bytes(1402))
    );
    assert_eq!(
        retained.put(&message("b", &[2; 1200])),
        Err(Full::Bytes(1402))
    );
    assert_eq!(topics(&retained, "#"), ["a", "b"]);
    assert_eq!(
        contents(&retained)["b"],
        [1; 500],
        "the topic keeps what it had"
    );
    // Replacing with what fits is no addition.
    retained.put(&message("b", &[3; 600])).unwrap();
    retained.put(&message("c", &[1; 10])).unwrap();
    assert_eq!(retained.put(&message("d", b"1")), Err(Full::Messages(3)));
    retained.put(&message("a", b"")).unwrap();
    retained.put(&message("d", &[1; 100])).unwrap();
    drop(retained);
    // Limits made smaller refuse what is new and keep what is there.
    let limits = Limits {
        messages: 1,
        bytes: 100,
    };
    let retained = open_with(&folder, limits).unwrap();
    assert_eq!(topics(&retained, "#"), ["b", "c", "d"]);
    assert_eq!(retained.put(&message("e", b"1")), Err(Full::Messages(3)));
    retained.put(&message("c", b"")).unwrap();
    assert_eq!(topics(&retained, "#"), ["b", "d"]);
}

#[test]
fn many_threads_may_put_at_once() {
    let folder = folder();
    let retained = open(&folder);
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let retained = &retained;
            scope.spawn(move || {
                for index in 0..500 {
                    retained
                        .put(&message(&format!("own/{thread}"), &[thread; 3]))
                        .unwrap();
                    retained
                        .put(&message(&format!("shared/{}", index % 7), &[thread]))
                        .unwrap();
                }
            });
        }
    });
    let in_memory = contents(&retained);
    assert_eq!(in_memory.len(), 4 + 7);
    drop(retained);
    assert_eq!(contents(&open(&folder)), in_memory);
}
