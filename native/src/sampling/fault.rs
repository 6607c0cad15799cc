/// Why no token can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The model's logit for `token` is infinite or not a number.
    NonFiniteLogit { token: usize, value: f32 },
    /// The request rules out every token.
    NoTokenAllowed,
    /// The request's grammar, for this reason.
    Grammar(String),
    /// What the request's grammar allows is not known yet: the same step has to be done again.
    Late,
}
