// libcudart.so.13: the device, errors, streams, events and graphs.
#include <cstring>

#include "runtime.hpp"

using namespace stand_in;

thread_local cudaError_t stand_in::last_error = cudaSuccess;

namespace {

constexpr int processors = 132;
constexpr int shared_bytes = 48 << 10;
constexpr int shared_bytes_opted_in = 227 << 10;
constexpr int shared_bytes_of_processor = 228 << 10;
constexpr int cache_bytes = 50 << 20;
constexpr int longest_grid = 2147483647;
constexpr int version = 13000;

int attribute(cudaDeviceAttr attribute) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: return capability() / 10;
    case cudaDevAttrComputeCapabilityMinor: return capability() % 10;
    case cudaDevAttrMultiProcessorCount: return processors;
    case cudaDevAttrMaxSharedMemoryPerBlock: return shared_bytes;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: return shared_bytes_opted_in;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: return shared_bytes_of_processor;
    case cudaDevAttrMaxThreadsPerBlock: return 1024;
    case cudaDevAttrMaxThreadsPerMultiProcessor: return 2048;
    case cudaDevAttrWarpSize: return 32;
    case cudaDevAttrL2CacheSize: return cache_bytes;
    case cudaDevAttrMaxGridDimX: return longest_grid;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: return 65535;
    default: return 1;
  }
}

void describe(cudaDeviceProp& device) {
  device = {};
  std::strcpy(device.name, "stand-in");
  device.major = capability() / 10;
  device.minor = capability() % 10;
  device.multiProcessorCount = processors;
  device.totalGlobalMem = size_t{80} << 30;
  device.totalConstMem = 64 << 10;
  device.sharedMemPerBlock = shared_bytes;
  device.sharedMemPerBlockOptin = shared_bytes_opted_in;
  device.sharedMemPerMultiprocessor = shared_bytes_of_processor;
  device.regsPerBlock = 65536;
  device.warpSize = 32;
  device.maxThreadsPerBlock = 1024;
  device.maxThreadsPerMultiProcessor = 2048;
  device.l2CacheSize = cache_bytes;
  device.maxGridSize[0] = longest_grid;
  device.maxGridSize[1] = device.maxGridSize[2] = 65535;
  device.maxThreadsDim[0] = device.maxThreadsDim[1] = 1024;
  device.maxThreadsDim[2] = 64;
  device.memoryPoolsSupported = device.concurrentKernels = device.unifiedAddressing = 1;
}

}  // namespace

RUNTIME cudaGetDeviceCount(int* count) { return called(__func__, [=] { *count = 1; }); }
RUNTIME cudaGetDevice(int* device) { return called(__func__, [=] { *device = 0; }); }
RUNTIME cudaSetDevice(int) { return called(__func__); }
RUNTIME cudaDeviceSynchronize() { return called(__func__); }
RUNTIME cudaDriverGetVersion(int* found) { return called(__func__, [=] { *found = version; }); }
RUNTIME cudaRuntimeGetVersion(int* found) { return called(__func__, [=] { *found = version; }); }
RUNTIME cudaDeviceGetAttribute(int* value, cudaDeviceAttr wanted, int) {
  return called(__func__, [=] { *value = attribute(wanted); });
}
#undef cudaGetDeviceProperties
RUNTIME cudaGetDeviceProperties(cudaDeviceProp* device, int) {
  return called(__func__, [=] { describe(*device); });
}
RUNTIME cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long,
                                         cudaDriverEntryPointQueryResult* result) {
  return called(__func__, [=] {
    *function = reinterpret_cast<void*>(+[] { return 0; });
    if (result) *result = cudaDriverEntryPointSuccess;
  });
}

RUNTIME cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}
RUNTIME cudaPeekAtLastError() { return last_error; }
EXPORTED const char* cudaGetErrorName(cudaError_t error) { return error ? "cudaErrorUnknown" : "cudaSuccess"; }
EXPORTED const char* cudaGetErrorString(cudaError_t error) { return error ? "the stand-in fails" : "no error"; }

RUNTIME cudaStreamCreate(cudaStream_t* stream) { return makes(__func__, stream); }
RUNTIME cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return makes(__func__, stream); }
RUNTIME cudaStreamDestroy(cudaStream_t) { return called(__func__); }
RUNTIME cudaStreamSynchronize(cudaStream_t) { return called(__func__); }
RUNTIME cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return called(__func__); }
RUNTIME cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  return called(__func__, [=] { *status = cudaStreamCaptureStatusNone; });
}
RUNTIME cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* data) {
  return called(__func__, [=] { function(data); });
}

RUNTIME cudaEventCreate(cudaEvent_t* event) { return makes(__func__, event); }
RUNTIME cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return makes(__func__, event); }
RUNTIME cudaEventDestroy(cudaEvent_t) { return called(__func__); }
RUNTIME cudaEventRecord(cudaEvent_t, cudaStream_t) { return called(__func__); }
RUNTIME cudaEventSynchronize(cudaEvent_t) { return called(__func__); }
RUNTIME cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t) {
  return called(__func__, [=] { *ms = 1; });
}

RUNTIME cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) { return called(__func__); }
RUNTIME cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) { return makes(__func__, graph); }
RUNTIME cudaGraphInstantiate(cudaGraphExec_t* graph, cudaGraph_t, unsigned long long) {
  return makes(__func__, graph);
}
RUNTIME cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) { return called(__func__); }
RUNTIME cudaGraphDestroy(cudaGraph_t) { return called(__func__); }
RUNTIME cudaGraphExecDestroy(cudaGraphExec_t) { return called(__func__); }
