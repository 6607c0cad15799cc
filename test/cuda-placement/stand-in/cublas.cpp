// libcublas.so.13: products of matrices, which are counted and never computed. cuBLAS has no header in the packages
// that the test fetches; every function begins with the handle, and no other argument is read.
#include <map>
#include <mutex>

#include "stand-in.hpp"

using namespace stand_in;

namespace {

constexpr int execution_failed = 13;

std::mutex mutex;
std::map<void*, void*>& streams() {
  static std::map<void*, void*>& only = *new std::map<void*, void*>;
  return only;
}

int called(const char* name) { return fails(name) ? execution_failed : 0; }

int computes(const char* name, void* handle) {
  if (fails(name)) return execution_failed;
  const std::lock_guard<std::mutex> lock(mutex);
  launched(name, streams()[handle]);
  return 0;
}

}  // namespace

EXPORTED int cublasCreate_v2(void** handle) {
  if (fails(__func__)) return execution_failed;
  *handle = new_handle();
  return 0;
}
EXPORTED int cublasDestroy_v2(void*) { return called(__func__); }
EXPORTED int cublasSetStream_v2(void* handle, void* stream) {
  if (fails(__func__)) return execution_failed;
  const std::lock_guard<std::mutex> lock(mutex);
  streams()[handle] = stream;
  return 0;
}
EXPORTED int cublasGetMathMode(void*, int* mode) {
  *mode = 0;
  return called(__func__);
}
EXPORTED int cublasSetMathMode(void*, int) { return called(__func__); }
EXPORTED const char* cublasGetStatusName(int) { return "CUBLAS_STATUS_EXECUTION_FAILED"; }
EXPORTED const char* cublasGetStatusString(int) { return "the stand-in fails"; }

#define COMPUTES(name) \
  EXPORTED int name(void* handle) { return computes(#name, handle); }
COMPUTES(cublasGemmEx)
COMPUTES(cublasGemmBatchedEx)
COMPUTES(cublasGemmStridedBatchedEx)
COMPUTES(cublasSgemm_v2)
COMPUTES(cublasSgemmBatched)
COMPUTES(cublasSgemmStridedBatched)
COMPUTES(cublasSgeam)
COMPUTES(cublasScopy_v2)
COMPUTES(cublasSscal_v2)
COMPUTES(cublasSgetrfBatched)
COMPUTES(cublasSgetriBatched)
COMPUTES(cublasDgemm_v2)
COMPUTES(cublasDgemmBatched)
COMPUTES(cublasDgemmStridedBatched)
COMPUTES(cublasDgeam)
COMPUTES(cublasDcopy_v2)
COMPUTES(cublasDgetrfBatched)
COMPUTES(cublasDgetriBatched)
