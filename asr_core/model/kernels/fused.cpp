// What lies between the network's products, each in one pass over the frames where torch would take several.
//
// Plain loops over rows that the compiler vectorises; on x86-64 each function is compiled for every level of the
// architecture, and the loader of the library takes the best that the processor has. Matrices are contiguous, row after
// row. One thread, and nothing that depends on where a matrix is cut: a row's result is the same beside any others.
// Compile with -ffast-math, but link without: linked with it, a library switches denormal numbers off for the process.

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__) && !defined(ONE_LEVEL)
#define KERNEL extern "C" __attribute__((target_clones("default", "arch=x86-64-v2", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define KERNEL extern "C"
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

// Cephes' polynomial between powers of two; 2e-7 of the value at most, 0 and infinity are replaced by their neighbours.
INLINE float exponential(float x) {
    x = std::fmin(std::fmax(x, -87.0f), 88.0f);
    float shifted = x * 1.44269504f;
    int32_t power = int32_t(shifted + (shifted < 0 ? -0.5f : 0.5f));
    float rest = x - float(power) * 0.693359375f + float(power) * 2.12194440e-4f;
    float y = 1.9875691500e-4f;
    y = y * rest + 1.3981999507e-3f;
    y = y * rest + 8.3334519073e-3f;
    y = y * rest + 4.1665795894e-2f;
    y = y * rest + 1.6666665459e-1f;
    y = y * rest + 5.0000001201e-1f;
    y = y * rest * rest + rest + 1.0f;
    return y * same_bits<float>((power + 127) << 23);
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

template <typename T>
INLINE void silu_rows(T* __restrict x, int64_t size) {
    for (int64_t i = 0; i < size; i++) store(x + i, load(x + i) * sigmoid(load(x + i)));
}

template <typename T>
INLINE void quantise_rows(const T* __restrict x, const float* __restrict centre, float* __restrict values, int64_t rows,
                          int64_t columns, int steps, uint8_t* __restrict out, float* __restrict step_and_least) {
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t i = 0; i < columns; i++) values[i] = load(x + row * columns + i) - centre[i];
        float least = values[0], greatest = values[0];
        for (int64_t i = 0; i < columns; i++) {
            least = values[i] < least ? values[i] : least;
            greatest = values[i] > greatest ? values[i] : greatest;
        }
        float step = (greatest - least > 1e-12f ? greatest - least : 1e-12f) / float(steps), inverse = 1.0f / step;
        for (int64_t i = 0; i < columns; i++)
            out[row * columns + i] = uint8_t(same_bits<uint32_t>((values[i] - least) * inverse + ROUNDING));
        step_and_least[2 * row] = step;
        step_and_least[2 * row + 1] = least;
    }
}

template <typename T>
INLINE void rescale_rows(const float* __restrict x, const float* __restrict step_and_least,
                         const float* __restrict sums, const float* __restrict bias, int with_silu, int64_t rows,
                         int64_t columns, T* __restrict out) {
    for (int64_t row = 0; row < rows; row++) {
        const float step = step_and_least[2 * row], least = step_and_least[2 * row + 1];
        const int64_t at = row * columns;
        if (with_silu)
            for (int64_t i = 0; i < columns; i++) {
                float value = x[at + i] * step + (sums[i] * least + bias[i]);
                store(out + at + i, value * sigmoid(value));
            }
        else
            for (int64_t i = 0; i < columns; i++) store(out + at + i, x[at + i] * step + (sums[i] * least + bias[i]));
    }
}

template <typename Y, typename Out>
INLINE void add_norm_rows(float* __restrict x, const Y* __restrict y, const float* __restrict gain,
                          const float* __restrict shift, float* __restrict values, int64_t rows, int64_t columns,
                          Out* __restrict out) {
    for (int64_t row = 0; row < rows; row++) {
        const int64_t at = row * columns;
        float sum = 0, squares = 0;
        for (int64_t i = 0; i < columns; i++) values[i] = (x ? x[at + i] : 0.0f) + (y ? load(y + at + i) : 0.0f);
        for (int64_t i = 0; i < columns; i++) sum += values[i];
        float mean = sum / float(columns);
        for (int64_t i = 0; i < columns; i++) squares += (values[i] - mean) * (values[i] - mean);
        float factor = 1.0f / std::sqrt(squares / float(columns) + 1e-5f);
        if (x && y)
            for (int64_t i = 0; i < columns; i++) x[at + i] = values[i];
        if (gain)
            for (int64_t i = 0; i < columns; i++) store(out + at + i, (values[i] - mean) * factor * gain[i] + shift[i]);
        else
            for (int64_t i = 0; i < columns; i++) store(out + at + i, (values[i] - mean) * factor);
    }
}

template <typename T>
INLINE void rotate_rows(const T* __restrict x, const float* __restrict gain, const float* __restrict shift,
                        const float* __restrict cosine, const float* __restrict sine, float* __restrict values,
                        int64_t rows, int64_t heads, int64_t half, T* __restrict out) {
    const int64_t columns = 2 * heads * half;
    for (int64_t row = 0; row < rows; row++) {
        const float *c = cosine + row * half, *s = sine + row * half;
        for (int64_t i = 0; i < columns; i++) values[i] = load(x + row * columns + i) * gain[i] + shift[i];
        for (int64_t head = 0; head < heads; head++) {
            float* __restrict pair = values + 2 * head * half;
            for (int64_t i = 0; i < half; i++) {
                float first = pair[i], second = pair[half + i];
                pair[i] = first * c[i] - second * s[i];
                pair[half + i] = second * c[i] + first * s[i];
            }
        }
        for (int64_t i = 0; i < columns; i++) store(out + row * columns + i, values[i]);
    }
}

template <typename T>
INLINE void glu_rows(const T* __restrict x, int64_t rows, int64_t columns, T* __restrict out) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < columns; i++) {
            const T* value = x + 2 * row * columns + i;
            store(out + row * columns + i, load(value) * sigmoid(load(value + columns)));
        }
}

template <typename T>
INLINE void softmax_rows(T* __restrict x, float* __restrict scratch, int64_t rows, int64_t columns) {
    for (int64_t row = 0; row < rows; row++) {
        T* values = x + row * columns;
        float largest = load(values), sum = 0;
        for (int64_t i = 0; i < columns; i++) largest = load(values + i) > largest ? load(values + i) : largest;
        for (int64_t i = 0; i < columns; i++) {
            scratch[i] = exponential(load(values + i) - largest);
            sum += scratch[i];
        }
        float inverse = 1.0f / sum;
        for (int64_t i = 0; i < columns; i++) store(values + i, scratch[i] * inverse);
    }
}

KERNEL void silu(void* x, int type, int64_t size) {
    type == BFLOAT16 ? silu_rows(static_cast<bf16*>(x), size) : silu_rows(static_cast<float*>(x), size);
}

KERNEL void quantise(const void* x, int type, const float* centre, float* scratch, int64_t rows, int64_t columns,
                     int steps, uint8_t* out, float* step_and_least) {
    if (type == BFLOAT16)
        quantise_rows(static_cast<const bf16*>(x), centre, scratch, rows, columns, steps, out, step_and_least);
    else
        quantise_rows(static_cast<const float*>(x), centre, scratch, rows, columns, steps, out, step_and_least);
}

KERNEL void rescale(const float* x, const float* step_and_least, const float* sums, const float* bias, int with_silu,
                    int64_t rows, int64_t columns, void* out, int out_type) {
    if (out_type == BFLOAT16)
        rescale_rows(x, step_and_least, sums, bias, with_silu, rows, columns, static_cast<bf16*>(out));
    else
        rescale_rows(x, step_and_least, sums, bias, with_silu, rows, columns, static_cast<float*>(out));
}

KERNEL void add_norm(float* x, const void* y, int y_type, const float* gain, const float* shift, float* scratch,
                     int64_t rows, int64_t columns, void* out, int out_type) {
    const bf16* narrow = static_cast<const bf16*>(y);
    const float* wide = static_cast<const float*>(y);
    bf16* narrow_out = static_cast<bf16*>(out);
    float* wide_out = static_cast<float*>(out);
    if (y_type == BFLOAT16 && out_type == BFLOAT16)
        add_norm_rows(x, narrow, gain, shift, scratch, rows, columns, narrow_out);
    else if (y_type == BFLOAT16)
        add_norm_rows(x, narrow, gain, shift, scratch, rows, columns, wide_out);
    else if (out_type == BFLOAT16)
        add_norm_rows(x, wide, gain, shift, scratch, rows, columns, narrow_out);
    else
        add_norm_rows(x, wide, gain, shift, scratch, rows, columns, wide_out);
}

KERNEL void rotate(const void* x, int type, const float* gain, const float* shift, const float* cosine,
                   const float* sine, float* scratch, int64_t rows, int64_t heads, int64_t half, void* out) {
    if (type == BFLOAT16)
        rotate_rows(static_cast<const bf16*>(x), gain, shift, cosine, sine, scratch, rows, heads, half,
                    static_cast<bf16*>(out));
    else
        rotate_rows(static_cast<const float*>(x), gain, shift, cosine, sine, scratch, rows, heads, half,
                    static_cast<float*>(out));
}

KERNEL void glu(const void* x, int type, int64_t rows, int64_t columns, void* out) {
    if (type == BFLOAT16)
        glu_rows(static_cast<const bf16*>(x), rows, columns, static_cast<bf16*>(out));
    else
        glu_rows(static_cast<const float*>(x), rows, columns, static_cast<float*>(out));
}

KERNEL void softmax(void* x, int type, float* scratch, int64_t rows, int64_t columns) {
    if (type == BFLOAT16)
        softmax_rows(static_cast<bf16*>(x), scratch, rows, columns);
    else
        softmax_rows(static_cast<float*>(x), scratch, rows, columns);
}
