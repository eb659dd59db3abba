//! Pipes as text.

use rookery_core::filter::FieldName;
use rookery_core::logs::fields;

use super::{Level, Printer, numbers, quote};
use crate::logsql::ast::{
    Bucket, CalendarUnit, Facets, FieldPattern, Join, Overwrite, Pipe, Sort, SortKey, Stats,
    StatsFunction, Top, Uniq, Unpack,
};

impl Printer<'_> {
    pub(super) fn pipe(&mut self, pipe: &Pipe) {
        match pipe {
            Pipe::Fields(fields) => self.listed("fields ", fields),
            Pipe::Delete(fields) => self.listed("delete ", fields),
            Pipe::Copy(pairs) => self.pairs("copy ", pairs),
            Pipe::Rename(pairs) => self.pairs("rename ", pairs),
            Pipe::Sort(sort) => self.sort(sort),
            Pipe::Limit(count) => self.push(&format!("limit {count}")),
            Pipe::Offset(count) => self.push(&format!("offset {count}")),
            Pipe::Sample(one_in) => self.push(&format!("sample {one_in}")),
            Pipe::Uniq(uniq) => self.uniq(uniq),
            Pipe::Top(top) => self.top(top),
            Pipe::Stats(stats) => self.stats(stats),
            Pipe::Filter(filter) => {
                self.push("filter ");
                self.filter(filter, Level::Or);
            }
            Pipe::Math(entries) => {
                self.push("math ");
                for (index, entry) in entries.iter().enumerate() {
                    self.push(if index > 0 { ", " } else { "" });
                    self.expression(&entry.expression, 0);
                    self.push(" as ");
                    self.name(&entry.result);
                }
            }
            Pipe::Facets(facets) => self.facets(facets),
            Pipe::FieldNames => self.push("field_names"),
            Pipe::FieldValues { field, limit } => {
                self.push("field_values ");
                self.name(field);
                self.limit(*limit);
            }
            Pipe::StreamContext(context) => {
                let window = numbers::print_duration(context.time_window);
                let (before, after) = (context.before, context.after);
                self.push(&format!(
                    "stream_context before {before} after {after} time_window {window}"
                ));
            }
            Pipe::Union(query) => {
                self.push("union (");
                self.query(query);
                self.push(")");
            }
            Pipe::Join(join) => self.join(join),
            Pipe::DropEmptyFields => self.push("drop_empty_fields"),
            _ => self.text_pipe(pipe),
        }
    }

    /// Pipes that turn one text into another.
    fn text_pipe(&mut self, pipe: &Pipe) {
        match pipe {
            Pipe::Extract(extract) => {
                self.push("extract");
                self.condition(extract.condition.as_ref());
                self.push(&format!(" {}", quote(&extract.pattern.text)));
                self.field_after("from", &extract.field);
                self.overwrite(extract.overwrite);
            }
            Pipe::ExtractRegexp(extract) => {
                self.push("extract_regexp");
                self.condition(extract.condition.as_ref());
                self.push(&format!(" {}", quote(extract.pattern.as_str())));
                self.field_after("from", &extract.field);
                self.overwrite(extract.overwrite);
            }
            Pipe::UnpackJson(unpack) => self.unpack("unpack_json", unpack, 0),
            Pipe::UnpackLogfmt(unpack) => self.unpack("unpack_logfmt", unpack, 0),
            Pipe::UnpackSyslog { unpack, offset } => self.unpack("unpack_syslog", unpack, *offset),
            Pipe::UnpackWords { field, result, drop_duplicates } => {
                self.push("unpack_words from ");
                self.name(field);
                self.push(" as ");
                self.name(result);
                self.push(if *drop_duplicates { " drop_duplicates" } else { "" });
            }
            Pipe::Unroll { by, condition } => {
                self.push("unroll");
                self.condition(condition.as_ref());
                self.by(" by", by);
            }
            Pipe::Format(format) => {
                self.push("format");
                self.condition(format.condition.as_ref());
                self.push(&format!(" {}", quote(&format.template.text)));
                self.field_after("as", &format.result);
                self.overwrite(format.overwrite);
            }
            Pipe::Replace(replace) => {
                self.push("replace");
                self.condition(replace.condition.as_ref());
                self.push(&format!(" ({}, {})", quote(&replace.old), quote(&replace.new)));
                self.field_after("at", &replace.field);
                self.limit(replace.limit);
            }
            Pipe::ReplaceRegexp(replace) => {
                self.push("replace_regexp");
                self.condition(replace.condition.as_ref());
                self.push(&format!(
                    " ({}, {})",
                    quote(replace.pattern.as_str()),
                    quote(&replace.replacement)
                ));
                self.field_after("at", &replace.field);
                self.limit(replace.limit);
            }
            Pipe::CollapseNums { field, prettify, condition } => {
                self.push("collapse_nums");
                self.condition(condition.as_ref());
                self.field_after("at", field);
                self.push(if *prettify { " prettify" } else { "" });
            }
            _ => self.derived_pipe(pipe),
        }
    }

    /// Pipes that write one field.
    fn derived_pipe(&mut self, pipe: &Pipe) {
        match pipe {
            Pipe::Decolorize(field) => {
                self.push("decolorize ");
                self.name(field);
            }
            Pipe::Len { field, result } => self.derived("len", field, result),
            Pipe::Hash { field, result } => self.derived("hash", field, result),
            Pipe::JsonArrayLen { field, result } => self.derived("json_array_len", field, result),
            Pipe::PackJson { fields, result } => self.pack("pack_json", fields, result),
            Pipe::PackLogfmt { fields, result } => self.pack("pack_logfmt", fields, result),
            _ => {}
        }
    }

    fn listed(&mut self, name: &str, fields: &[FieldPattern]) {
        self.push(name);
        // An empty list can only be said in parentheses.
        if fields.is_empty() { self.push("()") } else { self.patterns(fields) }
    }

    fn pairs(&mut self, name: &str, pairs: &[(FieldPattern, FieldPattern)]) {
        self.push(name);
        for (index, (from, to)) in pairs.iter().enumerate() {
            self.push(if index > 0 { ", " } else { "" });
            self.pattern(from);
            self.push(" as ");
            self.pattern(to);
        }
    }

    fn by(&mut self, keyword: &str, names: &[FieldName]) {
        self.push(&format!("{keyword} ("));
        self.names(names);
        self.push(")");
    }

    fn sort_keys(&mut self, keys: &[SortKey]) {
        self.push("(");
        for (index, key) in keys.iter().enumerate() {
            self.push(if index > 0 { ", " } else { "" });
            self.name(&key.field);
            self.push(if key.descending { " desc" } else { "" });
        }
        self.push(")");
    }

    fn sort(&mut self, sort: &Sort) {
        self.push("sort");
        if !sort.by.is_empty() {
            self.push(" by ");
            self.sort_keys(&sort.by);
        }
        if !sort.partition_by.is_empty() {
            self.by(" partition by", &sort.partition_by);
        }
        if sort.offset > 0 {
            self.push(&format!(" offset {}", sort.offset));
        }
        self.limit(sort.limit);
        if let Some(rank) = &sort.rank {
            self.push(" rank as ");
            self.name(rank);
        }
    }

    fn limit(&mut self, limit: Option<u64>) {
        if let Some(limit) = limit {
            self.push(&format!(" limit {limit}"));
        }
    }

    fn uniq(&mut self, uniq: &Uniq) {
        self.by("uniq by", &uniq.by);
        self.push(if uniq.hits.is_some() { " with hits" } else { "" });
        self.limit(uniq.limit);
    }

    fn top(&mut self, top: &Top) {
        self.push(&format!("top {}", top.limit));
        self.by(" by", &top.by);
        self.push(" hits as ");
        self.name(&top.hits);
        if let Some(rank) = &top.rank {
            self.push(" rank as ");
            self.name(rank);
        }
    }

    fn facets(&mut self, facets: &Facets) {
        let Facets { limit, max_values_per_field, max_value_len, keep_const_fields } = facets;
        self.push(&format!("facets {limit} max_values_per_field {max_values_per_field} max_value_len {max_value_len}"));
        self.push(if *keep_const_fields { " keep_const_fields" } else { "" });
    }

    fn join(&mut self, join: &Join) {
        self.by("join by", &join.by);
        self.push(" (");
        self.query(&join.query);
        self.push(")");
        self.push(if join.inner { " inner" } else { "" });
        if !join.prefix.is_empty() {
            self.push(&format!(" prefix {}", quote(&join.prefix)));
        }
    }

    fn field_after(&mut self, keyword: &str, field: &str) {
        if field != fields::MESSAGE {
            self.push(&format!(" {keyword} "));
            self.name(field);
        }
    }

    fn overwrite(&mut self, overwrite: Overwrite) {
        self.push(if overwrite.keep_original_fields { " keep_original_fields" } else { "" });
        self.push(if overwrite.skip_empty_results { " skip_empty_results" } else { "" });
    }

    fn unpack(&mut self, name: &str, unpack: &Unpack, offset: i64) {
        self.push(name);
        self.condition(unpack.condition.as_ref());
        self.field_after("from", &unpack.field);
        if !unpack.fields.is_empty() {
            self.push(" fields (");
            self.patterns(&unpack.fields);
            self.push(")");
        }
        self.offset(offset);
        if !unpack.result_prefix.is_empty() {
            self.push(&format!(" result_prefix {}", quote(&unpack.result_prefix)));
        }
        self.overwrite(unpack.overwrite);
    }

    fn derived(&mut self, function: &str, field: &str, result: &str) {
        self.push(&format!("{function}("));
        self.name(field);
        self.push(") as ");
        self.name(result);
    }

    fn pack(&mut self, name: &str, fields: &[FieldPattern], result: &str) {
        self.push(name);
        if !fields.is_empty() {
            self.push(" fields (");
            self.patterns(fields);
            self.push(")");
        }
        self.field_after("as", result);
    }

    fn stats(&mut self, stats: &Stats) {
        self.push("stats ");
        if !stats.by.is_empty() {
            self.push("by (");
            for (index, key) in stats.by.iter().enumerate() {
                self.push(if index > 0 { ", " } else { "" });
                self.name(&key.field);
                if let Some(bucket) = &key.bucket {
                    self.bucket(&key.field, *bucket);
                }
            }
            self.push(") ");
        }
        for (index, call) in stats.functions.iter().enumerate() {
            self.push(if index > 0 { ", " } else { "" });
            self.stats_function(&call.function);
            self.condition(call.condition.as_ref());
            self.push(" as ");
            self.name(&call.result);
        }
    }

    fn bucket(&mut self, field: &str, bucket: Bucket) {
        let (text, offset) = match bucket {
            Bucket::Time { step, offset } if field == fields::TIME => {
                (numbers::print_duration(step), offset)
            }
            Bucket::Time { step, offset } => (unit_name(step), offset),
            Bucket::Calendar { unit: CalendarUnit::Week, offset } => ("week".into(), offset),
            Bucket::Calendar { unit: CalendarUnit::Month, offset } => ("month".into(), offset),
            Bucket::Calendar { unit: CalendarUnit::Year, offset } => ("year".into(), offset),
            Bucket::Ipv4 { prefix_bits } => (format!("/{prefix_bits}"), 0),
            Bucket::Number { step, offset } => {
                self.push(&format!(":{}", numbers::print_number(step)));
                if offset != 0.0 {
                    self.push(&format!(" offset {}", numbers::print_number(offset)));
                }
                return;
            }
        };
        self.push(&format!(":{text}"));
        self.offset(offset);
    }

    pub(super) fn stats_function(&mut self, function: &StatsFunction) {
        let (name, fields, limit) = match function {
            StatsFunction::Count(fields) => ("count", fields, None),
            StatsFunction::CountEmpty(fields) => ("count_empty", fields, None),
            StatsFunction::CountUniq { fields, limit } => ("count_uniq", fields, *limit),
            StatsFunction::CountUniqHash { fields, limit } => ("count_uniq_hash", fields, *limit),
            StatsFunction::Avg(fields) => ("avg", fields, None),
            StatsFunction::Sum(fields) => ("sum", fields, None),
            StatsFunction::SumLen(fields) => ("sum_len", fields, None),
            StatsFunction::Min(fields) => ("min", fields, None),
            StatsFunction::Max(fields) => ("max", fields, None),
            StatsFunction::Median(fields) => ("median", fields, None),
            StatsFunction::Stddev(fields) => ("stddev", fields, None),
            StatsFunction::RateSum(fields) => ("rate_sum", fields, None),
            StatsFunction::UniqValues { fields, limit } => ("uniq_values", fields, *limit),
            StatsFunction::Values { fields, limit } => ("values", fields, *limit),
            StatsFunction::RowAny(fields) => ("row_any", fields, None),
            _ => return self.special_function(function),
        };
        self.push(&format!("{name}("));
        if fields.is_empty() {
            self.push("*");
        } else {
            self.patterns(fields);
        }
        self.push(")");
        self.limit(limit);
    }

    /// Functions with an argument of their own before the fields.
    fn special_function(&mut self, function: &StatsFunction) {
        let (first, fields) = match function {
            StatsFunction::Quantile { phi, fields } => {
                (format!("quantile({}", numbers::print_number(*phi)), fields)
            }
            StatsFunction::RowMax { by, fields } => (self.one("row_max", by), fields),
            StatsFunction::RowMin { by, fields } => (self.one("row_min", by), fields),
            StatsFunction::Histogram(field) => {
                let text = self.one("histogram", field);
                return self.push(&format!("{text})"));
            }
            StatsFunction::JsonValues { fields, sort, limit } => {
                self.push("json_values(");
                if fields.is_empty() {
                    self.push("*");
                } else {
                    self.patterns(fields);
                }
                self.push(")");
                if !sort.is_empty() {
                    self.push(" sort by ");
                    self.sort_keys(sort);
                }
                return self.limit(*limit);
            }
            _ => return self.push("rate()"),
        };
        self.push(&first);
        if !fields.is_empty() {
            self.push(", ");
            self.patterns(fields);
        }
        self.push(")");
    }

    /// `function(field`, without the end.
    fn one(&self, function: &str, field: &str) -> String {
        let mut printer = Printer { out: format!("{function}("), subqueries: self.subqueries };
        printer.name(field);
        printer.out
    }
}

/// The name of a unit of time: how a field that is not `_time` says that it holds times.
fn unit_name(step: i64) -> String {
    use rookery_core::time::{DAY, HOUR, MINUTE, SECOND};
    let name = match step {
        1 => "nanosecond",
        1_000 => "microsecond",
        1_000_000 => "millisecond",
        SECOND => "second",
        MINUTE => "minute",
        HOUR => "hour",
        DAY => "day",
        _ => return numbers::print_duration(step),
    };
    name.to_owned()
}
