// What lies between the network's products, each in one pass over the frames where torch would take several.
//
// Plain loops over rows that the compiler vectorises; on x86-64 each is compiled for every level of the architecture,
// and the loader of the library takes the best that the processor has. Matrices are contiguous, row after row. Nothing
// depends on where a matrix is cut: a row's result is the same beside any others, and on any thread.
//
// Numbers are finite: what is made of others is not defined. To be compiled with what these loops need of -ffast-math;
// with all of it, gcc would divide by way of an approximate reciprocal, which is slower, and an older one switch
// denormal numbers off for the whole process.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__) && !defined(ONE_LEVEL)
#define LEVELS __attribute__((target_clones("default", "arch=x86-64-v2", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define LEVELS
#endif
#define INLINE static inline __attribute__((always_inline))

struct bf16 {
    uint16_t bits;
};

enum Type { FLOAT32 = 0, BFLOAT16 = 1 };

template <typename To, typename From>
INLINE To same_bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from, "");
    std::memcpy(&to, &from, sizeof to);
    return to;
}

INLINE float load(const float* x) { return *x; }
INLINE float load(const bf16* x) { return same_bits<float>(uint32_t(x->bits) << 16); }
INLINE void store(float* to, float x) { *to = x; }
INLINE void store(bf16* to, float x) {  // to the nearest, ties to even
    uint32_t bits = same_bits<uint32_t>(x);
    to->bits = uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Added to a number that is not too large, it leaves no room for a fraction: the lowest bits are the rounded number's.
const float ROUNDING = 12582912.0f;  // 1.5 * 2^23
const float LOG2_E = 1.44269504f;

// 2^x by a polynomial between powers of two; off by 3e-7 of the value at most, and never beyond 2^-126 and 2^126.
INLINE float power_of_two(float x) {
    x = std::fmin(std::fmax(x, -126.0f), 126.0f);
    const int32_t whole = same_bits<int32_t>(x + ROUNDING) - same_bits<int32_t>(ROUNDING);
    const float rest = x - float(whole);
    float y = 1.327641546e-3f;
    y = y * rest + 9.675528605e-3f;
    y = y * rest + 5.550713318e-2f;
    y = y * rest + 2.402211997e-1f;
    y = y * rest + 6.931469671e-1f;
    y = y * rest + 1.0f;
    return same_bits<float>(same_bits<uint32_t>(y) + (uint32_t(whole) << 23));
}

INLINE float with_sigmoid(float x, float gate) { return x / (1.0f + power_of_two(gate * -LOG2_E)); }

struct Rows {
    int64_t first, last;
};

template <typename T>
INLINE void silu_rows(T* __restrict x, int64_t size) {
    for (int64_t i = 0; i < size; i++) store(x + i, with_sigmoid(load(x + i), load(x + i)));
}

template <typename T>
INLINE void quantise_row(const T* __restrict x, const float* __restrict centre, int64_t columns, int steps,
                         uint8_t* __restrict out, float* __restrict step_and_least) {
    float least = load(x) - centre[0], greatest = least;
    for (int64_t i = 0; i < columns; i++) {
        const float value = load(x + i) - centre[i];
        least = value < least ? value : least;
        greatest = value > greatest ? value : greatest;
    }
    const float step = (greatest - least > 1e-12f ? greatest - least : 1e-12f) / float(steps), inverse = 1.0f / step;
    // The compiler may subtract in another order than above. So where values differ by no more than a few of their last
    // bits, some may pass the ends, and are off by as much as they differ.
    for (int64_t i = 0; i < columns; i++)
        out[i] = uint8_t(same_bits<uint32_t>((load(x + i) - centre[i] - least) * inverse + ROUNDING));
    step_and_least[0] = step;
    step_and_least[1] = least;
}

template <typename T>
INLINE void rescale_row(const float* __restrict x, const float* __restrict step_and_least,
                        const float* __restrict sums, const float* __restrict bias, int with_silu, int64_t columns,
                        T* __restrict out) {
    const float step = step_and_least[0], least = step_and_least[1];
    if (with_silu)
        for (int64_t i = 0; i < columns; i++) {
            const float value = x[i] * step + (sums[i] * least + bias[i]);
            store(out + i, with_sigmoid(value, value));
        }
    else
        for (int64_t i = 0; i < columns; i++) store(out + i, x[i] * step + (sums[i] * least + bias[i]));
}

template <typename T>
INLINE void add_row(float* __restrict x, const T* __restrict y, int64_t columns) {
    for (int64_t i = 0; i < columns; i++) x[i] += load(y + i);
}

template <typename T, typename Out>
INLINE void norm_row(const T* __restrict x, const float* __restrict gain, const float* __restrict shift,
                     int64_t columns, Out* __restrict out) {
    float sum = 0, squares = 0;
    for (int64_t i = 0; i < columns; i++) sum += load(x + i);
    const float mean = sum / float(columns);
    for (int64_t i = 0; i < columns; i++) squares += (load(x + i) - mean) * (load(x + i) - mean);
    const float factor = 1.0f / std::sqrt(squares / float(columns) + 1e-5f);
    if (gain)
        for (int64_t i = 0; i < columns; i++) store(out + i, (load(x + i) - mean) * factor * gain[i] + shift[i]);
    else
        for (int64_t i = 0; i < columns; i++) store(out + i, (load(x + i) - mean) * factor);
}

template <typename Out>
INLINE void add_norm_row(float* __restrict x, const void* __restrict y, int y_type, const float* __restrict gain,
                         const float* __restrict shift, int64_t at, int64_t columns, Out* __restrict out) {
    if (x && y && y_type == BFLOAT16) add_row(x + at, static_cast<const bf16*>(y) + at, columns);
    if (x && y && y_type == FLOAT32) add_row(x + at, static_cast<const float*>(y) + at, columns);
    if (x)
        norm_row(x + at, gain, shift, columns, out + at);
    else if (y_type == BFLOAT16)
        norm_row(static_cast<const bf16*>(y) + at, gain, shift, columns, out + at);
    else
        norm_row(static_cast<const float*>(y) + at, gain, shift, columns, out + at);
}

template <typename T>
INLINE void rotate_row(const T* __restrict x, const float* __restrict gain, const float* __restrict shift,
                       const float* __restrict cosine, const float* __restrict sine, float* __restrict scratch,
                       int64_t heads, int64_t half, T* __restrict out) {
    for (int64_t i = 0; i < 2 * heads * half; i++) scratch[i] = load(x + i) * gain[i] + shift[i];
    for (int64_t head = 0; head < heads; head++) {
        float* __restrict pair = scratch + 2 * head * half;
        for (int64_t i = 0; i < half; i++) {
            const float first = pair[i], second = pair[half + i];
            pair[i] = first * cosine[i] - second * sine[i];
            pair[half + i] = second * cosine[i] + first * sine[i];
        }
    }
    for (int64_t i = 0; i < 2 * heads * half; i++) store(out + i, scratch[i]);
}

template <typename T>
INLINE void glu_row(const T* __restrict x, int64_t columns, T* __restrict out) {
    for (int64_t i = 0; i < columns; i++) store(out + i, with_sigmoid(load(x + i), load(x + columns + i)));
}

const int64_t ABREAST = 4;  // rows: while one waits for its sum, another is added up (ROWS_ABREAST in Python)

template <typename T>
INLINE void softmax_rows(T* __restrict x, float* __restrict scratch, int64_t n, int64_t columns) {
    float factors[ABREAST];
    for (int64_t row = 0; row < n; row++) {
        float largest = load(x + row * columns);
        for (int64_t i = row * columns; i < (row + 1) * columns; i++) {
            scratch[i] = load(x + i);
            largest = scratch[i] > largest ? scratch[i] : largest;
        }
        factors[row] = largest;
    }
    for (int64_t row = 0; row < n; row++) {
        const float largest = factors[row];
        float sum = 0;
        for (int64_t i = row * columns; i < (row + 1) * columns; i++) {
            scratch[i] = power_of_two((scratch[i] - largest) * LOG2_E);
            sum += scratch[i];
        }
        factors[row] = 1.0f / sum;
    }
    for (int64_t row = 0; row < n; row++) {
        const float factor = factors[row];
        for (int64_t i = row * columns; i < (row + 1) * columns; i++) store(x + i, scratch[i] * factor);
    }
}

// What threads compute: some rows of a matrix. `LEVELS` applies to what is inlined into these.

LEVELS static void silu_of(Rows rows, void* x, int type, int64_t columns) {
    const int64_t at = rows.first * columns, size = (rows.last - rows.first) * columns;
    type == BFLOAT16 ? silu_rows(static_cast<bf16*>(x) + at, size) : silu_rows(static_cast<float*>(x) + at, size);
}

LEVELS static void quantise_of(Rows rows, const void* x, int type, const float* centre, int64_t columns, int steps,
                               uint8_t* out, float* step_and_least) {
    for (int64_t row = rows.first, at = row * columns; row < rows.last; row++, at += columns) {
        float* found = step_and_least + 2 * row;
        if (type == BFLOAT16)
            quantise_row(static_cast<const bf16*>(x) + at, centre, columns, steps, out + at, found);
        else
            quantise_row(static_cast<const float*>(x) + at, centre, columns, steps, out + at, found);
    }
}

LEVELS static void rescale_of(Rows rows, const float* x, const float* step_and_least, const float* sums,
                              const float* bias, int with_silu, int64_t columns, void* out, int out_type) {
    for (int64_t row = rows.first, at = row * columns; row < rows.last; row++, at += columns) {
        const float* found = step_and_least + 2 * row;
        if (out_type == BFLOAT16)
            rescale_row(x + at, found, sums, bias, with_silu, columns, static_cast<bf16*>(out) + at);
        else
            rescale_row(x + at, found, sums, bias, with_silu, columns, static_cast<float*>(out) + at);
    }
}

LEVELS static void requantise_of(Rows rows, const float* x, float* step_and_least, const float* sums,
                                 const float* bias, int with_silu, const float* centre, float* scratch,
                                 int64_t columns, int steps, uint8_t* out) {
    for (int64_t row = rows.first, at = row * columns; row < rows.last; row++, at += columns) {
        float* found = step_and_least + 2 * row;
        rescale_row(x + at, found, sums, bias, with_silu, columns, scratch);
        quantise_row(scratch, centre, columns, steps, out + at, found);
    }
}

LEVELS static void add_norm_of(Rows rows, float* x, const void* y, int y_type, const float* gain, const float* shift,
                               int64_t columns, void* out, int out_type) {
    for (int64_t row = rows.first, at = row * columns; row < rows.last; row++, at += columns)
        if (out_type == BFLOAT16)
            add_norm_row(x, y, y_type, gain, shift, at, columns, static_cast<bf16*>(out));
        else
            add_norm_row(x, y, y_type, gain, shift, at, columns, static_cast<float*>(out));
}

LEVELS static void rotate_of(Rows rows, const void* x, int type, const float* gain, const float* shift,
                             const float* cosine, const float* sine, float* scratch, int64_t heads, int64_t half,
                             void* out) {
    for (int64_t row = rows.first; row < rows.last; row++) {
        const float *c = cosine + row * half, *s = sine + row * half;
        const int64_t at = 2 * row * heads * half;
        if (type == BFLOAT16)
            rotate_row(static_cast<const bf16*>(x) + at, gain, shift, c, s, scratch, heads, half,
                       static_cast<bf16*>(out) + at);
        else
            rotate_row(static_cast<const float*>(x) + at, gain, shift, c, s, scratch, heads, half,
                       static_cast<float*>(out) + at);
    }
}

LEVELS static void glu_of(Rows rows, const void* x, int type, int64_t columns, void* out) {
    for (int64_t row = rows.first, at = row * columns; row < rows.last; row++, at += columns)
        if (type == BFLOAT16)
            glu_row(static_cast<const bf16*>(x) + 2 * at, columns, static_cast<bf16*>(out) + at);
        else
            glu_row(static_cast<const float*>(x) + 2 * at, columns, static_cast<float*>(out) + at);
}

LEVELS static void softmax_of(Rows rows, void* x, int type, float* scratch, int64_t columns) {
    for (int64_t row = rows.first, at = row * columns; row < rows.last; row += ABREAST, at += ABREAST * columns) {
        const int64_t n = std::min(ABREAST, rows.last - row);
        if (type == BFLOAT16)
            softmax_rows(static_cast<bf16*>(x) + at, scratch, n, columns);
        else
            softmax_rows(static_cast<float*>(x) + at, scratch, n, columns);
    }
}

// Runs `work(data)` on `n_threads` threads, or on as many as there are, and waits for all of them.
using Team = void (*)(void (*work)(void*), void* data, unsigned n_threads, unsigned flags);

static Team team = nullptr;

const int64_t SHARED_FROM = 1 << 15;  // values: fewer are done before another thread hears of them
const int64_t PIECE = 1 << 12;        // values that a thread takes at a time

// `compute(rows, thread)` for all of `n` rows, by `n_threads` threads at most, who count from 0.
template <typename Compute>
static void share_out(int64_t n, int64_t columns, int n_threads, const Compute& compute) {
    if (!team || n_threads == 1 || n * columns < SHARED_FROM) return compute(Rows{0, n}, 0);
    struct Job {
        const Compute& compute;
        const int64_t n, piece, n_threads;
        std::atomic<int64_t> taken, threads;
    } job{compute, n, std::max(ABREAST, PIECE / columns), n_threads, {0}, {0}};
    const auto work = [](void* data) {
        Job& job = *static_cast<Job*>(data);
        const int64_t thread = job.threads++;
        if (thread >= job.n_threads) return;  // more than were asked for: there is no scratch for it
        for (int64_t first; (first = job.taken.fetch_add(job.piece)) < job.n;)
            job.compute(Rows{first, std::min(first + job.piece, job.n)}, thread);
    };
    team(work, &job, unsigned(n_threads), 0);
}

// For `n` rows each, by up to `n_threads` threads. Scratch is a row for each of these, for soft-max `ABREAST` rows.
extern "C" {

void share_with(Team given) { team = given; }

void silu(void* x, int type, int64_t n, int64_t columns, int n_threads) {
    share_out(n, columns, n_threads, [=](Rows rows, int64_t) { silu_of(rows, x, type, columns); });
}

void quantise(const void* x, int type, const float* centre, int64_t n, int64_t columns, int steps, uint8_t* out,
              float* step_and_least, int n_threads) {
    share_out(n, columns, n_threads, [=](Rows rows, int64_t) {
        quantise_of(rows, x, type, centre, columns, steps, out, step_and_least);
    });
}

void rescale(const float* x, const float* step_and_least, const float* sums, const float* bias, int with_silu,
             int64_t n, int64_t columns, void* out, int out_type, int n_threads) {
    share_out(n, columns, n_threads, [=](Rows rows, int64_t) {
        rescale_of(rows, x, step_and_least, sums, bias, with_silu, columns, out, out_type);
    });
}

void requantise(const float* x, float* step_and_least, const float* sums, const float* bias, int with_silu,
                const float* centre, float* scratch, int64_t n, int64_t columns, int steps, uint8_t* out,
                int n_threads) {
    share_out(n, columns, n_threads, [=](Rows rows, int64_t thread) {
        requantise_of(rows, x, step_and_least, sums, bias, with_silu, centre, scratch + thread * columns, columns,
                      steps, out);
    });
}

void add_norm(float* x, const void* y, int y_type, const float* gain, const float* shift, int64_t n, int64_t columns,
              void* out, int out_type, int n_threads) {
    share_out(n, columns, n_threads, [=](Rows rows, int64_t) {
        add_norm_of(rows, x, y, y_type, gain, shift, columns, out, out_type);
    });
}

void rotate(const void* x, int type, const float* gain, const float* shift, const float* cosine, const float* sine,
            float* scratch, int64_t n, int64_t heads, int64_t half, void* out, int n_threads) {
    const int64_t columns = 2 * heads * half;
    share_out(n, columns, n_threads, [=](Rows rows, int64_t thread) {
        rotate_of(rows, x, type, gain, shift, cosine, sine, scratch + thread * columns, heads, half, out);
    });
}

void glu(const void* x, int type, int64_t n, int64_t columns, void* out, int n_threads) {
    share_out(n, columns, n_threads, [=](Rows rows, int64_t) { glu_of(rows, x, type, columns, out); });
}

void softmax(void* x, int type, float* scratch, int64_t n, int64_t columns, int n_threads) {
    share_out(n, columns, n_threads, [=](Rows rows, int64_t thread) {
        softmax_of(rows, x, type, scratch + thread * ABREAST * columns, columns);
    });
}
}
