//! Translates llguidance's errors for grammar authors who do not know its internals.

const TOO_COMPLEX: &str = "it is too complex: use fewer or shorter patterns, smaller counts of repetition, or fewer \
                           alternatives that begin alike";

/// Parts of llguidance's messages, and our words for them.
const WORDS: [(&str, &str); 22] = [
    ("NoExtensionBias", "no text can match it: its parts contradict each other"),
    ("Regex is empty", "no text can match it: its parts contradict each other"),
    ("Unsatisfiable schema", "no document can be valid under it: its parts contradict each other"),
    ("All options in anyOf are unsatisfiable", "no document can be valid under it: no option of `anyOf` can"),
    ("fuel", TOO_COMPLEX),
    ("lexer precomputation failed", TOO_COMPLEX),
    ("too many expressions", TOO_COMPLEX),
    ("too many states", TOO_COMPLEX),
    ("LexerTooComplex", TOO_COMPLEX),
    ("ParserTooComplex", TOO_COMPLEX),
    ("lexer error", TOO_COMPLEX),
    ("initial lexer configuration", TOO_COMPLEX),
    ("DNF too large", TOO_COMPLEX),
    ("Unable to determine if regex is empty", TOO_COMPLEX),
    ("can't determine if patternProperty", TOO_COMPLEX),
    (
        "Current row has",
        "it has too many alternatives at one place: write repetition as left recursion, and fewer \
                         alternatives that begin alike",
    ),
    (
        "Too many items",
        "it has too many alternatives at one place: write repetition as left recursion, and fewer \
                        alternatives that begin alike",
    ),
    (
        "number of symbols) too big",
        "it is too large: it may come to 100,000 symbols; use smaller counts of \
                                    repetition and fewer rules",
    ),
    ("schema too large", "it is too large: use smaller counts and fewer properties"),
    ("recursion limit exceeded", "it is nested more than 127 levels deep"),
    ("Schema intersection stack level exceeded", "its `allOf` and `$ref` are nested too deep"),
    ("panic", "it asks for something that structured output cannot do here; simplify it"),
];

/// Characters kept at each end of a long line.
const HALF_LINE: usize = 80;

/// The error message for clients.
pub fn in_words(error: &str) -> String {
    let known = WORDS.iter().find(|(part, _)| error.contains(part));
    let own = || {
        let mut lines = error.lines().filter(|line| !line.starts_with("<non-verbose/>"));
        let first = shortened(lines.next().unwrap_or_default());
        // Long lines after the first quote the source.
        let others = lines.filter(|line| line.len() <= 2 * HALF_LINE).map(String::from);
        std::iter::once(first).chain(others).collect::<Vec<_>>().join("\n").trim().to_string()
    };
    known.map_or_else(own, |(_, words)| (*words).to_string())
}

/// Leaves out the middle of a long line, which may quote a source with the reason after it.
fn shortened(line: &str) -> String {
    let count = line.chars().count();
    if count <= 2 * HALF_LINE {
        return line.into();
    }
    let skip = count - HALF_LINE;
    line.chars().take(HALF_LINE).chain(" … ".chars()).chain(line.chars().skip(skip)).collect()
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn keeps_what_names_the_place_and_translates_the_rest() {
        assert_eq!(
            in_words("1(8): unknown name: \"missing\"\n<non-verbose/>"),
            "1(8): unknown name: \"missing\""
        );
        assert!(in_words("NoExtensionBias\n<non-verbose/>").starts_with("no text can match it"));
        assert!(in_words("lexer error: too many expressions").starts_with("it is too complex"));
        let source = "(é".repeat(5000);
        let words =
            in_words(&format!("at 1(8): invalid regex {source:?}\n    {source}\nerror: unclosed group"));
        assert!(words.starts_with("at 1(8): invalid regex") && words.ends_with("error: unclosed group"));
        assert!(words.chars().count() < 200);
    }
}
