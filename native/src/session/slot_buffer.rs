use std::ops::Range;

use super::memory::{Memory, Place};
use crate::kernels::byte_rows::{ByteRows, GROUP, width};
use crate::ort::{Api, Element, Error, MemoryInfo, Result, Value};

/// Keys or values of one layer for all slots, [slots, heads, positions, head size]. A head holds its rows one behind the
/// other, or their codes in int8 and then their scales.
pub struct SlotBuffer {
    element: Element,
    slots: usize,
    heads: usize,
    head_size: usize,
    /// Positions of the tensor.
    positions: usize,
    /// None: rows of numbers.
    bytes: Option<ByteRows>,
    place: Place,
    memory: Box<dyn Memory>,
}

impl SlotBuffer {
    /// `shape`: slots, heads, positions, head size.
    pub fn new(place: Place, element: Element, shape: [usize; 4]) -> Result<Self> {
        let memory = place.zeroed(shape.iter().product::<usize>() * element.size())?;
        let [slots, heads, positions, head_size] = shape;
        Ok(Self { element, slots, heads, head_size, positions, bytes: None, place, memory })
    }

    /// A buffer whose tensor of `element` holds codes. The tensor has fewer positions than rows.
    pub fn of_bytes(place: Place, element: Element, shape: [usize; 4]) -> Result<Self> {
        let [slots, heads, capacity, head_size] = shape;
        let row = (head_size, element.size());
        let positions = ByteRows::tensor_positions(capacity, row);
        let numbers = Self::new(place, element, [slots, heads, positions, head_size])?;
        Ok(Self { bytes: Some(ByteRows::within(positions, row)), ..numbers })
    }

    /// Rows that a head has room for.
    pub fn capacity(&self) -> usize {
        self.bytes.map_or(self.positions, |rows| rows.capacity)
    }

    /// Bytes of one position of one head in the tensor.
    fn position_size(&self) -> usize {
        self.head_size * self.element.size()
    }

    fn offset(&self, slot: usize, head: usize) -> usize {
        (slot * self.heads + head) * self.positions * self.position_size()
    }

    /// Where the rows of `positions` are, and their bytes: the codes and the scales, or the numbers and nothing. Codes
    /// only come in whole groups.
    fn parts(&self, slot: usize, head: usize, positions: &Range<usize>) -> [(usize, usize); 2] {
        let (start, count) = (self.offset(slot, head), positions.len());
        match self.bytes {
            None => {
                [(start + positions.start * self.position_size(), count * self.position_size()), (start, 0)]
            }
            Some(rows) => [
                (start + rows.codes(positions.start), count * width(self.head_size)),
                (start + rows.scale(positions.start), count * size_of::<f32>()),
            ],
        }
    }

    /// Slots `first..first + count` as a tensor.
    ///
    /// # Safety
    /// Use the value and its bindings only while this buffer lives and has not grown.
    pub unsafe fn view(&self, api: Api, first: usize, count: usize) -> Result<Value> {
        if first + count > self.slots {
            return Err(Error(format!("slots {first} to {} of {}", first + count, self.slots)));
        }
        let dims = [count, self.heads, self.positions, self.head_size].map(|dim| dim as i64);
        let length = count * self.heads * self.positions * self.head_size;
        let data = self.memory.at(self.offset(first, 0)).cast();
        // SAFETY: these slots exist, and the caller uses the value only while this buffer lives and has not grown. This
        // relies on sizes that do not overflow in `new`.
        unsafe { Value::view_in(api, self.memory.info(api)?, self.element, &dims, (data, length)) }
    }

    /// Its memory's description for ONNX Runtime.
    pub fn memory_info(&self, api: Api) -> Result<MemoryInfo> {
        self.memory.info(api)
    }

    /// Waits until the device has made all copies and writes, those of other buffers too.
    pub fn wait(&self) -> Result<()> {
        self.memory.wait()
    }

    /// Copies `positions` of slot `from` over those of slot `to`. Call `wait` behind the last copy.
    pub fn copy(&mut self, from: usize, to: usize, positions: Range<usize>) -> Result<()> {
        assert!(from < self.slots && to < self.slots && positions.end <= self.capacity());
        if from == to {
            return Ok(());
        }
        let positions = match self.bytes {
            None => positions,
            // Nobody reads the other positions of the groups.
            Some(_) => positions.start - positions.start % GROUP..positions.end.next_multiple_of(GROUP),
        };
        for head in 0..self.heads {
            let parts = self.parts(from, head, &positions).into_iter().zip(self.parts(to, head, &positions));
            for ((from, size), (to, _)) in parts {
                // SAFETY: both addresses lie in this buffer, in different slots.
                unsafe { self.memory.copy(self.memory.at(from), self.memory.at(to), size)? };
            }
        }
        Ok(())
    }

    /// Frees the memory of `positions` of `slot`, page by page. Nobody may read them before they are written again.
    pub fn give_back(&mut self, slot: usize, positions: Range<usize>) {
        assert!(slot < self.slots && positions.end <= self.capacity());
        let positions = match self.bytes {
            None => positions,
            Some(_) => positions.start.next_multiple_of(GROUP)..positions.end - positions.end % GROUP,
        };
        if positions.is_empty() {
            return;
        }
        for head in 0..self.heads {
            for (offset, size) in self.parts(slot, head, &positions) {
                self.memory.give_back(offset, size);
            }
        }
    }

    /// Fills the first positions of `slot` from a tensor [1, heads, positions, head size] in the same kind of memory. Call
    /// `wait` behind the last write, before the tensor goes.
    pub fn write(&mut self, slot: usize, value: &Value) -> Result<()> {
        let (element, dims, data) = value.tensor()?;
        let positions = usize::try_from(dims.get(2).copied().unwrap_or(-1)).unwrap_or(usize::MAX);
        let wanted = [1, self.heads, positions, self.head_size].map(|dim| dim as i64);
        let capacity = self.capacity();
        assert!(self.bytes.is_none(), "an encoder's output is numbers");
        if element != self.element || dims != wanted || positions > capacity || slot >= self.slots {
            let (heads, head_size) = (self.heads, self.head_size);
            return Err(Error(format!(
                "{element:?} {dims:?} does not fit slot {slot} of {:?} [1, {heads}, {capacity}, {head_size}]",
                self.element
            )));
        }
        let size = positions * self.position_size();
        for head in 0..self.heads {
            let from = data.cast::<u8>().wrapping_add(head * size);
            // SAFETY: the tensor has the cache's element type and `positions` per head, and the slot has room for them.
            unsafe { self.memory.copy(from, self.memory.at(self.offset(slot, head)), size)? };
        }
        Ok(())
    }

    /// Makes room for `capacity` positions per slot and keeps the content.
    pub fn grow(&mut self, capacity: usize) -> Result<()> {
        let make = if self.bytes.is_some() { Self::of_bytes } else { Self::new };
        let grown = make(self.place, self.element, [self.slots, self.heads, capacity, self.head_size])?;
        let kept = 0..self.capacity().min(grown.capacity());
        for (slot, head) in (0..self.slots).flat_map(|slot| (0..self.heads).map(move |head| (slot, head))) {
            let parts = self.parts(slot, head, &kept).into_iter().zip(grown.parts(slot, head, &kept));
            for ((from, size), (to, _)) in parts {
                // SAFETY: these are two buffers, each with room for these rows.
                unsafe { self.memory.copy(self.memory.at(from), grown.memory.at(to), size)? };
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

    #[test]
    fn copies_and_keeps_whole_groups_of_codes() {
        everywhere(|place| {
            let mut buffer = SlotBuffer::of_bytes(place, Element::F16, [2, 2, 60, 20]).unwrap();
            let rows = buffer.bytes.unwrap();
            assert_eq!(buffer.capacity(), rows.capacity);
            let all = buffer.positions;
            (0..2).for_each(|head| fill(&mut buffer, 0, head, all, 7));
            buffer.copy(0, 1, 17..20).unwrap();
            let is_copied = |byte: usize| {
                (rows.codes(16)..rows.codes(32)).contains(&byte)
                    || (rows.scale(16)..rows.scale(32)).contains(&byte)
            };
            for head in 0..2 {
                let found = bytes(&buffer, 1, head, all);
                assert!(found.iter().enumerate().all(|(i, byte)| *byte == if is_copied(i) { 7 } else { 0 }));
            }
            buffer.grow(100).unwrap();
            let grown = buffer.bytes.unwrap();
            assert!(grown.capacity >= 100);
            for head in 0..2 {
                let found = bytes(&buffer, 0, head, buffer.positions);
                assert!(found[..rows.codes(rows.capacity)].iter().all(|byte| *byte == 7));
                assert!(found[grown.scale(0)..grown.scale(rows.capacity)].iter().all(|byte| *byte == 7));
                assert!(found[grown.scale(rows.capacity)..].iter().all(|byte| *byte == 0));
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
