//! Shapes of JSON: which keys there are, of which type, and how hex is written.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What one value may look like. Empty: nothing was seen yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shape {
    scalars: BTreeSet<String>,
    elements: Option<Box<Shape>>,
    fields: Option<BTreeMap<String, Field>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    shape: Shape,
    /// Absent in some of the objects.
    optional: bool,
}

/// Fields that are data even where a value could be read as a number.
const DATA_FIELDS: [&str; 8] =
    ["input", "output", "data", "code", "init", "returnData", "returnValue", "raw"];
/// Fields that are numbers even where a value is as long as data.
const QUANTITY_FIELDS: [&str; 4] = ["r", "s", "stack", "push"];

impl Shape {
    /// Shape of an answer.
    pub(super) fn of(value: &Value) -> Self {
        Self::of_field("", value)
    }

    fn of_field(name: &str, value: &Value) -> Self {
        let mut shape = Self::default();
        match value {
            Value::Array(values) => {
                let mut elements = Self::default();
                values.iter().for_each(|value| elements.merge(Self::of_field(name, value)));
                shape.elements = Some(Box::new(elements));
            }
            Value::Object(object) => {
                let mut fields = BTreeMap::<String, Field>::new();
                for (key, value) in object {
                    let new = Self::of_field(key, value);
                    // Keys that are data (addresses, slots, nonces) are one field, whichever there are.
                    match fields.get_mut(&key_name(key)) {
                        Some(field) => field.shape.merge(new),
                        None => {
                            fields.insert(key_name(key), Field { shape: new, optional: false });
                        }
                    }
                }
                shape.fields = Some(fields);
            }
            scalar => {
                shape.scalars.insert(scalar_name(name, scalar));
            }
        }
        shape
    }

    /// Shape of an answer that is an error.
    pub(super) fn error(code: i64) -> Self {
        Self { scalars: BTreeSet::from([format!("error {code}")]), ..Self::default() }
    }

    /// What looks like this or like the other.
    pub(super) fn merge(&mut self, other: Self) {
        self.scalars.extend(other.scalars);
        match (&mut self.elements, other.elements) {
            (Some(elements), Some(more)) => elements.merge(*more),
            (elements @ None, more) => *elements = more,
            (Some(_), None) => {}
        }
        match (&mut self.fields, other.fields) {
            (Some(fields), Some(more)) => merge_fields(fields, more),
            (fields @ None, more) => *fields = more,
            (Some(_), None) => {}
        }
    }

    /// The form that is recorded.
    pub(super) fn to_json(&self) -> Value {
        let mut forms = Vec::new();
        if !self.scalars.is_empty() {
            let names: Vec<_> = self.scalars.iter().map(String::as_str).collect();
            forms.push(Value::String(names.join("|")));
        }
        if let Some(elements) = &self.elements {
            let seen = **elements != Self::default();
            forms.push(Value::Array(if seen { vec![elements.to_json()] } else { Vec::new() }));
        }
        if let Some(fields) = &self.fields {
            let fields = fields.iter().map(|(key, field)| {
                let mark = if field.optional { "?" } else { "" };
                (format!("{key}{mark}"), field.shape.to_json())
            });
            forms.push(Value::Object(fields.collect::<Map<_, _>>()));
        }
        if forms.len() == 1 { forms.remove(0) } else { serde_json::json!({ "oneOf": forms }) }
    }
}

fn merge_fields(fields: &mut BTreeMap<String, Field>, more: BTreeMap<String, Field>) {
    for (key, field) in fields.iter_mut() {
        field.optional |= !more.contains_key(key) && !key.starts_with('<');
    }
    for (key, new) in more {
        match fields.get_mut(&key) {
            Some(field) => {
                field.optional |= new.optional;
                field.shape.merge(new.shape);
            }
            None => {
                let optional = !key.starts_with('<');
                fields.insert(key, Field { optional, ..new });
            }
        }
    }
}

fn key_name(key: &str) -> String {
    match hex_name("", key) {
        Some(name) if name.starts_with("data") => format!("<{name}>"),
        _ if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit()) => {
            "<decimal>".to_owned()
        }
        _ => key.to_owned(),
    }
}

fn scalar_name(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => hex_name(field, text).unwrap_or_else(|| "string".to_owned()),
        Value::Array(_) | Value::Object(_) => unreachable!("not a scalar"),
    }
}

/// `quantity` for numbers in their shortest form, `dataN` for data of the usual lengths, `data` for other data.
fn hex_name(field: &str, text: &str) -> Option<String> {
    let digits = text.strip_prefix("0x")?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let shortest = digits == "0" || !(digits.is_empty() || digits.starts_with('0'));
    Some(match digits.len() {
        _ if shortest && QUANTITY_FIELDS.contains(&field) => "quantity".to_owned(),
        // Identifiers, addresses, hashes, blooms.
        32 | 40 | 64 | 512 => format!("data{}", digits.len() / 2),
        length if shortest && length < 32 && !DATA_FIELDS.contains(&field) => "quantity".to_owned(),
        length if length % 2 == 0 => "data".to_owned(),
        _ => "malformed hex".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shape(values: &[Value]) -> Value {
        let mut shape = Shape::default();
        values.iter().for_each(|value| shape.merge(Shape::of(value)));
        shape.to_json()
    }

    #[test]
    fn scalars() {
        let address = format!("0x{}", "00".repeat(20));
        for (value, name) in [
            (json!("0x0"), "quantity"),
            (json!("0x10e"), "quantity"),
            (json!("0x"), "data"),
            (json!("0x00"), "data"),
            (json!("0x012"), "malformed hex"),
            (json!(address), "data20"),
            (json!("0x1z"), "string"),
            (json!(1.5), "number"),
            (json!(null), "null"),
        ] {
            assert_eq!(shape(&[value]), name);
        }
        assert_eq!(shape(&[json!("0x1"), json!(null)]), "null|quantity");
        let word = format!("0x{}", "11".repeat(32));
        let fields = json!({"r": word, "hash": word, "input": "0x12"});
        assert_eq!(shape(&[fields]), json!({"r": "quantity", "hash": "data32", "input": "data"}));
    }

    #[test]
    fn objects_and_arrays() {
        let both = [json!({"a": "0x1", "b": []}), json!({"a": null, "c": [true]})];
        assert_eq!(shape(&both), json!({"a": "null|quantity", "b?": [], "c?": ["bool"]}));
        let (one, two) = (format!("0x{}", "11".repeat(20)), format!("0x{}", "22".repeat(20)));
        assert_eq!(
            shape(&[json!({one: "0x1", two: {"7": 1}})]),
            json!({"<data20>": {"oneOf": ["quantity", {"<decimal>": "number"}]}})
        );
        assert_eq!(shape(&[json!([]), json!(null)]), json!({"oneOf": ["null", []]}));
        assert_eq!(shape(&[json!([{"a": 1}, {}])]), json!([{"a?": "number"}]));
    }
}
