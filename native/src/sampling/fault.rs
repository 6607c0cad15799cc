/// Why no token can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The model's logit for `token` is infinite or not a number.
    NonFiniteLogit { token: usize, value: f32 },
    /// The request rules out every token.
    NoTokenAllowed,
    /// The request's grammar failed, for this reason.
    Grammar(String),
    /// The tokens that the request's grammar allows are not known yet: repeat the step.
    Late,
}
