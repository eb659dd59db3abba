//! What a statement is given beside its text. Everything that comes from a query or from a record is here; the text names it.

use crate::client::Statement;

/// The longest parameter that is sent, in bytes: a server reads no field of a form that is longer than 128 KiB
/// (`http_max_field_value_size`), and escaping makes a text longer.
pub(crate) const PARAMETER_LIMIT_BYTES: usize = 60_000;

/// The values of a statement, in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Params {
    values: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Texts(Vec<String>),
    Int(i64),
    Bits(u64),
}

impl Params {
    /// A text, as an expression.
    pub(crate) fn text(&mut self, text: &str) -> String {
        self.add(Value::Text(text.into()), "String")
    }

    /// A list of texts, as an expression.
    pub(crate) fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> String {
        let texts = texts.into_iter().map(Into::into).collect();
        self.add(Value::Texts(texts), "Array(String)")
    }

    /// A whole number, as an expression.
    pub(crate) fn int(&mut self, number: i64) -> String {
        self.add(Value::Int(number), "Int64")
    }

    /// A time in nanoseconds since the epoch, as an expression.
    pub(crate) fn time(&mut self, nanos: i64) -> String {
        format!("fromUnixTimestamp64Nano({},'UTC')", self.int(nanos))
    }

    /// A number, as an expression. It travels as its bits: a server that reads decimals may round.
    pub(crate) fn number(&mut self, number: f64) -> String {
        format!("reinterpretAsFloat64({})", self.add(Value::Bits(number.to_bits()), "UInt64"))
    }

    fn add(&mut self, value: Value, kind: &str) -> String {
        let place = self.values.iter().position(|known| *known == value);
        let place = place.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        format!("{{p{place}:{kind}}}")
    }

    /// The statement with the values.
    pub(crate) fn bind(&self, statement: Statement) -> Statement {
        self.values.iter().enumerate().fold(statement, |statement, (place, value)| {
            let name = format!("p{place}");
            match value {
                Value::Text(text) => statement.param(&name, text.as_str()),
                Value::Texts(texts) => statement.param(&name, texts),
                Value::Int(number) => statement.param(&name, *number),
                Value::Bits(bits) => statement.param(&name, *bits),
            }
        })
    }
}
