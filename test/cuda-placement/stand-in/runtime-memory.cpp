// libcudart.so.13: memory. Every copy is done at once.
#include <cstdlib>

#include "runtime.hpp"

using namespace stand_in;

RUNTIME cudaMalloc(void** address, size_t size) {
  return called(__func__, [=] { *address = allocate(size); });
}
RUNTIME cudaMallocFromPoolAsync(void** address, size_t size, cudaMemPool_t, cudaStream_t) {
  return called(__func__, [=] { *address = allocate(size); });
}
RUNTIME cudaFree(void* address) { return called(__func__, [=] { release(address); }); }
RUNTIME cudaFreeAsync(void* address, cudaStream_t) { return called(__func__, [=] { release(address); }); }

RUNTIME cudaMallocHost(void** address, size_t size) {
  return called(__func__, [=] { *address = std::calloc(1, size); });
}
RUNTIME cudaHostAlloc(void** address, size_t size, unsigned) {
  return called(__func__, [=] { *address = std::calloc(1, size); });
}
RUNTIME cudaFreeHost(void* address) { return called(__func__, [=] { std::free(address); }); }

RUNTIME cudaMemGetInfo(size_t* available, size_t* total) {
  return called(__func__, [=] {
    *total = device_bytes();
    *available = *total - held_bytes();
  });
}
RUNTIME cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  return called(__func__, [=] {
    *attributes = {};
    attributes->type = is_device(address) ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
    if (is_device(address)) attributes->devicePointer = const_cast<void*>(address);
  });
}

RUNTIME cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind) {
  return called(__func__, [=] { copy(to, from, size); });
}
RUNTIME cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind, cudaStream_t) {
  return called(__func__, [=] { copy(to, from, size); });
}
RUNTIME cudaMemcpy2DAsync(void* to, size_t to_row, const void* from, size_t from_row, size_t width,
                          size_t height, cudaMemcpyKind, cudaStream_t) {
  return called(__func__, [=] {
    for (size_t row = 0; row < height; row++)
      copy(static_cast<char*>(to) + row * to_row, static_cast<const char*>(from) + row * from_row, width);
  });
}
RUNTIME cudaMemcpyFromSymbol(void* to, const void*, size_t size, size_t, cudaMemcpyKind) {
  return called(__func__, [=] { fill(to, 0, size); });
}
RUNTIME cudaMemset(void* to, int value, size_t size) {
  return called(__func__, [=] { fill(to, static_cast<unsigned char>(value), size); });
}
RUNTIME cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t) {
  return called(__func__, [=] { fill(to, static_cast<unsigned char>(value), size); });
}

RUNTIME cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps*) { return makes(__func__, pool); }
RUNTIME cudaMemPoolDestroy(cudaMemPool_t) { return called(__func__); }
RUNTIME cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void* value) {
  return called(__func__, [=] { *static_cast<uint64_t*>(value) = 0; });
}
RUNTIME cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return called(__func__); }
RUNTIME cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return called(__func__); }
