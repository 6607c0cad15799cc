// Each allocation has two addresses: the one CUDA returns, which nothing may touch, and a hidden one for copies.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "stand-in.hpp"

namespace stand_in {
namespace {

struct Allocation {
  char* hidden;
  size_t size;
};

class Memory {
 public:
  void* allocate(size_t size) {
    const size_t whole = (size + page - 1) / page * page + (size == 0) * page;
    const int file = memfd_create("stand-in", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, whole) != 0) throw std::bad_alloc();
    void* address = mmap(nullptr, whole, PROT_NONE, MAP_SHARED, file, 0);
    void* hidden = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (address == MAP_FAILED || hidden == MAP_FAILED) throw std::bad_alloc();
    const std::lock_guard<std::mutex> lock(mutex_);
    held_[static_cast<char*>(address)] = {static_cast<char*>(hidden), whole};
    bytes_ += whole;
    count("held bytes", static_cast<int64_t>(whole));
    count("held allocations");
    return address;
  }

  void release(void* address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = held_.find(static_cast<char*>(address));
    if (found == held_.end()) return;
    const auto [hidden, size] = found->second;
    munmap(address, size);
    munmap(hidden, size);
    held_.erase(found);
    bytes_ -= size;
    count("held bytes", -static_cast<int64_t>(size));
    count("held allocations", -1);
  }

  size_t bytes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return bytes_;
  }

  /// Where the host can read what `address` names; null if it is no device memory.
  char* hidden(const void* address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    char* const wanted = static_cast<char*>(const_cast<void*>(address));
    auto next = held_.upper_bound(wanted);
    if (next == held_.begin()) return nullptr;
    const auto& [start, own] = *--next;
    return wanted < start + own.size ? own.hidden + (wanted - start) : nullptr;
  }

 private:
  static constexpr size_t page = 4096;
  std::mutex mutex_;
  std::map<char*, Allocation> held_;
  size_t bytes_ = 0;
};

Memory& memory() {
  static Memory& only = *new Memory;
  return only;
}

}  // namespace

void* allocate(size_t size) { return memory().allocate(size); }
void release(void* address) { memory().release(address); }
size_t device_bytes() { return size_t{80} << 30; }
size_t held_bytes() { return memory().bytes(); }
bool is_device(const void* address) { return memory().hidden(address) != nullptr; }

void copy(void* to, const void* from, size_t size) {
  char* const target = memory().hidden(to);
  const char* const source = memory().hidden(from);
  const std::string way = std::string(source ? "device" : "host") + " to " + (target ? "device" : "host");
  count("copies " + way);
  count("bytes " + way, static_cast<int64_t>(size));
  std::memmove(target ? target : to, source ? source : from, size);
}

void fill(void* to, unsigned char value, size_t size) {
  char* const target = memory().hidden(to);
  std::memset(target ? target : to, value, size);
}

}  // namespace stand_in
