//! The JSON schema of the table, for editors: made from the key lists that the decoder reads by, and from the names
//! that it takes. What a key means is the man page's to say; a test puts the two together.
//!
//! It says of a table what can be said of one file alone: that a verb has an `exec` cannot, because a drop-in or an
//! environment may bring it. Nothing of it is in the program.

use serde_json::{Map, Value, json};

use crate::table::decode::{
    ENVIRONMENT_KEYS, INIT_KEYS, KIND_KEYS, SELECTION_KEYS, SHIM_KEYS, STEP_KEYS, TABLE_KEYS, VARIABLE_KEYS,
    VERB_KEYS, kind_only_keys,
};
use crate::table::types::VariableKind;
use crate::text::log::Format;
use crate::value::capability::Capability;
use crate::value::limit::Resource;

/// A part of the table that has keys of its own: its name in the schema, and the section of preverb.toml(5) that tells
/// of them.
pub struct Part {
    /// Under `definitions`; the table itself has none.
    pub name: &'static str,
    /// The section.
    pub section: &'static str,
}

/// The parts.
pub const PARTS: [Part; 8] = [
    Part { name: "table", section: "THE TABLE" },
    Part { name: "selection", section: "THE CHOICE OF ENVIRONMENT" },
    Part { name: "environment", section: "ENVIRONMENTS" },
    Part { name: "verb", section: "VERBS" },
    Part { name: "variable", section: "DECLARED VARIABLES" },
    Part { name: "step", section: "STEPS" },
    Part { name: "init", section: "SUPERVISION" },
    Part { name: "shim", section: "SHIM" },
];

/// The keys of a part.
#[must_use]
pub fn keys(part: &str) -> Vec<&'static str> {
    match part {
        "table" => TABLE_KEYS.to_vec(),
        "selection" => SELECTION_KEYS.to_vec(),
        "environment" => ENVIRONMENT_KEYS.to_vec(),
        "verb" => VERB_KEYS.to_vec(),
        "variable" => VARIABLE_KEYS.to_vec(),
        "init" => INIT_KEYS.to_vec(),
        "shim" => SHIM_KEYS.to_vec(),
        _ => {
            let mut keys: Vec<&'static str> = KIND_KEYS.into_iter().chain(STEP_KEYS).collect();
            for key in KIND_KEYS.iter().flat_map(|kind| kind_only_keys(kind)) {
                if !keys.contains(key) {
                    keys.push(key);
                }
            }
            keys
        }
    }
}

/// The schema; `about` says what a key of a part means.
///
/// # Panics
/// There is a key that nothing is known of here.
#[must_use]
pub fn schema(about: &dyn Fn(&str, &str) -> String) -> Value {
    let mut definitions = Map::new();
    let mut properties_of_table = Value::Null;
    for Part { name, .. } in PARTS {
        let mut properties = Map::new();
        for key in keys(name) {
            let mut value = value(name, key);
            let said = Value::String(about(name, key));
            value.as_object_mut().expect("every schema here is an object").insert("description".into(), said);
            properties.insert(key.to_owned(), value);
        }
        let mut part = json!({ "type": "object", "additionalProperties": false, "properties": properties });
        if name == "step" {
            part["oneOf"] = Value::Array(KIND_KEYS.map(kind).to_vec());
        }
        if name == "table" {
            properties_of_table = part["properties"].take();
        } else {
            definitions.insert(name.to_owned(), part);
        }
    }
    for (name, shape) in shapes() {
        definitions.insert(name.to_owned(), shape);
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "preverb's verb table",
        "description": "See preverb.toml(5).",
        "type": "object",
        "additionalProperties": false,
        "properties": properties_of_table,
        "definitions": definitions,
    })
}

/// What a step of one kind has and has not.
fn kind(kind: &str) -> Value {
    let own = kind_only_keys(kind);
    let mut required = vec![kind];
    if kind == "render" {
        required.push("to");
    }
    let foreign = KIND_KEYS.iter().flat_map(|other| kind_only_keys(other)).filter(|key| !own.contains(key));
    let never: Map<String, Value> = foreign.map(|key| ((*key).to_owned(), Value::Bool(false))).collect();
    json!({ "required": required, "properties": never })
}

/// Shapes that several keys have.
fn shapes() -> [(&'static str, Value); 11] {
    let name = r"^[A-Za-z0-9_:][A-Za-z0-9._:-]*$";
    [
        ("name", json!({ "type": "string", "pattern": name })),
        ("strings", json!({ "type": "array", "items": { "type": "string" } })),
        ("argv", json!({ "type": "array", "minItems": 1, "items": { "type": "string" } })),
        ("path", json!({ "type": "string", "minLength": 1 })),
        ("paths", json!({ "anyOf": [reference("path"), list(&reference("path"))] })),
        ("mode", json!({ "type": "string", "pattern": "^[0-7]{1,5}$" })),
        ("duration", json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" })),
        (
            "filter",
            json!({ "type": "array", "items": { "type": "string", "pattern": name.replacen('^', "^!?", 1) } }),
        ),
        (
            "env",
            json!({
                "type": "object",
                "propertyNames": { "pattern": "^[^=]+$" },
                "additionalProperties": { "type": "string" },
            }),
        ),
        (
            "variables",
            json!({
                "type": "object",
                "propertyNames": { "pattern": r"^[A-Za-z_][A-Za-z0-9_.]*$" },
                "additionalProperties": reference("variable"),
            }),
        ),
        (
            "probe",
            json!({ "anyOf": [
                { "type": "string", "pattern": r"^(tcp|unix|http|file)://|\$\{" },
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

fn list(of: &Value) -> Value {
    json!({ "type": "array", "minItems": 1, "items": of })
}

fn named(of: &str) -> Value {
    json!({
        "type": "object",
        "propertyNames": { "$ref": "#/definitions/name" },
        "additionalProperties": { "$ref": format!("#/definitions/{of}") },
    })
}

fn one_of(words: &[&str], default: &str) -> Value {
    json!({ "enum": words, "default": default })
}

/// What a key of a part may be.
fn value(part: &str, key: &str) -> Value {
    let text = json!({ "type": "string" });
    let yes_or_no = json!({ "type": "boolean", "default": false });
    match (part, key) {
        ("table" | "selection", "default") => reference("name"),
        ("table", "unknown") => one_of(&["error", "exec", "default"], "error"),
        ("table", "leading-dash") => one_of(&["error", "default"], "error"),
        ("table", "log") => one_of(&Format::NAMES, "text"),
        ("table", "environment") => reference("selection"),
        ("table", "interpreters") => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[^./]+$" },
            "additionalProperties": { "$ref": "#/definitions/argv" },
        }),
        ("table", "environments") => named("environment"),
        ("table", "shim") => reference("shim"),
        ("selection", "variable") => json!({ "type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_.]*$" }),
        ("verb", "aliases") => json!({ "type": "array", "items": reference("name") }),
        ("verb", "limits") => json!({
            "type": "object",
            "propertyNames": { "enum": Resource::ALL.map(|resource| resource.name) },
            "additionalProperties": { "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": "unlimited" }] },
        }),
        ("verb", "capabilities") => json!({
            "type": "array",
            "items": { "anyOf": [
                { "enum": Capability::NAMES.to_vec() },
                // The other ways to write them, of which nobody needs to be reminded.
                { "type": "string", "pattern": "^([a-z]|[Cc][Aa][Pp]_)[A-Za-z_]+$" },
            ] },
        }),
        ("verb", "init") => json!({ "anyOf": [{ "type": "boolean" }, reference("init")], "default": false }),
        ("verb", "health") => reference("probe"),
        ("variable", "type") => one_of(&VariableKind::NAMES, "string"),
        ("step", "wait") => json!({ "anyOf": [reference("probe"), list(&reference("probe"))] }),
        ("step", "skip-if" | "only") => json!({ "anyOf": [text, list(&text)] }),
        ("step", "verbs" | "environments") => reference("filter"),
        ("init", "signals") => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        ("shim", "env") | (_, "unset" | "skip-setup-on" | "args" | "one-of" | "stop-signals" | "mounts") => {
            reference("strings")
        }
        (_, "env") => reference("env"),
        (_, "variables") => reference("variables"),
        (_, "setup") => json!({ "type": "array", "items": { "$ref": "#/definitions/step" } }),
        (_, "verbs") => named("verb"),
        (_, "exec" | "run") => reference("argv"),
        (_, "suffix") => json!({ "type": "string", "minLength": 1 }),
        (_, "mkdir" | "chown") => reference("paths"),
        (_, "workdir" | "hooks" | "render" | "once" | "to") => reference("path"),
        (_, "umask" | "mode") => reference("mode"),
        (_, "timeout" | "grace") => reference("duration"),
        (_, "no-new-privileges" | "hidden" | "required" | "secret" | "group" | "keep-unset") => yes_or_no,
        (_, "about" | "default" | "user" | "name" | "per" | "image" | "network") => text,
        _ => unreachable!("the schema knows nothing of `{key}` in {part}"),
    }
}
