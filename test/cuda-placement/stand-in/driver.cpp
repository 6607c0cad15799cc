// libcuda.so.1: the driver, which the native addon calls.
#include <cuda.h>

#include <cstring>

#include "stand-in.hpp"

using namespace stand_in;

#define DRIVER EXPORTED CUresult

namespace {

template <class Work>
CUresult called(const char* name, Work work) {
  if (fails(name)) return CUDA_ERROR_UNKNOWN;
  work();
  return CUDA_SUCCESS;
}

CUresult called(const char* name) {
  return called(name, [] {});
}

void* at(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

int attribute(CUdevice_attribute attribute) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return capability() / 10;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return capability() % 10;
    default: return 1;
  }
}

CUcontext only_context() { return reinterpret_cast<CUcontext>(0x10); }

}  // namespace

DRIVER cuInit(unsigned) { return called(__func__); }
DRIVER cuDriverGetVersion(int* version) { return called(__func__, [=] { *version = 13000; }); }
DRIVER cuDeviceGet(CUdevice* device, int) { return called(__func__, [=] { *device = 0; }); }
DRIVER cuDeviceGetCount(int* count) { return called(__func__, [=] { *count = 1; }); }
DRIVER cuDeviceGetAttribute(int* value, CUdevice_attribute wanted, CUdevice) {
  return called(__func__, [=] { *value = attribute(wanted); });
}
DRIVER cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  return called(__func__, [=] { *context = only_context(); });
}
DRIVER cuCtxSetCurrent(CUcontext) { return called(__func__); }
#undef cuCtxGetDevice
DRIVER cuCtxGetDevice(CUdevice* device) { return called(__func__, [=] { *device = 0; }); }
#undef cuCtxSynchronize
DRIVER cuCtxSynchronize() { return called(__func__); }

DRIVER cuMemAlloc_v2(CUdeviceptr* address, size_t size) {
  return called(__func__, [=] { *address = reinterpret_cast<CUdeviceptr>(allocate(size)); });
}
DRIVER cuMemFree_v2(CUdeviceptr address) { return called(__func__, [=] { release(at(address)); }); }
DRIVER cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t size) {
  return called(__func__, [=] { fill(at(to), value, size); });
}
DRIVER cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t size) {
  return called(__func__, [=] { copy(at(to), at(from), size); });
}
DRIVER cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t size) {
  return called(__func__, [=] { copy(at(to), from, size); });
}
DRIVER cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t size) {
  return called(__func__, [=] { copy(to, at(from), size); });
}

DRIVER cuMemGetInfo_v2(size_t* available, size_t* total) {
  return called(__func__, [=] {
    *total = device_bytes();
    *available = *total - held_bytes();
  });
}

DRIVER cuModuleLoadData(CUmodule* module, const void* image) {
  return called(__func__, [=] {
    *module = static_cast<CUmodule>(new_handle());
    count(std::memcmp(image, "\177ELF", 4) == 0 ? "modules of machine code" : "modules of PTX");
  });
}
DRIVER cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
  return called(__func__, [=] { *function = reinterpret_cast<CUfunction>(strdup(name)); });
}
DRIVER cuLaunchKernel(CUfunction kernel, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                      CUstream stream, void**, void**) {
  return called(__func__,
                [=] { launched(std::string("ai.altup ") + reinterpret_cast<const char*>(kernel), stream); });
}
DRIVER cuTensorMapEncodeTiled(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                              const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                              CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  return called(__func__);
}
/// NVRTC asks for a table of private functions, but can run without it.
DRIVER cuGetExportTable(const void** table, const CUuuid*) {
  *table = nullptr;
  return CUDA_ERROR_NOT_FOUND;
}
DRIVER cuGetErrorName(CUresult, const char** name) {
  *name = "CUDA_ERROR_UNKNOWN";
  return CUDA_SUCCESS;
}
DRIVER cuGetErrorString(CUresult, const char** text) {
  *text = "the stand-in fails";
  return CUDA_SUCCESS;
}
