//! Random lives of sessions, cut off at random moments, against the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use journal::{Journal, LocalJournal, Position};
use rand::seq::{IndexedMutRandom, IndexedRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use testkit::disk::{Loss, SimDisk};

mod change;
mod exchange;

use self::change::Change;
use self::exchange::{Completion, Exchange, Ordinals, UNWRITTEN};
use super::model::*;
use crate::session::{IncomingQos2, State};
use crate::session_log::Event;

const CLIENTS: [&str; 4] = ["a", "b", "ç", "d"];
const LIVES: u64 = 60;
const RESTARTS: usize = 4;
const CHANGES_MAX: usize = 120;
/// What a session was from a position of the log on.
#[derive(Debug, Clone)]
struct Past {
    position: Position,
    client: &'static str,
    incarnation: u64,
    model: Option<Model>,
}

/// Two disks after a crash, and what was true when it came.
struct Remains {
    telemetry_disk: SimDisk,
    disk: SimDisk,
    durable: Position,
    past: Vec<Past>,
    exchanges: Vec<Exchange>,
    completions: Vec<Completion>,
    ordinals: Ordinals,
}

struct Life {
    rng: ChaCha8Rng,
    logs: Logs,
    models: BTreeMap<&'static str, (u64, Model)>,
    exchanges: Vec<Exchange>,
    past: Vec<Past>,
    completions: Vec<Completion>,
    /// Numbers of the exchanges that began last.
    ordinals: Ordinals,
    numbers: u64,
}

#[test]
fn after_any_crash_the_sessions_are_what_they_were_at_some_moment() {
    for seed in 0..LIVES {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut remains = Remains {
            telemetry_disk: SimDisk::default(),
            disk: SimDisk::default(),
            durable: Position::ZERO,
            past: Vec::new(),
            exchanges: Vec::new(),
            completions: Vec::new(),
            ordinals: Ordinals::new(),
        };
        let mut numbers = 0;
        for restart in 0..RESTARTS {
            let mut life = Life::begin(remains, rng, numbers, &format!("seed {seed}, {restart}"));
            remains = life.run();
            (rng, numbers) = (life.rng, life.numbers);
        }
        Life::begin(remains, rng, numbers, &format!("seed {seed}, at the end"));
    }
}

impl Life {
    /// Opens what remains, and compares.
    fn begin(remains: Remains, rng: ChaCha8Rng, numbers: u64, what: &str) -> Life {
        let (end, telemetry_end) = (
            end_of(&remains.disk, "data/sessions"),
            end_of(&remains.telemetry_disk, "telemetry"),
        );
        assert!(end >= remains.durable, "{what}: durable events are gone");
        let (expected, exchanges) = expected(&remains, end, telemetry_end);
        let ordinals = remains.ordinals.clone();
        let (logs, sessions) = Logs::reopen(remains.telemetry_disk, remains.disk);
        let found: BTreeMap<_, _> = sessions
            .iter()
            .map(|session| (&*session.client_id, Model::of(session)))
            .collect();
        let wanted: BTreeMap<_, _> = expected
            .iter()
            .map(|(client, (_, model))| (*client, model.clone()))
            .collect();
        assert_eq!(
            found, wanted,
            "{what}: at {end}, telemetry at {telemetry_end}"
        );
        for session in &sessions {
            assert_eq!(session.held_through, telemetry_end);
        }
        let past = expected
            .iter()
            .map(|(client, (incarnation, model))| Past {
                position: Position::ZERO,
                client,
                incarnation: *incarnation,
                model: Some(model.clone()),
            })
            .collect();
        Life {
            rng,
            logs,
            models: expected,
            exchanges,
            past,
            // Whatever was begun before is over.
            completions: ordinals
                .iter()
                .map(|(&incarnation, &ordinal)| Completion {
                    position: Position::ZERO,
                    incarnation,
                    ordinal,
                })
                .collect(),
            ordinals,
            numbers,
        }
    }

    fn run(&mut self) -> Remains {
        let mut in_compaction = None;
        for _ in 0..self.rng.random_range(1..CHANGES_MAX) {
            match self.rng.random_range(0..40) {
                0 => self.logs.disk.block_syncs(),
                1 => self.logs.telemetry_disk.block_syncs(),
                2 | 3 => {
                    self.unblock();
                    self.logs.settle();
                }
                4 => {
                    self.unblock();
                    in_compaction = in_compaction.or(self.compact());
                }
                5 => self.logs.log.maintenance().write_checkpoint().unwrap(),
                _ => self.change(),
            }
        }
        let remains = match in_compaction {
            Some(remains) if self.rng.random() => remains,
            _ => {
                let (telemetry, log) = (self.loss(), self.loss());
                self.remains(telemetry, log)
            }
        };
        self.unblock();
        remains
    }

    fn unblock(&self) {
        self.logs.disk.unblock_syncs();
        self.logs.telemetry_disk.unblock_syncs();
    }

    fn loss(&mut self) -> Loss {
        let losses = [Loss::Everything, Loss::Nothing, Loss::Suffix, Loss::Random];
        *losses.choose(&mut self.rng).expect("some")
    }

    /// The disks if the power goes now.
    fn remains(&mut self, telemetry: Loss, log: Loss) -> Remains {
        Remains {
            durable: self.logs.log.durable(),
            telemetry_disk: self.logs.telemetry_disk.crash(telemetry, &mut self.rng),
            disk: self.logs.disk.crash(log, &mut self.rng),
            past: self.past.clone(),
            exchanges: self.exchanges.clone(),
            completions: self.completions.clone(),
            ordinals: self.ordinals.clone(),
        }
    }

    /// Compacts; the disks as a crash at some moment of it would leave them.
    fn compact(&mut self) -> Option<Remains> {
        let sessions = Sessions::default();
        for (client, (_, model)) in &self.models {
            let saved = self.saved(client, model);
            sessions
                .by_client
                .lock()
                .unwrap()
                .insert((*client).into(), saved);
        }
        let crash_at = self.rng.random_range(0..12);
        let (log, telemetry) = (self.loss(), self.loss());
        let taken = Arc::new(Mutex::new(None));
        let (disk, telemetry_disk) = (self.logs.disk.clone(), self.logs.telemetry_disk.clone());
        let mut rng = self.rng.clone();
        let mut shown = 0;
        let take = Arc::clone(&taken);
        let on_show = move || {
            if shown == crash_at {
                let disks = (
                    telemetry_disk.crash(telemetry, &mut rng),
                    disk.crash(log, &mut rng),
                );
                *take.lock().unwrap() = Some(disks);
            }
            shown += 1;
        };
        *sessions.on_show.lock().unwrap() = Some(Box::new(on_show));
        let durable = self.logs.log.durable();
        self.logs.log.maintenance().compact(&sessions).unwrap();
        let (telemetry_disk, disk) = taken.lock().unwrap().take()?;
        Some(Remains {
            telemetry_disk,
            disk,
            durable,
            past: self.past.clone(),
            exchanges: self.exchanges.clone(),
            completions: self.completions.clone(),
            ordinals: self.ordinals.clone(),
        })
    }

    fn saved(&self, client: &str, model: &Model) -> State {
        let of_client = |exchange: &&Exchange| exchange.client == client;
        let incarnation = self.models[client].0;
        let mine = self
            .exchanges
            .iter()
            .filter(of_client)
            .filter(|exchange| exchange.incarnation == incarnation);
        let held = mine
            .clone()
            .filter(|exchange| exchange.released.is_none())
            .map(|exchange| (exchange.packet_id, exchange.hold()));
        let noted = mine.filter(|exchange| exchange.noted.is_some());
        let told = noted
            .filter_map(|exchange| exchange.telemetry)
            .map(|position| position.plus(1))
            .max();
        let completed = self.completions.iter();
        let completed = completed.filter(|completion| completion.incarnation == incarnation);
        State {
            number: incarnation,
            completed_through: completed.map(|c| c.ordinal).max().unwrap_or(0),
            // What the session began with is at least as far as its predecessor's records.
            ..model.saved(client, held, told.unwrap_or(self.logs.telemetry.end()))
        }
    }

    /// Something happens to one session.
    fn change(&mut self) {
        let client = *CLIENTS.choose(&mut self.rng).expect("some");
        let Some((incarnation, mut model)) = self.models.get(client).cloned() else {
            return self.create(client);
        };
        let mut log = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            self.change_one(client, incarnation, &mut model, &mut log);
        }
        if self.rng.random_ratio(1, 40) {
            self.write(client, &[Change::Ended]);
            self.models.remove(client);
            self.note(client, incarnation, None);
            return;
        }
        let written = self.write(client, &log);
        for exchange in &mut self.exchanges {
            let marks = [
                &mut exchange.distributed,
                &mut exchange.noted,
                &mut exchange.released,
            ];
            for mark in marks {
                mark.take_if(|mark| *mark == UNWRITTEN)
                    .map(|_| mark.insert(written));
            }
        }
        for completion in &mut self.completions {
            completion.position = completion.position.min(written);
        }
        self.models.insert(client, (incarnation, model.clone()));
        self.note(client, incarnation, Some(model));
    }

    fn create(&mut self, client: &'static str) {
        self.numbers += 1;
        let incarnation = self.numbers;
        let model = Model {
            identity: identity(incarnation),
            expiry_seconds: incarnation as u32,
            ..Model::default()
        };
        let created = Event::Created {
            identity: &model.identity,
            expiry_seconds: model.expiry_seconds,
            held_through: self.logs.log.telemetry_end(),
        };
        let numbered = Event::Numbered {
            number: incarnation,
            completed_through: 0,
        };
        self.logs.write(client, &[created, numbered]);
        // CONNACK waits for it, and nothing is published before.
        self.unblock();
        self.logs.settle();
        self.models.insert(client, (incarnation, model.clone()));
        self.note(client, incarnation, Some(model));
    }

    fn note(&mut self, client: &'static str, incarnation: u64, model: Option<Model>) {
        self.past.push(Past {
            position: self.logs.log.journal().end(),
            client,
            incarnation,
            model,
        });
    }

    /// Writes the changes as one batch; the end of the log behind them.
    fn write(&mut self, client: &str, changes: &[Change]) -> Position {
        let mut batch = self.logs.log.batch(client);
        for change in changes {
            change.with_event(|event| batch.push(event));
        }
        self.logs.log.write(batch, std::task::Waker::noop());
        self.logs.log.journal().end()
    }

    fn change_one(
        &mut self,
        client: &'static str,
        incarnation: u64,
        model: &mut Model,
        log: &mut Vec<Change>,
    ) {
        self.numbers += 1;
        let number = self.numbers;
        let packet_id = self.rng.random_range(1..=20);
        let mut free_id = packet_id;
        while model.inflight.iter().any(|(id, _)| *id == free_id) {
            free_id += 1;
        }
        match self.rng.random_range(0..21) {
            0 => {
                model.identity = identity(number);
                model.disconnected_at = None;
                log.push(Change::Attached(Arc::clone(&model.identity)));
            }
            1 => {
                model.disconnected_at = Some(number as i64);
                model.expiry_seconds = number as u32;
                log.push(Change::Detached(number as i64, number as u32));
            }
            2 => {
                let filter = format!("filter/{}", number % 5);
                model.subscriptions.insert(filter.clone(), number as u32);
                log.push(Change::Subscribed(filter, number as u32));
            }
            3 => {
                let filter = format!("filter/{}", number % 5);
                if model.subscriptions.remove(&filter).is_some() {
                    model.snapshots.remove(&filter);
                    log.push(Change::Unsubscribed(filter));
                }
            }
            4..7 => {
                model.queue.push(number);
                log.push(Change::Queued(number));
            }
            7 if !model.queue.is_empty() => {
                let index = self.rng.random_range(0..model.queue.len());
                model.queue.remove(index);
                log.push(Change::Dropped(index));
            }
            8 | 9 if !model.queue.is_empty() => {
                let first = model.queue.remove(0);
                model.inflight.push((free_id, Some(first)));
                model.last_packet_id = free_id;
                log.push(Change::Sent(free_id));
            }
            10 => {
                if let Some(one) = model.inflight.choose_mut(&mut self.rng) {
                    one.1 = None;
                    log.push(Change::Received(one.0));
                }
            }
            11 if !model.inflight.is_empty() => {
                let index = self.rng.random_range(0..model.inflight.len());
                let (id, _) = model.inflight.remove(index);
                log.push(Change::Acknowledged(id));
            }
            12 | 13 if self.is_free(client, incarnation, packet_id) => {
                self.publish(client, incarnation, packet_id, model, log);
            }
            14 => self.release(client, incarnation, model, log),
            15 => {
                model.will = match model.will {
                    Some(_) => None,
                    None => Some((number, number as u32)),
                };
                log.push(Change::Will(model.will));
            }
            16 => {
                if let Some(filter) = model.subscriptions.keys().next() {
                    model.snapshots.insert(filter.clone());
                    log.push(Change::SnapshotBegun(filter.clone()));
                }
            }
            17 => {
                if let Some(filter) = model.snapshots.pop_first() {
                    log.push(Change::SnapshotSent(filter));
                }
            }
            19 | 20 => self.go_on(client, incarnation, model, log),
            // A retained message is nobody's but the session's.
            18 if delivery(number).share.is_none() => {
                model.inflight.push((free_id, Some(number)));
                model.last_packet_id = free_id;
                log.push(Change::Taken(free_id, number));
            }
            _ => {}
        }
    }
}

/// Where the journal on the disk ends, as recovery will see it.
fn end_of(disk: &SimDisk, dir: &str) -> Position {
    let copy = SimDisk::from_files(disk.files());
    let settings = journal::Settings::default();
    let (journal, _) =
        LocalJournal::open(std::path::Path::new(dir), settings, copy.shared()).unwrap();
    journal.end()
}

type Models = BTreeMap<&'static str, (u64, Model)>;

/// What must be found when the log is good up to `end` and the telemetry up to `telemetry_end`, and
/// the exchanges that are open then.
fn expected(remains: &Remains, end: Position, telemetry_end: Position) -> (Models, Vec<Exchange>) {
    let mut models = Models::new();
    for past in remains.past.iter().filter(|past| past.position <= end) {
        match &past.model {
            Some(model) => drop(models.insert(past.client, (past.incarnation, model.clone()))),
            None => drop(models.remove(past.client)),
        }
    }
    let mut open = Vec::new();
    for (client, (incarnation, model)) in &mut models {
        model.held.clear();
        model.disconnected_at.get_or_insert(NOW);
        for exchange in &remains.exchanges {
            let mine = exchange.client == *client && exchange.incarnation == *incarnation;
            let released = exchange.released.is_some_and(|position| position <= end);
            if mine
                && !released
                && let Some(hold) = exchange.after_a_crash(end, telemetry_end)
            {
                model.held.insert(exchange.packet_id, hold);
                open.push(Exchange {
                    found: Some(hold),
                    telemetry: None,
                    distributed: None,
                    noted: matches!(hold, IncomingQos2::Whole(_)).then_some(Position::ZERO),
                    released: None,
                    ..exchange.clone()
                });
            }
        }
    }
    let alive: BTreeSet<u64> = models
        .values()
        .map(|(incarnation, _)| *incarnation)
        .collect();
    let is_complete = |publisher: u64, ordinal: u64| {
        remains.completions.iter().any(|completion| {
            completion.incarnation == publisher
                && completion.ordinal >= ordinal
                && completion.position <= end
        })
    };
    for (_, model) in models.values_mut() {
        model.queue.retain(|number| {
            exchange_of(*number).is_none_or(|(publisher, ordinal)| {
                !alive.contains(&publisher) || is_complete(publisher, ordinal)
            })
        });
    }
    (models, open)
}
