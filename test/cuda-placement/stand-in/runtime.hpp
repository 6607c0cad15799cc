// What the parts of libcudart.so.13 share.
#pragma once

#include <cuda_runtime_api.h>

#include "stand-in.hpp"

namespace stand_in {

/// The error of the last failed call, until `cudaGetLastError` takes it.
extern thread_local cudaError_t last_error;

/// A call of the runtime that does `work`, unless the test wants it to fail.
template <class Work>
cudaError_t called(const char* name, Work work) {
  if (fails(name)) return last_error = cudaErrorUnknown;
  work();
  return cudaSuccess;
}

inline cudaError_t called(const char* name) {
  return called(name, [] {});
}

template <class Handle>
cudaError_t makes(const char* name, Handle* handle) {
  return called(name, [=] { *handle = static_cast<Handle>(new_handle()); });
}

}  // namespace stand_in

#define RUNTIME EXPORTED cudaError_t
