use std::error::Error as _;

use super::*;

fn registry(text: &str) -> Registry {
    Registry::of_text(text)
}

/// `unit scale offset {labels}`
fn enriched(registry: &Registry, device: &str, metric: &str) -> String {
    let found = registry.enrich(device, metric, [("line", "4"), ("site", "topic")]);
    let labels = serde_json::to_string(&found.labels).unwrap();
    format!("{} {} {} {labels}", found.unit, found.scale, found.offset)
}

#[test]
fn lines_are_laid_over_each_other() {
    let registry = registry(
        "device,metric,site,type,unit,scale,offset,convert\n\
         boiler-7,,cellar,,,,,\n\
         boiler-7,temperature,,,K,,,\n\
         boiler-*,,plant,boiler,,,,\n\
         boiler-*,t*,,hot,°C,2,,\n\
         boiler-*,temp*,,,,,1,\n\
         *,,,thing,,,,\n\
         **,,everywhere,,,,,\n",
    );
    #[track_caller]
    fn check(registry: &Registry, device: &str, metric: &str, expected: &str) {
        assert_eq!(
            enriched(registry, device, metric),
            expected,
            "{device} {metric}"
        );
    }
    // Later globs over earlier ones, lines without a metric beneath those with one.
    check(
        &registry,
        "pump",
        "flow",
        r#" 1 0 {"line":"4","site":"everywhere","type":"thing"}"#,
    );
    check(
        &registry,
        "boiler-1",
        "torque",
        r#"°C 2 0 {"line":"4","site":"everywhere","type":"hot"}"#,
    );
    // A conversion is one cell: the offset of the later line takes the scale along.
    check(
        &registry,
        "boiler-1",
        "temperature",
        r#"°C 1 1 {"line":"4","site":"everywhere","type":"hot"}"#,
    );
    // The exact id over every glob, wherever it stands; what it leaves empty shines through.
    check(
        &registry,
        "boiler-7",
        "temperature",
        r#"K 1 1 {"line":"4","site":"cellar","type":"hot"}"#,
    );
}

#[test]
fn the_same_pattern_twice_is_a_mistake_but_two_patterns_are_not() {
    let text = "device,metric,unit\na*,m,K\n*a,m,C\na*,m,F\n";
    assert_eq!(
        mistakes(text),
        ["4: the same device and metric stand in line 2"]
    );
}

#[test]
fn without_lines_only_the_topic_speaks() {
    let expected = r#" 1 0 {"line":"4","site":"topic"}"#;
    assert_eq!(enriched(&Registry::empty(), "d", "m"), expected);
    assert_eq!(enriched(&registry("device\n"), "d", "m"), expected);
}

#[test]
fn a_device_has_the_labels_of_its_lines_without_a_metric() {
    let registry = registry("device,metric,site\nd,,hall\nd,*,\nd,m,roof\n");
    let labels = registry.device_labels("d", [("line", "4")]);
    assert_eq!(
        serde_json::to_string(&labels).unwrap(),
        r#"{"line":"4","site":"hall"}"#
    );
}

#[test]
fn conversions_by_name_bring_their_unit() {
    let registry = registry(
        "device,metric,unit,convert\n\
         a,t,,f_to_c\n\
         b,t,degrees,f_to_c\n",
    );
    let found = registry.enrich("a", "t", []);
    assert!((212.0 * found.scale + found.offset - 100.0).abs() < 1e-9);
    assert_eq!(found.unit, "°C");
    assert_eq!(registry.enrich("b", "t", []).unit, "degrees");
}

#[test]
fn globs_and_literal_names() {
    #[track_caller]
    fn check(pattern: &str, device: &str, matches: bool) {
        let registry = registry(&format!("device,site\n\"{pattern}\",x\n"));
        let found = registry.enrich(device, "m", []);
        assert_eq!(!found.labels.is_empty(), matches, "{pattern} {device}");
    }
    check("boiler-7", "boiler-7", true);
    check("boiler-7", "boiler-77", false);
    check("boiler-?", "boiler-7", true);
    check("boiler-[12]", "boiler-2", true);
    check("{a,b}-*", "b-9", true);
    check("*", "a/b.c", true);
    check("котёл-*", "котёл-№7", true);
    check("Boiler-*", "boiler-7", false);
    check(r"a\*", "a*", true);
    check(r"a\*", "ab", false);
}

#[test]
fn files_as_people_write_them() {
    let text = "\u{feff}# our devices\r\n device , site \r\n\r\n# the first\r\n d1 ,\"a,b\"\r\nd2,";
    let registry = registry(text);
    assert_eq!(registry.len(), 2);
    assert_eq!(registry.enrich("d1", "m", []).labels["site"], "a,b");
    assert!(registry.enrich("d2", "m", []).labels.is_empty());
}

fn mistakes(text: &str) -> Vec<String> {
    let problems = Registry::parse(&Document::new("devices.csv", text)).unwrap_err();
    let told = |problem: &Problem| {
        let place = problem.place.as_ref().map(|place| {
            let column = place.label.strip_prefix("column `").unwrap_or("`");
            format!("{} {}", place.line(), column.trim_end_matches('`'))
        });
        let hint = problem.hint.as_deref().unwrap_or_default();
        let message = problem
            .message
            .strip_prefix("the device registry: ")
            .expect("its file");
        format!("{}: {message} {hint}", place.unwrap_or_default().trim_end())
            .trim_end()
            .to_owned()
    };
    problems.iter().map(told).collect()
}

#[test]
fn every_mistake_is_named_with_line_and_column() {
    let text = "# comment\n\
        device,metric,unit,scale,offset,convert\n\
        # comment\n\
        ,m,,,,\n\
        \"x\ny\",m,,abc,,\n\
        d,m,,0,,\n\
        d,m,,inf,,\n\
        d,m,,,1,f_to_c\n\
        d,,,,,f_to_c\n\
        d,m,,,,psi_to_bars\n\
        d,m,,,,furlongs\n\
        d,m\n\
        d[,m,,,,\n\
        d,[,,,,\n";
    assert_eq!(
        mistakes(text),
        [
            "4 device: the `device` cell is empty",
            "5 scale: `abc` is not a finite number",
            "7 scale: a scale of 0 makes every value the same",
            "8 scale: `inf` is not a finite number",
            "9 offset: a line has either `convert`, or `scale` and `offset`",
            "10 convert: a conversion needs a `metric`; `*` means every metric of the device",
            "11 convert: `psi_to_bars` is not a known conversion did you mean `psi_to_bar`?",
            "12 convert: `furlongs` is not a known conversion",
            "13: 2 cells, and the first line names 6 columns",
            "14 device: `d[` is not a glob",
            "15 metric: `[` is not a glob",
        ]
    );
}

#[test]
fn headers_are_checked() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(mistakes(text), [expected], "{text}");
    }
    check("", ": the first line must name a column `device`");
    check("id,site\n", "1: the first line must name a column `device`");
    check("#c\n#c\ndevice,a,a\n", "3: the column `a` is named twice");
    check("device,,a\n", "1: column 2 has no name");
    check("device,s\0\n", "1: holds U+0000, which no database stores");
    check(
        "device,s\nd,x\0\n",
        "2 s: holds U+0000, which no database stores",
    );
}

#[test]
fn a_file_full_of_mistakes_is_not_repeated() {
    let text = format!("device,metric,scale\n{}", "d,m,x\n".repeat(100));
    assert_eq!(mistakes(&text).len(), 20);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let error = Registry::load(Path::new("/nowhere/devices.csv")).unwrap_err();
    let message = "cannot read the device registry `/nowhere/devices.csv`";
    assert_eq!(error.to_string(), message);
    assert!(error.source().is_some());
}

#[test]
fn the_shipped_example_is_valid_and_explains_every_column() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/devices.csv");
    let registry = Registry::load(&file).unwrap();
    let found = registry.enrich("thermostat-0003", "temperature", []);
    assert_eq!(
        (found.unit.as_str(), &*found.labels["site"]),
        ("°C", "laboratory")
    );
    assert!(found.scale < 0.6);
    assert_eq!(registry.enrich("boiler-0002", "pressure", []).unit, "bar");
    let text = std::fs::read_to_string(file).unwrap();
    for column in [
        "device", "metric", "site", "type", "unit", "scale", "offset", "convert",
    ] {
        let explained = text.lines().any(|line| {
            line.strip_prefix("#   ")
                .is_some_and(|rest| rest.starts_with(column))
        });
        assert!(explained, "`{column}` is not explained");
    }
}
