//! `math`: arithmetic by precedence.

use super::ast::{Expression, MathEntry, MathFunction, Operator};
use super::scan::{Class, Parsed, Parser};
use super::{ParseError, numbers, print};

/// The most operators and functions in one expression: it is a tree that others walk by calling themselves.
pub(super) const EXPRESSION_LIMIT: usize = 256;

/// The functions of `math` with the least and most arguments.
pub(super) const MATH_FUNCTIONS: [(&str, MathFunction, usize, usize); 10] = [
    ("abs", MathFunction::Abs, 1, 1),
    ("ceil", MathFunction::Ceil, 1, 1),
    ("exp", MathFunction::Exp, 1, 1),
    ("floor", MathFunction::Floor, 1, 1),
    ("ln", MathFunction::Ln, 1, 1),
    ("max", MathFunction::Max, 1, usize::MAX),
    ("min", MathFunction::Min, 1, usize::MAX),
    ("now", MathFunction::Now, 0, 0),
    ("rand", MathFunction::Rand, 0, 0),
    ("round", MathFunction::Round, 1, 2),
];

/// The operators with their strength; a larger one binds tighter. All group from the left.
pub(super) const OPERATORS: [(&str, Operator, u8); 10] = [
    ("^", Operator::Power, 7),
    ("*", Operator::Multiply, 6),
    ("/", Operator::Divide, 6),
    ("%", Operator::Remainder, 6),
    ("+", Operator::Add, 5),
    ("-", Operator::Subtract, 5),
    ("&", Operator::And, 4),
    ("xor", Operator::Xor, 3),
    ("or", Operator::Or, 2),
    ("default", Operator::Default, 1),
];

const OPERAND_EXPECTED: &str = "a field, a number or `(`";

impl Parser<'_> {
    pub(super) fn math(&mut self) -> Parsed<Vec<MathEntry>> {
        self.commas(|parser| {
            let mut size = 0;
            let expression = parser.expression(0, &mut size)?;
            let ends = matches!(parser.next_sign(), None | Some(',' | '|' | ')'));
            let result = if ends {
                print::print_expression(&expression).into()
            } else {
                parser.eat_keyword("as");
                parser.name("an operator, or the name of the result")?
            };
            Ok(MathEntry { expression, result })
        })
    }

    /// Operands joined by operators that bind tighter than `least`.
    fn expression(&mut self, least: u8, size: &mut usize) -> Parsed<Expression> {
        let mut left = self.operand(size)?;
        while let Some((text, operator, strength)) = self.at_operator()
            && strength > least
        {
            self.grow(size)?;
            self.position += text.len();
            let right = self.nested(|parser| parser.expression(strength, size))?;
            left = Expression::Binary { operator, left: Box::new(left), right: Box::new(right) };
        }
        Ok(left)
    }

    fn grow(&self, size: &mut usize) -> Result<(), ParseError> {
        *size += 1;
        if *size > EXPRESSION_LIMIT {
            let message = format!(
                "an expression may have {EXPRESSION_LIMIT} operators: compute a part of it into a field first"
            );
            return Err(self.error(self.position, "", message));
        }
        Ok(())
    }

    fn at_operator(&mut self) -> Option<(&'static str, Operator, u8)> {
        self.skip_space();
        OPERATORS.into_iter().find(|(text, ..)| {
            if text.starts_with(|c: char| c.is_alphabetic()) {
                self.at_keyword(text)
            } else {
                self.rest().starts_with(text)
            }
        })
    }

    fn operand(&mut self, size: &mut usize) -> Parsed<Expression> {
        self.skip_space();
        let at = self.position;
        match self.peek() {
            Some('(') => {
                self.bump();
                let inner = self.nested(|parser| parser.expression(0, size))?;
                self.expect(')')?;
                Ok(inner)
            }
            Some('-') => {
                self.bump();
                self.grow(size)?;
                let inner = self.nested(|parser| parser.operand(size))?;
                Ok(match inner {
                    Expression::Number(number) => Expression::Number(-number),
                    inner => Expression::Negate(Box::new(inner)),
                })
            }
            Some('+') => {
                self.bump();
                self.nested(|parser| parser.operand(size))
            }
            Some('"' | '\'' | '`') => {
                let text = self.quoted()?;
                Ok(numbers::parse_operand(&text)
                    .map_or_else(|| Expression::Field(text.as_str().into()), Expression::Number))
            }
            _ => self.bare_operand(at, size),
        }
    }

    fn bare_operand(&mut self, at: usize, size: &mut usize) -> Parsed<Expression> {
        let mut word = self.bare(Class::Operand).to_owned();
        if word.is_empty() {
            return Err(self.expected(OPERAND_EXPECTED));
        }
        // The sign of an exponent looks like an operator.
        let is_scientific =
            word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(['e', 'E']);
        if is_scientific && self.rest().starts_with(['+', '-']) && !word.starts_with("0x") {
            let sign = self.position;
            self.bump();
            let digits = self.bare(Class::Operand);
            let whole = format!("{word}{}{digits}", &self.rest_from(sign)[..1]);
            match numbers::parse_number(&whole) {
                Some(_) => word = whole,
                None => self.position = sign,
            }
        }
        if self.peek() == Some('(') {
            return self.call(&word, at, size);
        }
        if let Some(number) = numbers::parse_operand(&word) {
            return Ok(Expression::Number(number));
        }
        if OPERATORS.iter().any(|(text, ..)| text.eq_ignore_ascii_case(&word)) {
            return Err(self.wrong(at, OPERAND_EXPECTED));
        }
        Ok(Expression::Field(word.as_str().into()))
    }

    fn call(&mut self, name: &str, at: usize, size: &mut usize) -> Parsed<Expression> {
        self.grow(size)?;
        let found = MATH_FUNCTIONS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
        let Some((_, function, least, most)) = found else {
            let known: Vec<&str> = MATH_FUNCTIONS.iter().map(|(known, ..)| *known).collect();
            return Err(self.unknown(at, "math function", name, &known));
        };
        let arguments = self.in_parentheses(|parser| {
            parser.grow(size)?;
            parser.nested(|parser| parser.expression(0, size))
        })?;
        if arguments.len() < *least || arguments.len() > *most {
            let count = if least == most { least.to_string() } else { format!("{least} or more") };
            return Err(self.wrong(at, &format!("`{name}(…)` with {count} arguments")));
        }
        Ok(Expression::Call { function: *function, arguments })
    }
}
