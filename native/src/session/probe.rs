use crate::ort::{
    Binding, Element, Error, Library, MemoryInfo, Provider, Result, RunOptions, Session, SessionOptions,
    Value,
};

/// The ONNX model y = x + x for one float: ir_version 8, opset 14.
const MODEL: &[u8] = b"\x08\x08:9\n\x0e\n\x01x\n\x01x\x12\x01y\"\x03Add\x12\x05probeZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x0e";

/// Makes an execution provider add two numbers: only this shows whether its library, driver and device are there.
pub fn probe(library: Library, provider: &Provider) -> Result<()> {
    let options = SessionOptions::new(library.api, 1)?;
    options.provider(provider)?;
    let session = Session::from_bytes(library, MODEL, &options)?;
    let mut binding = Binding::new(&session)?;
    let mut number = [21_f32];
    // SAFETY: the number outlives the run.
    let value = unsafe { Value::view(session.api, Element::F32, &[1], number.as_mut_ptr().cast(), 1)? };
    binding.input("x", &value)?;
    binding.output_in("y", MemoryInfo::host(session.api)?)?;
    session.run(&RunOptions::new(session.api)?, &binding)?;
    let [output] = &binding.outputs()?[..] else { return Err(Error("the probe has no output".into())) };
    // SAFETY: the graph declares one float.
    let found = unsafe { *output.tensor()?.2.cast::<f32>() };
    if found == 42.0 { Ok(()) } else { Err(Error(format!("it finds that 21 + 21 is {found}"))) }
}
