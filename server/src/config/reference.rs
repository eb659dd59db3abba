//! The reference of configuration keys, made from the types that are configured.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Config;

/// Before the path of a key in the name of its variable.
pub(super) const PREFIX: &str = "ROOKERY_";

/// The variable that overrides a key: `query.timeout` → `ROOKERY_QUERY_TIMEOUT`.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

/// The paths of all keys that are not in a list, sections included.
pub(super) fn keys() -> Vec<String> {
    let mut keys = Vec::new();
    if let Ok(schema) = schema() {
        walk(&schema, &schema, "", &mut |path, _| keys.push(path.to_owned()));
    }
    keys.retain(|key| !key.contains("[]"));
    keys
}

/// What a variable's text is for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// A text, whatever it looks like: a password `007` is no number, and `a: b` is no map.
    Text,
    /// The same, or nothing where it is empty.
    TextOrNothing,
    /// YAML: a number, a list, a section.
    Yaml,
}

/// How the text of a key's variable is to be read.
pub(super) fn reading(key: &str) -> Reading {
    let mut found = Reading::Yaml;
    if let Ok(schema) = schema() {
        walk(&schema, &schema, "", &mut |path, property| {
            if path == key {
                found = reading_of(&schema, property);
            }
        });
    }
    found
}

fn reading_of(root: &Value, property: &Value) -> Reading {
    let mut kinds = Vec::new();
    kinds_of(root, property, &mut kinds);
    let is_optional = kinds.iter().any(|kind| kind == "null");
    kinds.retain(|kind| kind != "null");
    match (kinds.is_empty() || kinds.iter().any(|kind| kind != "string"), is_optional) {
        (true, _) => Reading::Yaml,
        (false, true) => Reading::TextOrNothing,
        (false, false) => Reading::Text,
    }
}

/// The JSON types that a schema takes.
fn kinds_of(root: &Value, schema: &Value, kinds: &mut Vec<String>) {
    let schema = resolve(root, schema);
    let several = schema["type"].as_array().into_iter().flatten();
    kinds.extend(several.chain([&schema["type"]]).filter_map(Value::as_str).map(str::to_owned));
    for variant in ["anyOf", "oneOf"].iter().filter_map(|name| schema[name].as_array()).flatten() {
        kinds_of(root, variant, kinds);
    }
}

fn schema() -> Result<Value> {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let schema = settings.into_generator().into_root_schema_for::<Config>();
    serde_json::to_value(schema).context("cannot make the schema of the configuration")
}

/// Calls `visit` with the path and schema of each key, parents before children. Keys of a list's items have `[]` in
/// their path.
fn walk(root: &Value, schema: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    let schema = resolve(root, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (key, property) in properties {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            visit(&path, property);
            walk(root, property, &path, visit);
        }
    }
    for variant in
        ["anyOf", "oneOf", "allOf"].iter().filter_map(|name| schema[name].as_array()).flatten()
    {
        walk(root, variant, path, visit);
    }
    if schema["items"].is_object() {
        walk(root, &schema["items"], &format!("{path}[]"), visit);
    }
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target =
        schema["$ref"].as_str().and_then(|name| root.pointer(name.trim_start_matches('#')));
    target.unwrap_or(schema)
}

/// The reference as a Markdown page.
pub(super) fn markdown() -> Result<String> {
    let schema = schema()?;
    let defaults = serde_json::to_value(Config::default()).context("cannot print the defaults")?;
    let mut out = String::from(
        "# Configuration\n\nOne YAML file, given with `--config`. Each key can be overridden by the variable in its row. \
         Sizes are written `64MiB`, durations `5m`. This page is printed by `rookery config-reference`.\n\n\
         | key | default | variable | what |\n|---|---|---|---|\n",
    );
    walk(&schema, &schema, "", &mut |path, property| {
        let target = resolve(&schema, property);
        let default = match defaults.pointer(&format!("/{}", path.replace('.', "/"))) {
            None | Some(Value::Object(_)) => String::new(),
            Some(value) => format!("`{}`", value.to_string().trim_matches('"')),
        };
        let what =
            property["description"].as_str().or(target["description"].as_str()).unwrap_or("");
        let what = what.replace('\n', " ").replace('|', "\\|");
        let variable =
            if path.contains("[]") { String::new() } else { format!("`{}`", variable(path)) };
        let _ = writeln!(out, "| `{path}` | {default} | {variable} | {what}{} |", choices(target));
    });
    Ok(out)
}

/// The values of an enumeration, as text behind its description.
fn choices(schema: &Value) -> String {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let described =
        schema["oneOf"].as_array().into_iter().flatten().map(|variant| &variant["const"]);
    let names: Vec<String> =
        listed.chain(described).filter_map(Value::as_str).map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!(" One of {}.", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_description_and_one_variable() {
        let schema = schema().unwrap();
        walk(&schema, &schema, "", &mut |path, property| {
            let described = property["description"].is_string()
                || resolve(&schema, property)["description"].is_string();
            assert!(described, "{path} has no description");
        });
        let mut variables: Vec<String> = keys().iter().map(|key| variable(key)).collect();
        variables.sort();
        let count = variables.len();
        variables.dedup();
        assert_eq!(variables.len(), count, "two keys share a variable");
    }
}
