/* Formulas have the same bits at any number of threads: values and gradients, broadcast and single operands among them. */
#include "check.h"

enum { ROWS = 300, COLS = 701, SIZE = ROWS * COLS };

static void computed(int threads, float *out) {
  neap_context *c = neap_open(&(neap_config){.seed = 5, .threads = threads - 1});
  const int64_t shape[3][2] = {{ROWS, COLS}, {COLS}, {1}};
  neap_tensor *t[3];
  for (int i = 0; i < 3; i++) {
    t[i] = neap_randn(c, i == 0 ? 2 : 1, shape[i], -1, NULL);
    neap_set_requires_grad(t[i], 1);
  }
  neap_tensor *y = neap_map(c, 3, t, "x > y and tanh(x * z + y) * x or exp(-x * x) * z");
  neap_tensor *loss = neap_sum(c, y, 0, NULL, 0, -1);
  check(neap_backward(loss) == NEAP_OK && neap_threads(c) == threads);
  neap_copy_out(y, NEAP_F32, out);
  out += SIZE;
  for (int i = 0; i < 3; i++) {
    neap_tensor *g = neap_grad_of(t[i]);
    check(g != NULL);
    neap_copy_out(g, NEAP_F32, out);
    out += neap_count(t[i]);
    neap_release(g);
    neap_release(t[i]);
  }
  neap_release(y);
  neap_release(loss);
  neap_close(c);
}

int main(void) {
  static float one[2 * SIZE + COLS + 1], many[2 * SIZE + COLS + 1];
  test_case("threads: a formula has the same bits at 1, 2, 3 and 8 threads");
  computed(1, one);
  check(one[0] != 0 && one[2 * SIZE + COLS] != 0);
  for (int i = 0; i < 3; i++) {
    int threads = (const int[]){2, 3, 8}[i];
    computed(threads, many);
    check_at(__LINE__, memcmp(one, many, sizeof one) == 0, "%d threads", threads);
  }
  return check_done();
}
