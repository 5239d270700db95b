/* kernels.h: every loop over numbers in Neap, as tables of function pointers, one table per instruction set.
   A kernel is plain C over raw pointers. It knows no tensors, allocates nothing, keeps no state and cannot fail: what
   it may be given is written here as a precondition and checked by its callers. Files *_isa.c are compiled once per
   instruction set; np_kernels_pick hands out the table for a level. Counts n, m, k >= 0 may be 0 unless said otherwise;
   strides and leading dimensions are in elements and may be 0 or negative where the word "stride" is used; nothing has
   to be aligned beyond its own type. A kernel gives the same bits for the same arguments, whatever runs beside it. */
#ifndef NP_KERNELS_H
#define NP_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "neap.h"

enum { NP_ISA_BASELINE, NP_ISA_AVX2, NP_ISA_AVX512, NP_ISA_LEVELS };

/* Compute types: everything is computed in one of these. All integers and bool compute in int64 and wrap when they are
   stored; bfloat16 and float16 compute in float32. A tile is a contiguous run of one compute type. Sums, products and
   extremes come out in the accumulator type A: double for the two float types, int64_t for NP_CI64, so an array of
   results is itself a tile of NP_CF64 or NP_CI64 and goes through store[] to any dtype. */
enum { NP_CF32, NP_CF64, NP_CI64, NP_CTYPES };

/* ---- tiles: between strided memory of any dtype and contiguous tiles ---- */

/* load[dtype][ctype], store[ctype][dtype]. Floats become integers by truncation toward zero, saturating at int64's
   ends, NaN is 0, and then wrap to the narrower type; to bool, (x != 0), so NaN is true. bfloat16 and float16 round to
   nearest even. src and dst do not overlap. */
typedef void (*np_load)(int64_t n, const void *src, int64_t stride, void *tile);
typedef void (*np_store)(int64_t n, const void *tile, void *dst, int64_t stride);

/* ---- elementwise maps (rows of elementwise.def) ---- */

#define UNARY(name, ...) NP_EW_##name,
#define BINARY(name, ...) NP_EW_##name,
#define TERNARY(name, ...) NP_EW_##name,
enum {
#include "elementwise.def"
  NP_EW_COUNT
};
#undef UNARY
#undef BINARY
#undef TERNARY

/* in[i] is a tile, or with step[i] == 0 one scalar; out is a tile of the compute type, or of uint8 0/1 for the
   kinds C, L and Q. par: P(0), P(1) and P(2), always three doubles, or NULL for a row without settings. out may be the
   same pointer as an input, and the scalar of a step-0 input may lie inside out; other overlap is not allowed. For
   gradients in = {g, x, z, w, y}: those that the derivative does not mention may be NULL. */
typedef void (*np_map)(int64_t n, const void *const *in, const uint8_t *step, void *out, const double *par);

/* ---- reductions ---- */

/* The results of several blocks are folded again with the op named behind: sums with NP_SUM, extremes with NP_MAX or
   NP_MIN, the last three with themselves (NP_COUNT with NP_SUM), on tiles of A. */
enum {
  NP_SUM,     /* sum x                    -> A, again by NP_SUM */
  NP_SUM_ABS, /* sum |x|                  -> A, NP_SUM */
  NP_SUM_SQ,  /* sum x^2                  -> A, NP_SUM */
  NP_PROD,    /* product                  -> A, NP_PROD */
  NP_MAX,     /* NaN wins; n >= 1         -> A, NP_MAX */
  NP_MIN,     /* NaN wins; n >= 1         -> A, NP_MIN */
  NP_MAX_ABS, /* NaN wins; 0 for n == 0   -> A, NP_MAX */
  NP_ANY,     /* any x != 0               -> int64 0/1, NP_ANY of NP_CI64 */
  NP_ALL,     /* all x != 0               -> int64 0/1, NP_ALL of NP_CI64 */
  NP_COUNT,   /* how many x != 0          -> int64, NP_SUM of NP_CI64 */
  NP_REDUCES
};

typedef struct np_reduce { /* one per compute type */
  /* row[op]: fold x[0..n) into *y. Lanes and blocks are fixed, so float32 errs by a few ulp at any n. */
  void (*row[NP_REDUCES])(int64_t n, const void *x, void *y);
  /* cols[op]: acc[j] op= x[i*ld + j] for i < m, j < n; with first != 0 acc starts afresh (then m >= 1). */
  void (*cols[NP_REDUCES])(int64_t m, int64_t n, const void *x, int64_t ld, void *acc, int first);
  /* Index of the largest (arg[0]) or smallest (arg[1]); n >= 1; the first one on ties, the first NaN if any. */
  void (*arg[2])(int64_t n, const void *x, int64_t *i);
  /* The same down columns: best[j] (A) and at[j] over rows numbered i0, i0+1, ...; with i0 == 0 both start afresh. */
  void (*arg_cols[2])(int64_t m, int64_t n, const void *x, int64_t ld, int64_t i0, void *best, int64_t *at);
  /* Float types only (NULL for NP_CI64): sum of (x - c)^2, along a row and down columns. */
  void (*sq_dev)(int64_t n, const void *x, double c, double *y);
  void (*sq_dev_cols)(int64_t m, int64_t n, const void *x, int64_t ld, const double *c, double *acc, int first);
  void (*dot)(int64_t n, const void *x, const void *z, void *y);    /* y (A) = sum x*z */
  void (*axpy)(int64_t n, double a, const void *x, void *y);        /* y += a*x (a cast to int64 for NP_CI64) */
  /* Float types only: y[j] = (sum |x - z_j|^p)^(1/p) for the m rows z_j of z, all rows n long and dense; p = 0 counts
     what differs, infinite p takes the largest. */
  void (*distance)(int64_t n, int64_t m, const void *x, const void *z, double p, void *y);
} np_reduce;

/* ---- scans: running sums and the like ---- */

enum {
  NP_CUMSUM,       /* from acc = 0 */
  NP_CUMPROD,      /* from acc = 1 */
  NP_LOGCUMSUMEXP, /* log sum exp, from acc = -inf; float types only (NULL for NP_CI64) */
  NP_SCANS
};

typedef struct np_scan { /* one per compute type; y may be x */
  /* row[op]: y[i] = acc = acc op x[i], for i from 0 up or with back != 0 from n-1 down; acc (A) goes in and out. */
  void (*row[NP_SCANS])(int64_t n, const void *x, void *y, int back, void *acc);
  /* cols[op]: the same down the columns of m rows of n, ld apart in x and in y, with n values of acc. */
  void (*cols[NP_SCANS])(int64_t m, int64_t n, const void *x, void *y, int64_t ld, int back, void *acc);
  /* The greatest (arg_row[0]) or smallest (arg_row[1]) so far and its position, the last of equal ones; NaN, once met,
     stays, and the last one is named. */
  void (*arg_row[2])(int64_t n, const void *x, void *y, int64_t *at);
  void (*arg_cols[2])(int64_t m, int64_t n, const void *x, void *y, int64_t *at, int64_t ld);
  /* y[i] = x[i] + w[i] y[i-1] from y[-1] = 0, or with back != 0 x[i] + w[i] y[i+1] from y[n] = 0. Float types only. */
  void (*recur_row)(int64_t n, const void *x, const void *w, void *y, int back);
  void (*recur_cols)(int64_t m, int64_t n, const void *x, const void *w, void *y, int64_t ld, int back);
} np_scan;

/* ---- sorting ---- */

/* A key is an unsigned number of 32 bits that orders as a value does: -0 is 0, NaNs are the last and all alike. Of
   float64 and int64 it is one half of 64 bits, or for int64s near each other how far above `low` they are. With flip
   ~0u instead of 0 keys run the other way. An entry is a key and, in its lower 32 bits, a position: so entries differ,
   and sorting them keeps equal values in order. */
enum { NP_KEY_HIGH /* all of float32 */, NP_KEY_LOW, NP_KEY_NEAR };

typedef struct np_sort {
  /* entry[i] = key of x[i], i0 + i */
  void (*pack[NP_CTYPES])(int64_t n, const void *x, int64_t i0, int how, uint32_t flip, int64_t low, uint64_t *entry);
  /* entry[i] = key of x[position], position: for entries that have positions in x already. */
  void (*repack[NP_CTYPES])(int64_t n, const void *x, int how, uint32_t flip, int64_t low, uint64_t *entry);
  /* values[i] = x[position], at[i] = position + base; either may be NULL */
  void (*take[NP_CTYPES])(int64_t n, const uint64_t *entry, const void *x, int64_t base, void *values, int64_t *at);
  /* Positions i0 + i of the x[i] that come before *bound (after it, with flip ~0u), as entries without a key; how many. */
  int64_t (*before[NP_CTYPES])(int64_t n, const void *x, int64_t i0, const void *bound, uint32_t flip, uint64_t *entry);
  int64_t (*nans[2])(int64_t n, const void *x); /* how many are NaN */
  uint64_t *(*sort)(int64_t n, uint64_t *entry, uint64_t *room); /* n < 2^32; the sorted entries: entry or room */
  uint64_t (*select)(int64_t n, const uint64_t *entry, int64_t k, uint64_t *room); /* the entry before which there are k */
  int64_t (*below)(int64_t n, const uint64_t *entry, uint64_t bound, uint64_t *out); /* those <= bound; out may be entry */
  /* One digit of a radix sort, bits (at most 11) from shift up: counts[digit]++, and out[places[digit]++] = entry. */
  void (*count)(int64_t n, const uint64_t *entry, int shift, int bits, uint32_t *counts);
  void (*spread)(int64_t n, const uint64_t *entry, int shift, int bits, uint32_t *places, uint64_t *out);
} np_sort;

/* ---- counting and searching ---- */

typedef struct np_count {
  /* counts[b] += weight[i] (1 for NULL) for each x[i] in bin b; what lies outside of all bins, and NaN, is passed over; the
     last bin has its right end. edges NULL: `bins` bins of one width from lo to hi. Else bins + 1 rising edges, which
     with even != 0 are nearly those. Float types. */
  void (*bins[2])(int64_t n, const void *x, const void *weight, int64_t bins, double lo, double hi, const void *edges,
                  int even, double *counts);
  /* at[i] = base + how many of s[0..m), rising, are < v[i], or with right != 0 are <= v[i]; all of them for NaN. */
  void (*search[NP_CTYPES])(int64_t n, const void *v, int64_t m, const void *s, int right, int64_t base, int64_t *at);
  /* yes[i] = whether v[i] is among s[0..m), rising up to NaNs at the end, or with invert != 0 is not. */
  void (*among[NP_CTYPES])(int64_t n, const void *v, int64_t m, const void *s, int invert, uint8_t *yes);
  /* Of n values in a row, or in the order of entries: the number of the group of equal neighbours that each is in, from
     0. NaN equals nothing. Returns how many groups there are. */
  int64_t (*groups[NP_CTYPES])(int64_t n, const void *x, const uint64_t *entry, int64_t *group);
} np_count;

/* ---- rows of layers and losses (float types) ---- */

typedef struct np_row { /* x, y, g, dx contiguous rows of n >= 1; y may be x, dx may be g */
  void (*logsumexp)(int64_t n, const void *x, double *y);                    /* y = log sum exp x */
  void (*softmax)(int64_t n, const void *x, void *y);                        /* y = exp(x - logsumexp x) */
  void (*log_softmax)(int64_t n, const void *x, void *y);                    /* y = x - logsumexp x */
  void (*softmax_grad)(int64_t n, const void *y, const void *g, void *dx);     /* dx = y (g - sum g y) */
  void (*log_softmax_grad)(int64_t n, const void *y, const void *g, void *dx); /* dx = g - exp(y) sum g */

  /* y = (x - mean) rstd gamma + beta, rstd = 1/sqrt(var + eps), var divided by n. gamma, beta (n), or NULL;
     *mean and *rstd are written as the row's own type. */
  void (*layer_norm)(int64_t n, const void *x, const void *gamma, const void *beta, double eps, void *y, void *mean,
                     void *rstd);
  /* With h = (x - mean) rstd and d = g gamma: dx = rstd (d - mean(d) - h mean(d h)); dgamma += g h; dbeta += g. mean
     and rstd as the forward left them; gamma, dx, dgamma, dbeta may be NULL; dgamma and dbeta are doubles. */
  void (*layer_norm_grad)(int64_t n, const void *g, const void *x, const void *gamma, const void *mean,
                          const void *rstd, void *dx, double *dgamma, double *dbeta);

  /* Cross-entropy of logits x (n) for class t in [0, n), class weights w (n) or NULL, label smoothing e:
       loss = (1-e) w[t] (L - x[t]) + e/n sum_c w[c] (L - x[c]),  L = logsumexp x, which is kept for the gradient.
     dx = scale * dloss/dx = scale ((1-e) w[t] (p - 1[c=t]) + e/n (p sum w - w)),  p = exp(x - L). */
  void (*cross_entropy)(int64_t n, const void *x, int64_t t, const void *w, double e, double *loss, double *L);
  void (*cross_entropy_grad)(int64_t n, const void *x, int64_t t, const void *w, double e, double L, double scale,
                             void *dx);
  /* The same for a row q (n) of class probabilities: with r = (1-e) q + e/n, loss = sum_c w[c] r[c] (L - x[c]) and
     dx = scale (p sum(w r) - w r). */
  void (*cross_entropy_soft)(int64_t n, const void *x, const void *q, const void *w, double e, double *loss, double *L);
  void (*cross_entropy_soft_grad)(int64_t n, const void *x, const void *q, const void *w, double e, double L,
                                  double scale, void *dx);
} np_row;

/* ---- index kernels
   ------------------------------------------------------------------------------------------------ */

enum { NP_FOLD_ADD, NP_FOLD_MUL, NP_FOLD_MAX, NP_FOLD_MIN, NP_FOLDS };

/* Index lists: n values of int64 (wide != 0) or int32, contiguous, counted from `base`; all within range. */
typedef struct np_index {
  /* Whether all of idx (int64) lie between low and high, both included. */
  int (*within)(int64_t n, const int64_t *idx, int64_t low, int64_t high);
  /* dst row i = src row idx[i], rows of `bytes` bytes; src rows lie src_ld bytes apart, dst rows dst_ld. */
  void (*take_rows)(int64_t n, const void *idx, int wide, int64_t base, size_t bytes, const void *src, int64_t src_ld,
                    void *dst, int64_t dst_ld);
  /* dst row idx[i] = src row i; of equal indices the last one stays. */
  void (*put_rows)(int64_t n, const void *idx, int wide, int64_t base, size_t bytes, const void *src, int64_t src_ld,
                   void *dst, int64_t dst_ld);
  /* dst row idx[i] += src row i, rows of k elements, in order of i. */
  void (*add_rows[NP_CTYPES])(int64_t n, const void *idx, int wide, int64_t base, int64_t k, const void *src,
                              int64_t src_ld, void *dst, int64_t dst_ld);
  /* Single elements of `size` bytes (1, 2, 4, 8), where at(i) = (idx[i] - base)*unit + i*step:
     dst[i*dst_stride] = src[at(i)], and dst[at(i)] = src[i*src_stride]. */
  void (*gather)(int size, int64_t n, const void *idx, int wide, int64_t base, const void *src, int64_t unit,
                 int64_t step, void *dst, int64_t dst_stride);
  void (*scatter)(int size, int64_t n, const void *idx, int wide, int64_t base, const void *src, int64_t src_stride,
                  void *dst, int64_t unit, int64_t step);
  /* dst[at(i)] op= src[i*src_stride], in order of i; NaN wins in the extremes. */
  void (*scatter_fold[NP_CTYPES][NP_FOLDS])(int64_t n, const void *idx, int wide, int64_t base, const void *src,
                                            int64_t src_stride, void *dst, int64_t unit, int64_t step);
} np_index;

/* ---- products
   ------------------------------------------------------------------------------------------------------ */

/* C (m, n) = alpha op(A) op(B) + beta C, row-major; op(A) is (m, k): A is (m, k) with ld lda, or with ta != 0 (k, m);
   likewise B. beta == 0 never reads C. C overlaps nothing. scratch: gemm_scratch(m, n, k) bytes (0: may be NULL),
   aligned to 64. NP_CI64 wraps and casts alpha and beta to int64. Each element of C is the same for every split of m
   and n only if the split is the same: cut alike to get the same bits. */
typedef void (*np_gemm)(int ta, int tb, int64_t m, int64_t n, int64_t k, double alpha, const void *a, int64_t lda,
                        const void *b, int64_t ldb, double beta, void *c, int64_t ldc, void *scratch);

/* ---- random numbers
   ------------------------------------------------------------------------------------------------- */

/* Philox4x32-10 (Salmon et al., SC 2011) with key = seed and 128-bit counter (offset + block, 0): a block gives four
   32-bit words. Element i0+j goes to out[j] and depends on (seed, offset, i0+j) alone, so any cut of the elements
   gives the same bits. n elements use up NP_RANDOM_32(n) counters where marked 32 and NP_RANDOM_64(n) where marked 64;
   add that to offset for the next fill. */
#define NP_RANDOM_32(n) (((uint64_t)(n) + 3) / 4)
#define NP_RANDOM_64(n) (((uint64_t)(n) + 1) / 2)
typedef void (*np_random_fill)(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, void *out, double a, double b);
typedef struct np_random {
  void (*bits32)(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, uint32_t *out); /* 32 */
  void (*bits64)(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, uint64_t *out); /* 64 */
  np_random_fill uniform[2];   /* [a, b): f32 has 24 random bits (32), f64 53 (64) */
  np_random_fill normal[2];    /* mean a, deviation b: f32 (32), f64 (64); Box-Muller on neighbouring pairs */
  np_random_fill bernoulli[2]; /* b with probability a, else 0 (both 32) */
  /* int64 in [lo, hi), hi > lo (64): the high word of bits64 * (hi - lo), so a value is off by at most 2^-64. */
  void (*randint)(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, int64_t *out, int64_t lo, int64_t hi);
  np_random_fill exponential[2]; /* rate a, b unused; never 0; like uniform */
  np_random_fill cauchy[2];      /* median a, scale b; like uniform */
  np_random_fill log_normal[2];  /* exp of normal's */
  np_random_fill geometric[2];   /* how many trials of probability a until the first success, 1, 2, ...; like uniform */
} np_random;

/* Samplers (draw.c) of elements i0 .. i0+n in double, the same under every instruction set; each element uses up one
   counter, whose high half counts the words it needs. */
/* Standard gamma numbers of shape a > 0, or their logarithms. */
void np_draw_gamma(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, const double *a, int logarithm, double *y);
/* d = d log z / d a where the distribution function of shape a is held fixed (implicit reparameterisation: Figurnov et
   al., 2018), to 1e-10. */
void np_draw_gamma_slope(int64_t n, const double *a, const double *log_z, double *d);
/* y = P(a, z), the distribution function of a gamma number of shape a at z; with upper 1 - P. To 1e-10; NaN below 0. */
void np_draw_gamma_share(int64_t n, const double *a, const double *z, int upper, double *y);
void np_draw_poisson(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, const double *rate, double *y); /* rate >= 0 */
/* count >= 0 and whole, 0 <= p <= 1 */
void np_draw_binomial(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, const double *count, const double *p, double *y);
/* k classes by weights w, some of them over 0: again and again (k counters), or each at most once (`classes` counters; at
   least k of the weights are over 0), in the order of drawing. scratch: `classes` doubles. */
void np_draw_choices(uint64_t seed, uint64_t offset, int64_t classes, const double *w, int64_t k, int again, int64_t *out, double *scratch);

/* ---- Fourier transforms
   ------------------------------------------------------------------------------------------------ */

/* y[k] = scale sum_j x[j] exp(-+2 pi i j k / n) of rows of complex numbers, pairs one after the other. A plan (fft_plan.c)
   says how: of lengths whose primes are at most 13, short ones go through mixed-radix passes (Stockham's, after Cochran et
   al., 1967), one row in each lane of a vector; long ones are a square a b = n whose columns, then rows, fill the lanes
   (Bailey, 1990); all others are a convolution with a chirp (Bluestein, 1970). */
enum { NP_FFT_LANES, NP_FFT_SQUARE, NP_FFT_CHIRP, NP_FFT_PASSES = 64 };
typedef struct np_fft_pass {
  int radix;
  int64_t m, s;          /* lengths of the transforms left over, and how many lie side by side */
  const void *w, *root;  /* m (radix - 1) and radix pairs */
} np_fft_pass;
typedef struct np_fft_line {
  int64_t n;
  int passes;
  np_fft_pass pass[NP_FFT_PASSES];
} np_fft_line;
typedef struct np_fft {
  int64_t n;             /* of the complex transform: for an even real length, half of it */
  int64_t real;          /* the length of the real rows it serves, or 0 */
  int kind;
  np_fft_line a, b;      /* LANES: a; SQUARE: both */
  const void *twiddle;   /* SQUARE: exp(-2 pi i j k / n), laid out as the passes meet it */
  const struct np_fft *inner; /* CHIRP: a cyclic convolution of this length */
  const void *chirp;     /* n pairs exp(-pi i j^2 / n) */
  void *kernel;          /* inner->n pairs: the other chirp over inner->n; whoever made the plan transforms it */
  const void *half;      /* even real: exp(-2 pi i k / real), k <= n */
} np_fft;
/* Makes a plan in memory (64-byte aligned, of the size it returns, which starts with the plan); NULL: the size alone.
   NP_FFT_COLUMNS: for `columns`, in one pass over each where the length is smooth, and else of kind CHIRP. */
enum { NP_FFT_COMPLEX, NP_FFT_REAL, NP_FFT_COLUMNS };
size_t np_fft_plan(int64_t n, int use, int ctype, int64_t lanes, void *memory);
size_t np_fft_scratch(const np_fft *p, int64_t lanes); /* elements that a call needs, 64-byte aligned */
int64_t np_fft_group(const np_fft *p, int64_t lanes);  /* rows that are best done in one call: a multiple of it */

typedef struct np_fourier { /* one per float type; leading dimensions in elements (a pair is two), x and y do not overlap */
  int64_t lanes;
  void (*rows)(const np_fft *p, int64_t rows, const void *x, int64_t x_ld, void *y, int64_t y_ld, int inverse, double scale, void *scratch);
  /* Columns of a matrix of pairs (n, ld / 2), at most `lanes` of them from x and y on, of a plan of kind LANES. */
  void (*columns)(const np_fft *p, int64_t columns, const void *x, void *y, int64_t ld, int inverse, double scale, void *scratch);
  /* Real rows (p->real) to the first real/2 + 1 of their transform, and such a half back to real rows: y[j] = scale Re(sum
     over the half of c x[k] exp(2 pi i j k / n)). All but the first and (even lengths) the last number count c times. */
  void (*real)(const np_fft *p, int64_t rows, const void *x, int64_t x_ld, void *y, int64_t y_ld, double scale, double c, void *scratch);
  void (*half)(const np_fft *p, int64_t rows, const void *x, int64_t x_ld, void *y, int64_t y_ld, double scale, double c, void *scratch);
  void (*multiply)(int64_t n, const void *x, const void *z, int conj, void *y); /* n pairs: y = x z, or x times z's conjugate */
} np_fourier;

/* ---- the table
   ----------------------------------------------------------------------------------------------------------- */

typedef struct np_kernels {
  const char *name; /* "baseline", "avx2", "avx512" */
  const np_load (*load)[NP_CTYPES];      /* load[dtype][ctype] */
  const np_store (*store)[NEAP_DTYPES];  /* store[ctype][dtype] */
  /* dst[i*dst_row + j*dst_col] = src[i*src_row + j*src_col], i < rows, j < cols, any strides; elements of `size` bytes
     (1, 2, 4, 8). Blocked where source and destination run in different directions. No overlap. */
  void (*copy2d)(int size, int64_t rows, int64_t cols, const void *src, int64_t src_row, int64_t src_col, void *dst,
                 int64_t dst_row, int64_t dst_col);
  void (*fill)(int size, int64_t n, const void *value, void *dst, int64_t stride); /* dst[i*stride] = *value */
  const np_map *map[NP_CTYPES];          /* map[ctype][NP_EW_x]; NULL where the kind has no such version */
  const np_map (*grad[2])[3];            /* grad[NP_CF32 or NP_CF64][NP_EW_x][operand]; NULL where NONE */
  const np_reduce *reduce[NP_CTYPES];
  const np_scan *scan[NP_CTYPES];
  const np_sort *sort;
  const np_count *count;
  const np_row *row[2];
  const struct np_sheet_loops *sheet[2]; /* sheet.h */
  const struct np_norm *norm[2];         /* norm.h */
  const np_index *index;
  np_gemm gemm[NP_CTYPES];
  size_t (*gemm_scratch[NP_CTYPES])(int64_t m, int64_t n, int64_t k);
  const np_random *random;
  const np_fourier *fourier[2];
  const struct np_attend *attend[2]; /* attend.h */
  const struct np_optim *optim[2]; /* update rules: update.h */
  const struct np_recurrent *recurrent[2]; /* recurrent.h */
  const struct np_conv *conv[2];         /* conv.h */
  const struct np_pool_loops *pool[2];   /* pool.h */
  const struct np_grid_loops *grid[2];   /* grid.h */
} np_kernels;

/* Decompositions in plain C, compiled once (factor.inl): for contexts without LAPACK. */
extern const neap_lapack_routines np_lapack_f32, np_lapack_f64;
/* Eigenvalues w and vectors v (n, n) of h, which is spent; room: n * n + 2 n numbers. 1: no end in sight (eigen.c). */
int np_eigen(int n, double _Complex *h, double _Complex *w, double _Complex *v, double _Complex *room);

/* The table for a level; a level that was not built gives the next lower one. The cpu must have what it names. */
const np_kernels *np_kernels_pick(int level);

#endif
