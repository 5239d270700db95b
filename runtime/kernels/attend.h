/* attend.h: the kernels of attention, one table per float type: small products that read their operands where they lie,
   and rows of a softmax that grows block by block. Preconditions as in kernels.h; nothing overlaps. */
#ifndef NP_ATTEND_H
#define NP_ATTEND_H

#include <stdint.h>

typedef struct np_attend {
  /* Rows are padded with zeros to a multiple of `lanes`. Products are fastest for multiples of `high` rows and of `wide`
     columns; a panel holds `wide` keys. */
  int64_t lanes, high, wide;
  /* panels[j / wide][p][j % wide] = x[j*ld + p] for j < n, p < k; the last panel is filled up with zeros. */
  void (*turn)(int64_t n, int64_t k, const void *x, int64_t ld, void *panels);
  /* s[i*s_ld + j] = scale sum_p x[i*ld + p] panels(j, p), i < m; writes whole panels: j < n rounded up to `wide`. */
  void (*scores)(int64_t m, int64_t n, int64_t k, double scale, const void *x, int64_t ld, const void *panels, void *s,
                 int64_t s_ld);
  /* c[i*c_ld + j] += sum_p a[i*ai + p*ap] b[p*b_ld + j], i < m, j < n, n a multiple of `lanes`. */
  void (*add)(int64_t m, int64_t n, int64_t k, const void *a, int64_t ai, int64_t ap, const void *b, int64_t b_ld,
              void *c, int64_t c_ld);
  void (*hide)(int64_t n, const void *keep, void *s); /* s[i] = -inf where keep[i] == 0 */
  /* One more block of a row's scores: with M the greatest so far, s[i] = exp(s[i] - M), sum = sum exp(old M - M) + sum s.
     Returns exp(old M - M), by which to scale what was summed with the old weights. Starts with peak -inf and sum 0; while
     all is -inf, s is 0. */
  double (*soften)(int64_t n, void *s, double *peak, double *sum);
  void (*weights)(int64_t n, void *s, double l);                     /* s[i] = exp(s[i] - l); 0 for l = inf */
  void (*slopes)(int64_t n, const void *p, double d, void *g);       /* g[i] = p[i] (g[i] - d) */
  void (*scale)(int64_t n, double a, void *x);                       /* x[i] *= a */
  /* Pairs (x[2i], x[2i + 1]), or with halves != 0 (x[i], x[n + i]), turned by angles of the given cosine and sine, i < n. */
  void (*rotate)(int64_t n, const void *x, const void *cosine, const void *sine, int halves, void *y);
} np_attend;

#endif
