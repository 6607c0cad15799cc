// The ledger is a file of fixed records in shared memory, so the test can read it at any time, even after a crash.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "stand-in.hpp"

namespace stand_in {
namespace {

struct Record {
  std::atomic<int64_t> value;
  char name[248];
};

constexpr size_t records = 4096;

/// Record 0 names the call that shall fail; its value is how often, and the test sets it.
class Ledger {
 public:
  Ledger() {
    const char* path = std::getenv("STAND_IN_LEDGER");
    const int file = path ? open(path, O_RDWR) : -1;
    const size_t size = records * sizeof(Record);
    const bool is_shared = file >= 0 && ftruncate(file, size) == 0;
    const int kind = is_shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, kind, is_shared ? file : -1, 0);
    if (memory == MAP_FAILED) abort();
    table_ = static_cast<Record*>(memory);
    if (file >= 0) close(file);
  }

  void add(const std::string& name, int64_t by) { of(name).value += by; }

  bool takes_failure(const char* call) {
    Record& failing = table_[0];
    return failing.value > 0 && std::strcmp(failing.name, call) == 0 && failing.value-- > 0;
  }

 private:
  Record& of(const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto [place, is_new] = index_.try_emplace(name.substr(0, sizeof(Record::name) - 1), index_.size() + 1);
    if (place->second >= records) abort();
    Record& record = table_[place->second];
    if (is_new) std::memcpy(record.name, place->first.c_str(), place->first.size() + 1);
    return record;
  }

  std::mutex mutex_;
  std::unordered_map<std::string, size_t> index_;
  Record* table_;
};

/// Never destroyed: libraries still call while the process ends.
Ledger& ledger() {
  static Ledger& only = *new Ledger;
  return only;
}

}  // namespace

void count(const std::string& entry, int64_t by) { ledger().add(entry, by); }

bool fails(const char* call) {
  count(std::string("call ") + call);
  return ledger().takes_failure(call);
}

int capability() {
  const char* wanted = std::getenv("STAND_IN_CAPABILITY");
  return wanted ? std::atoi(wanted) : 90;
}

void* new_handle() {
  static std::atomic<uintptr_t> last{0};
  return reinterpret_cast<void*>(16 * ++last);
}

void launched(const std::string& kernel, const void* stream) {
  count("launch " + kernel);
  count(stream ? "stream " + std::to_string(reinterpret_cast<uintptr_t>(stream) / 16) : "stream default");
}

}  // namespace stand_in
