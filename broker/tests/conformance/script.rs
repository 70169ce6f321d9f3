//! A case as lines of text, played against a real broker.
//!
//! Owns: the clients of a case, and the meaning of its lines. Never: judges by time; a line that
//! expects something waits for it.
//!
//! ```text
//! config max_packet_size = "1KB"  a key of [broker]; such lines come first
//! a open                          the client `a` opens a socket and says nothing
//! a websocket                     it opens a WebSocket, and `mqtt` was chosen; each line it sends
//!                                 is a frame
//! a text 'x'                      it sends the bytes in a text frame
//! a> 10 [ … ]                     it sends these bytes (see `notation`)
//! a< 20 [ … ]                     the next packet it gets is this
//! a< closed                       the next thing it sees is the end of the connection
//! a connect                       opens, sends CONNECT (clean start, client id `a`, keep-alive 0),
//!                                 is accepted
//! a connect 21 0001               the same with these properties (MQTT 5)
//! a kept                          … without clean start, to be kept for 100 seconds; there was no
//!                                 session
//! a resume                        … likewise, and there was one
//! a subscribe "t" 01              SUBSCRIBE of one filter with these options, granted at the QoS
//!                                 asked for
//! a gathers X | Y                 the next packets are these, in any order
//! a accepted without 1A 13        CONNACK says success, and none of these properties (MQTT 5)
//! a refused 85 02                 CONNACK with the reason of MQTT 5 or the code of 3.1.1, and the
//!                                 end
//! a refused 81                    … and 3.1.1, which has no code for it, sees the end alone
//! a fails 82                      DISCONNECT with this reason and the end (MQTT 5), or the end
//!                                 alone (3.1.1)
//! a served                        PINGREQ is answered next: nothing else was on its way
//! a disconnect                    DISCONNECT, and the broker closes
//! a drop                          the connection breaks, and the broker has noticed
//! differ x y                      the names `$x` and `$y` have different values
//! pass 1200                       so many milliseconds go by, for what is about time
//! a' …                            another connection of the same client id
//! stop                            the broker is told to end, while its clients look on
//! start                           it starts again on the same folder
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mqtt::Version;
use tokio::runtime::Runtime;

use crate::notation::{Bindings, Bytes};
use crate::peer::{Arrival, Peer};
use crate::stage::Stage;

/// Plays the script; what went wrong otherwise, with the line.
pub(crate) fn play(runtime: &Arc<Runtime>, version: Version, script: &str) -> Result<(), String> {
    let lines = || script.lines().map(str::trim);
    let config: Vec<&str> = lines()
        .filter_map(|line| line.strip_prefix("config "))
        .collect();
    let mut play = Play {
        version,
        stage: Stage::start(runtime, &config.join("\n")),
        peers: HashMap::new(),
        names: Bindings::new(),
    };
    lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("config "))
        .try_for_each(|line| {
            play.line(line)
                .map_err(|problem| format!("`{line}`: {problem}"))
        })
}

struct Play {
    version: Version,
    stage: Stage,
    peers: HashMap<String, Peer>,
    names: Bindings,
}

impl Play {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let (who, what) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(name) = who.strip_suffix('>') {
            return self.send(name, what);
        }
        if let Some(name) = who.strip_suffix('<') {
            return self.expect(name, what);
        }
        match who {
            "pass" => {
                let milliseconds = what.parse().map_err(|_| "no number of milliseconds")?;
                std::thread::sleep(Duration::from_millis(milliseconds));
                return Ok(());
            }
            "differ" => return self.differ(what),
            "stop" => {
                self.stage.stop();
                return Ok(());
            }
            "start" => {
                self.stage.run();
                return Ok(());
            }
            _ => {}
        }
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        match verb {
            "open" => {
                self.open(who);
                Ok(())
            }
            "websocket" => {
                let address = self.stage.websocket_address().ok_or("none is configured")?;
                let peer = Peer::open_websocket(address)?;
                self.peers.insert(who.to_owned(), peer);
                Ok(())
            }
            "text" => {
                let bytes = Bytes::parse(rest)?.encode(self.version, &self.names)?;
                self.peer(who)?.send_text(&bytes);
                Ok(())
            }
            "connect" => self.connect(who, true, rest, "00"),
            "kept" => self.connect(who, false, &format!("11 00000064 {rest}"), "00"),
            "resume" => self.connect(who, false, &format!("11 00000064 {rest}"), "01"),
            "subscribe" => self.subscribe(who, rest),
            "gathers" => self.gather(who, rest),
            "accepted" => self.accepted(who, rest),
            "refused" => self.refused(who, rest),
            "fails" => self.fails(who, rest),
            "served" => {
                self.send(who, "C0 []")?;
                self.expect(who, "D0 []")
            }
            "disconnect" => {
                self.send(who, "E0 []")?;
                self.expect(who, "closed")
            }
            "drop" => {
                self.peer(who)?.drop_connection();
                Ok(())
            }
            _ => Err("is no line of a script".into()),
        }
    }

    fn peer(&mut self, name: &str) -> Result<&mut Peer, String> {
        self.peers
            .get_mut(name)
            .ok_or(format!("`{name}` has no connection"))
    }

    fn open(&mut self, name: &str) {
        let peer = Peer::open(self.stage.address());
        self.peers.insert(name.to_owned(), peer);
    }

    fn send(&mut self, name: &str, bytes: &str) -> Result<(), String> {
        let bytes = Bytes::parse(bytes)?.encode(self.version, &self.names)?;
        self.peer(name)?.send(&bytes);
        Ok(())
    }

    fn expect(&mut self, name: &str, expected: &str) -> Result<(), String> {
        if expected == "closed" {
            return match self.peer(name)?.receive() {
                Arrival::Closed => Ok(()),
                Arrival::Packet(packet) => Err(format!("got {}", show(&packet))),
                Arrival::Nothing => Err("it stays open".into()),
            };
        }
        let packet = self.packet(name)?;
        if Bytes::parse(expected)?.matches(self.version, &packet, &mut self.names) {
            Ok(())
        } else {
            Err(format!("got {}", show(&packet)))
        }
    }

    /// The next packet, whatever it is.
    fn packet(&mut self, name: &str) -> Result<Vec<u8>, String> {
        match self.peer(name)?.receive() {
            Arrival::Packet(packet) => Ok(packet),
            Arrival::Closed => Err("the connection was closed".into()),
            Arrival::Nothing => Err("nothing came".into()),
        }
    }

    fn gather(&mut self, name: &str, patterns: &str) -> Result<(), String> {
        let mut left = patterns
            .split('|')
            .map(Bytes::parse)
            .collect::<Result<Vec<_>, _>>()?;
        while !left.is_empty() {
            let packet = self.packet(name)?;
            let (version, names) = (self.version, &mut self.names);
            let found = left
                .iter()
                .position(|pattern| pattern.matches(version, &packet, names));
            left.remove(found.ok_or_else(|| format!("got {}", show(&packet)))?);
        }
        Ok(())
    }

    fn accepted(&mut self, name: &str, without: &str) -> Result<(), String> {
        let packet = self.packet(name)?;
        let accepted = Bytes::parse("20 [ ? 00 { * } ]")?;
        if !accepted.matches(self.version, &packet, &mut self.names) {
            return Err(format!("got {}", show(&packet)));
        }
        if self.version == Version::V311 {
            return Ok(());
        }
        // CONNACK: two bytes of fixed header, two of variable header, one of property length.
        let present = property_identifiers(&packet[5..])?;
        for identifier in without.split(' ').skip(1) {
            let identifier = u8::from_str_radix(identifier, 16).map_err(|_| "no identifier")?;
            if present.contains(&identifier) {
                return Err(format!("has the property {identifier:02X}"));
            }
        }
        Ok(())
    }

    fn refused(&mut self, name: &str, codes: &str) -> Result<(), String> {
        let (reason, return_code) = codes.split_once(' ').unwrap_or((codes, ""));
        match self.version {
            Version::V5 => self.expect(name, &format!("20 [ 00 {reason} [ * ] ]"))?,
            Version::V311 if !return_code.is_empty() => {
                self.expect(name, &format!("20 [ 00 {return_code} ]"))?;
            }
            Version::V311 => {}
        }
        self.expect(name, "closed")
    }

    fn connect(
        &mut self,
        name: &str,
        clean: bool,
        properties: &str,
        present: &str,
    ) -> Result<(), String> {
        self.open(name);
        let flags = if clean { "02" } else { "00" };
        let client_id = name.trim_end_matches('\'');
        self.send(
            name,
            &format!("10 [ \"MQTT\" % {flags} 0000 {{ {properties} }} \"{client_id}\" ]"),
        )?;
        self.expect(name, &format!("20 [ {present} 00 {{ * }} ]"))
    }

    fn subscribe(&mut self, name: &str, filter_and_options: &str) -> Result<(), String> {
        let (_, options) = filter_and_options.rsplit_once(' ').ok_or("no options")?;
        let options = u8::from_str_radix(options, 16).map_err(|_| "options are one byte")?;
        self.send(name, &format!("82 [ 0A0A {{}} {filter_and_options} ]"))?;
        self.expect(name, &format!("90 [ 0A0A {{}} {:02X} ]", options & 3))
    }

    fn fails(&mut self, name: &str, reason: &str) -> Result<(), String> {
        if self.version == Version::V5 {
            self.expect(name, &format!("E0 [ {reason} * ]"))?;
        }
        self.expect(name, "closed")
    }

    fn differ(&self, names: &str) -> Result<(), String> {
        let values: Vec<_> = names.split(' ').map(|name| self.names.get(name)).collect();
        match values[..] {
            [Some(one), Some(other)] if one != other => Ok(()),
            _ => Err(format!("are {values:?}")),
        }
    }
}

/// The identifiers of a block of properties (table 2-4 of MQTT 5), whose length stands in one byte
/// before it.
fn property_identifiers(mut block: &[u8]) -> Result<Vec<u8>, String> {
    let mut identifiers = Vec::new();
    while let [identifier, value @ ..] = block {
        let string = |at: usize| {
            let length = value
                .get(at..at + 2)
                .map(|b| usize::from(b[0]) << 8 | usize::from(b[1]));
            length.map(|length| at + 2 + length)
        };
        let length = match identifier {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => Some(1),
            0x13 | 0x21 | 0x22 | 0x23 => Some(2),
            0x02 | 0x11 | 0x18 | 0x27 => Some(4),
            0x26 => string(0).and_then(string),
            _ => string(0),
        };
        block = length
            .and_then(|length| value.get(length..))
            .ok_or("bad properties")?;
        identifiers.push(*identifier);
    }
    Ok(identifiers)
}

fn show(packet: &[u8]) -> String {
    let hex: Vec<String> = packet
        .iter()
        .take(64)
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let text: String = packet
        .iter()
        .take(64)
        .map(|byte| {
            if byte.is_ascii_graphic() {
                char::from(*byte)
            } else {
                '.'
            }
        })
        .collect();
    format!("{} ({text})", hex.join(" "))
}
