// Runs a CUDA source on the host: defines the parts of CUDA that it uses and runs one grid at a time. The threads of a
// thread block are coroutines; each runs until it ends or waits for the others. Thread blocks run one after the other.

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#define __device__
#define __shared__ static

struct Index {
    unsigned int x;
};
static Index threadIdx, blockIdx;

struct uint2 {
    unsigned int x, y;
};
struct uint4 {
    unsigned int x, y, z, w;
};

// Checks alignment, because a device faults where the host does not.
template <typename Word>
inline void __stwb(Word* to, Word value) {
    if (reinterpret_cast<uintptr_t>(to) % sizeof(Word) != 0) __builtin_trap();
    *to = value;
}
template <typename Element>
inline Element __ldg(const Element* from) {
    return *from;
}

inline float __uint_as_float(unsigned int bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline unsigned int __float_as_uint(float value) {
    unsigned int bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline double __longlong_as_double(long long bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline long long __double_as_longlong(double value) {
    long long bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
// Threads take turns only where they wait, so nothing comes between.
template <typename Number>
inline Number atomicAdd(Number* to, Number value) {
    Number before = *to;
    *to += value;
    return before;
}
inline unsigned int min(unsigned int a, unsigned int b) { return a < b ? a : b; }
inline float half_to_float(unsigned short bits) {
    _Float16 value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline unsigned short float_to_half(float value) {
    _Float16 half = static_cast<_Float16>(value);
    unsigned short bits;
    memcpy(&bits, &half, sizeof bits);
    return bits;
}

static ucontext_t scheduler;
static ucontext_t* running;

// The scheduler gives each thread one turn per round, so all threads arrive before any continues.
inline void __syncthreads() { swapcontext(running, &scheduler); }

inline float __shfl_xor_sync(unsigned int, float value, int mask) {
    static float lanes[1024];
    lanes[threadIdx.x] = value;
    __syncthreads();
    float other = lanes[threadIdx.x ^ mask];
    __syncthreads();
    return other;
}

static void (*body)(const void*);
static const void* given;
static bool* ended;

inline void run_thread() {
    body(given);
    *ended = true;
    swapcontext(running, &scheduler);
}

inline void run_grid(unsigned int grid, unsigned int threads, void (*kernel)(const void*), const void* arguments) {
    constexpr unsigned int MOST = 1024, STACK = 32 * 1024;
    static ucontext_t contexts[MOST];
    static bool done[MOST];
    static char stacks[MOST][STACK];
    body = kernel;
    given = arguments;
    for (blockIdx.x = 0; blockIdx.x < grid; blockIdx.x++) {
        for (unsigned int i = 0; i < threads; i++) {
            done[i] = false;
            getcontext(&contexts[i]);
            contexts[i].uc_stack.ss_sp = stacks[i];
            contexts[i].uc_stack.ss_size = STACK;
            contexts[i].uc_link = nullptr;
            makecontext(&contexts[i], run_thread, 0);
        }
        for (bool is_left = true; is_left;) {
            is_left = false;
            for (unsigned int i = 0; i < threads; i++) {
                if (done[i]) continue;
                threadIdx.x = i;
                running = &contexts[i];
                ended = &done[i];
                swapcontext(&scheduler, running);
                is_left |= !done[i];
            }
        }
    }
}

#define KERNEL(name, Arguments, threads) \
    static void name##_kernel(const Arguments& arguments); \
    static void name##_thread(const void* arguments) { name##_kernel(*(const Arguments*)arguments); } \
    extern "C" void name(unsigned int grid, const void* arguments) { \
        run_grid(grid, threads, name##_thread, arguments); \
    } \
    static void name##_kernel(const Arguments& arguments)
