use super::bound::Feed;
use super::layers::{Layer, Layers};
use crate::ort::{Binding, Element, Result, RunOptions, Session};

/// Runs the encoder over `tokens` and writes the cross-attention keys and values to `slot`.
pub fn encode(
    session: &Session,
    options: &RunOptions,
    cross: &mut Layers,
    slot: usize,
    tokens: &[i64],
) -> Result<()> {
    let mut binding = Binding::new(session)?;
    let mut input_ids = Feed::new("input_ids", Element::I64, true);
    let mut lengths = Feed::new("encoder_lengths", Element::I32, true);
    input_ids.set(session.api, &mut binding, &[1, tokens.len() as i64], tokens)?;
    lengths.set(session.api, &mut binding, &[1], &[tokens.len() as i32])?;
    for i in 0..cross.layers.len() {
        binding.output_to_host(&format!("cross.{i}.key"))?;
        binding.output_to_host(&format!("cross.{i}.value"))?;
    }
    session.run(options, &binding)?;
    let outputs = binding.outputs()?;
    for ((_, buffer), output) in cross.layers.iter_mut().flat_map(Layer::parts_mut).zip(&outputs) {
        buffer.write(slot, output)?;
    }
    Ok(())
}
