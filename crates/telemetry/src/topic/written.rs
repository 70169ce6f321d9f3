//! A template as a configuration holds it: a text, or a table `{ topic = "…", device = "…" }`.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::TopicTemplate;

const KEYS: &[&str] = &["topic", "device"];

impl<'de> Deserialize<'de> for TopicTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TopicTemplate, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = TopicTemplate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a template such as \"devices/{device}/telemetry\", or a table with `topic` and \
             `device`",
        )
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TopicTemplate, E> {
        TopicTemplate::parse(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopicTemplate, A::Error> {
        let (mut topic, mut device) = (None::<String>, None::<String>);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "topic" => topic = Some(map.next_value()?),
                "device" => device = Some(map.next_value()?),
                unknown => return Err(A::Error::unknown_field(unknown, KEYS)),
            }
        }
        let topic = topic.ok_or_else(|| A::Error::missing_field("topic"))?;
        match device {
            Some(device) => TopicTemplate::with_device(&topic, &device),
            None => TopicTemplate::parse(&topic),
        }
        .map_err(A::Error::custom)
    }
}

impl Serialize for TopicTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(device) = self.written_device() else {
            return serializer.serialize_str(self.as_str());
        };
        let mut map = serializer.serialize_map(Some(KEYS.len()))?;
        map.serialize_entry("topic", self.as_str())?;
        map.serialize_entry("device", device)?;
        map.end()
    }
}
