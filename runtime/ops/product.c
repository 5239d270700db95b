/* Matrix products: cut into blocks that depend on sizes alone, run over the pool, each by the context's BLAS or by the
 * internal kernel. One thread runs the same blocks as eight, so the bits are the same. At most 16 blocks along the
 * larger of M and N, each at least 128 wide; where K is far larger than both, K in a fixed number of parts that are
 * added in order; so too where a vector meets a matrix whose rows are read from end to end. Very small products and those
 * with one row or column never go to BLAS, which is slow at them. */
#include <string.h>
#include "op.h"

typedef struct gemm_state {
  neap_context *ctx;
  int dtype, ta, tb, by_rows, parts;
  int64_t m, n, k, lda, ldb, ldc, block, k_part;
  double alpha, beta;
  const char *a, *b;
  char *out, *sums;              /* sums: one M x N block for each part of K but the first */
  char *scratch;
  size_t scratch_bytes, scratch_all;
} gemm_state;

static int goes_to_blas(const neap_context *c, int dtype, int64_t m, int64_t n, int64_t k) {
  if (dtype == NEAP_F32 ? !c->blas.sgemm : dtype == NEAP_F64 ? !c->blas.dgemm : 1) return 0;
  return m > 1 && n > 1 && (double)m * (double)n * (double)k > 32.0 * 32 * 32 && m < INT32_MAX && n < INT32_MAX && k < INT32_MAX;
}

static void one_product(const gemm_state *s, int64_t m, int64_t n, int64_t k, const char *a, const char *b, double beta, char *out,
                        int64_t ldc, char *scratch) {
  const neap_context *c = s->ctx;
  if (goes_to_blas(c, s->dtype, s->m, s->n, s->k)) {
    int lda = (int)s->lda, ldb = (int)s->ldb, ld = (int)ldc;
    if (s->dtype == NEAP_F32)
      c->blas.sgemm(s->ta, s->tb, (int)m, (int)n, (int)k, (float)s->alpha, (const float *)a, lda, (const float *)b, ldb, (float)beta, (float *)out, ld);
    else
      c->blas.dgemm(s->ta, s->tb, (int)m, (int)n, (int)k, s->alpha, (const double *)a, lda, (const double *)b, ldb, beta, (double *)out, ld);
    return;
  }
  c->kernels->gemm[np_ctype(s->dtype)](s->ta, s->tb, m, n, k, s->alpha, a, s->lda, b, s->ldb, beta, out, ldc, scratch);
}

static void gemm_task(void *arg, int64_t task) {
  const gemm_state *s = arg;
  int64_t size = np_size_of(s->dtype), block = task / s->parts, part = task % s->parts;
  int64_t start = block * s->block, whole = s->by_rows ? s->m : s->n;
  int64_t wide = whole - start < s->block ? whole - start : s->block;
  int64_t k0 = part * s->k_part, k = s->k - k0 < s->k_part ? s->k - k0 : s->k_part;
  const char *a = s->a + size * (s->ta ? k0 * s->lda : k0), *b = s->b + size * (s->tb ? k0 : k0 * s->ldb);
  int64_t m = s->m, n = s->n, row = 0, col = 0;
  if (s->by_rows) a += size * (s->ta ? start : start * s->lda), m = wide, row = start;
  else b += size * (s->tb ? start * s->ldb : start), n = wide, col = start;
  char *scratch = s->scratch ? s->scratch + (size_t)task * s->scratch_bytes : NULL;
  if (part == 0) one_product(s, m, n, k, a, b, s->beta, s->out + size * (row * s->ldc + col), s->ldc, scratch);
  else one_product(s, m, n, k, a, b, 0, s->sums + size * ((part - 1) * s->m * s->n + row * s->n + col), s->n, scratch);
}

static void add_parts(const gemm_state *s) {
  const np_reduce *r = s->ctx->kernels->reduce[np_ctype(s->dtype)];
  int64_t size = np_size_of(s->dtype);
  for (int p = 1; p < s->parts; p++)
    for (int64_t i = 0; i < s->m; i++)
      r->axpy(s->n, 1.0, s->sums + size * ((p - 1) * s->m * s->n + i * s->n), s->out + size * i * s->ldc);
}

int np_product(neap_context *c, int dtype, int ta, int tb, int64_t m, int64_t n, int64_t k, double alpha, const void *a,
               int64_t lda, const void *b, int64_t ldb, double beta, void *out, int64_t ldc) {
  if (m == 0 || n == 0) return NEAP_OK;
  gemm_state s = { .ctx = c, .dtype = dtype, .ta = ta, .tb = tb, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc,
    .alpha = alpha, .beta = beta, .a = a, .b = b, .out = out, .by_rows = m >= n, .parts = 1, .k_part = k };
  /* A vector times the rows of a matrix reads them from end to end: cut between rows, not across them. */
  int along_rows = (m == 1 && !tb) || (n == 1 && ta);
  int64_t whole = m >= n ? m : n, blocks = whole / (along_rows ? 1024 : 128);
  double flops = 2.0 * (double)m * (double)n * (double)k;
  blocks = blocks < 1 || flops < 1e6 ? 1 : blocks > 16 ? 16 : blocks;
  s.block = (whole + blocks - 1) / blocks;
  s.block = (s.block + 15) / 16 * 16;
  blocks = (whole + s.block - 1) / s.block;
  if (k >= 1024 && (along_rows ? blocks <= 2 && flops >= 1e6 : blocks == 1 && k > 8 * whole && flops >= 4e6)) {
    s.parts = k >= 4096 ? 8 : 4;
    s.k_part = (k + s.parts - 1) / s.parts;
    s.sums = np_alloc(c, (size_t)((s.parts - 1) * m * n) * (size_t)np_size_of(dtype));
    if (!s.sums) return c->error;
  }
  if (!goes_to_blas(c, dtype, m, n, k)) {
    int64_t bm = s.by_rows ? s.block : m, bn = s.by_rows ? n : s.block;
    s.scratch_bytes = (c->kernels->gemm_scratch[np_ctype(dtype)](bm < m ? bm : m, bn < n ? bn : n, s.k_part) + 63) / 64 * 64;
    s.scratch_all = s.scratch_bytes * (size_t)(blocks * s.parts);
    s.scratch = s.scratch_all ? np_alloc(c, s.scratch_all) : NULL;
  }
  if (!np_failed(c)) {
    np_parallel(c, blocks * s.parts, flops / 60, gemm_task, &s);
    if (s.parts > 1) add_parts(&s);
  }
  np_free(c, s.sums, (size_t)((s.parts - 1) * m * n) * (size_t)np_size_of(dtype));
  np_free(c, s.scratch, s.scratch_all);
  return c->error;
}
