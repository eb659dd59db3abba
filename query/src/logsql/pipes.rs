//! Pipes but `stats` and `math`: their names, aliases and arguments.

use rookery_core::filter::FieldName;
use rookery_core::logs::fields;
use rookery_core::time::HOUR;

use super::ast::{
    Extract, ExtractRegexp, Facets, FieldPattern, Format, Join, Overwrite, Pipe, Replace,
    ReplaceRegexp, Sort, SortKey, StreamContext, Top, Uniq, Unpack,
};
use super::scan::{Class, Parsed, Parser, nearest};
use super::stats::{STATS_FUNCTIONS, all_or};

/// The names of pipes, aliases included.
pub(super) const PIPES: [&str; 51] = [
    "by",
    "collapse_nums",
    "copy",
    "cp",
    "decolorize",
    "del",
    "delete",
    "drop",
    "drop_empty_fields",
    "eval",
    "extract",
    "extract_regexp",
    "facets",
    "field_names",
    "field_values",
    "fields",
    "filter",
    "first",
    "format",
    "hash",
    "head",
    "join",
    "json_array_len",
    "keep",
    "last",
    "len",
    "limit",
    "math",
    "mv",
    "offset",
    "order",
    "pack_json",
    "pack_logfmt",
    "rename",
    "replace",
    "replace_regexp",
    "rm",
    "sample",
    "skip",
    "sort",
    "stats",
    "stream_context",
    "top",
    "union",
    "uniq",
    "unpack_json",
    "unpack_logfmt",
    "unpack_syslog",
    "unpack_words",
    "unroll",
    "where",
];

/// Pipes of the language's reference that are not here: they must not be taken for words to search for.
const UNSUPPORTED: [&str; 10] = [
    "block_stats",
    "blocks_count",
    "generate_sequence",
    "json_array_concat",
    "query_stats",
    "running_stats",
    "set_stream_fields",
    "split",
    "time_add",
    "total_stats",
];

/// How far `stream_context` looks unless it is told.
const CONTEXT_WINDOW: i64 = HOUR;

/// What `limit`, `head` and `top` mean without a number.
const LIMIT_DEFAULT: u64 = 10;

impl Parser<'_> {
    /// What follows `|`.
    pub(super) fn pipe(&mut self, is_first: bool) -> Parsed<Pipe> {
        self.skip_space();
        let at = self.position;
        let word = self.bare(Class::Word).to_ascii_lowercase();
        // `(host) count()` is `stats by (host) count()`; what is not may be a filter.
        if word.is_empty() && self.peek() == Some('(') {
            let subqueries = self.subqueries.len();
            if let Ok(stats) = self.stats() {
                return Ok(Pipe::Stats(stats));
            }
            self.subqueries.truncate(subqueries);
            self.position = at;
        }
        if self.starts_filter(&word) {
            self.position = at;
            return self.filter().map(Pipe::Filter);
        }
        match word.as_str() {
            "stream_context" if is_first => self.stream_context().map(Pipe::StreamContext),
            "stream_context" => {
                Err(self.wrong(at, "another pipe (`stream_context` must be the first),"))
            }
            "fields" | "keep" => self.field_patterns().map(Pipe::Fields),
            "delete" | "del" | "drop" | "rm" => self.field_patterns().map(Pipe::Delete),
            "copy" | "cp" => self.pairs().map(Pipe::Copy),
            "rename" | "mv" => self.pairs().map(Pipe::Rename),
            "sort" | "order" => self.sort().map(Pipe::Sort),
            "first" => self.first(false).map(Pipe::Sort),
            "last" => self.first(true).map(Pipe::Sort),
            "limit" | "head" => {
                let ends = matches!(self.next_sign(), None | Some('|' | ')'));
                let limit = if ends { LIMIT_DEFAULT } else { self.count("a whole number")? };
                Ok(Pipe::Limit(limit))
            }
            "offset" | "skip" => self.count("a whole number").map(Pipe::Offset),
            "sample" => self.sample(),
            "uniq" => self.uniq().map(Pipe::Uniq),
            "top" => self.top().map(Pipe::Top),
            "stats" => self.stats().map(Pipe::Stats),
            "by" => {
                self.position = at;
                self.stats().map(Pipe::Stats)
            }
            "filter" | "where" => self.filter().map(Pipe::Filter),
            "math" | "eval" => self.math().map(Pipe::Math),
            "facets" => self.facets().map(Pipe::Facets),
            "field_names" => Ok(Pipe::FieldNames),
            "field_values" => self.field_values(),
            "union" => self.union(),
            "join" => self.join().map(Pipe::Join),
            "drop_empty_fields" => Ok(Pipe::DropEmptyFields),
            "pack_json" => self.pack().map(|(fields, result)| Pipe::PackJson { fields, result }),
            "pack_logfmt" => {
                self.pack().map(|(fields, result)| Pipe::PackLogfmt { fields, result })
            }
            _ => self.text_pipe(&word, at),
        }
    }

    /// Pipes that turn one text into another, and what is no pipe.
    fn text_pipe(&mut self, word: &str, at: usize) -> Parsed<Pipe> {
        match word {
            "extract" => self.extract().map(Pipe::Extract),
            "extract_regexp" => self.extract_regexp().map(Pipe::ExtractRegexp),
            "unpack_json" => self.unpack(&mut None).map(Pipe::UnpackJson),
            "unpack_logfmt" => self.unpack(&mut None).map(Pipe::UnpackLogfmt),
            "unpack_syslog" => {
                let mut offset = Some(0);
                let unpack = self.unpack(&mut offset)?;
                Ok(Pipe::UnpackSyslog { unpack, offset: offset.unwrap_or(0) })
            }
            "unpack_words" => self.unpack_words(),
            "unroll" => self.unroll(),
            "format" => self.format().map(Pipe::Format),
            "replace" => self.replace().map(Pipe::Replace),
            "replace_regexp" => self.replace_regexp().map(Pipe::ReplaceRegexp),
            "collapse_nums" => self.collapse_nums(),
            "decolorize" => {
                let ends = matches!(self.next_sign(), None | Some('|' | ')'));
                let field = if ends { fields::MESSAGE.into() } else { self.one_name()? };
                Ok(Pipe::Decolorize(field))
            }
            "len" => self.derived("len").map(|(field, result)| Pipe::Len { field, result }),
            "hash" => self.derived("hash").map(|(field, result)| Pipe::Hash { field, result }),
            "json_array_len" => self
                .derived("json_array_len")
                .map(|(field, result)| Pipe::JsonArrayLen { field, result }),
            "" => Err(self.expected("a pipe, as in `| limit 10`")),
            _ if STATS_FUNCTIONS.contains(&word) => {
                self.position = at;
                self.stats().map(Pipe::Stats)
            }
            _ => self.unknown_pipe(word, at),
        }
    }

    /// A filter may stand without `filter` when it cannot be taken for a pipe.
    fn starts_filter(&mut self, word: &str) -> bool {
        let directly = self.peek();
        let next = self.next_sign();
        if word.is_empty() {
            return next.is_some_and(|c| "({\"'`*=~<>!-".contains(c));
        }
        directly.is_some_and(|c| ":=~<>!*".contains(c))
            || word.starts_with('-')
            || word == "not"
            || (next == Some(':') && !PIPES.contains(&word))
            || (next == Some('(') && super::filters::FILTER_FUNCTIONS.contains(&word))
    }

    /// A word that is no pipe: a misspelt one, or a filter.
    fn unknown_pipe(&mut self, word: &str, at: usize) -> Parsed<Pipe> {
        let mut known = PIPES.to_vec();
        known.extend(STATS_FUNCTIONS);
        known.sort_unstable();
        if UNSUPPORTED.contains(&word) {
            let message = format!("the pipe `{word}` is not supported");
            return Err(self.error(at, "another pipe", message));
        }
        if self.peek() == Some('(') || nearest(word, &known).is_some() {
            return Err(self.unknown(at, "pipe", word, &known));
        }
        self.position = at;
        let filter = self.filter().map_err(|_| self.unknown(at, "pipe", word, &known))?;
        Ok(Pipe::Filter(filter))
    }

    // Names.

    fn one_name(&mut self) -> Parsed<FieldName> {
        if self.eat('(') {
            let name = self.name("the name of a field")?;
            self.expect(')')?;
            return Ok(name);
        }
        self.name("the name of a field")
    }

    /// `word field`, or `_msg`.
    fn name_after(&mut self, keyword: &str) -> Parsed<FieldName> {
        if self.eat_keyword(keyword) { self.one_name() } else { Ok(fields::MESSAGE.into()) }
    }

    /// `f(a) as b`; without `as` the result is named as it is written.
    fn derived(&mut self, function: &str) -> Parsed<(FieldName, FieldName)> {
        let field = self.one_name()?;
        let ends = matches!(self.next_sign(), None | Some('|' | ')'));
        if ends {
            let result = format!("{function}({field})").into();
            return Ok((field, result));
        }
        self.eat_keyword("as");
        Ok((field, self.name("the name of the result")?))
    }

    /// `a as b, c* as d*`.
    fn pairs(&mut self) -> Parsed<Vec<(FieldPattern, FieldPattern)>> {
        self.commas(|parser| {
            let from = parser.field_pattern()?;
            parser.eat_keyword("as");
            parser.skip_space();
            let at = parser.position;
            let to = parser.field_pattern()?;
            let alike =
                matches!(from, FieldPattern::Name(_)) == matches!(to, FieldPattern::Name(_));
            if alike {
                Ok((from, to))
            } else {
                Err(parser.wrong(at, "`*` on both sides, or on none,"))
            }
        })
    }

    fn by_names(&mut self) -> Parsed<Vec<FieldName>> {
        self.eat_keyword("by");
        self.names()
    }

    fn count_or(&mut self, default: u64) -> Parsed<u64> {
        if self.at_digit() { self.count("a whole number") } else { Ok(default) }
    }

    // Order, groups, limits.

    /// `(a desc, b)`, or `a desc, b`.
    pub(super) fn sort_keys(&mut self) -> Parsed<Vec<SortKey>> {
        let key = |parser: &mut Self| {
            let field = parser.name("the name of a field")?;
            let descending = parser.eat_keyword("desc");
            if !descending {
                parser.eat_keyword("asc");
            }
            Ok(SortKey { field, descending })
        };
        if self.next_sign() == Some('(') { self.in_parentheses(key) } else { self.commas(key) }
    }

    fn sort(&mut self) -> Parsed<Sort> {
        let has_by = self.eat_keyword("by");
        let by =
            if has_by || self.next_sign() == Some('(') { self.sort_keys()? } else { Vec::new() };
        let mut sort = Sort { by, partition_by: Vec::new(), offset: 0, limit: None, rank: None };
        self.skip_space();
        let at = self.position;
        if self.eat_keyword("desc") {
            if sort.by.is_empty() {
                return Err(self.wrong(at, "`by (field, …)` before `desc`"));
            }
            sort.by.iter_mut().for_each(|key| key.descending = !key.descending);
        } else {
            self.eat_keyword("asc");
        }
        self.sort_tail(&mut sort)?;
        Ok(sort)
    }

    /// `offset N`, `limit N`, `rank as x`, `partition by (…)` in any order.
    fn sort_tail(&mut self, sort: &mut Sort) -> Parsed<()> {
        loop {
            if sort.offset == 0 && self.eat_keyword("offset") {
                sort.offset = self.count("a whole number")?;
            } else if sort.limit.is_none() && self.at_keyword("limit") {
                sort.limit = self.limit()?;
            } else if self.at_keyword("rank") {
                sort.rank = self.rank()?;
            } else if self.eat_keyword("partition") {
                sort.partition_by = self.by_names()?;
            } else {
                return Ok(());
            }
        }
    }

    fn rank(&mut self) -> Parsed<Option<FieldName>> {
        if !self.eat_keyword("rank") {
            return Ok(None);
        }
        if self.eat_keyword("as") {
            return self.name("the name of the rank").map(Some);
        }
        let ends = matches!(self.next_sign(), None | Some('|' | ')'));
        let keyword = ["limit", "offset", "partition", "hits", "by"]
            .into_iter()
            .any(|word| self.at_keyword(word));
        if ends || keyword {
            Ok(Some("rank".into()))
        } else {
            self.name("the name of the rank").map(Some)
        }
    }

    /// `first N by (…)` and `last N by (…)`, by `_time` if nothing else is said.
    fn first(&mut self, last: bool) -> Parsed<Sort> {
        let limit = self.count_or(1)?;
        let by = if self.eat_keyword("by") || self.next_sign() == Some('(') {
            self.sort_keys()?
        } else {
            Vec::new()
        };
        let mut sort =
            Sort { by, partition_by: Vec::new(), offset: 0, limit: Some(limit), rank: None };
        if sort.by.is_empty() {
            sort.by.push(SortKey { field: fields::TIME.into(), descending: false });
        }
        self.sort_tail(&mut sort)?;
        if last {
            sort.by.iter_mut().for_each(|key| key.descending = !key.descending);
        }
        Ok(sort)
    }

    fn uniq(&mut self) -> Parsed<Uniq> {
        let by = self.by_names()?;
        let with = self.eat_keyword("with");
        let has_hits = self.eat_keyword("hits");
        if with && !has_hits {
            return Err(self.expected("`hits`"));
        }
        let hits = has_hits.then(|| free_name("hits", &by));
        Ok(Uniq { by, hits, limit: self.limit()? })
    }

    fn top(&mut self) -> Parsed<Top> {
        let limit = self.count_or(LIMIT_DEFAULT)?;
        let by = self.by_names()?;
        let mut top = Top { limit, hits: free_name("hits", &by), rank: None, by };
        loop {
            self.eat_keyword("with");
            if self.eat_keyword("hits") {
                self.eat_keyword("as");
                top.hits = self.name("the name of the count")?;
            } else if self.at_keyword("rank") {
                top.rank = self.rank()?;
            } else {
                return Ok(top);
            }
        }
    }

    fn sample(&mut self) -> Parsed<Pipe> {
        self.skip_space();
        let at = self.position;
        match self.count("a whole number")? {
            0 => Err(self.wrong(at, "a number above 0")),
            one_in => Ok(Pipe::Sample(one_in)),
        }
    }

    fn facets(&mut self) -> Parsed<Facets> {
        let mut facets = Facets::default();
        facets.limit = self.count_or(facets.limit)?;
        loop {
            if self.eat_keyword("max_values_per_field") {
                facets.max_values_per_field = self.count("a whole number")?;
            } else if self.eat_keyword("max_value_len") {
                facets.max_value_len = self.count("a whole number")?;
            } else if self.eat_keyword("keep_const_fields") {
                facets.keep_const_fields = true;
            } else {
                return Ok(facets);
            }
        }
    }

    fn field_values(&mut self) -> Parsed<Pipe> {
        let field = self.one_name()?;
        Ok(Pipe::FieldValues { field, limit: self.limit()? })
    }

    fn stream_context(&mut self) -> Parsed<StreamContext> {
        let mut context = StreamContext { before: 0, after: 0, time_window: CONTEXT_WINDOW };
        let mut is_given = false;
        loop {
            if self.eat_keyword("before") {
                context.before = self.count("a whole number")?;
                is_given = true;
            } else if self.eat_keyword("after") {
                context.after = self.count("a whole number")?;
                is_given = true;
            } else if self.eat_keyword("time_window") {
                self.skip_space();
                let at = self.position;
                context.time_window = self.duration()?;
                if context.time_window <= 0 {
                    return Err(self.wrong(at, "a duration above 0"));
                }
            } else if is_given {
                return Ok(context);
            } else {
                return Err(self.expected("`before N` or `after N`"));
            }
        }
    }

    // Other queries.

    fn union(&mut self) -> Parsed<Pipe> {
        self.expect('(')?;
        let query = self.query()?;
        self.expect(')')?;
        Ok(Pipe::Union(Box::new(query)))
    }

    fn join(&mut self) -> Parsed<Join> {
        if !self.eat_keyword("by") {
            self.eat_keyword("on");
        }
        if self.next_sign() != Some('(') {
            return Err(self.expected("`by (field, …)`"));
        }
        let by = self.names()?;
        self.expect('(')?;
        let query = Box::new(self.query()?);
        self.expect(')')?;
        let inner = self.eat_keyword("inner");
        let prefix =
            if self.eat_keyword("prefix") { self.argument("a prefix")? } else { String::new() };
        Ok(Join { by, query, inner, prefix })
    }

    // Texts.

    /// `keep_original_fields`, `skip_empty_results`.
    fn overwrite(&mut self, overwrite: &mut Overwrite) -> bool {
        if self.eat_keyword("keep_original_fields") {
            overwrite.keep_original_fields = true;
        } else if self.eat_keyword("skip_empty_results") {
            overwrite.skip_empty_results = true;
        } else {
            return false;
        }
        true
    }

    fn overwrites(&mut self) -> Overwrite {
        let mut overwrite = Overwrite::default();
        while self.overwrite(&mut overwrite) {}
        overwrite
    }

    fn extract(&mut self) -> Parsed<Extract> {
        let condition = self.condition()?;
        let pattern = self.extract_pattern()?;
        let field = self.name_after("from")?;
        Ok(Extract { condition, field, pattern, overwrite: self.overwrites() })
    }

    fn extract_regexp(&mut self) -> Parsed<ExtractRegexp> {
        let condition = self.condition()?;
        self.skip_space();
        let at = self.position;
        let text = self.argument("a regular expression in quotes")?;
        let pattern = self.pattern_within_line(at, &text)?;
        if pattern.regex().capture_names().flatten().next().is_none() {
            return Err(self.wrong(
                at,
                "a regular expression with a named group, as in \"(?P<name>\\\\w+)\",",
            ));
        }
        let field = self.name_after("from")?;
        Ok(ExtractRegexp { condition, field, pattern, overwrite: self.overwrites() })
    }

    /// The arguments of `unpack_…`; `offset` may be given when it is `Some`.
    fn unpack(&mut self, offset: &mut Option<i64>) -> Parsed<Unpack> {
        let condition = self.condition()?;
        let mut unpack = Unpack {
            condition,
            field: fields::MESSAGE.into(),
            fields: Vec::new(),
            result_prefix: String::new(),
            overwrite: Overwrite::default(),
        };
        loop {
            if self.eat_keyword("from") {
                unpack.field = self.one_name()?;
            } else if offset.is_none() && self.eat_keyword("fields") {
                unpack.fields = all_or(self.in_parentheses(Self::field_pattern)?);
            } else if self.eat_keyword("result_prefix") {
                unpack.result_prefix = self.argument("a prefix")?;
            } else if offset.is_some() && self.at_keyword("offset") {
                *offset = Some(self.time_offset()?);
            } else if !self.overwrite(&mut unpack.overwrite) {
                return Ok(unpack);
            }
        }
    }

    fn unpack_words(&mut self) -> Parsed<Pipe> {
        let ends = matches!(self.next_sign(), None | Some('|' | ')')) || self.at_keyword("as");
        let is_bare = !ends && !self.at_keyword("from") && !self.at_keyword("drop_duplicates");
        let field = if is_bare { self.one_name()? } else { self.name_after("from")? };
        let result = if self.eat_keyword("as") {
            self.name("the name of the result")?
        } else {
            field.clone()
        };
        Ok(Pipe::UnpackWords {
            field,
            result,
            drop_duplicates: self.eat_keyword("drop_duplicates"),
        })
    }

    fn unroll(&mut self) -> Parsed<Pipe> {
        let condition = self.condition()?;
        Ok(Pipe::Unroll { by: self.by_names()?, condition })
    }

    fn format(&mut self) -> Parsed<Format> {
        let condition = self.condition()?;
        let template = self.template()?;
        let result = self.name_after("as")?;
        Ok(Format { condition, template, result, overwrite: self.overwrites() })
    }

    /// `("old", "new")`.
    fn replacement(&mut self) -> Parsed<(usize, String, String)> {
        self.expect('(')?;
        self.skip_space();
        let at = self.position;
        let old = self.argument("what to replace, in quotes")?;
        self.expect(',')?;
        let new = self.argument("by what, in quotes")?;
        self.expect(')')?;
        if old.is_empty() {
            return Err(self.wrong(at, "a text that is not empty"));
        }
        Ok((at, old, new))
    }

    fn replace(&mut self) -> Parsed<Replace> {
        let condition = self.condition()?;
        let (_, old, new) = self.replacement()?;
        let field = self.name_after("at")?;
        Ok(Replace { condition, field, old, new, limit: self.limit()? })
    }

    fn replace_regexp(&mut self) -> Parsed<ReplaceRegexp> {
        let condition = self.condition()?;
        let (at, old, replacement) = self.replacement()?;
        let pattern = self.pattern_within_line(at, &old)?;
        let field = self.name_after("at")?;
        Ok(ReplaceRegexp { condition, field, pattern, replacement, limit: self.limit()? })
    }

    fn collapse_nums(&mut self) -> Parsed<Pipe> {
        let condition = self.condition()?;
        let field = self.name_after("at")?;
        Ok(Pipe::CollapseNums { field, prettify: self.eat_keyword("prettify"), condition })
    }

    fn pack(&mut self) -> Parsed<(Vec<FieldPattern>, FieldName)> {
        let mut packed = Vec::new();
        if self.eat_keyword("fields") {
            packed = all_or(self.in_parentheses(Self::field_pattern)?);
        }
        let result = self.name_after("as")?;
        Ok((packed, result))
    }
}

/// A name that none of the fields has: `hits`, else `hitss` and so on.
fn free_name(name: &str, taken: &[FieldName]) -> FieldName {
    let mut name = name.to_owned();
    while taken.iter().any(|field| field.as_ref() == name) {
        name.push('s');
    }
    name.into()
}
