/* The same bits at any number of threads: 200 steps of a 784-256-128-10 net on random data, with 1, 2, 3 and 8. */
#include "check.h"

enum { BATCH = 64, WEIGHTS = 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10 };

static neap_module *layer(neap_context *c, const char *name, int64_t in, int64_t out) {
  neap_value a[2] = {{.kind = NEAP_INT, .i = in}, {.kind = NEAP_INT, .i = out}};
  return neap_module_new(c, neap_layer_find(name), in ? 2 : 0, a);
}

static neap_module *make_net(neap_context *c) {
  neap_module *part[5] = {layer(c, "Linear", 784, 256), layer(c, "ReLU", 0, 0), layer(c, "Linear", 256, 128),
                          layer(c, "ReLU", 0, 0), layer(c, "Linear", 128, 10)};
  neap_module *net = neap_error(c) ? NULL : neap_sequential(c, 5, part);
  for (int i = 0; i < 5; i++) neap_module_release(part[i]);
  return net;
}

static void trained(int threads, int steps, float *out) {
  neap_context *c = neap_open(&(neap_config){.seed = 3, .threads = threads - 1});
  neap_module *net = make_net(c);
  check(net != NULL && neap_threads(c) == threads);
  neap_optimizer *o = neap_optimizer_new(c, neap_rule_find("Adam"));
  neap_tensor *w[8];
  int n = neap_module_parameters(net, w, 8);
  neap_optimizer_add(o, n, w, 0, NULL);
  neap_job *job = neap_job_new(net, o, neap_op_find("cross_entropy"));
  for (int i = 0; i < steps; i++) {
    neap_scope *s = neap_scope_open(c);
    neap_tensor *x = neap_randn(c, 2, (const int64_t[]){BATCH, 784}, -1, NULL);
    neap_tensor *label = neap_randint(c, 0, 10, 1, (const int64_t[]){BATCH}, -1, NULL);
    neap_job_begin(job, x, label);
    neap_step(job, INT64_MAX / 2);
    neap_scope_close(s);
  }
  check(neap_error(c) == NEAP_OK && n == 6);
  for (int i = 0; i < n; i++) {
    neap_copy_out(w[i], NEAP_F32, out);
    out += neap_count(w[i]);
  }
  neap_job_release(job);
  neap_optimizer_release(o);
  neap_module_release(net);
  neap_close(c);
}

int main(void) {
  static float one[WEIGHTS], many[WEIGHTS];
  const char *mode = getenv("NEAP_TEST_MODE");
  int steps = mode && (strcmp(mode, "sanitize") == 0 || strcmp(mode, "torture") == 0) ? 10 : 200;
  test_case("threads: training has the same bits at 1, 2, 3 and 8 threads");
  trained(1, steps, one);
  for (int i = 0; i < 3; i++) {
    int threads = (const int[]){2, 3, 8}[i];
    trained(threads, steps, many);
    check_at(__LINE__, memcmp(one, many, sizeof one) == 0, "%d threads", threads);
  }
  return check_done();
}
