use super::memory::Memory;
use crate::ort::{Api, Element, Error, Result, Value};

/// Keys or values of one layer for all slots, [slots, heads, capacity, head size].
pub struct SlotBuffer {
    element: Element,
    slots: usize,
    heads: usize,
    head_size: usize,
    capacity: usize,
    memory: Memory,
}

impl SlotBuffer {
    pub fn new(element: Element, slots: usize, heads: usize, head_size: usize, capacity: usize) -> Self {
        let memory = Memory::zeroed(slots * heads * capacity * head_size * element.size());
        Self { element, slots, heads, head_size, capacity, memory }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes of one position of one head.
    fn position_size(&self) -> usize {
        self.head_size * self.element.size()
    }

    fn offset(&self, slot: usize, head: usize) -> usize {
        (slot * self.heads + head) * self.capacity * self.position_size()
    }

    /// Slots `first..first + count` as a tensor.
    ///
    /// # Safety
    /// The value, and what it is bound to, is used only while this buffer lives and has not grown.
    pub unsafe fn view(&self, api: Api, first: usize, count: usize) -> Result<Value> {
        if first + count > self.slots {
            return Err(Error(format!("slots {first} to {} of {}", first + count, self.slots)));
        }
        let dims = [count, self.heads, self.capacity, self.head_size].map(|dim| dim as i64);
        let length = count * self.heads * self.capacity * self.head_size;
        let data = self.memory.at(self.offset(first, 0)).cast();
        unsafe { Value::view(api, self.element, &dims, data, length) }
    }

    /// The first `positions` of slot `from` over those of slot `to`.
    pub fn copy(&mut self, from: usize, to: usize, positions: usize) {
        assert!(from < self.slots && to < self.slots && positions <= self.capacity);
        if from == to {
            return;
        }
        let size = positions * self.position_size();
        for head in 0..self.heads {
            let (from, to) = (self.memory.at(self.offset(from, head)), self.memory.at(self.offset(to, head)));
            // SAFETY: both ends lie in this buffer, in slots of their own.
            unsafe { from.copy_to_nonoverlapping(to, size) };
        }
    }

    /// The first positions of `slot` from a tensor [1, heads, positions, head size].
    pub fn write(&mut self, slot: usize, value: &Value) -> Result<()> {
        let (dims, data) = value.tensor()?;
        let positions = usize::try_from(dims.get(2).copied().unwrap_or(-1)).unwrap_or(usize::MAX);
        let wanted = [1, self.heads, positions, self.head_size].map(|dim| dim as i64);
        if dims != wanted || positions > self.capacity || slot >= self.slots {
            let (heads, capacity, head_size) = (self.heads, self.capacity, self.head_size);
            return Err(Error(format!(
                "{dims:?} does not fit slot {slot} of [1, {heads}, {capacity}, {head_size}]"
            )));
        }
        let size = positions * self.position_size();
        for head in 0..self.heads {
            let from = data.cast::<u8>().wrapping_add(head * size);
            // SAFETY: the tensor holds as many positions per head, and the slot has room for them.
            unsafe { from.copy_to_nonoverlapping(self.memory.at(self.offset(slot, head)), size) };
        }
        Ok(())
    }

    /// Makes room for `capacity` positions per slot; what was written stays.
    pub fn grow(&mut self, capacity: usize) {
        let grown = Self::new(self.element, self.slots, self.heads, self.head_size, capacity);
        let size = self.capacity.min(capacity) * self.position_size();
        for slot in 0..self.slots {
            for head in 0..self.heads {
                let from = self.memory.at(self.offset(slot, head));
                // SAFETY: two buffers, each with room for as many positions.
                unsafe { from.copy_to_nonoverlapping(grown.memory.at(grown.offset(slot, head)), size) };
            }
        }
        *self = grown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut SlotBuffer, slot: usize, head: usize, positions: usize, value: u8) {
        let size = positions * buffer.position_size();
        unsafe { buffer.memory.at(buffer.offset(slot, head)).write_bytes(value, size) };
    }

    fn bytes(buffer: &SlotBuffer, slot: usize, head: usize, positions: usize) -> Vec<u8> {
        let size = positions * buffer.position_size();
        unsafe { std::slice::from_raw_parts(buffer.memory.at(buffer.offset(slot, head)), size) }.to_vec()
    }

    #[test]
    fn starts_zeroed_and_aligned() {
        let buffer = SlotBuffer::new(Element::F32, 2, 3, 4, 5);
        assert_eq!(buffer.memory.at(0).align_offset(64), 0);
        assert!(bytes(&buffer, 0, 0, 30).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn copies_only_the_positions_asked_for() {
        let mut buffer = SlotBuffer::new(Element::F16, 2, 2, 4, 5);
        (0..2).for_each(|head| fill(&mut buffer, 0, head, 5, 7));
        buffer.copy(0, 1, 3);
        for head in 0..2 {
            let copied = bytes(&buffer, 1, head, 5);
            assert!(copied[..24].iter().all(|byte| *byte == 7) && copied[24..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn keeps_its_content_when_it_grows() {
        let mut buffer = SlotBuffer::new(Element::F32, 2, 2, 4, 3);
        fill(&mut buffer, 1, 1, 3, 9);
        buffer.grow(8);
        assert_eq!(buffer.capacity(), 8);
        let kept = bytes(&buffer, 1, 1, 8);
        assert!(kept[..48].iter().all(|byte| *byte == 9) && kept[48..].iter().all(|byte| *byte == 0));
    }
}
