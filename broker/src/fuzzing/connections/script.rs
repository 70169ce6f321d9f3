//! A script: what clients, the disk and the clock do, one step after the other.
//!
//! Owns: how bytes are read as steps. Never: does a step. Invariant: any bytes are a script, and a
//! step takes few of them, so that a change of one byte changes one thing.

use super::LINES;
use super::wire::Leave;

/// Steps of one script at most; what comes behind them is not looked at.
const STEPS_MAX: usize = 128;
/// Of a step's first byte: what is done, and by which line.
const KIND_MASK: u8 = 0x1F;
const LINE_SHIFT: u8 = 5;

/// What holds for a whole script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    /// The disk is fast: what is appended is durable at once.
    pub(super) syncs_alone: bool,
    /// Few sessions are kept, and little is queued.
    pub(super) is_tight: bool,
    /// Kept sessions are written to a log.
    pub(super) is_logged: bool,
}

/// The bits of a step's arguments are read by `words`, which knows what they choose from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// `late`: the time for its CONNECT has passed already.
    Open {
        line: usize,
        late: bool,
    },
    Connect {
        line: usize,
        who: u8,
        limits: u8,
        will: u8,
    },
    Raw {
        line: usize,
        bytes: &'a [u8],
    },
    Publish {
        line: usize,
        what: u8,
        how: u8,
    },
    Subscribe {
        line: usize,
        what: u8,
        how: u8,
    },
    Unsubscribe {
        line: usize,
        what: u8,
    },
    /// What a good client answers to one of the deliveries that it has.
    Answer {
        line: usize,
        which: u8,
    },
    AnswerAll {
        line: usize,
    },
    /// An answer to whatever.
    Acknowledge {
        line: usize,
        what: u8,
    },
    Release {
        line: usize,
        what: u8,
    },
    Ping {
        line: usize,
    },
    Disconnect {
        line: usize,
        how: u8,
    },
    Leave {
        line: usize,
        how: Leave,
    },
    /// The connection's task ends where it stands, as by a panic.
    Abort {
        line: usize,
    },
    Tear {
        line: usize,
        at: u8,
    },
    Pieces {
        line: usize,
        bytes: u8,
    },
    Room {
        line: usize,
        bytes: u8,
    },
    Pass {
        seconds: u32,
    },
    Disk(Disk),
    Rules {
        which: u8,
    },
    /// Millrace itself publishes.
    Own {
        what: u8,
    },
    System,
    /// A client comes back to its session, and goes on with its publishes at QoS 2 as MQTT asks of
    /// it.
    Return {
        line: usize,
    },
    /// Single threads are given no processor.
    Hold(Threads),
    /// They go on.
    LetGo,
    /// Millrace stops in order, and starts again.
    Restart,
    /// It ends in the midst of the next step, and starts with what it had written; the journal
    /// loses what was not durable.
    Crash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    Syncs,
    IsFull,
    IsBusy,
    IsPoisoned,
    TakesAgain,
}

/// Threads of the broker that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Threads {
    /// The writer of the telemetry journal,
    pub(super) journal: bool,
    /// and that of the log of kept sessions.
    pub(super) log: bool,
}

pub(super) struct Script<'a> {
    rest: &'a [u8],
    steps: usize,
}

impl<'a> Script<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> (Stage, Script<'a>) {
        let mut script = Script {
            rest: bytes,
            steps: 0,
        };
        let flags = script.byte();
        let stage = Stage {
            syncs_alone: flags & 1 != 0,
            is_tight: flags & 2 != 0,
            is_logged: flags & 4 != 0,
        };
        (stage, script)
    }

    /// 0 behind the end.
    fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
            None => 0,
        }
    }

    /// A length, and so many bytes.
    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.rest.len());
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        bytes
    }
}

impl<'a> Iterator for Script<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        if self.rest.is_empty() || self.steps == STEPS_MAX {
            return None;
        }
        self.steps += 1;
        let first = self.byte();
        let line = usize::from(first >> LINE_SHIFT) % LINES;
        Some(match first & KIND_MASK {
            0..=3 => {
                let (who, limits) = (self.byte(), self.byte());
                let will = match who & 0x80 {
                    0 => 0,
                    _ => self.byte(),
                };
                Step::Connect {
                    line,
                    who,
                    limits,
                    will,
                }
            }
            4 => Step::Open {
                line,
                late: self.byte() & 1 != 0,
            },
            5 => Step::Raw {
                line,
                bytes: self.bytes(),
            },
            6..=10 => Step::Publish {
                line,
                what: self.byte(),
                how: self.byte(),
            },
            11..=13 => Step::Subscribe {
                line,
                what: self.byte(),
                how: self.byte(),
            },
            14 => Step::Unsubscribe {
                line,
                what: self.byte(),
            },
            15 | 16 => Step::Answer {
                line,
                which: self.byte(),
            },
            17 => Step::AnswerAll { line },
            18 => Step::Acknowledge {
                line,
                what: self.byte(),
            },
            19 => Step::Release {
                line,
                what: self.byte(),
            },
            20 => Step::Ping { line },
            21 => Step::Disconnect {
                line,
                how: self.byte(),
            },
            22 => match self.byte() % 3 {
                0 => Step::Leave {
                    line,
                    how: Leave::Finished,
                },
                1 => Step::Leave {
                    line,
                    how: Leave::Lost,
                },
                _ => Step::Abort { line },
            },
            23 => Step::Tear {
                line,
                at: self.byte(),
            },
            24 => Step::Room {
                line,
                bytes: self.byte(),
            },
            25 | 26 => Step::Pass {
                seconds: [1, 3, 6, 16, 61, 700][usize::from(self.byte()) % 6],
            },
            27 | 28 => Step::Disk(match self.byte() % 8 {
                0..=3 => Disk::Syncs,
                4 => Disk::IsFull,
                5 => Disk::IsBusy,
                6 => Disk::TakesAgain,
                _ => Disk::IsPoisoned,
            }),
            29 => Step::Rules { which: self.byte() },
            30 => Step::Pieces {
                line,
                bytes: self.byte(),
            },
            _ => match self.byte() {
                what @ 0..=0x7F => Step::Own { what },
                0x80..=0x8F => Step::System,
                which @ 0x90..=0xA7 => Step::Hold(Threads {
                    journal: which & 2 != 0,
                    log: which & 4 != 0,
                }),
                0xA8..=0xAF => Step::LetGo,
                0xB0..=0xBF => Step::Return { line },
                0xC0..=0xDF => Step::Restart,
                _ => Step::Crash,
            },
        })
    }
}
