// The ai.altup operators on CUDA. They are compiled at run time for one element type and one number of blocks, without
// CUDA's headers. program.rs defines ELEMENT, BLOCKS, LANES, WIDE, THREADS and ROW_THREADS. Tests compile this file for
// the host, where emulation/host.hpp replaces what CUDA's compiler provides.
//
// X is [BLOCKS, tokens, d]: a block is contiguous. Arithmetic is float for every element type. A thread reads all that
// it needs before it writes to the same places, so outputs may overwrite inputs.

#define FLOAT 0
#define FLOAT16 1
#define BFLOAT16 2

#ifdef __CUDACC_RTC__
// A kernel takes one struct; its operator, mix.rs or moves.rs declares the same struct in Rust.
#define KERNEL(name, Arguments, threads) \
    extern "C" __global__ void __launch_bounds__(threads) name(const Arguments arguments)

__device__ inline float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

__device__ inline unsigned short float_to_half(float value) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
#endif

#if ELEMENT == FLOAT
typedef float Element;
__device__ inline float widen(Element value) { return value; }
__device__ inline Element narrow(float value) { return value; }
#elif ELEMENT == FLOAT16
typedef unsigned short Element;
__device__ inline float widen(Element value) { return half_to_float(value); }
__device__ inline Element narrow(float value) { return float_to_half(value); }
#elif ELEMENT == BFLOAT16
typedef unsigned short Element;
__device__ inline float widen(Element value) { return __uint_as_float((unsigned int)value << 16); }
__device__ inline Element narrow(float value) {
    unsigned int bits = __float_as_uint(value);
    // Rounding could turn a NaN into infinity: keep it and make it quiet.
    if (value != value) return (Element)(bits >> 16 | 0x40);
    return (Element)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
#endif

// The machine word for one load or store of a thread, up to 16 bytes.
template <int BYTES>
struct Word;
template <>
struct Word<16> { typedef uint4 Type; };
template <>
struct Word<8> { typedef uint2 Type; };
template <>
struct Word<4> { typedef unsigned int Type; };
template <>
struct Word<2> { typedef unsigned short Type; };

template <int N>
union Vector {
    typename Word<N * sizeof(Element)>::Type word;
    Element lanes[N];
};

template <int N>
__device__ inline Vector<N> load_vector(const Element* from) {
    Vector<N> vector;
    vector.word = *(const typename Word<N * sizeof(Element)>::Type*)from;
    return vector;
}

template <int N>
__device__ inline void store_vector(Element* to, Vector<N> vector) {
    // Explicit, because the compiler splits a plain assignment into 4-byte stores.
    __stwb((typename Word<N * sizeof(Element)>::Type*)to, vector.word);
}

template <int N>
__device__ inline void load(const Element* from, float (&values)[N]) {
    Vector<N> vector = load_vector<N>(from);
#pragma unroll
    for (int n = 0; n < N; n++) values[n] = widen(vector.lanes[n]);
}

template <int N>
__device__ inline void store(Element* to, const float (&values)[N]) {
    Vector<N> vector;
#pragma unroll
    for (int n = 0; n < N; n++) vector.lanes[n] = narrow(values[n]);
    store_vector<N>(to, vector);
}

// Loads a coefficient. No kernel writes coefficients, so loads need not wait for earlier stores.
__device__ inline float coefficient(const Element* from) { return widen(__ldg(from)); }

// Where a thread works in a grid over rows. Each row is split into `chunks` thread blocks.
struct Place {
    long long row;
    long long column;
};

template <int N>
__device__ inline Place place(unsigned int chunks) {
    return {blockIdx.x / chunks, ((long long)(blockIdx.x % chunks) * THREADS + threadIdx.x) * N};
}

// Sum of `value` over the ROW_THREADS threads of a thread block.
__device__ inline float total(float value) {
    __shared__ float parts[ROW_THREADS / 32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    __syncthreads(); // Threads may still read the sums of an earlier call.
    if (lane == 0) parts[warp] = value;
    __syncthreads();
    value = 0;
    for (int i = 0; i < ROW_THREADS / 32; i++) value += parts[i];
    return value;
}

// Defines two kernels: one for vectors of N elements, and one for single elements if rows are not aligned to vectors.
#define KERNELS(name, Arguments, threads, function, N) \
    KERNEL(name, Arguments, threads) { function<N>(arguments); } \
    KERNEL(name##_unaligned, Arguments, threads) { function<1>(arguments); }

// ---- Predict, Correct, CorrectPredict and Collapse by sum: mix the blocks of every token.

struct Mix {
    const Element* x;
    const Element* y;
    const Element* gains;   // G [BLOCKS], or one set per row
    const Element* weights; // P [BLOCKS, BLOCKS], or one set per row
    Element* mixed;
    Element* read;
    long long block;        // elements of a block
    long long width;        // elements of a row (a token or a whole block), which share coefficients
    long long gains_step;   // elements from a row's G to the next row's; 0 if all rows share one
    long long weights_step;
    int active;
    int next;
    int reads_predicted;
    unsigned int chunks;
};

enum class Op { Predict, Correct, CorrectPredict, Sum };

template <Op OP, int N>
__device__ inline void mix(const Mix& a) {
    Place at = place<N>(a.chunks);
    if (at.column >= a.width) return;
    long long first = at.row * a.width + at.column;

    float x[BLOCKS][N];
#pragma unroll
    for (int block = 0; block < BLOCKS; block++) load<N>(a.x + block * a.block + first, x[block]);

    if constexpr (OP == Op::Correct || OP == Op::CorrectPredict) {
        // x^i = x̂^i + G[i]·(y − x̂^active)
        const Element* gains = a.gains + at.row * a.gains_step;
        float change[N];
        load<N>(a.y + first, change);
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
            // Compare instead of index: registers cannot be indexed.
            if (block == a.active) {
#pragma unroll
                for (int n = 0; n < N; n++) change[n] -= x[block][n];
            }
        }
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
            float gain = coefficient(gains + block);
#pragma unroll
            for (int n = 0; n < N; n++) x[block][n] = fmaf(gain, change[n], x[block][n]);
            if constexpr (OP == Op::Correct) store<N>(a.mixed + block * a.block + first, x[block]);
            else if (block == a.next && !a.reads_predicted) store<N>(a.read + first, x[block]);
        }
    }

    if constexpr (OP == Op::Predict || OP == Op::CorrectPredict) {
        // x̂^i = Σ_j P[i,j]·x^j
        const Element* weights = a.weights + at.row * a.weights_step;
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
            float sum[N];
#pragma unroll
            for (int from = 0; from < BLOCKS; from++) {
                float weight = coefficient(weights + block * BLOCKS + from);
#pragma unroll
                for (int n = 0; n < N; n++) sum[n] = from == 0 ? weight * x[0][n] : fmaf(weight, x[from][n], sum[n]);
            }
            store<N>(a.mixed + block * a.block + first, sum);
            if constexpr (OP == Op::CorrectPredict) {
                if (block == a.next && a.reads_predicted) store<N>(a.read + first, sum);
            }
        }
    }

    if constexpr (OP == Op::Sum) {
#pragma unroll
        for (int block = 1; block < BLOCKS; block++) {
#pragma unroll
            for (int n = 0; n < N; n++) x[0][n] += x[block][n];
        }
        store<N>(a.mixed + first, x[0]);
    }
}

template <int N>
__device__ inline void mix_predict(const Mix& a) { mix<Op::Predict, N>(a); }
template <int N>
__device__ inline void mix_correct(const Mix& a) { mix<Op::Correct, N>(a); }
template <int N>
__device__ inline void mix_correct_predict(const Mix& a) { mix<Op::CorrectPredict, N>(a); }
template <int N>
__device__ inline void mix_sum(const Mix& a) { mix<Op::Sum, N>(a); }

KERNELS(predict, Mix, THREADS, mix_predict, LANES)
KERNELS(correct, Mix, THREADS, mix_correct, LANES)
KERNELS(correct_predict, Mix, THREADS, mix_correct_predict, LANES)
KERNELS(sum, Mix, THREADS, mix_sum, LANES)

// ---- Select, Expand, and Collapse by concatenation: only move rows.

struct Move {
    const Element* from;
    Element* to;
    long long width;      // elements of a row, contiguous on both sides
    long long rows;       // rows of a block
    long long from_block; // elements from a block to the next one
    long long from_row;   // elements from a row of a block to the next one
    long long to_block;
    long long to_row;
    unsigned int chunks;
};

template <int N>
__device__ inline void move(const Move& a) {
    Place at = place<N>(a.chunks);
    if (at.column >= a.width) return;
    long long block = at.row / a.rows, row = at.row % a.rows;
    const Element* from = a.from + block * a.from_block + row * a.from_row + at.column;
    Element* to = a.to + block * a.to_block + row * a.to_row + at.column;
    store_vector<N>(to, load_vector<N>(from));
}

KERNELS(move_rows, Move, THREADS, move, WIDE)

// ---- Expand and Collapse of Gemma 3n: one thread block per token scales blocks to the magnitude of block 0.

struct Match {
    const Element* from;
    Element* to;
    long long width;      // d
    long long from_block;
    long long from_row;
    long long to_block;   // unused by collapse_match, which writes one block
    long long to_row;
};

// √(mean((x⁰)²) / max(mean((xⁱ)²), 1e-5)) of this token's blocks.
template <int N>
__device__ inline void match_scales(const Match& a, float (&scales)[BLOCKS]) {
    float squares[BLOCKS] = {};
    for (long long column = threadIdx.x * N; column < a.width; column += ROW_THREADS * N) {
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
            float x[N];
            load<N>(a.from + block * a.from_block + blockIdx.x * a.from_row + column, x);
#pragma unroll
            for (int n = 0; n < N; n++) squares[block] = fmaf(x[n], x[n], squares[block]);
        }
    }
    float first = total(squares[0]) / (float)a.width;
    scales[0] = 1;
#pragma unroll
    for (int block = 1; block < BLOCKS; block++)
        scales[block] = sqrtf(first / fmaxf(total(squares[block]) / (float)a.width, 1e-5f));
}

template <int N>
__device__ inline void match_expand(const Match& a) {
    float scales[BLOCKS];
    match_scales<N>(a, scales);
    for (long long column = threadIdx.x * N; column < a.width; column += ROW_THREADS * N) {
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
            float x[N];
            load<N>(a.from + block * a.from_block + blockIdx.x * a.from_row + column, x);
#pragma unroll
            for (int n = 0; n < N; n++) x[n] *= scales[block];
            store<N>(a.to + block * a.to_block + blockIdx.x * a.to_row + column, x);
        }
    }
}

template <int N>
__device__ inline void match_collapse(const Match& a) {
    float scales[BLOCKS];
    match_scales<N>(a, scales);
    for (long long column = threadIdx.x * N; column < a.width; column += ROW_THREADS * N) {
        float sum[N] = {};
#pragma unroll
        for (int block = 0; block < BLOCKS; block++) {
            float x[N];
            load<N>(a.from + block * a.from_block + blockIdx.x * a.from_row + column, x);
#pragma unroll
            for (int n = 0; n < N; n++) sum[n] = fmaf(scales[block], x[n], sum[n]);
        }
#pragma unroll
        for (int n = 0; n < N; n++) sum[n] /= BLOCKS;
        store<N>(a.to + blockIdx.x * a.to_row + column, sum);
    }
}

KERNELS(expand_match, Match, ROW_THREADS, match_expand, LANES)
KERNELS(collapse_match, Match, ROW_THREADS, match_collapse, LANES)

// ---- GaussianTopK: relu(gate − (mean + multiplier·std)) of each row, one thread block per row. It reads the row three
// times, but only once from memory: the row stays in the cache.

struct Gate {
    const Element* gate;
    Element* sparse;
    long long width;
    float multiplier;
};

template <int N>
__device__ inline void sparsify(const Gate& a) {
    const Element* gate = a.gate + blockIdx.x * a.width;
    Element* sparse = a.sparse + blockIdx.x * a.width;
    float x[N];
    float sum = 0;
    for (long long column = threadIdx.x * N; column < a.width; column += ROW_THREADS * N) {
        load<N>(gate + column, x);
#pragma unroll
        for (int n = 0; n < N; n++) sum += x[n];
    }
    float mean = total(sum) / (float)a.width;
    float squares = 0;
    for (long long column = threadIdx.x * N; column < a.width; column += ROW_THREADS * N) {
        load<N>(gate + column, x);
#pragma unroll
        for (int n = 0; n < N; n++) squares = fmaf(x[n] - mean, x[n] - mean, squares);
    }
    float cutoff = fmaf(a.multiplier, sqrtf(total(squares) / (float)a.width), mean);
    for (long long column = threadIdx.x * N; column < a.width; column += ROW_THREADS * N) {
        load<N>(gate + column, x);
        // This form keeps NaNs.
#pragma unroll
        for (int n = 0; n < N; n++) x[n] = x[n] - cutoff < 0 ? 0 : x[n] - cutoff;
        store<N>(sparse + column, x);
    }
}

KERNELS(gaussian_top_k, Gate, ROW_THREADS, sparsify, WIDE)

// ---- SequencePredictCorrect: y_i = ŷ_i + b·(ỹ − ŷ_i*) with ŷ_i = a₁x_i + a₂x_i*, i* the last multiple of the stride.
// A row is a computed token; its threads write the `stride` tokens that depend on it, so y may overwrite x.

struct Sequence {
    const Element* x;        // [batch, tokens, width]
    const Element* computed; // [batch, kept, width]
    const Element* coefs;    // a₁, a₂, b
    Element* y;
    long long width;
    long long tokens;
    long long kept;
    long long stride;
    unsigned int chunks;
};

template <int N>
__device__ inline void spread(const Sequence& a) {
    Place at = place<N>(a.chunks);
    if (at.column >= a.width) return;
    long long batch = at.row / a.kept, anchor = at.row % a.kept * a.stride;
    long long first = (batch * a.tokens + anchor) * a.width + at.column;
    float a1 = coefficient(a.coefs), a2 = coefficient(a.coefs + 1), b = coefficient(a.coefs + 2);
    float carried[N], computed[N], x[N];
    load<N>(a.x + first, carried);
    load<N>(a.computed + at.row * a.width + at.column, computed);
#pragma unroll
    for (int n = 0; n < N; n++) carried[n] = fmaf(b, computed[n], (a2 - b * (a1 + a2)) * carried[n]);
    for (long long token = 0; token < a.stride && anchor + token < a.tokens; token++) {
        load<N>(a.x + first + token * a.width, x);
#pragma unroll
        for (int n = 0; n < N; n++) x[n] = fmaf(a1, x[n], carried[n]);
        store<N>(a.y + first + token * a.width, x);
    }
}

KERNELS(sequence_predict_correct, Sequence, THREADS, spread, WIDE)
