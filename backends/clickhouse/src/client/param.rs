//! The text form of a parameter, as the server's HTTP interface reads it.
//!
//! Alone, a text is escaped as in a field of TSV; inside of a list it is quoted as in SQL. ("Queries with parameters",
//! <https://clickhouse.com/docs/interfaces/http>.)

use rookery_core::{StreamId, Tenant};

/// A value that can be bound: a number, a text, a list of these.
pub trait Param {
    /// Writes it.
    fn write(&self, out: &mut String);

    /// Writes it as an element of a list.
    fn write_element(&self, out: &mut String) {
        self.write(out);
    }
}

impl Param for str {
    fn write(&self, out: &mut String) {
        for c in self.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\'' => out.push_str("\\'"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\0' => out.push_str("\\0"),
                c => out.push(c),
            }
        }
    }

    fn write_element(&self, out: &mut String) {
        out.push('\'');
        self.write(out);
        out.push('\'');
    }
}

macro_rules! as_text {
    ($($type:ty: $text:expr;)*) => {
        $(impl Param for $type {
            fn write(&self, out: &mut String) {
                let text: fn(&$type) -> &str = $text;
                text(self).write(out);
            }

            fn write_element(&self, out: &mut String) {
                let text: fn(&$type) -> &str = $text;
                text(self).write_element(out);
            }
        })*
    };
}

as_text! {
    String: |text| text;
    std::sync::Arc<str>: |text| text;
    Tenant: Tenant::as_str;
}

macro_rules! as_displayed {
    ($($type:ty),*) => {
        $(impl Param for $type {
            fn write(&self, out: &mut String) {
                out.push_str(&self.to_string());
            }
        })*
    };
}

as_displayed!(u8, u16, u32, u64, usize, i8, i16, i32, i64, f32, f64, bool);

/// 32 hex digits: for `unhex({x:String})`, and for a list of them.
impl Param for StreamId {
    fn write(&self, out: &mut String) {
        out.push_str(&self.to_string());
    }

    fn write_element(&self, out: &mut String) {
        self.to_string().write_element(out);
    }
}

impl<T: Param> Param for [T] {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            item.write_element(out);
        }
        out.push(']');
    }
}

impl<T: Param> Param for Vec<T> {
    fn write(&self, out: &mut String) {
        self.as_slice().write(out);
    }
}

impl<T: Param + ?Sized> Param for &T {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }

    fn write_element(&self, out: &mut String) {
        (**self).write_element(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl Param) -> String {
        let mut out = String::new();
        value.write(&mut out);
        out
    }

    #[test]
    fn a_text_is_escaped_alone_and_quoted_in_a_list() {
        assert_eq!(text("a'b\\\t"), "a\\'b\\\\\\t");
        assert_eq!(text(vec!["a'b", ""]), "['a\\'b','']");
        assert_eq!(text(vec![vec![1u64], vec![]]), "[[1],[]]");
        assert_eq!(text(vec![StreamId::default()]), format!("['{}']", "0".repeat(32)));
        assert_eq!(text(-1.5f64), "-1.5");
    }
}
