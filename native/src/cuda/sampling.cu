// sampling/sampler.rs on the device, token for token. It is compiled without fused multiply-add, so that a double is the
// same as on the host; sums of weights are exact in any order (sampling/weight.rs). program.rs defines CHUNK,
// CHUNK_THREADS, ROW_THREADS and ALTERNATIVES. Tests compile this file for the host, as they do kernels.cu.

#ifdef __CUDACC_RTC__
#define KERNEL(name, Arguments, threads) \
    extern "C" __global__ void __launch_bounds__(threads) name(const Arguments arguments)
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

#define NO_TOKEN 0xffffffffu
// A token's note: how often the completion has it, whether prompt or completion have it, whether it may not be chosen.
#define COUNT 0x3fffffffu
#define SEEN 0x40000000u
#define BANNED 0x80000000u

__device__ inline double infinity() { return __longlong_as_double(0x7ff0000000000000); }

// What sampling needs to know about a row. device_sampling/step.rs declares the same structs.
struct Row {
    const float* logits;
    const u32* notes;     // null: no penalties and no allowed tokens
    const double* bias;   // of each token; null: none
    const u32* mask;      // a bit for each token that a grammar allows; null: all
    const u32* forbidden; // tokens
    u64 forbidden_count;
    double repetition;
    double presence;
    double frequency;
    double temperature;   // 0: the highest logit
    double top_k;         // 0: all
    double min_p;
    double top_p;
    double uniform;       // in (0, 1)
    long long alternatives; // -1: no log probabilities
};

// The highest of a chunk's logits, as adjusted and as given, and its first logit that is not finite.
struct Partial {
    double highest;
    u32 place;
    float raw_highest;
    u32 bad;
};

enum Status { CHOSEN, NOT_FINITE, NONE_ALLOWED };

struct Choice {
    u32 token;
    u32 status;
    float logit;             // the model's own, of `token`
    float raw_highest;
    double weights;          // sum of all tokens' weights at temperature 1
    u32 top[ALTERNATIVES];   // in any order
    float top_logits[ALTERNATIVES];
};

struct Step {
    const Row* rows;
    double* values;     // [rows, vocabulary]: adjusted logits, later weights
    Partial* partials;  // [rows, chunks]
    Choice* choices;    // [rows]
    double top_weight;
    u32 vocabulary;
    u32 chunks;
};

// Memory that a thread block's threads share. Functions begin with a barrier, because threads may still read what an earlier
// one left there.
__device__ inline double* shared_words() {
    __shared__ double words[4096];
    return words;
}

// Combines the values of a thread block's threads, in any order.
template <int THREADS, typename Value, typename Combine>
__device__ inline Value reduce(Value value, Combine combine) {
    Value* parts = (Value*)shared_words();
    __syncthreads();
    parts[threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.x < 32) {
        for (int i = threadIdx.x + 32; i < THREADS; i += 32) value = combine(value, parts[i]);
        parts[threadIdx.x] = value;
    }
    __syncthreads();
    value = parts[0];
    for (int i = 1; i < 32; i++) value = combine(value, parts[i]);
    return value;
}

__device__ inline double sum_of_block(double value) {
    return reduce<ROW_THREADS>(value, [](double a, double b) { return a + b; });
}

// Sum over the threads before this one; all values and sums are whole numbers.
__device__ inline double sum_before(double value) {
    constexpr int GROUP = ROW_THREADS / 32;
    double *parts = shared_words(), *groups = parts + ROW_THREADS;
    __syncthreads();
    parts[threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.x < 32) {
        double sum = 0;
        for (int i = 0; i < GROUP; i++) sum += parts[threadIdx.x * GROUP + i];
        groups[threadIdx.x] = sum;
    }
    __syncthreads();
    int group = threadIdx.x / GROUP;
    double sum = 0;
    for (int i = 0; i < group; i++) sum += groups[i];
    for (int i = group * GROUP; i < (int)threadIdx.x; i++) sum += parts[i];
    return sum;
}

__device__ inline Partial better(Partial a, Partial b) {
    if (b.highest > a.highest || (b.highest == a.highest && b.place < a.place)) {
        a.highest = b.highest;
        a.place = b.place;
    }
    if (b.raw_highest > a.raw_highest) a.raw_highest = b.raw_highest;
    if (b.bad < a.bad) a.bad = b.bad;
    return a;
}

__device__ inline Partial nothing() { return {-infinity(), NO_TOKEN, -(float)infinity(), NO_TOKEN}; }

template <int THREADS>
__device__ inline Partial of_row(const Step& a, u32 row) {
    Partial found = nothing();
    for (u32 i = threadIdx.x; i < a.chunks; i += THREADS) found = better(found, a.partials[row * a.chunks + i]);
    return reduce<THREADS>(found, better);
}

// ---- take: bias, allowed and forbidden tokens, penalties. A thread block works on CHUNK tokens of a row.

__device__ inline double adjusted(const Row& row, u32 token, float raw) {
    double logit = raw;
    if (row.bias) logit += row.bias[token];
    if (row.mask && !(row.mask[token / 32] >> (token % 32) & 1)) logit = -infinity();
    u32 note = row.notes ? row.notes[token] : 0;
    if (note & BANNED) logit = -infinity();
    for (u64 i = 0; i < row.forbidden_count; i++)
        if (row.forbidden[i] == token) logit = -infinity();
    if (row.repetition != 1 && note & SEEN) logit = logit > 0 ? logit / row.repetition : logit * row.repetition;
    if (note & COUNT) logit -= row.presence + row.frequency * (double)(note & COUNT);
    return logit;
}

KERNEL(take, Step, CHUNK_THREADS) {
    const Step& a = arguments;
    u32 index = blockIdx.x / a.chunks, first = blockIdx.x % a.chunks * CHUNK;
    const Row& row = a.rows[index];
    double* values = a.values + (u64)index * a.vocabulary;
    Partial found = nothing();
    for (u32 i = threadIdx.x; i < CHUNK && first + i < a.vocabulary; i += CHUNK_THREADS) {
        u32 token = first + i;
        float raw = row.logits[token];
        if (!(fabsf(raw) < (float)infinity()) && token < found.bad) found.bad = token;
        if (raw > found.raw_highest) found.raw_highest = raw;
        double logit = adjusted(row, token, raw);
        if (row.temperature > 0) values[token] = logit;
        if (logit > found.highest) {
            found.highest = logit;
            found.place = token;
        }
    }
    found = reduce<CHUNK_THREADS>(found, better);
    if (threadIdx.x == 0) a.partials[blockIdx.x] = found;
}

// ---- The highest values of a row, found digit by digit from the top of their bits.

// Orders like the double; both zeros are the same.
__device__ inline u64 key_of(double value) {
    u64 bits = (u64)__double_as_longlong(value + 0.0);
    return bits >> 63 ? ~bits : bits | 1ull << 63;
}

// Keeps keys above `least`, and of those equal to it the first `room`.
struct Selected {
    u64 least;
    double room;
};

#define BINS 2048
#define DIGIT_BITS 11

// The smallest number of highest keys, at least one, whose amounts add up to `target`. Amounts are whole numbers; equal keys
// have equal amounts.
template <typename Key, typename Amount>
__device__ inline Selected select(u32 count, double target, Key key, Amount amount) {
    double *amounts = shared_words(), *group_amounts = amounts + BINS;
    u32 *counts = (u32*)(group_amounts + 32), *group_counts = counts + BINS;
    __shared__ double above_digit;
    __shared__ u32 digit, digits_above;
    constexpr int GROUP = BINS / 32;
    u64 prefix = 0;
    double above = 0;
    u32 kept = 0;
    for (int shift = 64; shift > 0;) {
        int bits = shift < DIGIT_BITS ? shift : DIGIT_BITS;
        int upper = shift;
        shift -= bits;
        __syncthreads();
        for (int i = threadIdx.x; i < BINS; i += ROW_THREADS) {
            amounts[i] = 0;
            counts[i] = 0;
        }
        __syncthreads();
        for (u32 i = threadIdx.x; i < count; i += ROW_THREADS) {
            u64 own = key(i);
            if (upper < 64 && own >> upper != prefix) continue;
            u32 place = (u32)(own >> shift) & ((1u << bits) - 1);
            atomicAdd(&counts[place], 1u);
            atomicAdd(&amounts[place], amount(i));
        }
        __syncthreads();
        if (threadIdx.x < 32) {
            double sum = 0;
            u32 members = 0;
            for (int i = 0; i < GROUP; i++) {
                sum += amounts[threadIdx.x * GROUP + i];
                members += counts[threadIdx.x * GROUP + i];
            }
            group_amounts[threadIdx.x] = sum;
            group_counts[threadIdx.x] = members;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            double sum = above;
            u32 members = kept;
            int group = 31;
            while (group > 0 && (members + group_counts[group] == 0 || sum + group_amounts[group] < target)) {
                sum += group_amounts[group];
                members += group_counts[group--];
            }
            int place = group * GROUP + GROUP - 1;
            while (place > group * GROUP && (members + counts[place] == 0 || sum + amounts[place] < target)) {
                sum += amounts[place];
                members += counts[place--];
            }
            digit = place;
            digits_above = members;
            above_digit = sum;
        }
        __syncthreads();
        prefix = prefix << bits | digit;
        above = above_digit;
        kept = digits_above;
        // All of the digit are needed.
        if (counts[digit] <= 1 || above + amounts[digit] == target) return {prefix << shift, infinity()};
    }
    double each = amounts[digit] / counts[digit];
    double room = floor((target - above) / each);
    while (above + room * each < target) room += 1;
    while (room > 1 && above + (room - 1) * each >= target) room -= 1;
    return {prefix, room < 1 ? 1 : room};
}

// Calls keep or drop for every token.
template <typename Key, typename Keep, typename Drop>
__device__ inline void sort_out(u32 count, Selected selected, Key key, Keep keep, Drop drop) {
    // A thread's tokens are neighbours, so that it knows how many equal ones come before.
    u32 share = (count + ROW_THREADS - 1) / ROW_THREADS;
    u32 first = min(threadIdx.x * share, count), end = min(first + share, count);
    double equal = 0;
    for (u32 i = first; i < end; i++) equal += key(i) == selected.least;
    equal = sum_before(equal);
    for (u32 i = first; i < end; i++) {
        u64 own = key(i);
        if (own > selected.least || (own == selected.least && equal < selected.room)) keep(i);
        else drop(i);
        if (own == selected.least) equal += 1;
    }
}

// ---- keep_top_k: drops all but a row's highest logits. One thread block for each row.

KERNEL(keep_top_k, Step, ROW_THREADS) {
    const Step& a = arguments;
    const Row& row = a.rows[blockIdx.x];
    if (row.temperature == 0 || row.top_k == 0 || row.top_k >= a.vocabulary) return;
    double* values = a.values + (u64)blockIdx.x * a.vocabulary;
    auto key = [=](u32 token) { return key_of(values[token]); };
    Selected selected = select(a.vocabulary, row.top_k, key, [](u32) { return 1.0; });
    double dropped = -infinity();
    sort_out(a.vocabulary, selected, key, [](u32) {}, [=](u32 token) { values[token] = dropped; });
}

// ---- weigh: weights of logits (sampling/weight.rs, sampling/exponential.rs), then min_p.

// exp(x) for x <= 0; 0 where the weight rounds to 0.
__device__ inline double exponential(double x) {
    if (!(x > -60.0)) return 0;
    constexpr double LOG2_E = 1.4426950408889634, LN2_HIGH = 0.6931471803691238, LN2_LOW = 1.9082149292705877e-10;
    // 1/13!, 1/12!, ... 1/0!
    constexpr double COEFFICIENTS[14] = {
        1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0,
        1.0 / 40320.0, 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 1.0 / 2.0, 1.0, 1.0};
    double k = floor(x * LOG2_E + 0.5);
    double r = x - k * LN2_HIGH - k * LN2_LOW;
    double sum = COEFFICIENTS[0];
#pragma unroll
    for (int i = 1; i < 14; i++) sum = sum * r + COEFFICIENTS[i];
    return sum * __longlong_as_double(((long long)k + 1023) << 52);
}

__device__ inline double weight(double x, double top) {
    constexpr double ROUNDS = 4503599627370496.0; // 2^52
    return exponential(x) * top + ROUNDS - ROUNDS;
}

KERNEL(weigh, Step, CHUNK_THREADS) {
    const Step& a = arguments;
    u32 index = blockIdx.x / a.chunks, first = blockIdx.x % a.chunks * CHUNK;
    const Row& row = a.rows[index];
    if (row.temperature == 0) return;
    double highest = of_row<CHUNK_THREADS>(a, index).highest;
    if (highest == -infinity()) return;
    double* values = a.values + (u64)index * a.vocabulary;
    double least = row.min_p * a.top_weight;
    for (u32 i = threadIdx.x; i < CHUNK && first + i < a.vocabulary; i += CHUNK_THREADS) {
        double own = weight((values[first + i] - highest) / row.temperature, a.top_weight);
        values[first + i] = own < least ? 0 : own;
    }
}

// ---- choose: top_p and the draw, or the highest logit; then log probabilities. One thread block for each row.

// Writes the token at which the sum of weights exceeds uniform · total.
__device__ inline void draw(const double* weights, u32 count, double uniform, u32* token) {
    u32 share = (count + ROW_THREADS - 1) / ROW_THREADS;
    u32 first = min(threadIdx.x * share, count), end = min(first + share, count);
    double own = 0;
    for (u32 i = first; i < end; i++) own += weights[i];
    double total = sum_of_block(own);
    double target = uniform * total;
    if (target >= total) target = total - 1; // Rounded up: the last token that has a weight.
    double sum = sum_before(own);
    if (sum > target || sum + own <= target) return;
    for (u32 i = first; i < end; i++) {
        if (weights[i] == 0) continue;
        sum += weights[i];
        if (sum > target) {
            *token = i;
            return;
        }
    }
}

// The sum of weights and the most likely tokens, from the model's own logits.
__device__ inline void score(const Step& a, const Row& row, Choice& choice, float highest) {
    double sum = 0;
    for (u32 i = threadIdx.x; i < a.vocabulary; i += ROW_THREADS)
        sum += weight((double)row.logits[i] - (double)highest, a.top_weight);
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) choice.weights = sum;
    if (row.alternatives == 0) return;
    const float* logits = row.logits;
    auto key = [=](u32 token) { return key_of(logits[token]); };
    Selected selected = {0, infinity()};
    if (row.alternatives < a.vocabulary)
        selected = select(a.vocabulary, (double)row.alternatives, key, [](u32) { return 1.0; });
    __shared__ u32 found;
    if (threadIdx.x == 0) found = 0;
    Choice* to = &choice;
    u32* next = &found;
    sort_out(a.vocabulary, selected, key, [=](u32 token) {
        u32 place = atomicAdd(next, 1u);
        to->top[place] = token;
        to->top_logits[place] = logits[token];
    }, [](u32) {});
}

KERNEL(choose, Step, ROW_THREADS) {
    const Step& a = arguments;
    const Row& row = a.rows[blockIdx.x];
    Choice& choice = a.choices[blockIdx.x];
    Partial found = of_row<ROW_THREADS>(a, blockIdx.x);
    if (found.bad != NO_TOKEN || found.highest == -infinity()) {
        if (threadIdx.x > 0) return;
        bool is_bad = found.bad != NO_TOKEN;
        choice.status = is_bad ? NOT_FINITE : NONE_ALLOWED;
        choice.token = is_bad ? found.bad : 0;
        choice.logit = is_bad ? row.logits[found.bad] : 0;
        return;
    }
    __shared__ u32 token;
    if (threadIdx.x == 0) token = found.place;
    if (row.temperature > 0) {
        double* weights = a.values + (u64)blockIdx.x * a.vocabulary;
        if (row.top_p < 1) {
            double own = 0;
            for (u32 i = threadIdx.x; i < a.vocabulary; i += ROW_THREADS) own += weights[i];
            double enough = row.top_p * sum_of_block(own);
            auto key = [=](u32 i) { return key_of(weights[i]); };
            Selected selected = select(a.vocabulary, enough, key, [=](u32 i) { return weights[i]; });
            sort_out(a.vocabulary, selected, key, [](u32) {}, [=](u32 i) { weights[i] = 0; });
        }
        draw(weights, a.vocabulary, row.uniform, &token);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        choice.status = CHOSEN;
        choice.token = token;
        choice.logit = row.logits[token];
        choice.raw_highest = found.raw_highest;
    }
    if (row.alternatives >= 0) score(a, row, choice, found.raw_highest);
}
