//! Which partition a collector writes to, and when it may become another one.
//!
//! The partition is the hash of the collector's name, modulo N. N is the number of partitions that the topic had when this collector first wrote to it, and
//! is kept in a file beside its checkpoint: when partitions are added, the collector stays where it is, because a batch in a new partition could be read before
//! an earlier one in the old partition. It moves when the group of the ingesters has committed all that is in the old partition while this collector
//! holds its breath. (The ingester has a second net: it waits with a stream that it knows from another partition, see `Subscription::frontiers`.)
//!
//! A topic that was deleted and made anew is another topic, by its id: nothing is left in it to be overtaken.

use std::path::{Path, PathBuf};

use rookery_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// The file in the state folder.
const FILE: &str = "kafka-route.json";

/// What a collector once chose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Route {
    /// The topic's name.
    pub(crate) topic: String,
    /// Its id.
    pub(crate) id: String,
    /// N.
    pub(crate) partitions: u32,
}

/// What to do at a look at the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Write as this says.
    Take(Route),
    /// Write as before; the topic has grown to so many partitions, and the collector may move when it may.
    Stay { route: Route, grown: u32 },
}

impl Choice {
    /// As which to write now.
    pub(crate) fn route(&self) -> &Route {
        match self {
            Self::Take(route) | Self::Stay { route, .. } => route,
        }
    }
}

/// What follows from what was kept and what is there.
pub(crate) fn choose(kept: Option<&Route>, now: &Route) -> Choice {
    match kept {
        Some(kept)
            if kept.topic == now.topic
                && kept.id == now.id
                && (1..now.partitions).contains(&kept.partitions) =>
        {
            Choice::Stay { route: kept.clone(), grown: now.partitions }
        }
        _ => Choice::Take(now.clone()),
    }
}

impl Route {
    /// The partition of a collector.
    pub(crate) fn partition(&self, collector: &str) -> u32 {
        partition(collector, self.partitions)
    }
}

/// The partition of a collector's name among so many.
pub fn partition(collector: &str, partitions: u32) -> u32 {
    let hash = xxhash_rust::xxh3::xxh3_64(collector.as_bytes());
    (hash % u64::from(partitions.max(1))) as u32
}

/// The file, or none.
#[derive(Debug, Clone)]
pub(crate) struct RouteFile(Option<PathBuf>);

impl RouteFile {
    /// In this folder.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        Self(folder.map(|folder| folder.join(FILE)))
    }

    /// What was kept; nothing when there is no file, or one that is not readable as one.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn read(&self) -> Result<Option<Route>> {
        let Some(path) = &self.0 else { return Ok(None) };
        match std::fs::read(path) {
            Ok(bytes) => {
                let route = serde_json::from_slice(&bytes).ok();
                if route.is_none() {
                    tracing::warn!(path = %path.display(), "not the file of a route; the partition is chosen anew");
                }
                Ok(route)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format!("read {}", path.display()), error)),
        }
    }

    /// Keeps a route, in one step.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn write(&self, route: &Route) -> Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let cannot = |e| Error::io(format!("write {}", path.display()), e);
        let text = serde_json::to_vec(route)
            .map_err(|e| Error::internal("a route is not JSON").because(e))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(cannot)?;
        }
        let new = path.with_extension("new");
        std::fs::write(&new, text).map_err(cannot)?;
        let file = std::fs::File::open(&new).map_err(cannot)?;
        file.sync_all().map_err(cannot)?;
        std::fs::rename(&new, path).map_err(cannot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(id: &str, partitions: u32) -> Route {
        Route { topic: "t".into(), id: id.into(), partitions }
    }

    #[test]
    fn a_topic_that_grew_changes_nothing_and_a_new_one_everything() {
        assert_eq!(choose(None, &route("a", 3)), Choice::Take(route("a", 3)));
        assert_eq!(choose(Some(&route("a", 3)), &route("a", 3)), Choice::Take(route("a", 3)));
        let grown = Choice::Stay { route: route("a", 3), grown: 5 };
        assert_eq!(choose(Some(&route("a", 3)), &route("a", 5)), grown);
        assert_eq!(choose(Some(&route("a", 3)), &route("b", 5)), Choice::Take(route("b", 5)));
        assert_eq!(choose(Some(&route("a", 3)), &route("b", 2)), Choice::Take(route("b", 2)));
    }

    #[test]
    fn a_route_is_found_again_and_a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = RouteFile::new(Some(folder.path()));
        assert_eq!(file.read().unwrap(), None);
        file.write(&route("a", 3)).unwrap();
        assert_eq!(file.read().unwrap(), Some(route("a", 3)));
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(file.read().unwrap(), None);
    }
}
