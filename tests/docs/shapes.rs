//! The JSON schema of the table, for editors: made from the tables of keys that the decoder reads by.
//!
//! It covers what one file alone can show. It cannot require an `exec`, because a drop-in or an
//! environment may supply it.

use preverb::keys::{Described, Form, KINDS, Noun, capabilities, limits, nouns};
use serde_json::{Map, Value, json};

/// The schema.
pub(crate) fn schema() -> Value {
    let mut definitions = Map::new();
    let mut table = Value::Null;
    for Noun { name, keys, .. } in nouns() {
        let properties: Map<String, Value> =
            keys.iter().map(|key| (key.name.to_owned(), described(key))).collect();
        let mut part = json!({ "type": "object", "additionalProperties": false, "properties": properties });
        if name == "step" {
            part["oneOf"] = KINDS.map(|kind| of_kind(kind, &keys)).to_vec().into();
            part["oneOf"].as_array_mut().unwrap().push(removing(&keys));
        }
        if name == "table" {
            table = part["properties"].take();
        } else {
            definitions.insert(name.to_owned(), part);
        }
    }
    for (name, shape) in shapes() {
        definitions.insert(name.to_owned(), shape);
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://raw.githubusercontent.com/preverb/preverb/main/schema/preverb.json",
        "title": "preverb's verb table",
        "description": "See preverb.toml(5).",
        "type": "object",
        "additionalProperties": false,
        "properties": table,
        "definitions": definitions,
    })
}

fn described(key: &Described) -> Value {
    let mut value = value(key.form);
    value["description"] = key.about.into();
    value
}

/// The keys that a step of one kind has and lacks.
fn of_kind(kind: &str, keys: &[Described]) -> Value {
    let mut required = vec![kind];
    if kind == "render" {
        required.push("to");
    }
    let foreign = keys.iter().filter(|key| !key.kinds.is_empty() && !key.kinds.contains(&kind));
    let mut never: Map<String, Value> =
        foreign.map(|key| (key.name.to_owned(), Value::Bool(false))).collect();
    never.insert("remove".to_owned(), json!({ "const": false }));
    json!({ "required": required, "properties": never })
}

/// The keys of a step that removes another one.
fn removing(keys: &[Described]) -> Value {
    let own = ["name", "remove"];
    let foreign = keys.iter().filter(|key| !own.contains(&key.name));
    let mut properties: Map<String, Value> =
        foreign.map(|key| (key.name.to_owned(), Value::Bool(false))).collect();
    properties.insert("remove".to_owned(), json!({ "const": true }));
    json!({ "required": own, "properties": properties })
}

const NAME: &str = r"^[A-Za-z0-9_:][A-Za-z0-9._:-]*$";
const VARIABLE: &str = r"^[A-Za-z_][A-Za-z0-9_.]*$";

/// Shapes that several keys have.
fn shapes() -> [(&'static str, Value); 12] {
    let expanded = |pattern: &str| json!({ "type": "string", "pattern": format!(r"{pattern}|\$\{{") });
    [
        ("name", json!({ "type": "string", "pattern": NAME })),
        ("strings", json!({ "type": "array", "items": { "type": "string" } })),
        ("argv", json!({ "type": "array", "minItems": 1, "items": reference("element") })),
        ("arguments", json!({ "type": "array", "items": reference("element") })),
        (
            "element",
            json!({ "anyOf": [
                { "type": "string" },
                reference("words"),
                {
                    "type": "object",
                    "required": ["args"],
                    "additionalProperties": false,
                    "properties": { "args": { "const": true } },
                },
            ] }),
        ),
        ("path", json!({ "type": "string", "minLength": 1 })),
        ("paths", one_or_more(&reference("path"))),
        ("mode", expanded("^[0-7]{1,5}$")),
        ("duration", expanded("^[0-9]+(ms|s|m|h)$")),
        (
            "filter",
            json!({ "type": "array", "items": { "type": "string", "pattern": NAME.replacen('^', "^!?", 1) } }),
        ),
        (
            "conditions",
            one_or_more(
                &json!({ "type": "string", "pattern": VARIABLE.replacen('^', "^!?", 1).replace('$', "(!?=.*)?$") }),
            ),
        ),
        (
            "probe",
            json!({ "anyOf": [
                { "type": "string", "pattern": r":|\$\{" },
                {
                    "type": "object",
                    "required": ["exec"],
                    "additionalProperties": false,
                    "properties": { "exec": reference("argv") },
                },
            ] }),
        ),
    ]
}

fn reference(name: &str) -> Value {
    json!({ "allOf": [{ "$ref": format!("#/definitions/{name}") }] })
}

fn one_or_more(of: &Value) -> Value {
    json!({ "anyOf": [of, { "type": "array", "minItems": 1, "items": of }] })
}

fn by(pattern: &str, of: &Value) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": pattern }, "additionalProperties": of })
}

/// A form as a validator sees it.
fn value(form: Form) -> Value {
    match form {
        Form::Text => json!({ "type": "string" }),
        Form::Flag => json!({ "type": "boolean", "default": false }),
        Form::OneOf(words) => json!({ "enum": words, "default": words[0] }),
        Form::Name => reference("name"),
        Form::Names => json!({ "type": "array", "items": reference("name") }),
        Form::NamesByName => by(NAME, &reference("name")),
        Form::Variable => json!({ "type": "string", "pattern": VARIABLE }),
        Form::Strings => reference("strings"),
        Form::OneOrMore => one_or_more(&json!({ "type": "string" })),
        Form::Conditions => reference("conditions"),
        Form::Argv => reference("argv"),
        Form::Arguments => reference("arguments"),
        Form::Path => reference("path"),
        Form::Paths => reference("paths"),
        Form::Mode => reference("mode"),
        Form::Duration => reference("duration"),
        Form::Filter => reference("filter"),
        Form::Required => {
            json!({
                "anyOf": [{ "type": "boolean" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }],
                "default": false,
            })
        }
        Form::Env => by("^[^=]+$", &json!({ "type": "string" })),
        Form::Interpreters => by(r"^[^./]+(\.[^./]+)*$", &reference("strings")),
        Form::Limits => json!({
            "type": "object",
            "propertyNames": { "enum": limits() },
            "additionalProperties": { "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": "unlimited" }] },
        }),
        Form::Capabilities => json!({
            "type": "array",
            "items": { "anyOf": [
                { "enum": capabilities() },
                // The other ways to write them, which need not be suggested.
                { "type": "string", "pattern": "^([a-z]|[Cc][Aa][Pp]_)[A-Za-z_]+$" },
            ] },
        }),
        Form::Probe => reference("probe"),
        Form::Probes => one_or_more(&reference("probe")),
        Form::Signals => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Form::ExitCodes => by("^[0-9]{1,3}$", &json!({ "type": "integer", "minimum": 0, "maximum": 255 })),
        Form::FlagOr(noun) => json!({ "anyOf": [{ "type": "boolean" }, reference(noun)], "default": false }),
        Form::Noun(noun) => reference(noun),
        Form::ByName(noun) => by(NAME, &reference(noun)),
        Form::ByVariable(noun) => by(VARIABLE, &reference(noun)),
        Form::List(noun) => json!({ "type": "array", "items": reference(noun) }),
    }
}
