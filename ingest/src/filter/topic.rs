//! MQTT filters against topics (MQTT 5, section 4.7).

pub(super) fn is_valid_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    if filter.is_empty() || filter.contains('\0') {
        return false;
    }
    while let Some(level) = levels.next() {
        let valid = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            _ => !level.contains(['+', '#']),
        };
        if !valid {
            return false;
        }
    }
    true
}

pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        match (level, topic_levels.next()) {
            // `a/#` includes `a` itself.
            ("#", _) => return true,
            (_, None) => return false,
            ("+", Some(_)) => {}
            (literal, Some(level)) if literal == level => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}
