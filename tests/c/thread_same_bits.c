/* The same bits at any number of threads: 200 steps of a 784-256-128-10 net on random data, with 1, 2, 3 and 8; and sums
 * of values that meet at one place. */
#include <math.h>
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

enum { PLACES = 300, MEET = 20000, WIDE = 40, SUMS = 5 * PLACES * WIDE + 3 * WIDE * PLACES };

/* Many values for few places, by rows and one by one, along the first and the last dimension; and gradients that are such sums. */
static void met(int threads, float *out) {
  neap_context *c = neap_open(&(neap_config){.seed = 5, .threads = threads - 1});
  const int64_t table[2] = {PLACES, WIDE}, list[2] = {MEET, WIDE}, turned[2] = {WIDE, MEET}, few[2] = {WIDE, PLACES}, n = MEET;
  const int64_t border[4] = {1, 1, PLACES - 1, PLACES - 1};
  neap_scope *s = neap_scope_open(c);
  neap_tensor *y = neap_randn(c, 2, list, -1, NULL), *i = neap_randint(c, 0, PLACES, 1, &n, -1, NULL);
  neap_tensor *each = neap_randint(c, 0, PLACES, 2, list, -1, NULL), *across = neap_randint(c, 0, PLACES, 2, turned, -1, NULL);
  neap_tensor *zeros = neap_zeros(c, 2, table, -1), *w = neap_randn(c, 2, table, -1, NULL), *g[3] = {NULL};
  neap_set_requires_grad(w, 1);
  neap_tensor *loss[3] = {neap_embedding(c, i, w, NEAP_ABSENT, NAN, 2, 0), neap_unfold(c, w, 0, PLACES - 100, 1),
                          neap_pad(c, w, 4, border, NEAP_MODE_REFLECT, 0)};
  for (int k = 0; k < 3; k++) {
    neap_tensor *sum = neap_sum(c, neap_mul(c, loss[k], loss[k]), 0, NULL, 0, -1);
    neap_grad(c, 1, &sum, NULL, 1, &w, &g[k], 0);
  }
  neap_tensor *results[] = {neap_index_add(c, zeros, 0, i, y, 1), neap_scatter_add(c, zeros, 0, each, y), g[0], g[1], g[2],
                            neap_scatter_add(c, neap_zeros(c, 2, few, -1), 1, across, neap_t(c, y)),
                            neap_scatter_reduce(c, neap_zeros(c, 2, few, -1), 1, across, neap_t(c, y), NEAP_REDUCE_MEAN, 1),
                            neap_scatter_reduce(c, neap_zeros(c, 2, few, -1), 1, across, neap_t(c, y), NEAP_REDUCE_PROD, 0)};
  check(neap_error(c) == NEAP_OK);
  for (int k = 0; k < 8; k++) {
    neap_copy_out(results[k], NEAP_F32, out);
    out += neap_count(results[k]);
  }
  neap_scope_close(s);
  neap_close(c);
}

enum { DRAWN = 5 * 20000 + 600 * 3 + 2 * 40 * 1000 + 2 * 300 * 40 + 2 * 201 * 126 };

/* Numbers of each sampler, then transforms of some of them, one after the other in out. */
static void drawn(int threads, float *out) {
  neap_context *c = neap_open(&(neap_config){.seed = 5, .threads = threads - 1});
  const int64_t n = 20000, wide[] = {40, 1000}, square[] = {300, 40}, weights[] = {600, 50};
  neap_scope *s = neap_scope_open(c);
  neap_tensor *shape = neap_add(c, neap_rand(c, 1, &n, -1, NULL), neap_full(c, 1, &n, 0.3, -1));
  neap_tensor *x = neap_randn(c, 2, wide, -1, NULL), *z = neap_randn(c, 2, square, -1, NULL);
  neap_tensor *got[] = {
    neap_standard_gamma(c, shape, 0, NULL), neap_poisson(c, neap_mul(c, shape, neap_full(c, 1, &n, 20, -1)), NULL),
    neap_binomial(c, neap_full(c, 1, &n, 40, -1), neap_rand(c, 1, &n, -1, NULL), NULL), neap_dropout(c, shape, 0.4, 1, NULL),
    neap_exponential(c, shape, 2, NULL), neap_multinomial(c, neap_rand(c, 2, weights, -1, NULL), 3, 0, NULL),
    neap_fft(c, neap_complex(c, x, NULL), NEAP_ABSENT, -2, 0), neap_fft(c, neap_complex(c, z, NULL), NEAP_ABSENT, 0, 0),
    neap_stft(c, neap_reshape(c, neap_narrow(c, x, 0, 0, 10), 1, (const int64_t[]){10000}), 400, 80, NEAP_ABSENT, NULL, 1, 1, 0, 1, 0),
  };
  int64_t count = 0;
  check(neap_error(c) == NEAP_OK);
  for (size_t i = 0; i < sizeof got / sizeof *got && neap_error(c) == NEAP_OK; i++) {
    neap_copy_out(got[i], NEAP_F32, out + count);
    count += neap_count(got[i]);
  }
  check_int(count, DRAWN);
  neap_scope_close(s);
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
  static float sums[SUMS], more[SUMS];
  test_case("threads: sums of what meets have the same bits at 1, 2, 3 and 8 threads");
  met(1, sums);
  for (int i = 0; i < 3; i++) {
    int threads = (const int[]){2, 3, 8}[i];
    met(threads, more);
    check_at(__LINE__, memcmp(sums, more, sizeof sums) == 0, "%d threads", threads);
  }
  static float lone[DRAWN], several[DRAWN];
  test_case("threads: samplers and transforms have the same bits at 1, 2, 3 and 8 threads");
  drawn(1, lone);
  for (int i = 0; i < 3; i++) {
    int threads = (const int[]){2, 3, 8}[i];
    drawn(threads, several);
    check_at(__LINE__, memcmp(lone, several, sizeof lone) == 0, "%d threads", threads);
  }
  return check_done();
}
