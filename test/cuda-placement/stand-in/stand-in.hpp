// What the stand-in's libraries share: a ledger of calls, and memory that only the "device" can read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace stand_in {

/// Adds `by` to an entry of the ledger, a file of the test.
void count(const std::string& entry, int64_t by = 1);

/// Counts a call of CUDA. @returns whether the test wants this one to fail
bool fails(const char* call);

/// The device's compute capability, 90 for 9.0.
int capability();

/// A number that no other stream, event or graph has.
void* new_handle();

/// Device memory, all zeros. Like a GPU's, its address means nothing to the host: reading it there is a fault.
void* allocate(size_t size);
void release(void* address);
bool is_device(const void* address);
/// Bytes of the whole device, and of what is allocated.
size_t device_bytes();
size_t held_bytes();

/// Copies between any two of host and device memory, and counts direction and size.
void copy(void* to, const void* from, size_t size);
void fill(void* to, unsigned char value, size_t size);

/// Counts work that a GPU would do now: a kernel or a product of matrices.
void launched(const std::string& kernel, const void* stream);

}  // namespace stand_in

/// A function that the stand-in exports.
#define EXPORTED extern "C" __attribute__((visibility("default")))
