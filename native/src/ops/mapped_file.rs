//! Where a model's file is in memory: which bytes are whose, and giving back what nobody reads any more.

use std::cell::RefCell;

/// Bytes that may wait.
const MAX_WAITING: usize = 64 << 20;

thread_local! {
    /// Start and size of what this thread gives back next.
    static WAITING: RefCell<Vec<(usize, usize)>> = const { RefCell::new(Vec::new()) };
}

/// Gives the memory of these bytes back to the system if it is a file's: it is read from the file again if somebody needs
/// it. Other memory stays as it is. The list of mappings takes long to read, so bytes may wait until the model is loaded.
///
/// # Safety
/// The bytes stay where they are until this thread calls [`loaded`].
pub unsafe fn forget_file_pages(start: *const u8, bytes: usize) {
    WAITING.with_borrow_mut(|waiting| {
        waiting.push((start as usize, bytes));
        if waiting.iter().map(|(_, bytes)| bytes).sum::<usize>() >= MAX_WAITING {
            give_back(&std::mem::take(waiting));
        }
    });
}

/// Call it when a model is loaded, or could not be: then what waits may be somebody else's already.
pub fn loaded(is_complete: bool) {
    let waiting = WAITING.take();
    if is_complete && !waiting.is_empty() {
        give_back(&waiting);
    }
}

/// A byte of a file. It is the same for every mapping of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    device: String,
    inode: u64,
    offset: usize,
}

/// What these addresses map; None for memory that is no file's. Reading the list of mappings takes long.
pub fn places_of<const N: usize>(addresses: [*const u8; N]) -> [Option<FilePlace>; N] {
    let files = private_files();
    addresses.map(|address| {
        let address = address as usize;
        let own = files.iter().find(|file| file.start <= address && address < file.end)?;
        let FilePlace { device, inode, offset } = own.first.clone();
        Some(FilePlace { device, inode, offset: offset + (address - own.start) })
    })
}

#[cfg(target_os = "linux")]
fn give_back(waiting: &[(usize, usize)]) {
    let files = private_files();
    // SAFETY: it only asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    for &(start, bytes) in waiting {
        let (first, end) = (start.next_multiple_of(page), (start + bytes) / page * page);
        if first < end && files.iter().any(|file| file.start <= start && start + bytes <= file.end) {
            // SAFETY: these whole pages are a private mapping of a file that nobody writes to, so they come back as they
            // are.
            unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_DONTNEED) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn give_back(_: &[(usize, usize)]) {}

/// A private mapping of a file.
struct Mapping {
    start: usize,
    end: usize,
    /// The place of its first byte.
    first: FilePlace,
}

#[cfg(not(target_os = "linux"))]
fn private_files() -> Vec<Mapping> {
    Vec::new()
}

/// A line of `/proc/self/maps` is `start-end permissions offset device inode path`.
#[cfg(target_os = "linux")]
fn private_files() -> Vec<Mapping> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let hexadecimal = |text: &str| usize::from_str_radix(text, 16).ok();
    let mapping = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let (access, offset, device) = (words.next()?, hexadecimal(words.next()?)?, words.next()?.to_owned());
        let inode = words.next()?.parse().ok()?;
        // These have an inode, but their pages do not come back.
        let is_memory =
            words.next().is_some_and(|path| path.starts_with("/dev/") || path.starts_with("/anon"));
        let first = FilePlace { device, inode, offset };
        let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
        (access.ends_with('p') && inode != 0 && !is_memory).then_some(Mapping { start, end, first })
    };
    maps.lines().filter_map(mapping).collect()
}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    /// Pages of a mapping that are in memory of this process, by its page table.
    fn resident(start: *const u8) -> usize {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let own = maps.split_once(&format!("{:x}-", start as usize)).unwrap().1;
        let size = own.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        size.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn a_files_pages_leave_and_come_back() {
        let path = std::env::temp_dir().join(format!("altup-mapped-{}", std::process::id()));
        let mut file = std::fs::File::create_new(&path).unwrap();
        file.write_all(&vec![7; 1 << 20]).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE);
        // SAFETY: the file has these bytes, and the mapping stays until the process ends.
        let bytes = unsafe {
            let start = libc::mmap(std::ptr::null_mut(), 1 << 20, access, kind, file.as_raw_fd(), 0);
            std::slice::from_raw_parts(start.cast::<u8>(), 1 << 20)
        };
        assert!(bytes.iter().all(|byte| *byte == 7));
        assert_eq!(resident(bytes.as_ptr()), 1024);
        // SAFETY: the mapping stays.
        unsafe { forget_file_pages(bytes[100..].as_ptr(), (1 << 20) - 100) };
        loaded(false);
        assert_eq!(resident(bytes.as_ptr()), 1024);
        // SAFETY: as above.
        unsafe { forget_file_pages(bytes[100..].as_ptr(), (1 << 20) - 100) };
        loaded(true);
        assert_eq!(resident(bytes.as_ptr()), 4);
        assert!(bytes.iter().all(|byte| *byte == 7));

        // A second mapping, of the file's second half.
        // SAFETY: as above.
        let half = unsafe {
            let start = libc::mmap(std::ptr::null_mut(), 1 << 19, access, kind, file.as_raw_fd(), 1 << 19);
            start.cast::<u8>().cast_const()
        };
        let own = &bytes[(1 << 19) + 5..];
        let [first, second, before] = places_of([own.as_ptr(), half.wrapping_add(5), bytes.as_ptr()]);
        assert!(first.is_some());
        assert_eq!(first, second);
        assert_ne!(first, before);
        assert_eq!(places_of([vec![7_u8; 100].as_ptr()]), [None]);
    }

    #[test]
    fn other_memory_stays() {
        let bytes = vec![7_u8; 1 << 20];
        // SAFETY: the vector lives until the end.
        unsafe { forget_file_pages(bytes.as_ptr(), bytes.len()) };
        loaded(true);
        assert!(bytes.iter().all(|byte| *byte == 7));
    }
}
