/* reduce.c: reductions along rows and down columns against plain loops in long double, with NaN, infinities and
   ties; the rows of softmax, layer norm and cross-entropy against their definitions, and their gradients against
   differences. */
#include "check.h"

static double x[8 * MOST], z[8 * MOST];

/* The definition of op over n elements, `step` apart. */
static double twin(int op, int ct, const void *v, int64_t n, int64_t step) {
  long double y = op == NP_PROD || op == NP_ALL ? 1 : op == NP_MAX ? -INFINITY : op == NP_MIN ? INFINITY : 0;
  for (int64_t i = 0; i < n; i++) {
    long double e = (long double)get(ct, v, i * step);
    switch (op) {
    case NP_SUM: y += e; break;
    case NP_SUM_ABS: y += fabsl(e); break;
    case NP_SUM_SQ: y += e * e; break;
    case NP_PROD: y *= e; break;
    case NP_MAX: y = y != y || e != e ? NAN : e > y ? e : y; break;
    case NP_MIN: y = y != y || e != e ? NAN : e < y ? e : y; break;
    case NP_MAX_ABS: y = y != y || e != e ? NAN : fabsl(e) > y ? fabsl(e) : y; break;
    case NP_ANY: y = y != 0 || e != 0; break;
    case NP_ALL: y = y != 0 && e != 0; break;
    default: y += e != 0;
    }
  }
  return (double)y;
}
static double accumulated(int op, int ct, const void *acc, int64_t j) {
  return get(op >= NP_ANY || ct == NP_CI64 ? NP_CI64 : NP_CF64, acc, j);
}
static int64_t twin_arg(int least, int ct, const void *v, int64_t n, int64_t step) {
  int64_t k = 0;
  for (int64_t i = 1; i < n; i++) {
    double e = get(ct, v, i * step), best = get(ct, v, k * step);
    if ((least ? e < best : e > best) || (e != e && best == best)) k = i;
  }
  return k;
}

/* Kinds of content: numbers, many ties and zeros, a few NaN, a few infinities, mostly -inf. */
static void content(int ct, int kind, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double v = kind == 1       ? (double)(next_random() % 3)
               : ct == NP_CI64 ? (double)(int64_t)between(-3, 4)
                               : between(-2, 2);
    if (kind == 2 && ct != NP_CI64 && next_random() % 200 == 0) v = NAN;
    if (kind == 3 && ct != NP_CI64 && next_random() % 50 == 0) v = INFINITY;
    if (kind == 4 && ct != NP_CI64) v = i % 7 ? -INFINITY : 2;
    set(ct, x, i, v);
  }
}

static void reductions(void) {
  static double acc[MOST], best[MOST];
  static int64_t at[MOST];
  for (int ct = 0; ct < NP_CTYPES; ct++)
    for (int kind = 0; kind < 5; kind++) {
      for (int s = 0; s < SIZES; s++) {
        int64_t n = sizes[s];
        content(ct, kind, n);
        for (int op = 0; op < NP_REDUCES; op++) {
          if (n == 0 && (op == NP_MAX || op == NP_MIN)) continue;
          double y;
          K->reduce[ct]->row[op](n, x, &y);
          double t = twin(op, ct, x, n, 1);
          if (ct == NP_CI64 && op == NP_PROD && fabs(t) > 1e18) continue;
          if (ct != NP_CI64 && op == NP_PROD && fabs(t) < 1e-300) continue;
          EXPECT(near(accumulated(op, ct, &y, 0), t,
                      (ct == NP_CF32 ? 1e-6 : 1e-12) * (op == NP_SUM ? sqrt((double)n + 1) : 1)),
                 "%s op %d n %lld: %.17g, not %.17g", ct_name(ct), op, (long long)n, accumulated(op, ct, &y, 0), t);
        }
        for (int least = 0; least < 2 && n; least++) {
          int64_t i;
          K->reduce[ct]->arg[least](n, x, &i);
          EXPECT(i == twin_arg(least, ct, x, n, 1), "%s arg %d n %lld: %lld", ct_name(ct), least, (long long)n,
                 (long long)i);
        }
      }
      static const int64_t heights[] = {1, 3, 8, 21}, widths[] = {0, 1, 7, 64, 100};
      for (int a = 0; a < 4; a++)
        for (int b = 0; b < 5; b++) {
          int64_t m = heights[a], n = widths[b], ld = n + 3, cut = m / 2;
          content(ct, kind, m * ld);
          void *rest = (char *)x + cut * ld * (int64_t)width(ct);
          for (int op = 0; op < NP_REDUCES; op++) {
            if (cut) K->reduce[ct]->cols[op](cut, n, x, ld, acc, 1);
            K->reduce[ct]->cols[op](m - cut, n, rest, ld, acc, !cut);
            for (int64_t j = 0; j < n; j++)
              EXPECT(near(accumulated(op, ct, acc, j), twin(op, ct, (char *)x + j * (int64_t)width(ct), m, ld), 3e-6),
                     "%s cols, op %d, %lld x %lld", ct_name(ct), op, (long long)m, (long long)n);
          }
          for (int least = 0; least < 2; least++) {
            if (cut) K->reduce[ct]->arg_cols[least](cut, n, x, ld, 0, best, at);
            K->reduce[ct]->arg_cols[least](m - cut, n, rest, ld, cut, best, at);
            for (int64_t j = 0; j < n; j++)
              EXPECT(at[j] == twin_arg(least, ct, (char *)x + j * (int64_t)width(ct), m, ld), "%s arg_cols",
                     ct_name(ct));
          }
        }
    }
  done("reductions");
}

static void pairs(void) {
  static double c[100], acc[100], y[MOST];
  for (int ct = 0; ct < NP_CTYPES; ct++)
    for (int s = 0; s < SIZES; s++) {
      int64_t n = sizes[s];
      long double sum = 0, dev = 0;
      fill_between(ct, x, n, -5, 5), fill_between(ct, z, n, -5, 5);
      for (int64_t i = 0; i < n; i++) {
        sum += (long double)get(ct, x, i) * (long double)get(ct, z, i);
        dev += ((long double)get(ct, x, i) - 0.25L) * ((long double)get(ct, x, i) - 0.25L);
      }
      double v;
      K->reduce[ct]->dot(n, x, z, &v);
      EXPECT(near(get(ct == NP_CI64 ? ct : NP_CF64, &v, 0), (double)sum, 2e-5), "dot %s", ct_name(ct));
      memcpy(y, z, sizeof y);
      K->reduce[ct]->axpy(n, 3, x, y);
      for (int64_t i = 0; i < n; i++) EXPECT(near(get(ct, y, i), 3 * get(ct, x, i) + get(ct, z, i), 1e-6), "axpy");
      if (ct == NP_CI64) continue;
      K->reduce[ct]->sq_dev(n, x, 0.25, &v);
      EXPECT(near(v, (double)dev, 1e-6), "sq_dev %s: %.17g, not %.17g", ct_name(ct), v, (double)dev);
    }
  for (int ct = 0; ct < NP_CI64; ct++) {
    fill_between(ct, x, 21 * 50, -5, 5), fill_between(NP_CF64, c, 50, -1, 1);
    K->reduce[ct]->sq_dev_cols(10, 50, x, 50, c, acc, 1);
    K->reduce[ct]->sq_dev_cols(11, 50, (char *)x + 500 * width(ct), 50, c, acc, 0);
    for (int j = 0; j < 50; j++) {
      double t = 0;
      for (int i = 0; i < 21; i++) t += (get(ct, x, i * 50 + j) - c[j]) * (get(ct, x, i * 50 + j) - c[j]);
      EXPECT(near(acc[j], t, 1e-6), "sq_dev_cols");
    }
  }
  done("dot, axpy, sq_dev");
  /* A million numbers near 1 in float32: no drift. */
  float *big = malloc(4000000);
  double t = 0, y1;
  for (int i = 0; big && i < 1000000; i++) t += big[i] = (float)between(0.5, 1.5);
  if (big)
    K->reduce[NP_CF32]->row[NP_SUM](1000000, big, &y1), EXPECT(fabs(y1 - t) < 1e-7 * t, "%.17g, not %.17g", y1, t);
  free(big);
  done("a long sum");
}

int main(void) {
  return each_level(reductions) | each_level(pairs);
}
