//! Words: the unit of the text index and of phrase matching.
//!
//! A word is a longest run of letters, digits and `_` (Unicode). The same cut is used when a part's token filter is
//! written and when a query asks it, so a phrase whose words are not all in the filter cannot be in the part.

/// Whether `c` belongs to a word.
pub fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || (!c.is_ascii() && c.is_alphanumeric())
}

/// The words of `text`, in order, repeats included.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word_char(c)).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_digits_and_underscores() {
        let got: Vec<&str> = words("GET /api/v1?x_y=1 – größe 日本").collect();
        assert_eq!(got, ["GET", "api", "v1", "x_y", "1", "größe", "日本"]);
    }
}
