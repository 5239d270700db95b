/* order.c: scans, sorting, selecting, bins and lookups against plain loops, with NaN, infinities, zeros of both signs and
   many equal values. */
#include "check.h"

enum { N = 4000 };
static double x[N], y[N], z[N];
static int64_t at[N];
static uint64_t entry[N], room[N], kept[N];

/* Kinds of content: numbers, many ties, NaN and infinities among ties and signed zeros. */
static void content(int ct, int kind, int64_t n) {
  static const double odd[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1, -1, 2};
  for (int64_t i = 0; i < n; i++) {
    double v = kind == 1 ? (double)(next_random() % 5) : ct == NP_CI64 ? (double)(int64_t)between(-1e6, 1e6) : between(-2, 2);
    if (kind == 2) v = ct == NP_CI64 ? (double)(next_random() % 2) : odd[next_random() % 8];
    set(ct, x, i, v);
  }
}

static int scan_near(double a, double b, int ct) { return near(a, b, ct == NP_CF32 ? 1e-6 : 1e-11); }

static void scans(void) {
  for (int ct = 0; ct < NP_CTYPES; ct++)
    for (int kind = 0; kind < 3; kind++)
      for (int s = 0; s < SIZES; s++)
        for (int back = 0; back < 2; back++)
          for (int op = 0; op < NP_SCANS; op++) {
            int64_t n = sizes[s];
            if (ct == NP_CI64 && (op == NP_LOGCUMSUMEXP || (op == NP_CUMPROD && kind == 0))) continue;
            content(ct, kind, n);
            long double acc = op == NP_CUMSUM ? 0.5L : op == NP_CUMPROD ? 2 : 0.25L;
            if (ct == NP_CI64) acc = 2;
            double carry;
            set(ct == NP_CI64 ? ct : NP_CF64, &carry, 0, (double)acc);
            K->scan[ct]->row[op](n, x, y, back, &carry);
            for (int64_t j = 0; j < n; j++) {
              int64_t i = back ? n - 1 - j : j;
              long double v = (long double)get(ct, x, i), m = acc > v ? acc : v;
              if (op == NP_CUMSUM) acc += v;
              else if (op == NP_LOGCUMSUMEXP) acc = m + logl(expl(acc - m) + expl(v - m));
              else if (ct == NP_CI64) acc = (long double)(int64_t)((uint64_t)(int64_t)acc * (uint64_t)(int64_t)v);
              else acc *= v;
              if (op == NP_LOGCUMSUMEXP && kind == 2) continue; /* infinities: the op's own tests */
              double got = get(ct, y, i), want = ct == NP_CF32 ? (double)(float)acc : (double)acc;
              if (fabs(want) > 1e300 || (want != 0 && fabs(want) < 1e-30)) break;
              EXPECT(scan_near(got, want, ct), "%s op %d back %d n %lld at %lld: %.17g, not %.17g", ct_name(ct), op, back, (long long)n,
                     (long long)i, got, want);
            }
            /* two columns, one of them the row from before, give the same */
            if (n == 0 || n > 1000) continue;
            for (int64_t i = n - 1; i >= 0; i--) set(ct, z, 2 * i, get(ct, x, i)), set(ct, z, 2 * i + 1, 1);
            double carries[2] = {0, 0};
            for (int k = 0; k < 2; k++)
              set(ct == NP_CI64 ? ct : NP_CF64, carries, k, ct == NP_CI64 ? 2 : op == NP_CUMSUM ? 0.5 : op == NP_CUMPROD ? 2 : 0.25);
            K->scan[ct]->cols[op](n, 2, z, z, 2, back, carries);
            for (int64_t i = 0; i < n; i++)
              EXPECT(scan_near(get(ct, z, 2 * i), get(ct, y, i), ct), "%s cols, op %d", ct_name(ct), op);
          }
  done("scans");
}

static void extremes(void) {
  for (int ct = 0; ct < NP_CTYPES; ct++)
    for (int kind = 0; kind < 3; kind++)
      for (int s = 0; s < SIZES; s++)
        for (int least = 0; least < 2; least++) {
          int64_t n = sizes[s], k = 0;
          content(ct, kind, n);
          K->scan[ct]->arg_row[least](n, x, y, at);
          for (int64_t i = 0; i < n; i++) {
            double v = get(ct, x, i), best = get(ct, x, k);
            if (v != v || (best == best && (least ? v <= best : v >= best))) k = i;
            EXPECT(at[i] == k && same(get(ct, y, i), get(ct, x, k)), "%s least %d n %lld", ct_name(ct), least, (long long)n);
          }
        }
  done("running extremes");
}

/* Whether a comes before b in order: NaN last, equal ones (all NaNs too) not. */
static int precedes(double a, double b) { return a == a && (b != b || a < b); }

static double upper_half(double v) {
  uint64_t u;
  memcpy(&u, &v, sizeof u);
  u &= ~(uint64_t)UINT32_MAX;
  memcpy(&v, &u, sizeof v);
  return v;
}

static void orders(void) {
  static const int64_t lengths[] = {1, 2, 24, 25, 300, 2999, 3000, N};
  for (int ct = 0; ct < NP_CTYPES; ct++)
    for (int kind = 0; kind < 3; kind++)
      for (int s = 0; s < 8; s++)
        for (int down = 0; down < 2; down++) {
          int64_t n = lengths[s];
          uint32_t flip = down ? ~0u : 0;
          content(ct, kind, n);
          int how = ct == NP_CI64 ? NP_KEY_NEAR : NP_KEY_HIGH;
          K->sort->pack[ct](n, x, 0, how, flip, -1000000, entry);
          for (int64_t k = 0; k < n; k += 1 + n / 7) kept[k] = K->sort->select(n, entry, k, room);
          uint64_t *sorted = K->sort->sort(n, entry, room);
          for (int64_t i = 0; i + 1 < n; i++) {
            int64_t p = (int64_t)(uint32_t)sorted[i], q = (int64_t)(uint32_t)sorted[i + 1];
            double a = get(ct, x, p), b = get(ct, x, q);
            if (ct == NP_CF64) a = upper_half(a), b = upper_half(b); /* all that the key has */
            EXPECT(!(down ? precedes(a, b) : precedes(b, a)), "%s n %lld: %g then %g", ct_name(ct), (long long)n, a, b);
            EXPECT(sorted[i] < sorted[i + 1], "%s n %lld: equal ones changed places", ct_name(ct), (long long)n);
          }
          for (int64_t k = 0; k < n; k += 1 + n / 7) {
            EXPECT(kept[k] == sorted[k], "%s n %lld: rank %lld", ct_name(ct), (long long)n, (long long)k);
            EXPECT(K->sort->below(n, sorted, sorted[k], room == sorted ? entry : room) == k + 1, "below");
          }
          /* what comes before an element of the middle */
          double bound = get(ct, x, n / 2);
          int64_t m = K->sort->before[ct](n, x, 7, (char *)x + n / 2 * (int64_t)width(ct), flip, kept), want = 0;
          for (int64_t i = 0; i < n; i++) {
            double v = get(ct, x, i);
            if (!(down ? precedes(bound, v) : precedes(v, bound))) continue;
            EXPECT(want < m && kept[want] == (uint64_t)(i + 7), "%s n %lld before", ct_name(ct), (long long)n);
            want++;
          }
          EXPECT(m == want, "%s n %lld: %lld before, not %lld", ct_name(ct), (long long)n, (long long)m, (long long)want);
        }
  done("orders");
}

static void halves(void) { /* the lower halves tell apart what the upper ones do not */
  for (int ct = NP_CF64; ct <= NP_CI64; ct++)
    for (int64_t i = 0; i < 100; i++) {
      double a = 1 + (double)(next_random() % 50) * 0x1p-52, b = 1 + (double)(next_random() % 50) * 0x1p-52;
      int64_t c = ((int64_t)1 << 40) + (int64_t)(next_random() % 50), d = ((int64_t)1 << 40) + (int64_t)(next_random() % 50);
      double pair[2] = {a, b};
      int64_t ints[2] = {c, d};
      const void *v = ct == NP_CF64 ? (const void *)pair : ints;
      uint64_t high[2], low[2];
      K->sort->pack[ct](2, v, 0, NP_KEY_HIGH, 0, 0, high);
      K->sort->pack[ct](2, v, 0, NP_KEY_LOW, 0, 0, low);
      EXPECT(high[0] >> 32 == high[1] >> 32, "upper halves differ");
      EXPECT(ct == NP_CF64 ? (a < b) == (low[0] >> 32 < low[1] >> 32) : (c < d) == (low[0] >> 32 < low[1] >> 32), "lower halves");
    }
  done("halves");
}

static void counts(void) {
  static double list[64], count[64];
  static uint8_t yes[N];
  for (int ct = 0; ct < NP_CTYPES; ct++)
    for (int kind = 0; kind < 3; kind++)
      for (int64_t m = 0; m < 40; m += 13) {
        int64_t n = 500;
        content(ct, kind, n);
        for (int64_t j = 0; j < m; j++) set(ct, list, j, (double)(j / 2 - 5));
        for (int right = 0; right < 2; right++) {
          K->count->search[ct](n, x, m, list, right, 1, at);
          K->count->among[ct](n, x, m, list, right, yes);
          for (int64_t i = 0; i < n; i++) {
            double v = get(ct, x, i);
            int64_t want = 1;
            int found = 0;
            for (int64_t j = 0; j < m; j++) {
              double e = get(ct, list, j);
              want += right ? !(e > v) : !(e >= v);
              found |= e == v;
            }
            EXPECT(at[i] == want, "%s right %d m %lld: %lld, not %lld", ct_name(ct), right, (long long)m, (long long)at[i], (long long)want);
            EXPECT(yes[i] == (found != right), "%s among", ct_name(ct));
          }
        }
        if (ct == NP_CI64 || m < 3) continue;
        memset(count, 0, sizeof count);
        set(ct, list, 0, -5.5); /* edges of their own */
        double lo = get(ct, list, 0), hi = get(ct, list, m - 1);
        K->count->bins[ct](n, x, NULL, m - 1, lo, hi, list, 0, count);
        for (int64_t b = 0; b < m - 1; b++) {
          double want = 0;
          for (int64_t i = 0; i < n; i++) {
            double v = get(ct, x, i), from = get(ct, list, b), to = get(ct, list, b + 1);
            want += v >= from && (v < to || (b == m - 2 && v == to));
          }
          EXPECT(count[b] == want, "%s bin %lld of %lld: %g, not %g", ct_name(ct), (long long)b, (long long)m, count[b], want);
        }
      }
  done("counts");
}

static void all(void) {
  scans();
  extremes();
  orders();
  halves();
  counts();
}
int main(void) { return each_level(all); }
