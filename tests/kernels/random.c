/* random.c: Philox against the published test vectors through a plain twin, every fill against a twin made of the
   twin's words, any cut of a fill against the whole, and the first moments. */
#include "check.h"

/* Salmon et al. 2011, as written there. */
static void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c[4], k0 = key[0], k1 = key[1];
  memcpy(c, counter, sizeof c);
  for (int r = 0; r < 10; r++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
    uint64_t p0 = (uint64_t)0xD2511F53 * c[0], p1 = (uint64_t)0xCD9E8D57 * c[2];
    uint32_t n[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k1, (uint32_t)p0};
    memcpy(c, n, sizeof c);
  }
  memcpy(out, c, sizeof c);
}

static const uint64_t seed = 0x0123456789abcdef, offset = 0xfffffffd; /* the counter crosses 2^32 */
static uint32_t word(int64_t i) {
  uint64_t c = offset + (uint64_t)(i / 4);
  uint32_t counter[4] = {(uint32_t)c, (uint32_t)(c >> 32), 0, 0}, key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)},
           out[4];
  philox(counter, key, out);
  return out[i % 4];
}
static uint64_t long_word(int64_t i) {
  return word(2 * i) | (uint64_t)word(2 * i + 1) << 32;
}

static void vectors(void) {
  static const uint32_t known[3][10] = {{0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
                                        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
                                        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0,
                                         0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
  uint32_t out[4];
  for (int i = 0; i < 3; i++) {
    philox(known[i], known[i] + 4, out);
    EXPECT(!memcmp(out, known[i] + 6, sizeof out), "vector %d", i);
  }
  K->random->bits32(0, 0, 0, 4, out);
  EXPECT(!memcmp(out, known[0] + 6, sizeof out), "the kernel on vector 0");
  done("published vectors");
}

static double all[MOST], part[MOST];

/* One of the fills, by number; element i as a double. */
enum { BITS32, BITS64, UNIFORM, NORMAL = UNIFORM + 2, BERNOULLI = NORMAL + 2, RANDINT = BERNOULLI + 2, FILLS };
static void fill(int f, int64_t i0, int64_t n, void *out) {
  const np_random *r = K->random;
  if (f == BITS32)
    r->bits32(seed, offset, i0, n, out);
  else if (f == BITS64)
    r->bits64(seed, offset, i0, n, out);
  else if (f < NORMAL)
    r->uniform[f - UNIFORM](seed, offset, i0, n, out, -1, 3);
  else if (f < BERNOULLI)
    r->normal[f - NORMAL](seed, offset, i0, n, out, 10, 2);
  else if (f < RANDINT)
    r->bernoulli[f - BERNOULLI](seed, offset, i0, n, out, 0.3, 2.5);
  else
    r->randint(seed, offset, i0, n, out, -3, 4);
}
static int type(int f) {
  return f == BITS32 || f == UNIFORM || f == NORMAL || f == BERNOULLI ? NP_CF32
         : f == BITS64 || f == RANDINT                                ? NP_CI64
                                                                      : NP_CF64;
}
static double twin(int f, int64_t i) {
  const double pi = 3.14159265358979323846;
  double r, t;
  switch (f) {
  case UNIFORM: return -1 + 4 * ldexp(word(i) >> 8, -24);
  case UNIFORM + 1: return -1 + 4 * ldexp((double)(long_word(i) >> 11), -53);
  case NORMAL:
    r = sqrt(-2 * log(ldexp(word(i & ~1ll) >> 1, -31) + 0x1p-32)), t = 2 * pi * ldexp(word(i | 1) >> 8, -24);
    return 10 + 2 * r * (i & 1 ? sin(t) : cos(t));
  case NORMAL + 1:
    r = sqrt(-2 * log(ldexp((double)(long_word(i & ~1ll) >> 11), -53) + 0x1p-54));
    t = 2 * pi * ldexp((double)(long_word(i | 1) >> 11), -53);
    return 10 + 2 * r * (i & 1 ? sin(t) : cos(t));
  case BERNOULLI:
  case BERNOULLI + 1: return ldexp(word(i), -32) < 0.3 ? 2.5 : 0;
  default: return -3 + (double)(int64_t)(((unsigned __int128)long_word(i) * 7) >> 64);
  }
}

static void fills(void) {
  for (int f = 0; f < FILLS; f++)
    for (int s = 0; s < SIZES; s++)
      for (int64_t i0 = 0; i0 < 7; i0 += 3) {
        int64_t n = sizes[s];
        size_t w = f == BITS32 ? 4 : width(type(f));
        fill(f, i0, n, all);
        for (int64_t i = 0; i < n; i++) {
          if (f == BITS32)
            EXPECT(((uint32_t *)all)[i] == word(i0 + i), "bits32");
          else if (f == BITS64)
            EXPECT(((uint64_t *)all)[i] == long_word(i0 + i), "bits64");
          else
            EXPECT(near(get(type(f), all, i), twin(f, i0 + i), type(f) == NP_CF32 ? 1e-6 : 1e-13),
                   "fill %d, %lld: %.12g, not %.12g", f, (long long)i, get(type(f), all, i), twin(f, i0 + i));
        }
        for (int64_t i = 0, m; i < n; i += m) {
          m = 1 + (int64_t)(next_random() % 300);
          m = m > n - i ? n - i : m;
          fill(f, i0 + i, m, (char *)part + (size_t)i * w);
        }
        EXPECT(!memcmp(part, all, (size_t)n * w), "fill %d in parts", f);
      }
  float sure[5];
  K->random->bernoulli[0](1, 2, 0, 5, sure, 1, 1), EXPECT(sure[0] == 1 && sure[4] == 1, "probability 1");
  K->random->bernoulli[0](1, 2, 0, 5, sure, 0, 1), EXPECT(sure[0] == 0 && sure[4] == 0, "probability 0");
  done("fills");
}

static void moments(void) {
  enum { N = 1 << 18 };
  static double v[N];
  static const double mean[] = {1, 1, 10, 10, 0.75, 0.75, 0}, dev[] = {1.1547, 1.1547, 2, 2, 1.1456, 1.1456, 2};
  for (int f = UNIFORM; f < FILLS; f++) {
    double s = 0, q = 0, third = 0;
    fill(f, 0, N, v);
    for (int64_t i = 0; i < N; i++) s += get(type(f), v, i) / N;
    for (int64_t i = 0; i < N; i++) {
      double d = get(type(f), v, i) - s;
      q += d * d / N, third += d * d * d / N;
    }
    EXPECT(fabs(s - mean[f - UNIFORM]) < 0.02 && fabs(sqrt(q) - dev[f - UNIFORM]) < 0.02,
           "fill %d: mean %g, deviation %g", f, s, sqrt(q));
    EXPECT(f >= BERNOULLI || fabs(third) < 0.1, "fill %d: third moment %g", f, third);
  }
  done("moments");
}

static void sampled(int f, int64_t i, int64_t n, const double *a, const double *b, double *y) {
  if (f == 0) np_draw_gamma(seed, offset, i, n, a, 0, y);
  if (f == 1) np_draw_poisson(seed, offset, i, n, a, y);
  if (f == 2) np_draw_binomial(seed, offset, i, n, a, b, y);
}

/* The samplers: any cut gives what the whole gives; choices are distinct and never of weight 0. */
static void samplers(void) {
  enum { N = 300 };
  static double a[N], b[N], whole[N], cut[N];
  for (int i = 0; i < N; i++) a[i] = 0.2 + 0.3 * i, b[i] = (i % 19) / 18.0;
  for (int f = 0; f < 3; f++) {
    sampled(f, 0, N, a, b, whole);
    for (int64_t i = 0, m; i < N; i += m) {
      m = 1 + (int64_t)(next_random() % 30);
      m = m > N - i ? N - i : m;
      sampled(f, i, m, a + i, b + i, cut + i);
    }
    EXPECT(!memcmp(whole, cut, sizeof cut), "sampler %d in parts", f);
  }
  int64_t out[5];
  double w[5] = {1, 0, 2, 3, 0}, scratch[5];
  np_draw_choices(seed, offset, 5, w, 3, 0, out, scratch);
  EXPECT(out[0] + out[1] + out[2] == 5 && out[0] != out[1] && out[1] != out[2], "three of three");
  done("samplers");
}

static void test(void) {
  vectors();
  fills();
  moments();
  samplers();
}

int main(void) {
  return each_level(test);
}
