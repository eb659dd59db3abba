//! A condition in SQL that is either exact, or lies between two that are.
//!
//! What a server cannot decide as [`rookery_core::filter::eval`] does has an upper bound, which every record that passes fulfils, and a
//! lower one, which no record fulfils that does not pass. Records between the two are decided above the store. `NOT` exchanges the
//! bounds, so a condition that cannot be decided stays sound wherever it stands.

/// A condition in SQL; it is never NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sql {
    /// For no record.
    False,
    /// For every record.
    True,
    /// An expression that may stand beside any operator.
    Text(String),
}

impl Sql {
    /// An expression, put into parentheses.
    pub(crate) fn new(text: impl std::fmt::Display) -> Self {
        Self::Text(format!("({text})"))
    }

    fn joined(parts: Vec<Self>, with: &str, neutral: Self, stop: Self) -> Self {
        let mut kept: Vec<String> = Vec::new();
        for part in parts {
            match part {
                part if part == stop => return stop,
                Self::Text(text) if !kept.contains(&text) => kept.push(text),
                _ => {}
            }
        }
        match kept.len() {
            0 => neutral,
            1 => Self::Text(kept.swap_remove(0)),
            _ => Self::new(kept.join(with)),
        }
    }

    /// All of these.
    pub(crate) fn all(parts: Vec<Self>) -> Self {
        Self::joined(parts, " AND ", Self::True, Self::False)
    }

    /// One of these.
    pub(crate) fn any(parts: Vec<Self>) -> Self {
        Self::joined(parts, " OR ", Self::False, Self::True)
    }

    /// The opposite.
    pub(crate) fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::True => Self::False,
            Self::Text(text) => Self::new(format_args!("NOT {text}")),
        }
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::False => "false",
            Self::True => "true",
            Self::Text(text) => text,
        }
    }
}

/// What is known of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Holds for every record that passes.
    pub(crate) upper: Sql,
    /// Holds for no record that does not pass.
    pub(crate) lower: Sql,
}

impl Bounds {
    /// Nothing is known.
    pub(crate) const UNKNOWN: Self = Self { upper: Sql::True, lower: Sql::False };

    /// Exactly this.
    pub(crate) fn exact(sql: Sql) -> Self {
        Self { lower: sql.clone(), upper: sql }
    }

    /// Exactly this expression.
    pub(crate) fn of(text: impl std::fmt::Display) -> Self {
        Self::exact(Sql::new(text))
    }

    /// Always, or never.
    pub(crate) fn always(passes: bool) -> Self {
        Self::exact(if passes { Sql::True } else { Sql::False })
    }

    /// Every record that passes fulfils `upper`; no more is known.
    pub(crate) fn at_most(upper: Sql) -> Self {
        Self { upper, lower: Sql::False }
    }

    /// Whether the server decides it alone.
    pub(crate) fn is_exact(&self) -> bool {
        self.upper == self.lower
    }

    /// All of these.
    pub(crate) fn all(parts: Vec<Self>) -> Self {
        let (upper, lower) = parts.into_iter().map(|part| (part.upper, part.lower)).unzip();
        Self { upper: Sql::all(upper), lower: Sql::all(lower) }
    }

    /// One of these.
    pub(crate) fn any(parts: Vec<Self>) -> Self {
        let (upper, lower) = parts.into_iter().map(|part| (part.upper, part.lower)).unzip();
        Self { upper: Sql::any(upper), lower: Sql::any(lower) }
    }

    /// The opposite.
    pub(crate) fn not(self) -> Self {
        Self { upper: self.lower.not(), lower: self.upper.not() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_exact_stays_sound_below_not_and_or() {
        let some = Bounds::at_most(Sql::new("u"));
        let exact = Bounds::of("e");
        assert_eq!(some.clone().not(), Bounds { upper: Sql::True, lower: Sql::new("NOT (u)") });
        assert_eq!(Bounds::any(vec![some.clone(), exact.clone()]).lower, Sql::new("e"));
        let both = Bounds::all(vec![some, exact.clone()]);
        assert_eq!((both.upper.text(), both.lower.text()), ("((u) AND (e))", "false"));
        assert!(Bounds::all(vec![exact.clone(), exact]).is_exact());
        assert_eq!(Bounds::any(vec![]), Bounds::always(false));
    }
}
