/* Attention has the same bits at any number of threads: outputs and gradients, of one head whose keys are cut in runs and of
 * several that share keys, causal and with dropout. */
#include "check.h"

enum { LENGTH = 900, SIZE = 16, SHARED = 4 * LENGTH * SIZE, ROOM = 4 * SHARED };

static void attended(int threads, int64_t heads, int64_t shared, float *out) {
  neap_context *c = neap_open(&(neap_config){.seed = 5, .threads = threads - 1});
  neap_scope *scope = neap_scope_open(c);
  const int64_t many[3] = {heads, LENGTH, SIZE}, few[3] = {shared, LENGTH, SIZE};
  neap_tensor *x[3] = {neap_randn(c, 3, many, -1, NULL), neap_randn(c, 3, few, -1, NULL), neap_randn(c, 3, few, -1, NULL)};
  neap_tensor *weight = neap_randn(c, 3, many, -1, NULL), *g[3] = {NULL};
  for (int i = 0; i < 3; i++) neap_set_requires_grad(x[i], 1);
  neap_tensor *y = neap_scaled_dot_product_attention(c, x[0], x[1], x[2], NULL, 0.1, 1, 0.25, shared < heads, NULL);
  neap_tensor *loss = neap_sum(c, neap_mul(c, y, weight), 0, NULL, 0, -1);
  neap_grad(c, 1, &loss, NULL, 3, x, g, 0);
  check(neap_error(c) == NEAP_OK && neap_threads(c) == threads);
  neap_tensor *all[4] = {y, g[0], g[1], g[2]};
  for (int i = 0; i < 4 && all[i]; i++, out += SHARED) neap_copy_out(all[i], NEAP_F32, out);
  neap_scope_close(scope);
  neap_close(c);
}

static float one[ROOM], several[ROOM];

int main(void) {
  test_case("threads: attention has the same bits at 1, 2, 3 and 8 threads");
  for (int kind = 0; kind < 2; kind++) {
    const int64_t heads = kind ? 4 : 1, shared = kind ? 2 : 1;
    memset(one, 0, sizeof one);
    attended(1, heads, shared, one);
    for (int i = 0; i < 3; i++) {
      const int threads = (const int[]){2, 3, 8}[i];
      memset(several, 0, sizeof several);
      attended(threads, heads, shared, several);
      check_at(__LINE__, memcmp(one, several, sizeof one) == 0, "%d heads, %d threads", (int)heads, threads);
    }
  }
  return check_done();
}
