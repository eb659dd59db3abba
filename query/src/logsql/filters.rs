//! Filters: words, phrases, comparisons, functions, selectors of streams, and their combinations.

use rookery_core::StreamId;
use rookery_core::filter::{FieldName, Filter, Pattern, TagMatcher, TagOp, Test, Values};
use rookery_core::logs::fields;

use super::ast::{FieldPattern, Pipe, Query, Subquery};
use super::scan::{Class, Parsed, Parser};
use super::{ParseError, numbers};

/// The functions of a filter.
pub(super) const FILTER_FUNCTIONS: [&str; 18] = [
    "contains_all",
    "contains_any",
    "contains_common_case",
    "eq_field",
    "equals_common_case",
    "exact",
    "i",
    "in",
    "ipv4_range",
    "le_field",
    "len_range",
    "lt_field",
    "pattern_match",
    "pattern_match_full",
    "range",
    "re",
    "seq",
    "string_range",
];

/// Greater than every text that is a value: what `>"text"` has for its upper bound.
pub(super) const LAST_TEXT: &str = "\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}";

const FILTER_EXPECTED: &str = "a filter (a word, a \"phrase\", field:value, `*` for everything)";

/// All of these; what always holds is left out, inner conjunctions are taken apart.
pub(super) fn and(parts: Vec<Filter>) -> Filter {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Filter::All => {}
            Filter::And(inner) => flat.extend(inner),
            part => flat.push(part),
        }
    }
    match flat.len() {
        0 => Filter::All,
        1 => flat.swap_remove(0),
        _ => Filter::And(flat),
    }
}

/// Any of these; what never holds is left out, inner disjunctions are taken apart.
pub(super) fn or(parts: Vec<Filter>) -> Filter {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Filter::None => {}
            Filter::Or(inner) => flat.extend(inner),
            part => flat.push(part),
        }
    }
    match flat.len() {
        0 => Filter::None,
        1 => flat.swap_remove(0),
        _ => Filter::Or(flat),
    }
}

pub(super) fn not(part: Filter) -> Filter {
    match part {
        Filter::All => Filter::None,
        Filter::None => Filter::All,
        Filter::Not(inner) => *inner,
        part => Filter::Not(Box::new(part)),
    }
}

impl Parser<'_> {
    /// A filter.
    pub(super) fn filter(&mut self) -> Parsed<Filter> {
        self.any_of(None)
    }

    /// `(filter)` after `if`.
    pub(super) fn condition(&mut self) -> Parsed<Option<Filter>> {
        if !self.eat_keyword("if") {
            return Ok(None);
        }
        self.expect('(')?;
        if self.eat(')') {
            return Ok(Some(Filter::All));
        }
        let filter = self.nested(|parser| parser.any_of(None))?;
        self.expect(')')?;
        Ok(Some(filter))
    }

    fn any_of(&mut self, field: Option<&FieldName>) -> Parsed<Filter> {
        let mut parts = vec![self.all_of(field)?];
        while self.eat_keyword("or") {
            parts.push(self.all_of(field)?);
        }
        Ok(or(parts))
    }

    fn all_of(&mut self, field: Option<&FieldName>) -> Parsed<Filter> {
        let mut parts = vec![self.negated(field)?];
        loop {
            if self.eat_keyword("and") {
                parts.push(self.negated(field)?);
                continue;
            }
            if matches!(self.next_sign(), None | Some(')' | '|')) || self.at_keyword("or") {
                return Ok(and(parts));
            }
            parts.push(self.negated(field)?);
        }
    }

    /// `!`, `-` and `not`, as often as they stand, and what they negate.
    fn negated(&mut self, field: Option<&FieldName>) -> Parsed<Filter> {
        let mut negative = false;
        loop {
            let sign = match self.next_sign() {
                Some('-') => true,
                // `!=` and `!~` are tests of their own.
                Some('!') => !self.rest()[1..].starts_with(['=', '~']),
                _ => false,
            };
            if sign {
                self.bump();
            } else if !self.eat_keyword("not") {
                break;
            }
            negative = !negative;
        }
        let filter = self.primary(field)?;
        Ok(if negative { not(filter) } else { filter })
    }

    fn primary(&mut self, field: Option<&FieldName>) -> Parsed<Filter> {
        let name = || field.cloned().unwrap_or_else(|| fields::MESSAGE.into());
        match self.next_sign() {
            Some('(') => {
                self.bump();
                let filter = self.nested(|parser| parser.any_of(field))?;
                self.expect(')')?;
                Ok(filter)
            }
            Some('{') if field.is_none_or(|f| f.as_ref() == fields::STREAM) => {
                self.stream_selector()
            }
            Some('*') => self.star(field),
            // A colon without a name before it is the message's, or that of the parentheses around.
            Some(':') => {
                self.bump();
                self.negated(Some(&name()))
            }
            Some('=' | '!' | '~' | '<' | '>') => self.comparison(&name()),
            Some('"' | '\'' | '`') => self.word(field),
            Some(c) if !"){}[]|,:*".contains(c) => self.word(field),
            _ => Err(self.expected(FILTER_EXPECTED)),
        }
    }

    /// `*`, or `*part*`.
    fn star(&mut self, field: Option<&FieldName>) -> Parsed<Filter> {
        self.bump();
        let name = || field.cloned().unwrap_or_else(|| fields::MESSAGE.into());
        let class = if field.is_some() { Class::Value } else { Class::Word };
        let start = self.position;
        let part = if self.at_quote() { self.quoted()? } else { self.bare(class).to_owned() };
        if self.position == start && !self.rest().starts_with('*') {
            if self.peek() == Some(':') {
                return Err(self.wrong(start - 1, "the name of one field"));
            }
            let all = || Filter::All;
            return Ok(field
                .map_or_else(all, |name| Filter::Field { field: name.clone(), test: Test::Any }));
        }
        if !self.eat_directly("*") {
            return Err(self.wrong(
                self.position,
                "`*` (as in *part*; for other patterns write ~\"regular expression\")",
            ));
        }
        self.after_star()?;
        let test = if part.is_empty() { Test::Any } else { Test::Substring(part) };
        Ok(Filter::Field { field: name(), test })
    }

    /// A `*` ends a word.
    fn after_star(&mut self) -> Parsed<()> {
        let ended =
            self.peek().is_none_or(|c| c.is_whitespace() || c == ')' || c == '|' || c == ',');
        let hint = "a space after `*` (for other patterns write ~\"regular expression\")";
        if ended { Ok(()) } else { Err(self.wrong(self.position, hint)) }
    }

    /// A word, a phrase, a function, or the name of a field and what is asked of it.
    fn word(&mut self, field: Option<&FieldName>) -> Parsed<Filter> {
        let start = self.position;
        let is_quoted = self.at_quote();
        let class = if field.is_some() { Class::Value } else { Class::Word };
        let text = if is_quoted { self.quoted()? } else { self.bare(class).to_owned() };
        if !is_quoted && text.is_empty() {
            return Err(self.expected(FILTER_EXPECTED));
        }
        if field.is_none() {
            if let Some(filter) = self.named(&text, is_quoted)? {
                return Ok(filter);
            }
            if !is_quoted && is_operator(&text) {
                return Err(self.wrong(
                    start,
                    &format!(
                        "{FILTER_EXPECTED}; `{text}` joins two filters, quote it to search for it:"
                    ),
                ));
            }
        }
        let name = field.cloned().unwrap_or_else(|| fields::MESSAGE.into());
        if !is_quoted
            && let Some(function) = FILTER_FUNCTIONS.iter().find(|f| f.eq_ignore_ascii_case(&text))
        {
            let opens =
                self.next_sign().is_some_and(|c| c == '(' || (c == '[' && *function == "range"));
            if opens {
                return self.function(function, name, start);
            }
            self.position = start + text.len();
        } else if !is_quoted && self.peek() == Some('(') {
            return Err(self.unknown(start, "filter", &text, &FILTER_FUNCTIONS));
        }
        if self.eat_directly("*") {
            self.after_star()?;
            let test = if text.is_empty() { Test::Any } else { Test::Prefix(text) };
            return Ok(Filter::Field { field: name, test });
        }
        if name.as_ref() == fields::STREAM_ID && field.is_some() {
            let id: StreamId =
                text.parse().map_err(|_| self.wrong(start, "the id of a stream: 32 hex digits"))?;
            return Ok(Filter::StreamIds(vec![id]));
        }
        let test = if text.is_empty() { Test::Empty } else { Test::Phrase(text) };
        Ok(Filter::Field { field: name, test })
    }

    /// What follows the name of a field: `:…`, or a comparison directly after it.
    fn named(&mut self, text: &str, is_quoted: bool) -> Parsed<Option<Filter>> {
        let after = self.position;
        let name: FieldName = if text.is_empty() { fields::MESSAGE.into() } else { text.into() };
        let compares = !is_quoted
            && ["=", "!=", "~", "!~", "<", ">"].iter().any(|op| self.rest().starts_with(op));
        if compares && name.as_ref() != fields::TIME {
            return self.comparison(&name).map(Some);
        }
        if self.next_sign() != Some(':') {
            if self.rest().starts_with('*') && self.rest()[1..].starts_with(':') {
                return Err(self.wrong(self.position, "the name of one field"));
            }
            self.position = after;
            return Ok(None);
        }
        self.bump();
        let filter = match name.as_ref() {
            fields::TIME => self.time_filter()?,
            fields::STREAM_ID if self.at_keyword("in") => self.stream_ids(&name)?,
            _ => self.negated(Some(&name))?,
        };
        Ok(Some(filter))
    }

    // Comparisons.

    fn comparison(&mut self, field: &FieldName) -> Parsed<Filter> {
        let start = self.position;
        let test = |test: Test| Ok(Filter::Field { field: field.clone(), test });
        if self.eat_directly("!=") {
            return self.exact().and_then(test).map(not);
        }
        if self.eat_directly("!~") {
            return self.regexp().and_then(test).map(not);
        }
        if self.eat_directly("=~") || self.eat_directly("~") {
            return self.regexp().and_then(test);
        }
        if self.eat_directly("=") {
            return self.exact().and_then(test);
        }
        let above = self.eat_directly(">");
        if !above && !self.eat_directly("<") {
            return Err(self.wrong(start, FILTER_EXPECTED));
        }
        let included = self.eat_directly("=");
        self.skip_space();
        let text = self.argument("a number, an address or a text to compare with")?;
        test(bound(text, above, included))
    }

    fn exact(&mut self) -> Parsed<Test> {
        self.skip_space();
        let text = if self.peek() == Some('*') { String::new() } else { self.argument("a value")? };
        if self.eat_directly("*") {
            self.after_star()?;
            return Ok(if text.is_empty() { Test::Any } else { Test::ExactPrefix(text) });
        }
        Ok(if text.is_empty() { Test::Empty } else { Test::Exact(text) })
    }

    fn regexp(&mut self) -> Parsed<Test> {
        self.skip_space();
        let at = self.position;
        let text =
            if self.at_quote() { self.quoted()? } else { self.bare(Class::Value).to_owned() };
        if self.position == at {
            return Err(self.expected("a regular expression in quotes"));
        }
        self.pattern(at, &text).map(Test::Regexp)
    }

    /// Compiles a regular expression that stands at `at`.
    pub(super) fn pattern(&mut self, at: usize, text: &str) -> Parsed<Pattern> {
        self.count_pattern(at)?;
        Pattern::new(text).map_err(|error| self.bad_pattern(at, &error))
    }

    /// Compiles a regular expression that takes something out of a text.
    pub(super) fn pattern_within_line(&mut self, at: usize, text: &str) -> Parsed<Pattern> {
        self.count_pattern(at)?;
        Pattern::within_line(text).map_err(|error| self.bad_pattern(at, &error))
    }

    fn bad_pattern(&self, at: usize, error: &rookery_core::Error) -> ParseError {
        use std::error::Error as _;
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        self.error(at, "a regular expression", format!("{error}{cause}"))
    }

    // Functions.

    fn function(&mut self, function: &str, field: FieldName, start: usize) -> Parsed<Filter> {
        let test = match function {
            "in" => return self.values(field, Test::In),
            "contains_all" => return self.values(field, Test::ContainsAll),
            "contains_any" => return self.values(field, Test::ContainsAny),
            "range" => self.number_range()?,
            "i" => {
                let (text, is_prefix) = self.one_argument()?;
                match (text.to_lowercase(), is_prefix) {
                    (text, true) if text.is_empty() => Test::Any,
                    (text, true) => Test::CasePrefix(text),
                    (text, false) if text.is_empty() => Test::Empty,
                    (text, false) => Test::CasePhrase(text),
                }
            }
            "exact" => match self.one_argument()? {
                (text, true) if text.is_empty() => Test::Any,
                (text, true) => Test::ExactPrefix(text),
                (text, false) if text.is_empty() => Test::Empty,
                (text, false) => Test::Exact(text),
            },
            _ => {
                let arguments = self.in_parentheses(|parser| parser.argument("an argument"))?;
                self.simple_function(function, &arguments, start)?
            }
        };
        Ok(Filter::Field { field, test })
    }

    /// Functions whose arguments are plain texts.
    fn simple_function(
        &mut self,
        function: &str,
        arguments: &[String],
        start: usize,
    ) -> Parsed<Test> {
        let regexp = match (function, arguments) {
            ("re", [text]) => Some(text.clone()),
            ("pattern_match" | "pattern_match_full", [text]) => {
                Some(super::templates::pattern_regexp(text, function == "pattern_match_full"))
            }
            _ => None,
        };
        if let Some(text) = regexp {
            return self.pattern(start, &text).map(Test::Regexp);
        }
        let wrong = |what: &str| Err(self.wrong(start, what));
        match (function, arguments) {
            ("contains_common_case", phrases) => match common_cases(phrases) {
                Some(cases) => Ok(Test::ContainsAny(Values::list(cases))),
                None => wrong(CASES_EXPECTED),
            },
            ("equals_common_case", phrases) => match common_cases(phrases) {
                Some(cases) => Ok(Test::In(Values::list(cases))),
                None => wrong(CASES_EXPECTED),
            },
            ("seq", phrases) => Ok(Test::Sequence(phrases.to_vec())),
            ("eq_field", [other]) => Ok(Test::EqualsField(other.as_str().into())),
            ("lt_field", [other]) => Ok(Test::LessThanField(other.as_str().into())),
            ("le_field", [other]) => Ok(Test::AtMostField(other.as_str().into())),
            ("string_range", [min, max]) => {
                Ok(Test::StringRange { min: min.clone(), max: max.clone() })
            }
            ("len_range", [min, max]) => {
                let bound = |text: &str| match text.to_ascii_lowercase().as_str() {
                    "inf" | "+inf" => Some(u64::MAX),
                    _ => numbers::parse_count(text),
                };
                match (bound(min), bound(max)) {
                    (Some(min), Some(max)) => Ok(Test::LengthRange { min, max }),
                    _ => wrong("len_range(min, max) with whole numbers or inf"),
                }
            }
            ("ipv4_range", [network]) => match numbers::parse_network(network) {
                Some((min, max)) => Ok(Test::Ipv4Range { min, max }),
                None => wrong(
                    "ipv4_range(address), ipv4_range(network/bits) or ipv4_range(first, last)",
                ),
            },
            ("ipv4_range", [min, max]) => {
                match (numbers::parse_ipv4(min), numbers::parse_ipv4(max)) {
                    (Some(min), Some(max)) => Ok(Test::Ipv4Range { min, max }),
                    _ => wrong("ipv4_range(first, last) with two addresses"),
                }
            }
            ("string_range" | "len_range" | "ipv4_range", _) => {
                wrong(&format!("{function}(…) with two arguments"))
            }
            _ => wrong(&format!("{function}(…) with one argument")),
        }
    }

    /// `(text)`, or `(text*)`.
    fn one_argument(&mut self) -> Parsed<(String, bool)> {
        self.expect('(')?;
        let text = if self.next_sign() == Some('*') {
            String::new()
        } else {
            self.argument("a word or a phrase")?
        };
        let is_prefix = self.eat_directly("*");
        self.expect(')')?;
        Ok((text, is_prefix))
    }

    /// `(1, 10]`.
    fn number_range(&mut self) -> Parsed<Test> {
        let min_included = self.next_sign() == Some('[');
        self.bump();
        let number = |parser: &mut Self| {
            parser.skip_space();
            let at = parser.position;
            let text = parser.argument("a number")?;
            numbers::parse_operand(&text).ok_or_else(|| parser.wrong(at, "a number"))
        };
        let min = number(self)?;
        self.expect(',')?;
        let max = number(self)?;
        let max_included = match self.next_sign() {
            Some(']') => true,
            Some(')') => false,
            _ => return Err(self.expected("`]` or `)`")),
        };
        self.bump();
        Ok(Test::Range {
            // Infinity is no number that a value could be, so nothing is to be excluded.
            min: if min_included || min.is_infinite() { min } else { min.next_up() },
            max: if max_included || max.is_infinite() { max } else { max.next_down() },
        })
    }

    /// `(a, b)`, `(<query>)`, or `(*)`, which always holds.
    fn values(&mut self, field: FieldName, test: impl FnOnce(Values) -> Test) -> Parsed<Filter> {
        let start = self.position;
        self.expect('(')?;
        if self.eat('*') && self.eat(')') {
            return Ok(Filter::All);
        }
        self.position = start;
        let list = match self.in_parentheses(|parser| parser.argument("a value")) {
            Ok(list) => return Ok(Filter::Field { field, test: test(Values::list(list)) }),
            Err(error) => error,
        };
        self.position = start;
        self.expect('(')?;
        let query = self.query().and_then(|query| self.expect(')').map(|()| query));
        // Of the two readings, the one that came further is what was meant.
        let query =
            query.map_err(|error| if error.position > list.position { error } else { list })?;
        let Some(answer) = only_field(&query) else {
            let what = "a list of values, or a query that ends with `| fields name` or `| uniq by (name)`,";
            return Err(self.wrong(start, what));
        };
        let index = self.subqueries.len();
        self.subqueries.push(Subquery { field: answer, query });
        Ok(Filter::Field { field, test: test(Values::Subquery(index)) })
    }

    /// `_stream_id:in(…)`.
    fn stream_ids(&mut self, name: &FieldName) -> Parsed<Filter> {
        self.eat_keyword("in");
        let at = self.position;
        let filter = self.values(name.clone(), Test::In)?;
        let Filter::Field { test: Test::In(Values::List(list)), .. } = &filter else {
            return Ok(filter);
        };
        let ids: Result<_, _> = list.iter().map(|text| text.parse()).collect();
        ids.map(Filter::StreamIds)
            .map_err(|_| self.wrong(at, "the ids of streams: 32 hex digits each"))
    }

    // Streams.

    /// `{a="b", c=~"d" or e in ("f")}`.
    fn stream_selector(&mut self) -> Parsed<Filter> {
        self.bump();
        if self.eat('}') {
            return Ok(Filter::All);
        }
        let mut selectors = vec![Vec::new()];
        loop {
            let matcher = self.tag_matcher()?;
            let last = selectors.last_mut();
            last.expect("there is a first selector").push(matcher);
            if self.eat('}') {
                return Ok(Filter::Stream(selectors));
            }
            if self.eat_keyword("or") {
                selectors.push(Vec::new());
            } else if !self.eat(',') {
                return Err(self.expected("`,`, `or` or `}`"));
            } else if self.eat('}') {
                return Ok(Filter::Stream(selectors));
            }
        }
    }

    fn tag_matcher(&mut self) -> Parsed<TagMatcher> {
        let tag = self.text(Class::Word, "the name of a tag")?;
        self.skip_space();
        let op = if self.eat_keyword("not_in") {
            self.tag_values()?.map_or(TagOp::Matches(never()), TagOp::NotIn)
        } else if self.eat_keyword("in") {
            self.tag_values()?.map_or(TagOp::NotMatches(never()), TagOp::In)
        } else if self.eat_directly("=~") {
            TagOp::Matches(self.tag_pattern()?)
        } else if self.eat_directly("!~") {
            TagOp::NotMatches(self.tag_pattern()?)
        } else if self.eat_directly("!=") {
            TagOp::NotIn(vec![self.argument("a value")?])
        } else if self.eat_directly("=") {
            TagOp::In(vec![self.argument("a value")?])
        } else {
            return Err(self.expected("`=`, `!=`, `=~`, `!~`, `in` or `not_in`"));
        };
        Ok(TagMatcher { tag, op })
    }

    /// `(a, b)`; `None` for `(*)`.
    fn tag_values(&mut self) -> Parsed<Option<Vec<String>>> {
        let start = self.position;
        self.expect('(')?;
        if self.eat('*') && self.eat(')') {
            return Ok(None);
        }
        self.position = start;
        self.in_parentheses(|parser| parser.argument("a value")).map(Some)
    }

    fn tag_pattern(&mut self) -> Parsed<Pattern> {
        self.skip_space();
        let at = self.position;
        let text = self.argument("a regular expression in quotes")?;
        self.count_pattern(at)?;
        Pattern::anchored(&text).map_err(|error| self.bad_pattern(at, &error))
    }
}

/// A pattern that no value matches.
fn never() -> Pattern {
    Pattern::anchored("[^\\s\\S]").expect("the empty class is a valid expression")
}

/// The most capital letters of one phrase of `contains_common_case`: each doubles the forms.
const CAPITALS_LIMIT: usize = 8;

const CASES_EXPECTED: &str = "phrases with at most 8 capital letters each (for more, i(phrase))";

/// Each phrase as it is, in capitals, in small letters, and with each of its capitals made small or not.
fn common_cases(phrases: &[String]) -> Option<Vec<String>> {
    let mut cases = Vec::new();
    for phrase in phrases {
        let capitals = phrase.chars().filter(|c| c.is_uppercase()).count();
        if capitals > CAPITALS_LIMIT {
            return None;
        }
        cases.push(phrase.to_uppercase());
        for choice in 0..1usize << capitals {
            let mut seen = 0;
            let mut case = String::with_capacity(phrase.len());
            for c in phrase.chars() {
                let small = c.is_uppercase() && {
                    seen += 1;
                    choice >> (seen - 1) & 1 == 1
                };
                if small {
                    case.extend(c.to_lowercase());
                } else {
                    case.push(c);
                }
            }
            cases.push(case);
        }
    }
    Some(cases)
}

fn is_operator(word: &str) -> bool {
    ["and", "or", "not"].iter().any(|op| op.eq_ignore_ascii_case(word))
}

/// The field whose values a subquery stands for.
fn only_field(query: &Query) -> Option<FieldName> {
    match query.pipes.last()? {
        Pipe::Fields(fields) => match fields.as_slice() {
            [FieldPattern::Name(name)] => Some(name.clone()),
            _ => None,
        },
        Pipe::Uniq(uniq) if uniq.by.len() == 1 => uniq.by.first().cloned(),
        _ => None,
    }
}

/// `>text` and the like: by addresses, by numbers, or by texts, whichever it is.
fn bound(text: String, above: bool, included: bool) -> Test {
    if let Some(address) = numbers::parse_ipv4(&text) {
        return match (above, included) {
            (true, true) => Test::Ipv4Range { min: address, max: u32::MAX },
            (false, true) => Test::Ipv4Range { min: 0, max: address },
            // Above the last address, or below the first: an empty range.
            (true, false) if address == u32::MAX => Test::Ipv4Range { min: 1, max: 0 },
            (false, false) if address == 0 => Test::Ipv4Range { min: 1, max: 0 },
            (true, false) => Test::Ipv4Range { min: address + 1, max: u32::MAX },
            (false, false) => Test::Ipv4Range { min: 0, max: address - 1 },
        };
    }
    if let Some(number) = numbers::parse_operand(&text) {
        return match (above, included) {
            (true, true) => Test::Range { min: number, max: f64::INFINITY },
            (true, false) => Test::Range { min: number.next_up(), max: f64::INFINITY },
            (false, true) => Test::Range { min: f64::NEG_INFINITY, max: number },
            (false, false) => Test::Range { min: f64::NEG_INFINITY, max: number.next_down() },
        };
    }
    // The text directly after `text` is `text` and a zero byte.
    let after = |text: String| text + "\0";
    match (above, included) {
        (true, true) => Test::StringRange { min: text, max: LAST_TEXT.into() },
        (true, false) => Test::StringRange { min: after(text), max: LAST_TEXT.into() },
        (false, true) => Test::StringRange { min: String::new(), max: after(text) },
        (false, false) => Test::StringRange { min: String::new(), max: text },
    }
}
