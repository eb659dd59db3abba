//! What the index of words in the body is asked, so that what cannot hold a phrase is not read.
//!
//! The index keeps each run of ASCII letters and digits of a body as a token (see `crate::schema::INDEXED_BODY`). Each word that a
//! record must hold, complete, therefore has all of its runs in the index. What is asked follows from the condition beside which it
//! stands, so it changes no answer.

use rookery_core::tokens::Required;

use super::bounds::Sql;
use super::params::Params;
use crate::schema::INDEXED_BODY;

/// The most tokens that are asked for together, and the most alternatives; with more, asking costs more than it saves.
const TOKENS_LIMIT: usize = 16;

/// The most tokens that Bloom filters are asked for together: the server also looks for each in every body that is read.
const BLOOM_TOKENS_LIMIT: usize = 3;

/// Which index of words the table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum WordIndex {
    /// None that is known.
    #[default]
    None,
    /// An inverted index.
    Text,
    /// Bloom filters of tokens.
    Bloom,
}

impl WordIndex {
    /// By the type that the server gives it in `system.data_skipping_indices`.
    pub(crate) fn of_type(name: &str) -> Self {
        match name {
            "text" => Self::Text,
            "tokenbf_v1" => Self::Bloom,
            _ => Self::None,
        }
    }

    /// A condition that every body fulfils that holds the words; `True` when the index cannot help.
    pub(crate) fn condition(self, params: &mut Params, required: &Required) -> Sql {
        match (self, required) {
            (Self::None, _) | (_, Required::Anything | Required::Nothing) => Sql::True,
            (_, Required::Word { word, .. }) => self.tokens(params, runs(word).collect()),
            (_, Required::All(parts)) => {
                let words = parts.iter().filter_map(|part| match part {
                    Required::Word { word, .. } => Some(runs(word)),
                    _ => None,
                });
                let words = self.tokens(params, words.flatten().collect());
                let others = parts.iter().filter(|part| !matches!(part, Required::Word { .. }));
                let others = others.map(|part| self.condition(params, part));
                Sql::all(std::iter::once(words).chain(others).collect())
            }
            (_, Required::Any(parts)) if parts.len() <= TOKENS_LIMIT => {
                Sql::any(parts.iter().map(|part| self.condition(params, part)).collect())
            }
            (_, Required::Any(_)) => Sql::True,
        }
    }

    fn tokens(self, params: &mut Params, mut tokens: Vec<&str>) -> Sql {
        // The longest say most.
        tokens.sort_unstable_by_key(|token| (std::cmp::Reverse(token.len()), *token));
        tokens.dedup();
        tokens.truncate(if self == Self::Bloom { BLOOM_TOKENS_LIMIT } else { TOKENS_LIMIT });
        if tokens.is_empty() {
            return Sql::True;
        }
        match self {
            Self::None => Sql::True,
            Self::Text => {
                let tokens = params.texts(tokens);
                Sql::new(format_args!("hasAllTokens(body, {tokens})"))
            }
            Self::Bloom => {
                let has = |token: &&str| {
                    let token = params.text(token);
                    Sql::new(format_args!("hasToken({INDEXED_BODY}, {token})"))
                };
                Sql::all(tokens.iter().map(has).collect())
            }
        }
    }
}

/// The tokens of a word.
fn runs(word: &str) -> impl Iterator<Item = &str> {
    word.split(|c: char| !c.is_ascii_alphanumeric()).filter(|run| !run.is_empty())
}

#[cfg(test)]
mod tests {
    use rookery_core::filter::{Pattern, Test};
    use rookery_core::tokens::required_by_test;

    use super::*;

    #[test]
    fn only_tokens_of_complete_words_are_asked_for() {
        let asked = |test: &Test| {
            let mut params = Params::default();
            let required = required_by_test(&"_msg".into(), test);
            let sql = WordIndex::Text.condition(&mut params, &required);
            (sql.text().to_owned(), format!("{params:?}"))
        };
        let (sql, params) = asked(&Test::Phrase("größe foo_bar".into()));
        assert_eq!(sql, "(hasAllTokens(body, {p0:Array(String)}))");
        assert!(params.contains(r#"["bar", "foo", "gr", "e"]"#), "{params}");
        assert_eq!(asked(&Test::Substring("error".into())).0, "true");
        let (_, params) = asked(&Test::Prefix("conn ref".into()));
        assert!(params.contains(r#"["conn"]"#), "{params}");
        let either = Test::Regexp(Pattern::new(" ab | cd ").unwrap());
        let one = |at| format!("(hasAllTokens(body, {{p{at}:Array(String)}}))");
        assert_eq!(asked(&either).0, format!("({} OR {})", one(0), one(1)));
    }
}
