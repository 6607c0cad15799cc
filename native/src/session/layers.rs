use super::memory::Place;
use super::slot_buffer::SlotBuffer;
use crate::ort::{Api, Binding, Error, MemoryInfo, Result, Session};

/// Keys and values of one layer.
pub struct Layer {
    pub key: SlotBuffer,
    pub value: SlotBuffer,
    /// Maximum number of keys that a query reads: its own and those before it.
    pub window: Option<usize>,
}

impl Layer {
    /// The first position that queries from position `cut` on read.
    fn first_read(&self, cut: usize) -> usize {
        self.window.map_or(0, |window| cut.saturating_sub(window))
    }

    fn parts(&self) -> [(&'static str, &SlotBuffer); 2] {
        [("key", &self.key), ("value", &self.value)]
    }

    pub fn parts_mut(&mut self) -> [(&'static str, &mut SlotBuffer); 2] {
        [("key", &mut self.key), ("value", &mut self.value)]
    }
}

/// What the memory of caches holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Numbers of the graph's type.
    Numbers,
    /// Codes in int8, which only our attention reads.
    Bytes,
}

/// One cache per layer, with the graph inputs `<prefix>.<i>.key` and `.value`, [batch, heads, positions, head size].
pub struct Layers {
    prefix: &'static str,
    pub layers: Vec<Layer>,
}

impl Layers {
    /// Makes one layer for each pair of graph inputs. `windows`: by layer; missing entries mean none.
    pub fn new(
        session: &Session,
        prefix: &'static str,
        windows: &[Option<usize>],
        (place, content): (Place, Content),
        (slots, capacity): (usize, usize),
    ) -> Result<Self> {
        let buffer = |layer: usize, part: &str| {
            let name = format!("{prefix}.{layer}.{part}");
            let Some(port) = session.inputs.iter().find(|port| port.name == name) else { return Ok(None) };
            let sizes = match port.dims[..] {
                [_, heads, _, head_size] if heads > 0 && head_size > 0 => {
                    Some((heads as usize, head_size as usize))
                }
                _ => None,
            };
            let (Some(element), Some((heads, head_size))) = (session.element_of(&name), sizes) else {
                return Err(Error(format!(
                    "graph input {name} {:?} does not name heads and head size",
                    port.dims
                )));
            };
            let make = match content {
                Content::Numbers => SlotBuffer::new,
                Content::Bytes => SlotBuffer::of_bytes,
            };
            Ok(Some(make(place, element, [slots, heads, capacity, head_size])?))
        };
        let mut layers = Vec::new();
        while let Some(key) = buffer(layers.len(), "key")? {
            let value = buffer(layers.len(), "value")?
                .ok_or_else(|| Error(format!("the graph has {prefix}.{}.key but no value", layers.len())))?;
            let window = windows.get(layers.len()).copied().flatten();
            layers.push(Layer { key, value, window });
        }
        Ok(Self { prefix, layers })
    }

    /// The memory of all layers.
    pub fn memory(&self, api: Api) -> Result<MemoryInfo> {
        self.layers.first().map_or_else(|| MemoryInfo::host(api), |layer| layer.key.memory_info(api))
    }

    /// Positions that a slot has room for now.
    pub fn capacity(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.key.capacity())
    }

    /// Binds slots `first..first + count` as inputs. If `present`, also binds the same memory as outputs:
    /// `present.<i>.<part>`, and `present.<i>.<part>.<reader>` of the layers that read this layer's cache and pass it
    /// on.
    ///
    /// # Safety
    /// Run the binding only while these layers live and have not grown.
    pub unsafe fn bind(
        &self,
        session: &Session,
        binding: &mut Binding,
        (first, count): (usize, usize),
        present: bool,
    ) -> Result<()> {
        for (i, layer) in self.layers.iter().enumerate() {
            for (part, buffer) in layer.parts() {
                // SAFETY: the caller runs the binding only while these layers live and have not grown.
                let value = unsafe { buffer.view(session.api, first, count)? };
                binding.input(&format!("{}.{i}.{part}", self.prefix), &value)?;
                if !present {
                    continue;
                }
                let name = format!("present.{i}.{part}");
                binding.output(&name, &value)?;
                let read = format!("{name}.");
                for port in session.outputs.iter().filter(|port| port.name.starts_with(&read)) {
                    binding.output(&port.name, &value)?;
                }
            }
        }
        Ok(())
    }

    /// Copies the first `length` positions, except those that no query from position `cut` on reads. Slot `to` gives
    /// these back.
    pub fn copy(&mut self, from: usize, to: usize, length: usize, cut: usize) -> Result<()> {
        for layer in &mut self.layers {
            let start = layer.first_read(cut).min(length);
            for (_, buffer) in layer.parts_mut() {
                buffer.copy(from, to, start..length)?;
                buffer.give_back(to, 0..start);
            }
        }
        self.wait()
    }

    /// Waits until the device has made all copies and writes.
    pub fn wait(&self) -> Result<()> {
        self.layers.last().map_or(Ok(()), |layer| layer.value.wait())
    }

    /// Frees the memory behind the first `length` positions of `slot`, and of those that no query from position `cut`
    /// on reads.
    pub fn trim(&mut self, slot: usize, length: usize, cut: usize) {
        for layer in &mut self.layers {
            let start = layer.first_read(cut).min(length);
            for (_, buffer) in layer.parts_mut() {
                let capacity = buffer.capacity();
                buffer.give_back(slot, 0..start);
                buffer.give_back(slot, length.min(capacity)..capacity);
            }
        }
    }

    pub fn grow(&mut self, capacity: usize) -> Result<()> {
        self.layers.iter_mut().flat_map(Layer::parts_mut).try_for_each(|(_, buffer)| buffer.grow(capacity))
    }
}
