//! Who is asked by a look, and how many looks go there at once.
//!
//! Looks that ask the same host, database or file system share a lane. A lane that is slow holds up only what waits in it:
//! what is due beyond its limit waits here, without a place among the looks that are under way. The kinds of looks have
//! limits of their own, so that ten thousand hosts that hang do not keep anybody from looking at a file.

use std::collections::{HashMap, VecDeque};

use flow_model::deferral::Trigger;

/// The kind of place that a look goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Http,
    Files,
    Sql,
    Redis,
    /// Flow's own store.
    Runs,
}

impl Kind {
    /// Looks of this kind at once.
    const fn looks_max(self) -> usize {
        match self {
            Kind::Http => 512,
            Kind::Files => 128,
            Kind::Sql | Kind::Redis => 64,
            Kind::Runs => 4,
        }
    }

    /// Looks at once in one lane: a host or a database is there for others, too.
    const fn lane_looks_max(self) -> usize {
        match self {
            Kind::Http | Kind::Files | Kind::Redis => 16,
            Kind::Sql | Kind::Runs => 4,
        }
    }
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    kind: Kind,
    /// The host, the connection, or the file system.
    place: String,
}

impl Lane {
    /// The lane of a trigger; `file_system` says on which one a path lies.
    pub fn of(trigger: &Trigger, file_system: impl FnOnce(&str) -> String) -> Lane {
        let (kind, place) = match trigger {
            Trigger::Http { connection: Some(connection), .. } => (Kind::Http, format!("connection {connection}")),
            Trigger::Http { url, .. } => (Kind::Http, host(url)),
            Trigger::File { path, .. } => (Kind::Files, file_system(path)),
            Trigger::Sql { connection, .. } => (Kind::Sql, connection.clone()),
            Trigger::RedisKey { connection, .. } | Trigger::RedisStream { connection, .. } => {
                (Kind::Redis, connection.clone())
            }
            Trigger::Time { .. } | Trigger::ExternalTask { .. } | Trigger::DagRun { .. } | Trigger::Unknown {} => {
                (Kind::Runs, String::new())
            }
        };
        Lane { kind, place }
    }
}

/// The host of a URL. What is no URL fails at its look, in a lane of its own.
fn host(url: &str) -> String {
    reqwest::Url::parse(url.trim()).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// What waits for its look, and how many looks are under way where.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    lanes: HashMap<Lane, Line<T>>,
    kinds: HashMap<Kind, Share>,
}

#[derive(Debug)]
struct Line<T> {
    looking: usize,
    waiting: VecDeque<T>,
}

#[derive(Debug, Default)]
struct Share {
    looking: usize,
    /// Lanes in which somebody waits and there is room, each once, in turns.
    ready: VecDeque<Lane>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Lanes { lanes: HashMap::new(), kinds: HashMap::new() }
    }
}

impl<T> Lanes<T> {
    /// Lines up.
    pub fn enter(&mut self, lane: Lane, item: T) {
        let line = self.lanes.entry(lane.clone()).or_insert_with(|| Line { looking: 0, waiting: VecDeque::new() });
        let is_ready = line.waiting.is_empty() && line.looking < lane.kind.lane_looks_max();
        line.waiting.push_back(item);
        if is_ready {
            self.kinds.entry(lane.kind).or_default().ready.push_back(lane);
        }
    }

    /// The next that may look; [`Lanes::leave`] gives its place back. Lanes take turns.
    pub fn next(&mut self) -> Option<(Lane, T)> {
        let (_, share) =
            self.kinds.iter_mut().find(|(kind, share)| share.looking < kind.looks_max() && !share.ready.is_empty())?;
        let lane = share.ready.pop_front()?;
        let line = self.lanes.get_mut(&lane)?;
        let item = line.waiting.pop_front()?;
        line.looking += 1;
        share.looking += 1;
        if !line.waiting.is_empty() && line.looking < lane.kind.lane_looks_max() {
            share.ready.push_back(lane.clone());
        }
        Some((lane, item))
    }

    /// A look is over.
    pub fn leave(&mut self, lane: &Lane) {
        let Some(line) = self.lanes.get_mut(lane) else { return };
        let was_full = line.looking >= lane.kind.lane_looks_max();
        line.looking = line.looking.saturating_sub(1);
        let share = self.kinds.entry(lane.kind).or_default();
        share.looking = share.looking.saturating_sub(1);
        if line.waiting.is_empty() {
            if line.looking == 0 {
                self.lanes.remove(lane);
            }
        } else if was_full {
            share.ready.push_back(lane.clone());
        }
    }

    /// How many wait for their look although they are due.
    pub fn waiting(&self) -> usize {
        self.lanes.values().map(|line| line.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(kind: Kind, place: &str) -> Lane {
        Lane { kind, place: place.to_owned() }
    }

    fn admitted(lanes: &mut Lanes<u32>) -> Vec<(Lane, u32)> {
        std::iter::from_fn(|| lanes.next()).collect()
    }

    #[test]
    fn a_flooded_host_holds_up_no_other() {
        let mut lanes = Lanes::default();
        let (slow, quick) = (lane(Kind::Http, "slow"), lane(Kind::Http, "quick"));
        for item in 0..10_000 {
            lanes.enter(slow.clone(), item);
        }
        assert_eq!(admitted(&mut lanes).len(), 16);
        // All of its looks hang; whoever asks somebody else looks at once.
        lanes.enter(quick.clone(), 1);
        lanes.enter(lane(Kind::Files, "/"), 2);
        let mut others: Vec<u32> = admitted(&mut lanes).into_iter().map(|(_, item)| item).collect();
        others.sort_unstable();
        assert_eq!(others, [1, 2]);
        assert_eq!(lanes.waiting(), 10_000 - 16);
        lanes.leave(&quick);
        assert_eq!(admitted(&mut lanes), []);
        lanes.leave(&slow);
        assert_eq!(admitted(&mut lanes), [(slow, 16)]);
    }

    #[test]
    fn lanes_take_turns_within_the_limit_of_their_kind() {
        let mut lanes = Lanes::default();
        for host in 0..1_000 {
            for item in 0..3 {
                lanes.enter(lane(Kind::Http, &host.to_string()), item);
            }
        }
        let first = admitted(&mut lanes);
        assert_eq!(first.len(), 512);
        assert!(first.iter().all(|(_, item)| *item == 0), "nobody looks twice before everybody has looked once");
        lanes.enter(lane(Kind::Runs, ""), 7);
        assert_eq!(admitted(&mut lanes), [(lane(Kind::Runs, ""), 7)], "another kind has its own room");
        let mut seen = first.len();
        let mut under_way = first;
        while let Some((done, _)) = under_way.pop() {
            lanes.leave(&done);
            let next = admitted(&mut lanes);
            seen += next.len();
            under_way.extend(next);
        }
        assert_eq!((seen, lanes.waiting()), (3_000, 0), "everybody has had a turn");
    }

    #[test]
    fn a_lane_that_is_empty_is_forgotten() {
        let mut lanes = Lanes::default();
        for round in 0..3 {
            lanes.enter(lane(Kind::Sql, "a"), round);
            let (place, item) = lanes.next().unwrap();
            assert_eq!(item, round);
            lanes.leave(&place);
        }
        assert!(lanes.lanes.is_empty());
    }

    #[test]
    fn who_is_asked_is_known() {
        let http = |url: &str, connection: Option<&str>| Trigger::Http {
            url: url.to_owned(),
            connection: connection.map(str::to_owned),
            method: "GET".to_owned(),
            headers: std::collections::BTreeMap::new(),
            query: std::collections::BTreeMap::new(),
            body: None,
            expected_status: Vec::new(),
            check: None,
            failure_check: None,
            timeout: std::time::Duration::from_secs(1),
        };
        let of = |trigger: &Trigger| Lane::of(trigger, |path| format!("disk of {path}"));
        assert_eq!(of(&http("https://a.example/x", None)), of(&http(" http://a.example:81/y", None)));
        assert_ne!(of(&http("https://a.example/x", None)), of(&http("https://b.example/x", None)));
        assert_eq!(of(&http("/x", Some("a"))), of(&http("/y", Some("a"))));
        let file = Trigger::File { path: "/in/x".to_owned(), recursive: false, min_size: 0, min_age: None };
        assert_eq!(of(&file).place, "disk of /in/x");
    }
}
