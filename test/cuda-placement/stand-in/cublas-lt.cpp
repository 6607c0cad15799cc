// libcublasLt.so.13, as cublas.cpp. Functions that compute get their stream as the last argument.
#include <cstring>

#include "stand-in.hpp"

using namespace stand_in;

namespace {

constexpr int execution_failed = 13;
/// sizeof(cublasLtMatmulHeuristicResult_t)
constexpr size_t heuristic_bytes = 96;

int called(const char* name) { return fails(name) ? execution_failed : 0; }

int makes(const char* name, void** handle) {
  if (fails(name)) return execution_failed;
  *handle = new_handle();
  return 0;
}

}  // namespace

#define MAKES(name) \
  EXPORTED int name(void** handle) { return makes(#name, handle); }
#define ACCEPTS(name) \
  EXPORTED int name() { return called(#name); }
MAKES(cublasLtCreate)
MAKES(cublasLtMatmulDescCreate)
MAKES(cublasLtMatmulPreferenceCreate)
MAKES(cublasLtMatrixLayoutCreate)
MAKES(cublasLtMatrixTransformDescCreate)
ACCEPTS(cublasLtDestroy)
ACCEPTS(cublasLtMatmulDescDestroy)
ACCEPTS(cublasLtMatmulDescSetAttribute)
ACCEPTS(cublasLtMatmulPreferenceDestroy)
ACCEPTS(cublasLtMatmulPreferenceSetAttribute)
ACCEPTS(cublasLtMatrixLayoutDestroy)
ACCEPTS(cublasLtMatrixLayoutSetAttribute)
ACCEPTS(cublasLtMatrixTransformDescDestroy)
ACCEPTS(cublasLtMatmulAlgoInit)
ACCEPTS(cublasLtMatmulAlgoConfigSetAttribute)

EXPORTED int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int, void* results,
                                            int* found) {
  if (fails(__func__)) return execution_failed;
  std::memset(results, 0, heuristic_bytes);
  *found = 1;
  return 0;
}
EXPORTED int cublasLtMatmul(void*, void*, const void*, const void*, void*, const void*, void*, const void*,
                            const void*, void*, void*, void*, const void*, void*, size_t, void* stream) {
  if (fails(__func__)) return execution_failed;
  launched(__func__, stream);
  return 0;
}
EXPORTED int cublasLtMatrixTransform(void*, void*, const void*, const void*, void*, const void*, const void*,
                                     void*, void*, void*, void* stream) {
  if (fails(__func__)) return execution_failed;
  launched(__func__, stream);
  return 0;
}
