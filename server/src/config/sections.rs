//! The sections of roles that a build may lack.
//!
//! A fleet often has one file for all of its roles. So a build without a role takes that role's section as it stands, and looks at nothing
//! in it, the same for variables of its keys: what is wrong there is said by the process that it is for.

#[cfg(feature = "full")]
pub(crate) use self::present::*;

#[cfg(feature = "full")]
mod present {
    pub(crate) use rookery_clickhouse::ClickHouseConfig;
    pub(crate) use rookery_ingester::IngesterConfig;
    pub(crate) use rookery_parquet::ParquetConfig;
    pub(crate) use rookery_query::config::QueryConfig;
    pub(crate) use rookery_receiver::ReceiverConfig;

    /// The sections that this build does not look at.
    pub(crate) const UNREAD: &[&str] = &[];
}

#[cfg(not(feature = "full"))]
pub(crate) use self::absent::*;

#[cfg(not(feature = "full"))]
mod absent {
    use super::unread::Unread;

    /// The sections that this build does not look at.
    pub(crate) const UNREAD: &[&str] = &["clickhouse", "ingester", "query", "receiver", "store"];

    pub(crate) type ClickHouseConfig = Unread;
    pub(crate) type IngesterConfig = Unread;
    pub(crate) type ParquetConfig = Unread;
    pub(crate) type QueryConfig = Unread;
    pub(crate) type ReceiverConfig = Unread;
}

#[cfg(any(test, not(feature = "full")))]
mod unread {
    use schemars::JsonSchema;
    use serde::de::IgnoredAny;
    use serde::{Deserialize, Deserializer, Serialize};

    /// A section of a role that is not in this build.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
    pub(crate) struct Unread {}

    impl<'de> Deserialize<'de> for Unread {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            IgnoredAny::deserialize(deserializer).map(|IgnoredAny| Self {})
        }
    }

    impl Unread {
        /// Nothing can be wrong with what is not looked at.
        #[expect(clippy::unnecessary_wraps, reason = "as the sections of a full build")]
        pub(crate) fn validate(&self) -> rookery_core::Result<()> {
            Ok(())
        }
    }

    #[cfg(test)]
    #[test]
    fn whatever_stands_in_a_section_that_is_not_read_is_taken() {
        for text in ["", "null", "{url: 'http://c:8123', retention: {tenants: {a: 1d}}}", "[1, x]"]
        {
            let read: Unread = serde_yaml_ng::from_str(text).unwrap();
            read.validate().unwrap();
            assert_eq!(read, Unread::default());
        }
    }
}
