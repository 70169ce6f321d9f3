use super::*;

#[test]
fn defaults_need_no_file() {
    let settings = load(&Sources::default()).expect("defaults are right");
    assert_eq!(settings.data, Path::new("millrace-data"));
    assert_eq!(settings.file, None);
}
