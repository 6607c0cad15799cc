// libcudnn.so.9: only a handle. ONNX Runtime's attention asks for one and computes nothing with it.
#include "stand-in.hpp"

using namespace stand_in;

namespace {

constexpr int internal_error = 4000;

int called(const char* name) { return fails(name) ? internal_error : 0; }

}  // namespace

EXPORTED size_t cudnnGetVersion() { return 91000; }
EXPORTED int cudnnCreate(void** handle) {
  if (fails(__func__)) return internal_error;
  *handle = new_handle();
  return 0;
}
EXPORTED int cudnnDestroy(void*) { return called(__func__); }
EXPORTED int cudnnSetStream(void*, void*) { return called(__func__); }
EXPORTED const char* cudnnGetErrorString(int) { return "the stand-in fails"; }
