use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};

/// The format that a client asks for.
pub enum Source {
    /// A JSON schema, as JSON. Unless strict, keywords that no grammar can enforce are left out.
    Json {
        schema: String,
        is_strict: bool,
    },
    Regex(String),
    /// Texts. The whole output is one of them.
    Choice(Vec<String>),
    /// A grammar in llguidance's variant of Lark.
    Lark(String),
    /// The same for a text that is free until it contains `trigger`: the grammar says what may follow. It allows all
    /// text before the trigger, and text without it. If `is_at_start`, only the beginning of a text is a trigger.
    Triggered {
        lark: String,
        trigger: String,
        is_at_start: bool,
    },
}

impl Source {
    pub fn grammar(self) -> Result<TopLevelGrammar, String> {
        Ok(match self {
            Self::Json { schema, is_strict } => {
                let schema = serde_json::from_str(&schema).map_err(|error| error.to_string())?;
                TopLevelGrammar::from_json_schema(with_options(schema, is_strict))
            }
            Self::Regex(regex) => TopLevelGrammar::from_regex(&regex),
            Self::Choice(texts) => {
                // Strings in Lark and JSON have the same syntax.
                let texts: Vec<String> = texts.into_iter().map(|text| json!(text).to_string()).collect();
                TopLevelGrammar::from_lark(format!("start: {}", texts.join(" | ")))
            }
            Self::Lark(lark) | Self::Triggered { lark, .. } => TopLevelGrammar::from_lark(lark),
        })
    }

    /// The trigger, and whether only the beginning of a text is one.
    pub fn trigger(&self) -> Option<(&str, bool)> {
        let Self::Triggered { trigger, is_at_start, .. } = self else { return None };
        Some((trigger, *is_at_start))
    }
}

/// Also forbids spaces between a document's parts: a model could fill its whole output with them.
fn with_options(schema: Value, is_strict: bool) -> Value {
    let mut schema = match schema {
        Value::Bool(true) => json!({}),
        other => other,
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("x-guidance".into(), json!({ "whitespace_flexible": false, "lenient": !is_strict }));
    }
    schema
}
