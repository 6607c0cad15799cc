// libcudart.so.13: kernels, which are counted by name and never run.
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "runtime.hpp"

using namespace stand_in;

namespace {

/// The names of kernels, which the provider's library registers when it loads.
class Names {
 public:
  void set(const void* kernel, const char* name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    names_[kernel] = name;
  }
  std::string of(const void* kernel) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = names_.find(kernel);
    return found == names_.end() ? "unregistered" : found->second;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const void*, std::string> names_;
};

Names& names() {
  static Names& only = *new Names;
  return only;
}

struct Configuration {
  dim3 grid, block;
  size_t shared;
  void* stream;
};
thread_local Configuration pushed;

cudaError_t launch(const char* call, const void* kernel, const void* stream) {
  return called(call, [=] { launched(names().of(kernel), stream); });
}

}  // namespace

EXPORTED void** __cudaRegisterFatBinary(void*) {
  static void* handle;
  return &handle;
}
EXPORTED void __cudaRegisterFatBinaryEnd(void**) {}
EXPORTED void __cudaUnregisterFatBinary(void**) {}
EXPORTED void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
EXPORTED void __cudaRegisterFunction(void**, const char* kernel, char*, const char* name, int, uint3*, uint3*,
                                     dim3*, dim3*, int*) {
  names().set(kernel, name);
}
EXPORTED unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void* stream) {
  pushed = {grid, block, shared, stream};
  return 0;
}
RUNTIME __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  *grid = pushed.grid;
  *block = pushed.block;
  *shared = pushed.shared;
  *static_cast<void**>(stream) = pushed.stream;
  return cudaSuccess;
}
RUNTIME __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = static_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
/// What kernels that are launched with `<<<…>>>` end in.
RUNTIME __cudaLaunchKernel(cudaKernel_t kernel, dim3, dim3, void**, size_t, cudaStream_t stream) {
  return launch("cudaLaunchKernel", kernel, stream);
}
RUNTIME cudaLaunchKernel(const void* kernel, dim3, dim3, void**, size_t, cudaStream_t stream) {
  return launch("cudaLaunchKernel", kernel, stream);
}
RUNTIME cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* kernel, void**) {
  return launch(__func__, kernel, config->stream);
}
RUNTIME cudaLaunchCooperativeKernel(const void* kernel, dim3, dim3, void**, size_t, cudaStream_t stream) {
  return launch(__func__, kernel, stream);
}

RUNTIME cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  return called(__func__, [=] {
    *attributes = {};
    attributes->maxThreadsPerBlock = 1024;
    attributes->numRegs = 64;
    attributes->binaryVersion = attributes->ptxVersion = capability();
    attributes->maxDynamicSharedSizeBytes = 227 << 10;
  });
}
RUNTIME cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return called(__func__); }
RUNTIME cudaKernelSetAttributeForDevice(cudaKernel_t, cudaFuncAttribute, int, int) { return called(__func__); }
RUNTIME cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int, size_t, unsigned) {
  return called(__func__, [=] { *blocks = 2; });
}
RUNTIME cudaLibraryLoadData(cudaLibrary_t* library, const void*, cudaJitOption*, void**, unsigned,
                            cudaLibraryOption*, void**, unsigned) {
  return makes(__func__, library);
}
RUNTIME cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t, const char* name) {
  return called(__func__, [=] {
    *kernel = static_cast<cudaKernel_t>(new_handle());
    names().set(*kernel, name);
  });
}
RUNTIME cudaLibraryUnload(cudaLibrary_t) { return called(__func__); }
