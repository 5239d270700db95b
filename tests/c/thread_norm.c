/* Normalisations, CTC and bags have the same bits at any number of threads: outputs and gradients, of channels in parts, in
 * rows and in runs, of groups, of many samples. */
#include <math.h>
#include "check.h"

enum { KINDS = 6, ROOM = 400000 };

static neap_tensor *made(neap_context *c, int kind, neap_tensor *x, neap_tensor *w, neap_tensor *labels) {
  switch (kind) {
  case 3: return neap_group_norm(c, x, 2, w, NULL, 1e-5);
  case 4: return neap_ctc_loss(c, neap_log_softmax(c, x, -1), labels, NULL, NULL, 0, 0, 0);
  case 5: return neap_embedding_bag(c, labels, x, NULL, NAN, 2, 0, 0, NULL, 0, NEAP_ABSENT);
  default: return neap_batch_norm(c, x, NULL, NULL, w, NULL, 1, 0.1, 1e-5);
  }
}

static int64_t run(int threads, int kind, float *out) {
  static const int64_t shapes[KINDS][3] = {{4, 2, 40000}, {3000, 24, 4}, {40, 70, 40}, {40, 8, 400}, {30, 25, 12}, {300, 40, 1}};
  static const int dims[KINDS] = {3, 3, 3, 3, 3, 2};
  neap_context *c = neap_open(&(neap_config){.seed = 11, .threads = threads - 1});
  neap_scope *s = neap_scope_open(c);
  neap_tensor *x = neap_randn(c, dims[kind], shapes[kind], -1, NULL), *w = neap_randn(c, 1, &shapes[kind][1], -1, NULL), *g[2] = {NULL};
  neap_tensor *labels = neap_randint(c, 1, 12, 2, (const int64_t[]){kind == 4 ? 25 : 2000, 10}, -1, NULL);
  neap_set_requires_grad(x, 1), neap_set_requires_grad(w, 1);
  neap_tensor *y = made(c, kind, x, w, labels), *loss = neap_sum(c, neap_sin(c, y), 0, NULL, 0, -1);
  neap_grad(c, 1, &loss, NULL, kind < 4 ? 2 : 1, (neap_tensor *[]){x, w}, g, 0);
  check(neap_error(c) == NEAP_OK && neap_threads(c) == threads);
  int64_t n = 0;
  neap_tensor *all[3] = {y, g[0], g[1]};
  for (int i = 0; i < 3 && all[i]; n += neap_count(all[i++])) neap_copy_out(all[i], NEAP_F32, out + n);
  neap_release(g[0]), neap_release(g[1]);
  neap_scope_close(s);
  neap_close(c);
  return n;
}

static float one[2 * ROOM], several[2 * ROOM];

int main(void) {
  test_case("threads: norms, CTC and bags have the same bits at 1, 2, 3 and 8 threads");
  for (int kind = 0; kind < KINDS; kind++) {
    int64_t n = run(1, kind, one);
    check(n > 1000 && n < 2 * ROOM);
    for (int i = 0; i < 3; i++) {
      const int threads = (const int[]){2, 3, 8}[i];
      run(threads, kind, several);
      check_at(__LINE__, memcmp(one, several, (size_t)n * sizeof *one) == 0, "kind %d, %d threads", kind, threads);
    }
  }
  return check_done();
}
