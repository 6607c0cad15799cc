use super::bound::Feed;
use super::layers::{Layer, Layers};
use crate::ort::{Binding, Element, Error, MemoryInfo, Result, RunOptions, Session, Value};

/// The output with the final states, float32 [batch, positions, width].
const STATES: &str = "encoder_output";

/// Runs the encoder over `tokens` and writes the cross-attention keys and values to `slot`.
pub fn encode(
    session: &Session,
    options: &RunOptions,
    cross: &mut Layers,
    slot: usize,
    tokens: &[i64],
) -> Result<()> {
    let names: Vec<_> = (0..cross.layers.len())
        .flat_map(|i| [format!("cross.{i}.key"), format!("cross.{i}.value")])
        .collect();
    let memory = cross.memory(session.api)?;
    let outputs = run(session, options, tokens, (&names, memory))?;
    for ((_, buffer), output) in cross.layers.iter_mut().flat_map(Layer::parts_mut).zip(&outputs) {
        buffer.write(slot, output)?;
    }
    cross.wait()
}

/// Runs the encoder over `tokens` and returns its final states, one after another.
pub fn embed(session: &Session, options: &RunOptions, tokens: &[i64]) -> Result<Vec<f32>> {
    let outputs = run(session, options, tokens, (&[STATES.to_owned()], MemoryInfo::host(session.api)?))?;
    let (element, dims, data) = outputs[0].tensor()?;
    if element != Element::F32 {
        return Err(Error(format!("{STATES} has the type {element:?}, not float32")));
    }
    let length = dims.iter().product::<i64>() as usize;
    // SAFETY: `run` asked for the tensor in host memory, and `outputs` keeps it until the numbers are copied.
    Ok(unsafe { std::slice::from_raw_parts(data.cast::<f32>(), length) }.to_vec())
}

/// Numbers in a final state.
pub fn width(session: &Session) -> usize {
    let states = session.outputs.iter().find(|port| port.name == STATES);
    states.and_then(|port| port.dims.last()).map_or(0, |width| usize::try_from(*width).unwrap_or(0))
}

/// Runs the encoder over `tokens` and returns the outputs `names`, which it allocates in `memory`.
fn run(
    session: &Session,
    options: &RunOptions,
    tokens: &[i64],
    (names, memory): (&[String], MemoryInfo),
) -> Result<Vec<Value>> {
    let mut binding = Binding::new(session)?;
    let mut input_ids = Feed::new("input_ids", Element::I64, true);
    let mut lengths = Feed::new("encoder_lengths", Element::I32, true);
    input_ids.set(session.api, &mut binding, &[1, tokens.len() as i64], tokens)?;
    lengths.set(session.api, &mut binding, &[1], &[tokens.len() as i32])?;
    names.iter().try_for_each(|name| binding.output_in(name, memory))?;
    session.run(options, &binding)?;
    binding.outputs()
}
