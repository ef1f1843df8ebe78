//! A cron expression in its time zone.

use std::fmt;

use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// When something is due, again and again.
#[derive(Debug, Clone)]
pub(super) struct Cron {
    pattern: croner::Cron,
    zone: TimeZone,
}

/// Why something is no schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CronError {
    /// The expression cannot be read.
    Expression {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such time zone.
    Zone {
        /// What was given.
        zone: String,
    },
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expression { expression, why } => write!(
                f,
                "`{expression}` is no cron expression: {why}; write minute, hour, day, month and day of the week, as `0 9 * * MON-FRI`"
            ),
            Self::Zone { zone } => {
                write!(
                    f,
                    "there is no time zone `{zone}`; write an IANA name, as `Europe/Berlin` or `UTC`"
                )
            }
        }
    }
}

impl std::error::Error for CronError {}

impl Cron {
    pub(super) fn parse(expression: &str, zone: &str) -> Result<Self, CronError> {
        let error = |why: String| CronError::Expression { expression: expression.to_owned(), why };
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let pattern = parser.parse(expression).map_err(|why| error(why.to_string()))?;
        let zone = TimeZone::get(zone).map_err(|_| CronError::Zone { zone: zone.to_owned() })?;
        let cron = Self { pattern, zone };
        // The thirtieth of February and the like.
        match cron.after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(cron),
            None => Err(error("it never comes".to_owned())),
        }
    }

    /// The first time after this one.
    pub(super) fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = at.to_zoned(self.zone.clone());
        self.pattern.find_next_occurrence(&at, false).ok().as_ref().map(Zoned::timestamp)
    }

    /// The last time up to this one.
    pub(super) fn until(&self, at: Timestamp) -> Option<Timestamp> {
        let at = at.to_zoned(self.zone.clone());
        self.pattern.find_previous_occurrence(&at, true).ok().as_ref().map(Zoned::timestamp)
    }
}
