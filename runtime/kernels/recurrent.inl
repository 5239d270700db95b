/* recurrent.inl: cells of recurrent networks for one float type. Included by recurrent_f32_isa.c and recurrent_f64_isa.c with
   T and S defined; recurrent.h says what each computes. */
#include "isa.h"
#include "kernels.h"
#include "recurrent.h"
#include "scalar.h"

#define F_(name) NP_CAT(np_##name##_, S)
#define EACH NP_IVDEP for (int64_t j = 0; j < n; j++)

static void lstm(int64_t n, const void *vp, const void *vg, void *vc, void *vh, void *vkept) {
  const T *restrict p = vp, *restrict g = vg;
  T *restrict c = vc, *restrict h = vh, *restrict kept = vkept;
#define CELL                                                                                                          \
  const T i = F_(sigmoid)(p[j] + g[j]), f = F_(sigmoid)(p[n + j] + g[n + j]), u = F_(tanh)(p[2 * n + j] + g[2 * n + j]), \
          o = F_(sigmoid)(p[3 * n + j] + g[3 * n + j]), c1 = f * c[j] + i * u;                                        \
  c[j] = c1;                                                                                                          \
  h[j] = o * F_(tanh)(c1);
  if (kept) {
    EACH {
      CELL
      kept[j] = i, kept[n + j] = f, kept[2 * n + j] = u, kept[3 * n + j] = o, kept[4 * n + j] = c1;
    }
  } else {
    EACH { CELL }
  }
#undef CELL
}

/* With t = tanh(c): d = gc + gh o (1 - t^2); gi = d u i (1 - i), gf = d c_before f (1 - f), gu = d i (1 - u^2),
   go = gh t o (1 - o); gc = d f. */
static void lstm_back(int64_t n, const void *vkept, const void *vbefore, const void *vgh, void *vgc, void *vgp) {
  const T *restrict kept = vkept, *restrict before = vbefore, *restrict gh = vgh;
  T *restrict gc = vgc, *restrict gp = vgp;
  EACH {
    const T i = kept[j], f = kept[n + j], u = kept[2 * n + j], o = kept[3 * n + j], t = F_(tanh)(kept[4 * n + j]);
    const T d = gc[j] + gh[j] * o * (1 - t * t);
    gp[j] = d * u * i * (1 - i);
    gp[n + j] = d * before[j] * f * (1 - f);
    gp[2 * n + j] = d * i * (1 - u * u);
    gp[3 * n + j] = gh[j] * t * o * (1 - o);
    gc[j] = d * f;
  }
}

static void gru(int64_t n, const void *vp, const void *vg, const void *vb, void *vh, void *vkept) {
  const T *restrict p = vp, *restrict g = vg, *restrict b = vb;
  T *restrict h = vh, *restrict kept = vkept;
#define CELL(B)                                                                                                \
  const T r = F_(sigmoid)(p[j] + (g[j] + B(0))), z = F_(sigmoid)(p[n + j] + (g[n + j] + B(n))), m = g[2 * n + j] + B(2 * n), \
          u = F_(tanh)(p[2 * n + j] + r * m);                                                                  \
  h[j] = u + z * (h[j] - u);
#define KEEP kept[j] = r, kept[n + j] = z, kept[2 * n + j] = u, kept[3 * n + j] = m;
#define BIAS(at) b[(at) + j]
#define NONE(at) 0
  if (b && kept) {
    EACH { CELL(BIAS) KEEP }
  } else if (b) {
    EACH { CELL(BIAS) }
  } else if (kept) {
    EACH { CELL(NONE) KEEP }
  } else {
    EACH { CELL(NONE) }
  }
#undef CELL
#undef KEEP
#undef BIAS
#undef NONE
}

/* d = gh (1 - z) (1 - u^2): of u's sum; gr = d m r (1 - r), gz = gh (h_before - u) z (1 - z); g's third is d r. */
static void gru_back(int64_t n, const void *vkept, const void *vbefore, void *vgh, void *vgp, void *vgg) {
  const T *restrict kept = vkept, *restrict before = vbefore;
  T *restrict gh = vgh, *restrict gp = vgp, *restrict gg = vgg;
  EACH {
    const T r = kept[j], z = kept[n + j], u = kept[2 * n + j], m = kept[3 * n + j];
    const T d = gh[j] * (1 - z) * (1 - u * u), dr = d * m * r * (1 - r), dz = gh[j] * (before[j] - u) * z * (1 - z);
    gp[j] = dr, gp[n + j] = dz, gp[2 * n + j] = d;
    gg[j] = dr, gg[n + j] = dz, gg[2 * n + j] = d * r;
    gh[j] *= z;
  }
}

static void rnn_tanh(int64_t n, const void *vp, const void *vg, void *vh) {
  const T *restrict p = vp, *restrict g = vg;
  T *restrict h = vh;
  EACH h[j] = F_(tanh)(p[j] + g[j]);
}

static void rnn_relu(int64_t n, const void *vp, const void *vg, void *vh) {
  const T *restrict p = vp, *restrict g = vg;
  T *restrict h = vh;
  EACH {
    const T x = p[j] + g[j];
    h[j] = x > 0 || x != x ? x : 0;
  }
}

static void rnn_tanh_back(int64_t n, const void *vh, const void *vgh, void *vgp) {
  const T *restrict h = vh, *restrict gh = vgh;
  T *restrict gp = vgp;
  EACH gp[j] = gh[j] * (1 - h[j] * h[j]);
}

static void rnn_relu_back(int64_t n, const void *vh, const void *vgh, void *vgp) {
  const T *restrict h = vh, *restrict gh = vgh;
  T *restrict gp = vgp;
  EACH gp[j] = h[j] > 0 ? gh[j] : 0;
}

const np_recurrent NP_NAME(NP_CAT(np_recurrent_, S)) = {
  .lstm = lstm, .lstm_back = lstm_back, .gru = gru, .gru_back = gru_back,
  .rnn = {rnn_tanh, rnn_relu}, .rnn_back = {rnn_tanh_back, rnn_relu_back}};
