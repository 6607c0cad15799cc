use std::ops::Range;

use super::memory::{Memory, Place};
use crate::ort::{Api, Element, Error, Result, Value};

/// Keys or values of one layer for all slots, [slots, heads, capacity, head size].
pub struct SlotBuffer {
    element: Element,
    slots: usize,
    heads: usize,
    head_size: usize,
    capacity: usize,
    place: Place,
    memory: Box<dyn Memory>,
}

impl SlotBuffer {
    /// `shape`: slots, heads, positions, head size.
    pub fn new(place: Place, element: Element, shape: [usize; 4]) -> Result<Self> {
        let memory = place.zeroed(shape.iter().product::<usize>() * element.size())?;
        let [slots, heads, capacity, head_size] = shape;
        Ok(Self { element, slots, heads, head_size, capacity, place, memory })
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
    /// Use the value and its bindings only while this buffer lives and has not grown.
    pub unsafe fn view(&self, api: Api, first: usize, count: usize) -> Result<Value> {
        if first + count > self.slots {
            return Err(Error(format!("slots {first} to {} of {}", first + count, self.slots)));
        }
        let dims = [count, self.heads, self.capacity, self.head_size].map(|dim| dim as i64);
        let length = count * self.heads * self.capacity * self.head_size;
        let data = self.memory.at(self.offset(first, 0)).cast();
        // SAFETY: these slots exist, and the caller uses the value only while this buffer lives and has not grown. This
        // relies on sizes that do not overflow in `new`.
        unsafe { Value::view_in(api, self.memory.info(api)?, self.element, &dims, (data, length)) }
    }

    /// Waits until the device has made all copies and writes, those of other buffers too.
    pub fn wait(&self) -> Result<()> {
        self.memory.wait()
    }

    /// Copies `positions` of slot `from` over those of slot `to`. Call `wait` behind the last copy.
    pub fn copy(&mut self, from: usize, to: usize, positions: Range<usize>) -> Result<()> {
        assert!(from < self.slots && to < self.slots && positions.end <= self.capacity);
        if from == to {
            return Ok(());
        }
        let skipped = positions.start * self.position_size();
        let size = positions.len() * self.position_size();
        for head in 0..self.heads {
            let start = |slot| self.memory.at(self.offset(slot, head) + skipped);
            let (from, to) = (start(from), start(to));
            // SAFETY: both addresses lie in this buffer, in different slots.
            unsafe { self.memory.copy(from, to, size)? };
        }
        Ok(())
    }

    /// Frees the memory of `positions` of `slot`, page by page. Nobody may read them before they are written again.
    pub fn give_back(&mut self, slot: usize, positions: Range<usize>) {
        assert!(slot < self.slots && positions.end <= self.capacity);
        for head in 0..self.heads {
            let offset = self.offset(slot, head) + positions.start * self.position_size();
            self.memory.give_back(offset, positions.len() * self.position_size());
        }
    }

    /// Fills the first positions of `slot` from a tensor [1, heads, positions, head size] on the host. Call `wait` behind the
    /// last write.
    pub fn write(&mut self, slot: usize, value: &Value) -> Result<()> {
        let (element, dims, data) = value.tensor()?;
        let positions = usize::try_from(dims.get(2).copied().unwrap_or(-1)).unwrap_or(usize::MAX);
        let wanted = [1, self.heads, positions, self.head_size].map(|dim| dim as i64);
        if element != self.element || dims != wanted || positions > self.capacity || slot >= self.slots {
            let (heads, capacity, head_size) = (self.heads, self.capacity, self.head_size);
            return Err(Error(format!(
                "{element:?} {dims:?} does not fit slot {slot} of {:?} [1, {heads}, {capacity}, {head_size}]",
                self.element
            )));
        }
        let size = positions * self.position_size();
        for head in 0..self.heads {
            let from = data.cast::<u8>().wrapping_add(head * size);
            // SAFETY: the tensor has the cache's element type and `positions` per head, and the slot has room for them.
            unsafe { self.memory.upload(from, self.memory.at(self.offset(slot, head)), size)? };
        }
        Ok(())
    }

    /// Makes room for `capacity` positions per slot and keeps the content.
    pub fn grow(&mut self, capacity: usize) -> Result<()> {
        let grown = Self::new(self.place, self.element, [self.slots, self.heads, capacity, self.head_size])?;
        let size = self.capacity.min(capacity) * self.position_size();
        for slot in 0..self.slots {
            for head in 0..self.heads {
                let from = self.memory.at(self.offset(slot, head));
                // SAFETY: these are two buffers, each with room for `size` bytes per head.
                unsafe { self.memory.copy(from, grown.memory.at(grown.offset(slot, head)), size)? };
            }
        }
        grown.wait()?;
        *self = grown;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::memory::tests::host;

    /// Runs `test` in host memory and in memory with addresses that the host cannot use.
    fn everywhere(test: impl Fn(Place)) {
        [Place::Host, Place::Far].into_iter().for_each(test);
    }

    fn here(place: Place, address: *mut u8) -> *mut u8 {
        if place == Place::Far { host(address) } else { address }
    }

    fn fill(buffer: &mut SlotBuffer, slot: usize, head: usize, positions: usize, value: u8) {
        let size = positions * buffer.position_size();
        let address = here(buffer.place, buffer.memory.at(buffer.offset(slot, head)));
        // SAFETY: `here` gives a host address in the buffer, and tests ask for no more positions than follow it.
        unsafe { address.write_bytes(value, size) };
    }

    fn bytes(buffer: &SlotBuffer, slot: usize, head: usize, positions: usize) -> Vec<u8> {
        let size = positions * buffer.position_size();
        let address = here(buffer.place, buffer.memory.at(buffer.offset(slot, head)));
        // SAFETY: as in `fill`; the memory starts zeroed, so every byte is initialised.
        unsafe { std::slice::from_raw_parts(address, size) }.to_vec()
    }

    #[test]
    fn starts_zeroed_and_aligned() {
        let buffer = SlotBuffer::new(Place::Host, Element::F32, [2, 3, 5, 4]).unwrap();
        assert_eq!(buffer.memory.at(0).align_offset(64), 0);
        assert!(bytes(&buffer, 0, 0, 30).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn copies_only_the_positions_asked_for() {
        everywhere(|place| {
            let mut buffer = SlotBuffer::new(place, Element::F16, [2, 2, 5, 4]).unwrap();
            (0..2).for_each(|head| fill(&mut buffer, 0, head, 5, 7));
            buffer.copy(0, 1, 0..3).unwrap();
            for head in 0..2 {
                let copied = bytes(&buffer, 1, head, 5);
                assert!(
                    copied[..24].iter().all(|byte| *byte == 7) && copied[24..].iter().all(|byte| *byte == 0)
                );
            }
        });
    }

    #[test]
    fn copies_from_the_middle() {
        everywhere(|place| {
            let mut buffer = SlotBuffer::new(place, Element::F16, [2, 2, 5, 4]).unwrap();
            (0..2).for_each(|head| fill(&mut buffer, 0, head, 5, 7));
            buffer.copy(0, 1, 2..4).unwrap();
            for head in 0..2 {
                let wanted = [[0; 16], [7; 16]].concat();
                assert_eq!(bytes(&buffer, 1, head, 4), wanted);
                assert!(bytes(&buffer, 1, head, 5)[32..].iter().all(|byte| *byte == 0));
            }
        });
    }

    /// Bytes of the buffer that are in memory.
    #[cfg(all(target_os = "linux", not(miri)))]
    fn resident(buffer: &SlotBuffer) -> usize {
        const PAGE: usize = 4096;
        let size = buffer.offset(buffer.slots, 0);
        let mut pages = vec![0_u8; size.div_ceil(PAGE)];
        // SAFETY: the mapping begins on a page and has `size` bytes; the list has an entry for each page.
        let result = unsafe { libc::mincore(buffer.memory.at(0).cast(), size, pages.as_mut_ptr()) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        pages.iter().filter(|page| **page & 1 == 1).count() * PAGE
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn memory_follows_what_is_written_and_given_back() {
        // 64 KiB of a gibibyte per head and slot.
        let mut buffer = SlotBuffer::new(Place::Host, Element::F32, [4, 2, 1 << 20, 256]).unwrap();
        assert_eq!(resident(&buffer), 0);
        (0..2).for_each(|head| fill(&mut buffer, 3, head, 64, 9));
        assert_eq!(resident(&buffer), 2 << 16);
        buffer.copy(3, 1, 16..64).unwrap();
        assert_eq!(resident(&buffer), (2 << 16) + ((2 * 48) << 10));
        buffer.give_back(3, 0..1 << 20);
        assert_eq!(resident(&buffer), (2 * 48) << 10);
        // A page holds four positions; one that also holds a kept position stays.
        buffer.give_back(1, 0..31);
        assert_eq!(resident(&buffer), (2 * 36) << 10);
        for head in 0..2 {
            assert!(bytes(&buffer, 1, head, 64)[28 << 10..].iter().all(|byte| *byte == 9));
        }
    }

    #[test]
    fn keeps_its_content_when_it_grows() {
        everywhere(|place| {
            let mut buffer = SlotBuffer::new(place, Element::F32, [2, 2, 3, 4]).unwrap();
            fill(&mut buffer, 1, 1, 3, 9);
            buffer.grow(8).unwrap();
            assert_eq!(buffer.capacity(), 8);
            let kept = bytes(&buffer, 1, 1, 8);
            assert!(kept[..48].iter().all(|byte| *byte == 9) && kept[48..].iter().all(|byte| *byte == 0));
        });
    }
}
